//! A case: rules, samples on promtool's grid, and what must fire when.

use std::sync::Arc;

use crate::Nanos;
use crate::backtest::Alert;

use super::grid::{Grid, Placed};
use super::write;

/// A case for `promtool test rules`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case {
    /// What it is about.
    pub title: String,
    /// What a reader of the files should know, a line each.
    pub head: Vec<String>,
    /// The rules, as a Prometheus rule file.
    pub rules: String,
    /// By how much a sample was moved in time, at most.
    pub moved_most: Nanos,
    /// Samples in it.
    pub samples: u64,
    /// Samples left out because a newer one lies in the same cell.
    pub dropped: u64,
    pub(super) placed: Vec<Placed>,
    pub(super) checks: Vec<Check>,
    pub(super) grid: Grid,
    pub(super) interval: Nanos,
}

/// What must fire at a time.
#[derive(Debug, Clone)]
pub(super) struct Check {
    /// Since the case's time zero.
    pub(super) at: Nanos,
    pub(super) alert: Arc<str>,
    pub(super) expected: Vec<Alert>,
}

impl Case {
    /// The test file. `rules_file` is how it finds [`Case::rules`].
    #[must_use]
    pub fn test(&self, rules_file: &str) -> String {
        write::test(self, &self.grid, self.interval, rules_file)
    }

    /// How many series it has.
    #[must_use]
    pub fn series(&self) -> usize {
        self.placed.len()
    }

    /// How many times it looks at alerts.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks.len()
    }
}
