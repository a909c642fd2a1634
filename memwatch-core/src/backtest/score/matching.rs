//! Which labelled stretch an alert belongs to: by service, instance and the moment at which it fires.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::incident::{Incident, Verdict};
use crate::{Labels, Nanos, TimeRange, Timestamp};

use crate::backtest::outcome::Alert;
use crate::backtest::sightings::{Spans, Who, who};

/// What an alert was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertVerdict {
    /// The first of its rule in this incident (index in [`super::Scored::incidents`]).
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

impl AlertVerdict {
    /// The incident that it lies in.
    #[must_use]
    pub fn incident(self) -> Option<usize> {
        match self {
            AlertVerdict::True(i) | AlertVerdict::Duplicate(i) => Some(i),
            _ => None,
        }
    }

    /// Whether nobody should have been told.
    #[must_use]
    pub fn is_false(self) -> bool {
        matches!(self, AlertVerdict::False | AlertVerdict::Benign)
    }
}

/// What alerts are scored against.
pub(in crate::backtest) struct Truth<'t> {
    pub(in crate::backtest) incidents: &'t [Incident],
    /// The services whose labels are complete; all that were recorded when absent.
    pub(in crate::backtest) labelled: Option<&'t BTreeSet<Arc<str>>>,
    pub(in crate::backtest) range: TimeRange,
    pub(in crate::backtest) grace: Option<Nanos>,
    pub(in crate::backtest) lead: Nanos,
    /// How long before the impact the user wants to be told.
    pub(in crate::backtest) lead_needed: Option<Nanos>,
    pub(in crate::backtest) alive: &'t BTreeMap<Who, Spans>,
}

/// An alert as scoring sees it.
#[derive(Debug, Clone)]
pub(in crate::backtest) struct Firing {
    /// Index among the alerts.
    pub(in crate::backtest) index: usize,
    pub(in crate::backtest) rule: usize,
    pub(in crate::backtest) fired_at: Timestamp,
    /// `None` when it is of no service that is scored.
    pub(in crate::backtest) service: Option<Arc<str>>,
    pub(in crate::backtest) instance: Arc<str>,
}

/// The alerts with the services that they concern.
pub(in crate::backtest) fn firings(alerts: &[Alert], services: &BTreeSet<Arc<str>>) -> Vec<Firing> {
    let of = |(index, alert): (usize, &Alert)| {
        let (service, instance) = scored(&alert.labels, services);
        Firing {
            index,
            rule: alert.rule,
            fired_at: alert.fired_at,
            service,
            instance,
        }
    };
    alerts.iter().enumerate().map(of).collect()
}

/// Whose something with these labels is; no service when it is of none that is scored.
fn scored(labels: &Labels, services: &BTreeSet<Arc<str>>) -> (Option<Arc<str>>, Arc<str>) {
    let (service, instance) = who(labels);
    // What is aggregated and has no labels belongs to the only service there is.
    let only = || services.first().filter(|_| services.len() == 1).cloned();
    let service = match &*service {
        "" => only(),
        _ => Some(service),
    };
    (service.filter(|s| services.contains(s)), instance)
}

/// The stretches that alerts of one process can lie in. Ends belong to them.
pub(in crate::backtest) struct Whereabouts {
    /// Begin, end and number of each incident, in their order.
    incidents: Vec<(i64, i64, usize)>,
    /// Stretches that nobody gave a cause.
    unlabelled: Vec<(i64, i64)>,
}

impl Whereabouts {
    /// The incidents that an alert which fires then could hit, the first to take first.
    pub(in crate::backtest) fn incidents(&self, at: i64) -> impl Iterator<Item = usize> + '_ {
        let covers = move |(from, to, _): &&(i64, i64, usize)| *from <= at && at <= *to;
        self.incidents.iter().filter(covers).map(|i| i.2)
    }

    /// Whether there is one.
    pub(in crate::backtest) fn is_in_incident(&self, at: i64) -> bool {
        self.incidents(at).next().is_some()
    }

    /// Whether an alert that fires then, in no incident, counts for nothing.
    pub(in crate::backtest) fn is_ignored(&self, at: i64) -> bool {
        self.unlabelled
            .iter()
            .any(|(from, to)| *from <= at && at <= *to)
    }
}

/// Decides which stretch an alert lies in.
pub(in crate::backtest) struct Matching<'t> {
    truth: &'t Truth<'t>,
    /// The services that are scored.
    pub(in crate::backtest) services: BTreeSet<Arc<str>>,
    /// What can be hit, by service, then start.
    pub(in crate::backtest) incidents: Vec<&'t Incident>,
    /// Harmless and unlabelled stretches, by service.
    others: Vec<&'t Incident>,
    /// Incidents that lie outside of the range evaluated.
    pub(in crate::backtest) outside: u64,
}

