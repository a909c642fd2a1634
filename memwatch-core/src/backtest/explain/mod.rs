//! Why an alert fired, and how near each rule came to an incident.
//!
//! The expression's parts are evaluated once more, with the evaluator that ran the rule: comparisons give the distance to the limit, `and` is as far
//! as the farther of its sides, `or` as near as the nearer one.

mod alert;
mod approach;
mod given;
mod incident;
#[cfg(test)]
mod tests;

pub(crate) use given::{Given, Recording};

pub use alert::{AlertStory, BaselineStory, InputStory, PartStory};
pub use incident::{Fate, IncidentStory, RuleStory};

use super::Backtest;
use crate::expr::EvalOptions;

impl Backtest<'_> {
    /// Its recording rules, as it evaluates them.
    fn recording<'a>(&'a self, options: &'a EvalOptions) -> Recording<'a> {
        Recording {
            rules: self.rules,
            interval: self.interval,
            phase: self.phase,
            options,
            begins: self.range.map(|range| range.start),
        }
    }
}
