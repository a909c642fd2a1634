//! Whether alerts were right: against labelled incidents, by the firing edge.
//!
//! An alert hits an incident `[s, e]` when it **fires** in `[s − L, e + grace]`; one that was firing already before does not. An alert that
//! could hit several takes the earliest that is not hit yet. The first hit is true, later ones of the same incident are duplicates and
//! count on neither side of precision. Alerts in `unlabelled` stretches count for nothing; alerts in `benign` stretches are false.

mod matching;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::incident::{Incident, Verdict};
use crate::{Labels, Nanos, TimeRange, Timestamp};

use matching::Matching;

use super::intervals::{poisson, wilson};
use super::outcome::{Alert, RuleOutcome};
use super::sightings::{Spans, Who, who};

/// Within how long after a resolve a new firing of the same alert is a flap.
const FLAP: Nanos = Nanos(15 * Nanos::MINUTE.0);
const DAY_NS: f64 = 86_400e9;

/// What an alert was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertVerdict {
    /// The first of its rule in this incident (index in [`Scored::incidents`]).
    True(usize),
    /// A later one of its rule in this incident.
    Duplicate(usize),
    /// In no incident.
    False,
    /// In a stretch that is labelled as harmless.
    Benign,
    /// In a stretch that nobody gave a cause: counts for nothing.
    Ignored,
    /// Of a service without labels, or of none: counts for nothing.
    Unscored,
}

/// How alerts agree with incidents.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scored {
    /// All rules together.
    pub all: Score,
    /// Each alerting rule: index in [`super::Outcome::rules`] and its score.
    pub rules: Vec<(usize, Score)>,
    /// Each incident in the range, by service, then start.
    pub incidents: Vec<IncidentOutcome>,
    /// For each alert of [`super::Outcome::alerts`], what it was.
    pub verdicts: Vec<AlertVerdict>,
    /// Incidents that lie outside of the range evaluated.
    pub outside: u64,
    /// The services that are scored, sorted.
    pub services: Vec<Arc<str>>,
    /// How long processes of scored services were recorded, summed, in days.
    pub series_days: f64,
}

/// What became of one incident.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IncidentOutcome {
    /// The incident.
    pub incident: Incident,
    /// The rules that hit it, each with its first alert, by time: index of the rule, index of the alert, delay after the start.
    pub detected_by: Vec<Detection>,
}

/// A rule hit an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Index in [`super::Outcome::rules`].
    pub rule: usize,
    /// Index in [`super::Outcome::alerts`].
    pub alert: usize,
    /// How long after the incident's start the alert fired; 0 when before.
    pub delay: Nanos,
    /// Whether the rule says that it is meant for this kind of incident; `None` when it does not say for which.
    pub of_kind: Option<bool>,
}

/// The score of some alerts. The measures are defined in this module's documentation.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// Incidents that could be hit: for a rule that says what it detects, those of its kinds.
    pub incidents: u64,
    /// Of these, those hit.
    pub hit: u64,
    /// First hits, also of incidents of other kinds.
    pub true_alerts: u64,
    /// Of the first hits, those in incidents of kinds that the rule does not name.
    pub other_kind: u64,
    /// Later hits of the same incident.
    pub duplicates: u64,
    /// Alerts in no incident, those in benign stretches among them.
    pub false_alerts: u64,
    /// Of the false ones, those in benign stretches.
    pub benign: u64,
    /// Alerts in unlabelled stretches.
    pub ignored: u64,
    /// Alerts of services without labels.
    pub unscored: u64,
    /// `hit / incidents`
    pub recall: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub recall_interval: Option<(f64, f64)>,
    /// `true / (true + false)`
    pub precision: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub precision_interval: Option<(f64, f64)>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// As F1, precision weighing twice as much.
    pub f05: Option<f64>,
    /// Share of the time that lies in incidents: the precision of random alerts.
    pub chance: f64,
    /// `(precision − chance) / (1 − chance)`
    pub skill: Option<f64>,
    /// Median of the time to detect over all incidents; `None` when more than half were missed.
    pub detect_median: Option<Nanos>,
    /// 90 % quantile of the time to detect over all incidents; `None` when it falls into the missed ones.
    pub detect_p90: Option<Nanos>,
    /// False alerts per day and process.
    pub false_per_series_day: Option<f64>,
    /// Its 95 % interval (exact Poisson).
    pub false_interval: Option<(f64, f64)>,
    /// Alerts per day of the range.
    pub alerts_per_day: f64,
    /// Share of the processes' time in which an alert of their service fires.
    pub firing_share: f64,
    /// Alerts that fired again within 15 minutes of being resolved.
    pub flaps: u64,
    /// Most alerts that fired within an hour.
    pub storm: u64,
}