impl<'t> Matching<'t> {
    pub(in crate::backtest) fn new(truth: &'t Truth<'t>) -> Matching<'t> {
        let known: BTreeSet<Arc<str>> = truth
            .alive
            .keys()
            .map(|(service, _)| service.clone())
            .chain(truth.incidents.iter().map(|i| i.service.clone()))
            .collect();
        let services = truth.labelled.cloned().unwrap_or(known);
        let mut incidents: Vec<&Incident> = Vec::new();
        let mut outside = 0;
        let of_services = |i: &&Incident| services.contains(&i.service);
        for incident in truth.incidents.iter().filter(of_services) {
            if incident.verdict != Verdict::Wrong {
                continue;
            }
            let reaches = incident.range.end.plus(truth.grace.unwrap_or_default());
            if reaches < truth.range.start || incident.range.start >= truth.range.end {
                outside += 1;
            } else {
                incidents.push(incident);
            }
        }
        let mut others: Vec<&Incident> = truth
            .incidents
            .iter()
            .filter(|i| i.verdict != Verdict::Wrong)
            .collect();
        for list in [&mut incidents, &mut others] {
            list.sort_by(|a, b| {
                (&a.service, a.range.start, a.range.end, &a.kind, &a.instance).cmp(&(
                    &b.service,
                    b.range.start,
                    b.range.end,
                    &b.kind,
                    &b.instance,
                ))
            });
        }
        Matching {
            truth,
            services,
            incidents,
            others,
            outside,
        }
    }

    /// Whose an alert with these labels would be; `None` when of nobody who is scored.
    pub(in crate::backtest) fn whose(&self, labels: &Labels) -> Option<Who> {
        let (service, instance) = scored(labels, &self.services);
        Some((service?, instance))
    }

    /// Where alerts of a process can lie: what [`judge`](Matching::judge) decides by, of one process at all times.
    pub(in crate::backtest) fn whereabouts(
        &self,
        service: &Arc<str>,
        instance: &str,
        grace: Nanos,
    ) -> Whereabouts {
        let stretch = |i: &Incident| {
            let from = i.range.start.minus(self.truth.lead).0;
            (from, i.range.end.plus(grace).0)
        };
        let incidents = of_service(&self.incidents, service)
            .filter(|i| self.same_instance(self.incidents[*i], instance))
            .map(|i| {
                let (from, to) = stretch(self.incidents[i]);
                (from, to, i)
            });
        let unlabelled = of_service(&self.others, service)
            .map(|i| self.others[i])
            .filter(|i| i.verdict == Verdict::Unlabelled && self.same_instance(i, instance))
            .map(stretch);
        Whereabouts {
            incidents: incidents.collect(),
            unlabelled: unlabelled.collect(),
        }
    }

    /// What the alert was, given which incidents its rule has hit.
    pub(in crate::backtest) fn judge(
        &self,
        firing: &Firing,
        grace: Nanos,
        hit: &[bool],
    ) -> AlertVerdict {
        let Some(service) = &firing.service else {
            return AlertVerdict::Unscored;
        };
        let covers = |incident: &Incident| {
            self.same_instance(incident, &firing.instance)
                && incident.range.start.minus(self.truth.lead) <= firing.fired_at
                && firing.fired_at <= incident.range.end.plus(grace)
        };
        let mut inside = None;
        for i in of_service(&self.incidents, service) {
            if covers(self.incidents[i]) {
                if !hit[i] {
                    return AlertVerdict::True(i);
                }
                inside.get_or_insert(i);
            }
        }
        if let Some(i) = inside {
            return AlertVerdict::Duplicate(i);
        }
        let within = |verdict: Verdict| {
            of_service(&self.others, service)
                .any(|i| self.others[i].verdict == verdict && covers(self.others[i]))
        };
        if within(Verdict::Unlabelled) {
            AlertVerdict::Ignored
        } else if within(Verdict::Benign) {
            AlertVerdict::Benign
        } else {
            AlertVerdict::False
        }
    }

    /// The instance only tells incidents apart where alert and labels use the same names for instances: an alert may have lost its
    /// label, and a scrape names by its address what a recorder names otherwise.
    pub(in crate::backtest) fn same_instance(&self, incident: &Incident, instance: &str) -> bool {
        if instance.is_empty() || incident.instance.is_empty() || *incident.instance == *instance {
            return true;
        }
        if is_address(instance) != is_address(&incident.instance) {
            return true;
        }
        // Two names of one kind are two processes when both are known.
        let labelled = |name: &str| {
            self.truth
                .incidents
                .iter()
                .any(|i| i.service == incident.service && *i.instance == *name)
        };
        let recorded = |name: &str| {
            let who: Who = (incident.service.clone(), name.into());
            self.truth.alive.contains_key(&who)
        };
        !(labelled(instance) || recorded(instance) && recorded(&incident.instance))
    }
}

/// The verdicts of alerts, each rule for itself; `grace` of a rule. Alerts come in the order of firing.
pub(in crate::backtest) fn judge_all(
    matching: &Matching<'_>,
    firings: &[Firing],
    rules: usize,
    grace: impl Fn(usize) -> Nanos,
) -> Vec<AlertVerdict> {
    let mut hit: Vec<Vec<bool>> = vec![Vec::new(); rules];
    firings
        .iter()
        .map(|firing| {
            let hit = &mut hit[firing.rule];
            hit.resize(matching.incidents.len(), false);
            let verdict = matching.judge(firing, grace(firing.rule), hit);
            if let AlertVerdict::True(i) = verdict {
                hit[i] = true;
            }
            verdict
        })
        .collect()
}

/// Where the service's stretches stand in a list that is ordered by service.
fn of_service(list: &[&Incident], service: &Arc<str>) -> std::ops::Range<usize> {
    let from = list.partition_point(|i| i.service < *service);
    let count = list[from..].partition_point(|i| i.service == *service);
    from..from + count
}

/// `host:port`
fn is_address(instance: &str) -> bool {
    instance.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    })
}
