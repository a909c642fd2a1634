//! The score of a backtest: every alert's verdict, every incident's fate, and the scores of rules, of severities, and of all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::Nanos;
use crate::backtest::outcome::{Alert, RuleOutcome};
use crate::backtest::sightings::{Spans, Who};
use crate::incident::Incident;
use crate::labels::Labels;

use super::fatigue::DAY_NS;
use super::figures::Score;
use super::matching::{AlertVerdict, Firing, Matching, Truth, firings, judge_all};
use super::reference::{self, Reference};
use super::timing::{LeadTime, times_to_detect};
use super::{chance, fatigue};

/// How alerts agree with incidents.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scored {
    /// All rules together.
    pub all: Score,
    /// Each alerting rule: index in [`crate::backtest::Outcome::rules`] and its score.
    pub rules: Vec<(usize, Score)>,
    /// The alerts of each `severity`, by name; empty for those without one.
    pub severities: Vec<(Arc<str>, Score)>,
    /// What the rules are compared with.
    pub references: Vec<Reference>,
    /// Each incident in the range, by service, then start.
    pub incidents: Vec<IncidentOutcome>,
    /// For each alert of [`crate::backtest::Outcome::alerts`], what it was.
    pub verdicts: Vec<AlertVerdict>,
    /// Incidents that lie outside of the range evaluated.
    pub outside: u64,
    /// The services that are scored, sorted.
    pub services: Vec<Arc<str>>,
    /// How long processes of scored services were recorded, summed, in days; warm-up included.
    pub series_days: f64,
}

/// What became of one incident.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IncidentOutcome {
    /// What users call it: `kind@service`, with `#n` for the n-th where there are several.
    pub id: Arc<str>,
    /// The incident.
    pub incident: Incident,
    /// The rules that hit it, each with its first alert, by time.
    pub detected_by: Vec<Detection>,
}

/// A rule hit an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    /// Index in [`crate::backtest::Outcome::rules`].
    pub rule: usize,
    /// Index in [`crate::backtest::Outcome::alerts`].
    pub alert: usize,
    /// How long after the incident's start the alert fired; 0 when before.
    pub delay: Nanos,
    /// Whether the rule says that it is meant for this kind of incident; `None` when it does not say for which.
    pub of_kind: Option<bool>,
}

/// What scoring needs of a rule.
pub(in crate::backtest) struct ScoredRule<'r> {
    pub(in crate::backtest) outcome: &'r RuleOutcome,
    /// The kinds that it is meant for; all when empty.
    pub(in crate::backtest) detects: &'r [Arc<str>],
    /// From when on it could say something about a process.
    pub(in crate::backtest) ready: &'r BTreeMap<Who, i64>,
}

