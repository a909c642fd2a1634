//! Which labelled stretch an alert belongs to: by service, instance and the moment at which it fires.

use crate::incident::{Incident, Verdict};
use crate::{Nanos, Timestamp};

use super::{AlertVerdict, Firing, Truth, Who};

/// Decides which stretch an alert lies in.
pub(super) struct Matching<'t> {
    pub(super) truth: &'t Truth<'t>,
    pub(super) incidents: &'t [&'t Incident],
}

impl Matching<'_> {
    /// What the alert was, given which incidents its rule has hit.
    pub(super) fn judge(&self, firing: &Firing, grace: Nanos, hit: &[bool]) -> AlertVerdict {
        let Some(service) = &firing.service else {
            return AlertVerdict::Unscored;
        };
        let mut inside = None;
        for (i, incident) in self.incidents.iter().enumerate() {
            if incident.service == *service
                && self.same_instance(incident, &firing.instance)
                && covers(incident, firing.fired_at, self.truth.lead, grace)
            {
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
            self.truth.incidents.iter().any(|i| {
                i.verdict == verdict
                    && i.service == *service
                    && self.same_instance(i, &firing.instance)
                    && covers(i, firing.fired_at, self.truth.lead, grace)
            })
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
    pub(super) fn same_instance(&self, incident: &Incident, instance: &str) -> bool {
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

/// `host:port`
fn is_address(instance: &str) -> bool {
    instance.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether an alert that fires at `at` is in time for the stretch.
fn covers(incident: &Incident, at: Timestamp, lead: Nanos, grace: Nanos) -> bool {
    incident.range.start.minus(lead) <= at && at <= incident.range.end.plus(grace)
}