/// What alerts are scored against.
pub(super) struct Truth<'t> {
    pub(super) incidents: &'t [Incident],
    /// The services whose labels are complete; all that were recorded when absent.
    pub(super) labelled: Option<&'t BTreeSet<Arc<str>>>,
    pub(super) range: TimeRange,
    pub(super) grace: Option<Nanos>,
    pub(super) lead: Nanos,
    pub(super) alive: &'t BTreeMap<Who, Spans>,
}

/// An alert as scoring sees it.
struct Firing {
    index: usize,
    rule: usize,
    fired_at: Timestamp,
    service: Option<Arc<str>>,
    instance: Arc<str>,
}

pub(super) fn score(
    truth: &Truth<'_>,
    rules: &[RuleOutcome],
    detects: &[Vec<Arc<str>>],
    alerts: &[Alert],
) -> Scored {
    let known: BTreeSet<Arc<str>> = truth
        .alive
        .keys()
        .map(|(service, _)| service.clone())
        .chain(truth.incidents.iter().map(|i| i.service.clone()))
        .collect();
    let services = truth.labelled.cloned().unwrap_or(known);
    let mut incidents: Vec<&Incident> = Vec::new();
    let mut outside = 0;
    for incident in truth.incidents {
        if incident.verdict != Verdict::Wrong || !services.contains(&incident.service) {
            continue;
        }
        let reaches = incident.range.end.plus(truth.grace.unwrap_or_default());
        if reaches < truth.range.start || incident.range.start >= truth.range.end {
            outside += 1;
        } else {
            incidents.push(incident);
        }
    }
    incidents.sort_by(|a, b| {
        (&a.service, a.range.start, a.range.end, &a.kind, &a.instance).cmp(&(
            &b.service,
            b.range.start,
            b.range.end,
            &b.kind,
            &b.instance,
        ))
    });
    // An aggregated alert without labels belongs to the only service there is.
    let only = match services.len() {
        1 => services.first().cloned(),
        _ => None,
    };
    let firings: Vec<Firing> = alerts
        .iter()
        .enumerate()
        .map(|(index, alert)| {
            let (service, instance) = who(&alert.labels);
            let service = if service.is_empty() {
                only.clone()
            } else {
                Some(service)
            };
            Firing {
                index,
                rule: alert.rule,
                fired_at: alert.fired_at,
                service: service.filter(|s| services.contains(s)),
                instance,
            }
        })
        .collect();
    let matcher = Matching {
        truth,
        incidents: &incidents,
    };
    let mut outcomes: Vec<IncidentOutcome> = incidents
        .iter()
        .map(|i| IncidentOutcome {
            incident: (*i).clone(),
            detected_by: Vec::new(),
        })
        .collect();
    let mut verdicts = vec![AlertVerdict::Unscored; alerts.len()];
    for (rule, outcome) in rules.iter().enumerate() {
        let grace = truth.grace.unwrap_or(outcome.interval);
        let mut hit = vec![false; incidents.len()];
        // Alerts come in the order of firing.
        for firing in firings.iter().filter(|f| f.rule == rule) {
            let verdict = matcher.judge(firing, grace, &hit);
            verdicts[firing.index] = verdict;
            if let AlertVerdict::True(i) = verdict {
                hit[i] = true;
                let kinds = &detects[rule];
                outcomes[i].detected_by.push(Detection {
                    rule,
                    alert: firing.index,
                    delay: Nanos(firing.fired_at.since(incidents[i].range.start).0.max(0)),
                    of_kind: (!kinds.is_empty()).then(|| kinds.contains(&incidents[i].kind)),
                });
            }
        }
    }
    for outcome in &mut outcomes {
        outcome
            .detected_by
            .sort_by_key(|d| (alerts[d.alert].fired_at, d.rule));
    }
    let scored_time = |who: &&Who| services.contains(&who.0);
    let series_ns: i64 = truth
        .alive
        .iter()
        .filter(|(who, _)| scored_time(who))
        .map(|(_, s)| s.length_within(truth.range.start.0, truth.range.end.0))
        .sum();
    let context = Context {
        truth,
        matcher: &matcher,
        services: &services,
        alerts,
        series_ns,
    };
    let of_rules = rules
        .iter()
        .enumerate()
        .filter(|(_, r)| r.alerting)
        .map(|(rule, outcome)| {
            let kinds = &detects[rule];
            let of_kind = |i: &Incident| kinds.is_empty() || kinds.contains(&i.kind);
            let mut score = Score::default();
            let mut delays = Vec::new();
            for incident in outcomes.iter() {
                let found = incident.detected_by.iter().find(|d| d.rule == rule);
                if of_kind(&incident.incident) {
                    score.incidents += 1;
                    score.hit += u64::from(found.is_some());
                    delays.push(found.map(|d| d.delay));
                } else if found.is_some() {
                    score.other_kind += 1;
                }
                score.true_alerts += u64::from(found.is_some());
            }
            let mine: Vec<&Firing> = firings.iter().filter(|f| f.rule == rule).collect();
            let grace = truth.grace.unwrap_or(outcome.interval);
            context.complete(&mut score, &mine, &verdicts, delays, grace);
            (rule, score)
        })
        .collect();
    let mut all = Score::default();
    let mut delays = Vec::new();
    for incident in &outcomes {
        let found = incident.detected_by.first();
        all.incidents += 1;
        all.hit += u64::from(found.is_some());
        delays.push(found.map(|d| d.delay));
    }
    all.true_alerts = all.hit;
    let everyone: Vec<&Firing> = firings.iter().collect();
    let longest = rules
        .iter()
        .filter(|r| r.alerting)
        .map(|r| r.interval)
        .max();
    let grace = truth.grace.or(longest).unwrap_or_default();
    context.complete(&mut all, &everyone, &verdicts, delays, grace);
    Scored {
        all,
        rules: of_rules,
        incidents: outcomes,
        verdicts,
        outside,
        services: services.into_iter().collect(),
        series_days: series_ns as f64 / DAY_NS,
    }
}