pub(in crate::backtest) fn score(
    truth: &Truth<'_>,
    rules: &[ScoredRule<'_>],
    alerts: &[Alert],
) -> Scored {
    let matching = Matching::new(truth);
    let firings = firings(alerts, &matching.services);
    let grace = |rule: usize| truth.grace.unwrap_or(rules[rule].outcome.interval);
    let verdicts = judge_all(&matching, &firings, rules.len(), grace);
    let mut incidents = with_ids(&matching);
    for (firing, verdict) in firings.iter().zip(&verdicts) {
        if let AlertVerdict::True(i) = *verdict {
            let kinds = rules[firing.rule].detects;
            let incident = matching.incidents[i];
            incidents[i].detected_by.push(Detection {
                rule: firing.rule,
                alert: firing.index,
                delay: Nanos(firing.fired_at.since(incident.range.start).0.max(0)),
                of_kind: (!kinds.is_empty()).then(|| kinds.contains(&incident.kind)),
            });
        }
    }
    for incident in &mut incidents {
        incident
            .detected_by
            .sort_by_key(|d| (alerts[d.alert].fired_at, d.rule));
    }
    let context = Context {
        truth,
        rules,
        matching: &matching,
        alerts,
        verdicts: &verdicts,
    };
    let alerting = |rule: &usize| rules[*rule].outcome.alerting;
    let of_rules: Vec<(usize, Score)> = (0..rules.len())
        .filter(alerting)
        .map(|rule| {
            let mine: Vec<&Firing> = firings.iter().filter(|f| f.rule == rule).collect();
            (rule, context.score(&BTreeSet::from([rule]), &mine, false))
        })
        .collect();
    let mut by_severity: BTreeMap<Arc<str>, (BTreeSet<usize>, Vec<&Firing>)> = BTreeMap::new();
    for firing in &firings {
        let severity = severity(&alerts[firing.index].labels);
        let (rules, firings) = by_severity.entry(severity).or_default();
        rules.insert(firing.rule);
        firings.push(firing);
    }
    let severities = by_severity
        .into_iter()
        .map(|(severity, (rules, firings))| (severity, context.score(&rules, &firings, false)))
        .collect();
    let everyone: BTreeSet<usize> = (0..rules.len()).filter(alerting).collect();
    let all_firings: Vec<&Firing> = firings.iter().collect();
    let all = context.score(&everyone, &all_firings, true);
    let references = reference::rows(
        &matching,
        &context.watched(&everyone),
        truth.range,
        context.grace(&everyone),
        &all,
    );
    let recorded: i64 = context
        .scored()
        .map(|(_, alive)| context.length(alive))
        .sum();
    Scored {
        all,
        rules: of_rules,
        severities,
        references,
        incidents,
        outside: matching.outside,
        services: matching.services.iter().cloned().collect(),
        series_days: recorded as f64 / DAY_NS,
        verdicts,
    }
}

/// The `severity` of an alert.
fn severity(labels: &Labels) -> Arc<str> {
    labels.get("severity").into()
}

/// The incidents, each with an id.
fn with_ids(matching: &Matching<'_>) -> Vec<IncidentOutcome> {
    let same = |a: &Incident, b: &Incident| a.service == b.service && a.kind == b.kind;
    let all = &matching.incidents;
    let id = |i: usize| {
        let incident = all[i];
        let count = |among: &[&Incident]| among.iter().filter(|o| same(o, incident)).count();
        let name = format!("{}@{}", incident.kind, incident.service);
        match count(all) {
            1 => name,
            _ => format!("{name}#{}", count(&all[..=i])),
        }
    };
    (0..all.len())
        .map(|i| IncidentOutcome {
            id: id(i).into(),
            incident: all[i].clone(),
            detected_by: Vec::new(),
        })
        .collect()
}

struct Context<'t> {
    truth: &'t Truth<'t>,
    rules: &'t [ScoredRule<'t>],
    matching: &'t Matching<'t>,
    alerts: &'t [Alert],
    verdicts: &'t [AlertVerdict],
}

