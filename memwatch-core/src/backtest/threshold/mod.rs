//! The best static threshold: what the rules are compared with, beside saying nothing and alerting at random.
//!
//! `metric > limit` or `metric < limit` for a while, as somebody would write it who looks at one metric: over every metric that the
//! alerting rules read, every limit of two digits and a few `for`. The best is found on the earlier part of the recording, by what
//! [`tune`](super::tune) maximizes, and then looked at where the search saw nothing.

mod candidates;
mod ladder;
mod search;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{Nanos, Timestamp};

use super::tune::Figures;

pub(super) use search::{Search, best};

/// What was found of static thresholds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Threshold {
    /// So few incidents that none can be held back from the search; how many there are.
    TooFew(u64),
    /// No alerting rule reads a metric by its name, or none of them has a value.
    NothingToTry,
    /// The best.
    Found(Box<StaticThreshold>),
}

/// The best static threshold, found on the earlier part of a recording.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StaticThreshold {
    /// The metric as PromQL, a rate if it is a counter.
    pub signal: Arc<str>,
    /// `>` or `<`.
    pub op: &'static str,
    /// The limit.
    pub limit: f64,
    /// For how long it has to be beyond it.
    pub hold: Nanos,
    /// Distance of its evaluations: the shortest of the alerting rules'.
    pub interval: Nanos,
    /// How many metrics were tried, each with every limit, `>` and `<`, and each `for`.
    pub metrics: u64,
    /// How many thresholds in all.
    pub tried: u64,
    /// Where its training ended, at the latest over all services.
    pub trained_until: Timestamp,
    /// What it did over the whole range.
    pub whole: Figures,
    /// What it did where it was found.
    pub training: Figures,
    /// What it did where the search saw nothing.
    pub untouched: Figures,
    /// What the rules did there, all together.
    pub rules_untouched: Figures,
}

impl std::fmt::Display for StaticThreshold {
    /// As a rule would say it: `go_goroutines > 850 for 10s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = crate::expr::number(self.limit);
        write!(f, "{} {} {limit}", self.signal, self.op)?;
        if self.hold.0 > 0 {
            write!(f, " for {}", self.hold)?;
        }
        Ok(())
    }
}