struct Context<'t> {
    truth: &'t Truth<'t>,
    matcher: &'t Matching<'t>,
    services: &'t BTreeSet<Arc<str>>,
    alerts: &'t [Alert],
    series_ns: i64,
}

impl Context<'_> {
    /// Fills in what follows from the hits.
    fn complete(
        &self,
        score: &mut Score,
        firings: &[&Firing],
        verdicts: &[AlertVerdict],
        mut delays: Vec<Option<Nanos>>,
        grace: Nanos,
    ) {
        let mut hits = 0;
        for firing in firings {
            match verdicts[firing.index] {
                AlertVerdict::True(_) | AlertVerdict::Duplicate(_) => hits += 1,
                AlertVerdict::False => score.false_alerts += 1,
                AlertVerdict::Benign => {
                    score.false_alerts += 1;
                    score.benign += 1;
                }
                AlertVerdict::Ignored => score.ignored += 1,
                AlertVerdict::Unscored => score.unscored += 1,
            }
        }
        score.duplicates = hits - score.true_alerts.min(hits);
        let judged = score.true_alerts + score.false_alerts;
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        score.recall = share(score.hit, score.incidents);
        score.recall_interval = wilson(score.hit, score.incidents);
        score.precision = share(score.true_alerts, judged);
        score.precision_interval = wilson(score.true_alerts, judged);
        if let (Some(p), Some(r)) = (score.precision, score.recall) {
            let f = |b2: f64| {
                let below = b2 * p + r;
                if below > 0.0 {
                    (1.0 + b2) * p * r / below
                } else {
                    0.0
                }
            };
            score.f1 = Some(f(1.0));
            score.f05 = Some(f(0.25));
        }
        score.chance = self.chance(grace);
        score.skill = score
            .precision
            .filter(|_| score.chance < 1.0)
            .map(|p| (p - score.chance) / (1.0 - score.chance));
        delays.sort_by_key(|d| d.unwrap_or(Nanos(i64::MAX)));
        score.detect_median = quantile(&delays, 50);
        score.detect_p90 = quantile(&delays, 90);
        let days = self.series_ns as f64 / DAY_NS;
        if days > 0.0 {
            let (low, high) = poisson(score.false_alerts);
            score.false_per_series_day = Some(score.false_alerts as f64 / days);
            score.false_interval = Some((low / days, high / days));
        }
        let range_days = self.truth.range.duration().0 as f64 / DAY_NS;
        if range_days > 0.0 {
            score.alerts_per_day = firings.len() as f64 / range_days;
        }
        score.firing_share = self.firing_share(firings);
        score.flaps = self.flaps(firings);
        score.storm = storm(firings);
    }

    /// Share of the recorded time that lies in incidents.
    fn chance(&self, grace: Nanos) -> f64 {
        let range = self.truth.range;
        let mut covered = 0;
        for (who, alive) in self.scored() {
            let of: Vec<(i64, i64)> = self
                .matcher
                .incidents
                .iter()
                .filter(|i| i.service == who.0 && self.matcher.same_instance(i, &who.1))
                .map(|i| {
                    let start = i.range.start.minus(self.truth.lead).0;
                    (start, i.range.end.plus(grace).0)
                })
                .collect();
            covered += Spans::of(of)
                .and(alive)
                .length_within(range.start.0, range.end.0);
        }
        if self.series_ns > 0 {
            covered as f64 / self.series_ns as f64
        } else {
            0.0
        }
    }

    fn scored(&self) -> impl Iterator<Item = (&Who, &Spans)> {
        self.truth
            .alive
            .iter()
            .filter(|(who, _)| self.services.contains(&who.0))
    }

    fn firing_share(&self, firings: &[&Firing]) -> f64 {
        let mut by_service: HashMap<&str, Vec<(i64, i64)>> = HashMap::new();
        for firing in firings {
            if let Some(service) = &firing.service {
                let alert = &self.alerts[firing.index];
                let end = alert.ended.at().unwrap_or(self.truth.range.end);
                by_service
                    .entry(service)
                    .or_default()
                    .push((alert.fired_at.0, end.0));
            }
        }
        let range = self.truth.range;
        let mut firing = 0;
        for (who, alive) in self.scored() {
            if let Some(spans) = by_service.get(&*who.0) {
                firing += Spans::of(spans.clone())
                    .and(alive)
                    .length_within(range.start.0, range.end.0);
            }
        }
        if self.series_ns > 0 {
            firing as f64 / self.series_ns as f64
        } else {
            0.0
        }
    }

    fn flaps(&self, firings: &[&Firing]) -> u64 {
        let mut resolved: HashMap<(usize, &Labels), Timestamp> = HashMap::new();
        let mut flaps = 0;
        for firing in firings {
            let alert = &self.alerts[firing.index];
            let identity = (alert.rule, &alert.labels);
            if let Some(at) = resolved.get(&identity)
                && alert.fired_at.since(*at) <= FLAP
            {
                flaps += 1;
            }
            if let Some(at) = alert.ended.resolved_at() {
                resolved.insert(identity, at);
            }
        }
        flaps
    }
}