impl Context<'_> {
    /// The score of these alerts, which these rules gave. `whole`: of everything, so that each incident counts, of whatever kind.
    fn score(&self, rules: &BTreeSet<usize>, firings: &[&Firing], whole: bool) -> Score {
        let mut score = Score::default();
        // The first alert of these on each incident.
        let mut first: Vec<Option<&Firing>> = vec![None; self.matching.incidents.len()];
        let mut hits = 0;
        for firing in firings {
            match self.verdicts[firing.index] {
                AlertVerdict::True(i) | AlertVerdict::Duplicate(i) => {
                    hits += 1;
                    first[i].get_or_insert(firing);
                }
                AlertVerdict::False => score.false_alerts += 1,
                AlertVerdict::Benign => {
                    score.false_alerts += 1;
                    score.benign += 1;
                }
                AlertVerdict::Ignored => score.ignored += 1,
                AlertVerdict::Unscored => score.unscored += 1,
            }
        }
        let meant = |incident: &Incident| {
            whole
                || rules.iter().any(|rule| {
                    let kinds = self.rules[*rule].detects;
                    kinds.is_empty() || kinds.contains(&incident.kind)
                })
        };
        let (mut delays, mut leads) = (Vec::new(), Vec::new());
        for (incident, first) in self.matching.incidents.iter().zip(&first) {
            score.true_alerts += u64::from(first.is_some());
            if !meant(incident) {
                score.other_kind += u64::from(first.is_some());
                continue;
            }
            score.incidents += 1;
            score.hit += u64::from(first.is_some());
            let fired_at = first.map(|f| f.fired_at);
            delays.push(fired_at.map(|at| Nanos(at.since(incident.range.start).0.max(0))));
            if let Some(impact) = incident.impact {
                leads.push(fired_at.map(|at| impact.since(at)));
            }
        }
        score.duplicates = hits - score.true_alerts;
        let watched = self.watched(rules);
        let watched_ns: i64 = watched.values().map(|spans| self.length(spans)).sum();
        let recorded_ns: i64 = self.scored().map(|(_, alive)| self.length(alive)).sum();
        score.series_days = watched_ns as f64 / DAY_NS;
        if recorded_ns > 0 {
            score.warm_up_share = (recorded_ns - watched_ns) as f64 / recorded_ns as f64;
        }
        let grace = self.grace(rules);
        score.chance = chance::share_in_incidents(self.truth, self.matching, &watched, grace);
        score.follow();
        (score.detect_median, score.detect_p90) = times_to_detect(delays);
        score.lead = LeadTime::of(leads, self.truth.lead_needed);
        fatigue::fill(&mut score, firings, self.alerts, &watched, self.truth.range);
        score
    }

    fn grace(&self, rules: &BTreeSet<usize>) -> Nanos {
        let longest = rules.iter().map(|r| self.rules[*r].outcome.interval).max();
        self.truth.grace.or(longest).unwrap_or_default()
    }

    fn length(&self, spans: &Spans) -> i64 {
        spans.length_within(self.truth.range.start.0, self.truth.range.end.0)
    }

    /// The processes of scored services.
    fn scored(&self) -> impl Iterator<Item = (&Who, &Spans)> {
        self.truth
            .alive
            .iter()
            .filter(|(who, _)| self.matching.services.contains(&who.0))
    }

    /// When each process was recorded and one of these rules could say something about it. A rule that reads several processes at once
    /// is not known to be blind for one of them: if no process is known to be watched, all are.
    fn watched(&self, rules: &BTreeSet<usize>) -> BTreeMap<&Who, Spans> {
        let ready = |who: &Who| {
            let of_rules = rules.iter().map(|rule| self.rules[*rule].ready);
            of_rules.filter_map(|ready| ready.get(who)).min().copied()
        };
        let any = self.scored().any(|(who, _)| ready(who).is_some());
        self.scored()
            .filter_map(|(who, alive)| match ready(who) {
                Some(from) => Some((who, alive.from(crate::Timestamp(from)))),
                None => (!any).then(|| (who, alive.clone())),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::outcome::Ended;
    use crate::incident::Verdict;
    use crate::{TimeRange, Timestamp};

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
            impact: None,
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
            lead_needed: None,
            alive: &alive,
        };
        let outcomes: Vec<RuleOutcome> =
            (0..detects.len()).map(|i| rule(&format!("R{i}"))).collect();
        let ready: BTreeMap<Who, i64> = alive.keys().map(|who| (who.clone(), 0)).collect();
        let rules: Vec<ScoredRule<'_>> = outcomes
            .iter()
            .zip(detects)
            .map(|(outcome, detects)| ScoredRule {
                outcome,
                detects,
                ready: &ready,
            })
            .collect();
        score(&truth, &rules, alerts)
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

    #[test]
    fn severities_warm_up_lead_and_references() {
        let mut leak = incident("a", "heap_leak", 100.0, 200.0, Verdict::Wrong);
        leak.impact = Some(Timestamp(s(150.0)));
        let incidents = [
            leak,
            incident("a", "heap_step", 300.0, 400.0, Verdict::Wrong),
        ];
        let of = |rule: usize, severity: &str, fired: f64| {
            let mut alert = alert(rule, "a", fired, fired + 1.0);
            alert.labels = alert.labels.with("severity", severity);
            alert
        };
        // Of one rule, but of two severities: the second is the first of its severity.
        let alerts = [of(0, "P1", 110.0), of(0, "P2", 120.0), of(0, "P2", 500.0)];
        let found = scored(&incidents, &[Vec::new()], &alerts);
        let severities: Vec<_> = found
            .severities
            .iter()
            .map(|(name, s)| (&**name, s.hit, s.true_alerts, s.duplicates, s.false_alerts))
            .collect();
        assert_eq!(severities, [("P1", 1, 1, 0, 0), ("P2", 1, 1, 0, 1)]);
        let lead = found.all.lead.unwrap();
        assert_eq!((lead.incidents, lead.median), (1, Some(Nanos(s(40.0)))));
        assert_eq!(found.all.warm_up_share, 0.0);
        let names: Vec<_> = found.references.iter().map(|r| r.name).collect();
        assert_eq!(names, ["silent", "random"]);
        // Three alerts at random in 2000 s, of which 202 s lie in two incidents: a tenth is right.
        let random = &found.references[1];
        assert!(
            (0.02..0.3).contains(&random.precision.unwrap()),
            "{random:?}"
        );
        assert!(random.hit.unwrap() < 1.0, "{random:?}");
        let ids: Vec<_> = found.incidents.iter().map(|i| &*i.id).collect();
        assert_eq!(ids, ["heap_leak@a", "heap_step@a"]);
    }

    #[test]
    fn time_in_which_a_rule_was_blind_is_not_watched() {
        let alive: BTreeMap<Who, Spans> =
            [(("a".into(), "a-0".into()), Spans(vec![(0, s(1000.0))]))].into();
        let truth = Truth {
            incidents: &[],
            labelled: None,
            range: TimeRange {
                start: Timestamp(0),
                end: Timestamp(s(1000.0)),
            },
            grace: None,
            lead: Nanos(0),
            lead_needed: None,
            alive: &alive,
        };
        let outcomes = [rule("Late"), rule("Later"), rule("Never")];
        let ready = [s(100.0), s(250.0)].map(|at| [(("a".into(), "a-0".into()), at)].into());
        let ready: Vec<BTreeMap<Who, i64>> = ready.into_iter().chain([BTreeMap::new()]).collect();
        let rules: Vec<ScoredRule<'_>> = outcomes
            .iter()
            .zip(&ready)
            .map(|(outcome, ready)| ScoredRule {
                outcome,
                detects: &[],
                ready,
            })
            .collect();
        let found = score(&truth, &rules, &[]);
        let shares: Vec<f64> = found.rules.iter().map(|r| r.1.warm_up_share).collect();
        // A rule that is not known to be ready for any process may read them all at once.
        assert_eq!(shares, [0.1, 0.25, 0.0]);
        assert_eq!(found.all.warm_up_share, 0.1);
        assert!((found.all.series_days * 86_400.0 - 900.0).abs() < 1e-6);
    }

    /// A judge without any index, as the definition reads.
    fn naive(incidents: &[(i64, i64)], fired: &[i64], grace: i64) -> (usize, usize, usize) {
        let mut hit = vec![false; incidents.len()];
        let (mut duplicates, mut wrong) = (0, 0);
        for at in fired {
            let inside: Vec<usize> = (0..incidents.len())
                .filter(|i| incidents[*i].0 <= *at && *at <= incidents[*i].1 + grace)
                .collect();
            match inside.iter().find(|i| !hit[**i]) {
                Some(i) => hit[*i] = true,
                None if inside.is_empty() => wrong += 1,
                None => duplicates += 1,
            }
        }
        (hit.iter().filter(|h| **h).count(), duplicates, wrong)
    }

    proptest::proptest! {
        /// Any incidents and alerts of one rule: the same counts as the definition.
        #[test]
        fn counts_are_those_of_the_definition(
            stretches in proptest::collection::vec((0i64..900, 1i64..90), 0..8),
            fired in proptest::collection::vec(0i64..1000, 0..20),
        ) {
            let mut stretches: Vec<(i64, i64)> =
                stretches.into_iter().map(|(start, length)| (start, start + length)).collect();
            stretches.sort_unstable();
            let mut fired = fired;
            fired.sort_unstable();
            let (hit, duplicates, wrong) = naive(&stretches, &fired, 1);
            let incidents: Vec<Incident> = stretches
                .iter()
                .map(|(start, end)| incident("a", "k", *start as f64, *end as f64, Verdict::Wrong))
                .collect();
            let alerts: Vec<Alert> = fired
                .iter()
                .map(|at| alert(0, "a", *at as f64, *at as f64 + 1.0))
                .collect();
            let all = scored(&incidents, &[Vec::new()], &alerts).all;
            proptest::prop_assert_eq!(
                (all.hit, all.true_alerts, all.duplicates, all.false_alerts),
                (hit as u64, hit as u64, duplicates as u64, wrong as u64)
            );
        }
    }
}
