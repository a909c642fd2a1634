//! What a backtest finds.

use std::sync::Arc;

use crate::expr::StaleAfter;
use crate::{Labels, Nanos, TimeRange, Timestamp};

use super::coverage::Hole;
use super::notified::Notified;
use super::score::Scored;
use super::warm_up::BaselineMemory;

/// What a backtest finds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Evaluated are the times in it.
    pub range: TimeRange,
    /// What decides outcomes beside rules and data.
    pub settings: RunSettings,
    /// Each rule, in file order.
    pub rules: Vec<RuleOutcome>,
    /// Each alert that fired, by the time at which it fired, then rule, then labels.
    pub alerts: Vec<Alert>,
    /// Who would have been told what; `None` without a route.
    pub notified: Option<Notified>,
    /// What could not be evaluated and why.
    pub coverage: Vec<Hole>,
    /// What the baselines of rules had to go by, series by series.
    pub baselines: Vec<BaselineMemory>,
    /// Services of which something was read, sorted.
    pub services: Vec<Arc<str>>,
    /// How the alerts agree with the incidents given; `None` without incidents or labelled services.
    pub score: Option<Scored>,
}

impl Outcome {
    /// Whether any alerting rule could be evaluated at any time. If not, that no alert fired means nothing.
    #[must_use]
    pub fn evaluated_anything(&self) -> bool {
        self.rules
            .iter()
            .any(|r| r.alerting && r.evaluations > r.unknown + r.errors)
    }
}

/// What decides outcomes beside rules and data.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunSettings {
    /// Interval of groups that give none.
    pub interval: Nanos,
    /// Phase of groups that give none.
    pub phase: Nanos,
    /// When a series without staleness marker has ended.
    pub stale_after: StaleAfter,
    /// For how long a sample is a series' current value.
    pub lookback: Nanos,
    /// How long after an incident's end an alert still counts for it; a group's interval when absent.
    pub grace: Option<Nanos>,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RuleOutcome {
    /// Its group.
    pub group: Arc<str>,
    /// Name of the alert or series.
    pub name: Arc<str>,
    /// Whether it is an alerting rule.
    pub alerting: bool,
    /// Distance of its evaluations.
    pub interval: Nanos,
    /// Its evaluations are at `k · interval + phase`.
    pub phase: Nanos,
    /// How many evaluations.
    pub evaluations: u64,
    /// Of these, how many could say nothing because what they read was not recorded anywhere.
    pub unknown: u64,
    /// Of these, how many failed; nothing changed by them.
    pub errors: u64,
    /// The first failure.
    pub first_error: Option<String>,
    /// How many alerts fired.
    pub alerts: u64,
    /// How many alerts were pending and never fired.
    pub only_pending: u64,
    /// What evaluation says beside its result, each once.
    pub warnings: Vec<String>,
}

/// An alert that fired.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// Short and stable: of group, rule, labels and the time at which it became pending.
    pub id: Arc<str>,
    /// Index of its rule in [`Outcome::rules`].
    pub rule: usize,
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its texts as they were when it fired.
    pub annotations: Vec<(Arc<str>, String)>,
    /// First evaluation at which the condition held.
    pub pending_at: Timestamp,
    /// Evaluation at which it fired.
    pub fired_at: Timestamp,
    /// How and when it ended.
    pub ended: Ended,
    /// Value when it fired.
    pub value: f64,
    /// The most extreme value while it was active: the greatest, or the least for a rule that compares with `<`.
    pub peak: f64,
}

/// How an alert ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did not: it was firing at the last evaluation.
    Open,
    /// The condition no longer held.
    Resolved(Timestamp),
    /// It was forgotten, because its rule had more alerts than the group's limit.
    Cleared(Timestamp),
}

impl Ended {
    /// When it resolved.
    #[must_use]
    pub fn resolved_at(self) -> Option<Timestamp> {
        match self {
            Ended::Resolved(at) => Some(at),
            Ended::Open | Ended::Cleared(_) => None,
        }
    }

    /// When it stopped being active, however.
    #[must_use]
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Ended::Resolved(at) | Ended::Cleared(at) => Some(at),
            Ended::Open => None,
        }
    }
}

/// The id of an alert: twelve hexadecimal digits of the 64-bit FNV-1a hash of what identifies it, mixed.
pub(super) fn alert_id(
    group: &str,
    rule: &str,
    labels: &Labels,
    pending_at: Timestamp,
) -> Arc<str> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    };
    feed(group.as_bytes());
    feed(rule.as_bytes());
    feed(labels.canonical().as_bytes());
    feed(&pending_at.0.to_le_bytes());
    // FNV's last bytes reach the high bits badly; this is the finalizer of MurmurHash3.
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    format!("{:012x}", hash >> 16).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_stable_and_apart() {
        let labels: Labels = [("alertname", "A"), ("i", "1")].into_iter().collect();
        let id = |rule: &str, labels: &Labels, at| alert_id("g", rule, labels, Timestamp(at));
        assert_eq!(&*id("A", &labels, 1), "0120328e5c0c");
        let others = [
            id("A", &labels, 2),
            id("B", &labels, 1),
            id("A", &labels.with("i", "2"), 1),
        ];
        assert!(
            others
                .iter()
                .all(|o| *o != id("A", &labels, 1) && o.len() == 12)
        );
    }
}