/// By nearest rank; `None` when it falls to a missed one.
fn quantile(sorted: &[Option<Nanos>], percent: usize) -> Option<Nanos> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().flatten()
}

/// Most alerts within an hour.
fn storm(firings: &[&Firing]) -> u64 {
    let (mut first, mut most) = (0, 0);
    for (i, firing) in firings.iter().enumerate() {
        while firing.fired_at.since(firings[first].fired_at) >= Nanos::HOUR {
            first += 1;
        }
        most = most.max(i + 1 - first);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::outcome::Ended;

    fn s(seconds: f64) -> i64 {
        #[allow(clippy::cast_possible_truncation)]
        let ns = (seconds * 1e9) as i64;
        ns
    }

    fn incident(service: &str, kind: &str, start: f64, end: f64, verdict: Verdict) -> Incident {
        Incident {
            service: service.into(),
            instance: format!("{service}-0").into(),
            kind: kind.into(),
            range: TimeRange {
                start: Timestamp(s(start)),
                end: Timestamp(s(end)),
            },
            detail: "".into(),
            verdict,
        }
    }

    fn rule(name: &str) -> RuleOutcome {
        RuleOutcome {
            group: "g".into(),
            name: name.into(),
            alerting: true,
            interval: Nanos::SECOND,
            phase: Nanos(0),
            evaluations: 1000,
            unknown: 0,
            errors: 0,
            first_error: None,
            alerts: 0,
            only_pending: 0,
            warnings: Vec::new(),
        }
    }

    fn alert(rule: usize, service: &str, fired: f64, resolved: f64) -> Alert {
        Alert {
            id: "x".into(),
            rule,
            labels: [("service", service)].into_iter().collect(),
            annotations: Vec::new(),
            pending_at: Timestamp(s(fired)),
            fired_at: Timestamp(s(fired)),
            ended: Ended::Resolved(Timestamp(s(resolved))),
            value: 1.0,
            peak: 1.0,
        }
    }

    fn scored(incidents: &[Incident], detects: &[Vec<Arc<str>>], alerts: &[Alert]) -> Scored {
        let alive: BTreeMap<Who, Spans> = ["a", "b"]
            .map(|service| {
                let who: Who = (service.into(), format!("{service}-0").into());
                (who, Spans(vec![(0, s(1000.0))]))
            })
            .into();
        let truth = Truth {
            incidents,
            labelled: None,
            range: TimeRange {
                start: Timestamp(0),
                end: Timestamp(s(1000.0)),
            },
            grace: None,
            lead: Nanos(0),
            alive: &alive,
        };
        let rules: Vec<RuleOutcome> = (0..detects.len()).map(|i| rule(&format!("R{i}"))).collect();
        score(&truth, &rules, detects, alerts)
    }

    #[test]
    fn alerts_hit_by_their_firing_edge() {
        use AlertVerdict::{Benign, Duplicate, False, Ignored, True};
        let incidents = [
            incident("a", "heap_leak", 100.0, 200.0, Verdict::Wrong),
            incident("a", "heap_step", 150.0, 250.0, Verdict::Wrong),
            incident("a", "restart", 300.0, 310.0, Verdict::Benign),
            incident("a", "gc_pause", 400.0, 401.0, Verdict::Unlabelled),
        ];
        let check = |alerts: &[(&str, f64)], expected: &[AlertVerdict]| {
            let alerts: Vec<Alert> = alerts
                .iter()
                .map(|(w, f)| alert(0, w, *f, f + 1.0))
                .collect();
            let found = scored(&incidents, &[Vec::new()], &alerts);
            assert_eq!(found.verdicts, expected, "{alerts:?}");
        };
        check(&[("a", 100.0)], &[True(0)]);
        check(&[("a", 99.9)], &[False]); // Firing before the start does not hit.
        check(&[("a", 251.0)], &[True(1)]); // Within the grace of one evaluation.
        check(&[("a", 251.1)], &[False]);
        check(
            &[("a", 160.0), ("a", 170.0), ("a", 180.0)],
            &[True(0), True(1), Duplicate(0)],
        );
        check(&[("a", 110.0), ("a", 120.0)], &[True(0), Duplicate(0)]);
        check(&[("b", 110.0)], &[False]); // Another service.
        check(&[("a", 305.0), ("a", 400.5)], &[Benign, Ignored]);
    }

    #[test]
    fn figures_follow_from_the_counts() {
        let incidents = [
            incident("a", "heap_leak", 100.0, 200.0, Verdict::Wrong),
            incident("a", "heap_step", 300.0, 400.0, Verdict::Wrong),
            incident("b", "long_stw", 500.0, 600.0, Verdict::Wrong),
        ];
        let alerts = [
            alert(0, "a", 110.0, 120.0),
            alert(0, "a", 130.0, 140.0), // Duplicate, and a flap.
            alert(1, "a", 150.0, 160.0), // Another rule, the same incident.
            alert(1, "a", 320.0, 330.0),
            alert(0, "b", 700.0, 710.0), // False.
        ];
        let detects = [vec![Arc::from("heap_leak")], vec![Arc::from("heap_step")]];
        let found = scored(&incidents, &detects, &alerts);
        let all = &found.all;
        assert_eq!((all.incidents, all.hit, all.true_alerts), (3, 2, 2));
        assert_eq!((all.duplicates, all.false_alerts), (2, 1));
        assert_eq!(all.recall, Some(2.0 / 3.0));
        assert_eq!(all.precision, Some(2.0 / 3.0));
        assert_eq!(all.f1, Some(2.0 / 3.0));
        assert_eq!(all.detect_median, Some(Nanos(s(20.0))));
        assert_eq!(all.detect_p90, None); // The third was missed.
        assert_eq!((all.flaps, all.storm), (2, 5));
        // Three stretches of 101 s (grace 1 s) in twice 1000 s.
        assert!((all.chance - 303.0 / 2000.0).abs() < 1e-9, "{}", all.chance);
        let skill = (2.0 / 3.0 - all.chance) / (1.0 - all.chance);
        assert!((all.skill.unwrap() - skill).abs() < 1e-9);
        let days = 2000.0 / 86_400.0;
        assert!((all.false_per_series_day.unwrap() - 1.0 / days).abs() < 1e-6);
        let first = &found.rules[0].1;
        assert_eq!(
            (
                first.incidents,
                first.hit,
                first.true_alerts,
                first.other_kind
            ),
            (1, 1, 1, 0)
        );
        assert_eq!((first.duplicates, first.false_alerts), (1, 1));
        let second = &found.rules[1].1;
        assert_eq!(
            (
                second.incidents,
                second.hit,
                second.true_alerts,
                second.other_kind
            ),
            (1, 1, 2, 1)
        );
        let leak = &found.incidents[0];
        let by: Vec<_> = leak
            .detected_by
            .iter()
            .map(|d| (d.rule, d.of_kind))
            .collect();
        assert_eq!(by, [(0, Some(true)), (1, Some(false))]);
        assert_eq!(leak.detected_by[0].delay, Nanos(s(10.0)));
    }

    #[test]
    fn instances_tell_apart_where_both_have_the_same_names() {
        let mut one = incident("a", "heap_leak", 100.0, 200.0, Verdict::Wrong);
        one.instance = "a-1".into();
        let mut two = one.clone();
        two.instance = "a-2".into();
        let of = |instance: &str| {
            let mut of = alert(0, "a", 150.0, 160.0);
            of.labels = of.labels.with("instance", instance);
            scored(&[one.clone(), two.clone()], &[Vec::new()], &[of]).verdicts[0]
        };
        assert_eq!(of("a-2"), AlertVerdict::True(1));
        assert_eq!(of("10.0.0.1:8080"), AlertVerdict::True(0));
        assert_eq!(of(""), AlertVerdict::True(0));
    }

    #[test]
    fn no_alerts_and_no_incidents_have_no_figures() {
        let found = scored(&[], &[Vec::new()], &[]);
        assert_eq!(
            (found.all.recall, found.all.precision, found.all.f1),
            (None, None, None)
        );
        assert_eq!(found.all.false_per_series_day, Some(0.0));
    }
}
