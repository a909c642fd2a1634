//! The settings of an evaluation that are not in the expression.

use crate::{Nanos, Timestamp};

/// When a series without a staleness marker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StaleAfter {
    /// When it was silent for three of its own sampling intervals, see [`super::staleness`].
    Auto,
    /// Only when its newest sample is older than the lookback, as in Prometheus.
    #[default]
    Lookback,
    /// When it was silent for this long.
    After(Nanos),
}

/// When the name of a series goes that a function made meaningless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameRemoval {
    /// In the function itself: Prometheus' default.
    #[default]
    AtOnce,
    /// At the end of the evaluation, so that `label_replace` can still save it into another label: Prometheus'
    /// `promql-delayed-name-removal`.
    Delayed,
}

/// The settings of an evaluation that are not in the expression. The default is Prometheus'.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalOptions {
    /// For how long a sample is a series' current value; positive. 5 minutes.
    pub lookback: Nanos,
    /// When a series has ended before that.
    pub stale_after: StaleAfter,
    /// First and last evaluation of the whole query, for `@ start()` and `@ end()`: needed when it is evaluated in chunks. By
    /// default the first and last of the given steps.
    pub query_range: Option<(Timestamp, Timestamp)>,
    /// The step of subqueries that give none (`[1h:]`); positive. 1 minute, Prometheus' default evaluation interval.
    pub subquery_step: Nanos,
    /// When names are removed.
    pub name_removal: NameRemoval,
    /// How many values a part of the expression may make that does not follow from the data and the evaluations alone: steps of
    /// subqueries times series, and values of `count_values`. More is an error rather than gigabytes. 100 million.
    pub values_max: usize,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            lookback: Nanos(5 * Nanos::MINUTE.0),
            stale_after: StaleAfter::Lookback,
            query_range: None,
            subquery_step: Nanos::MINUTE,
            name_removal: NameRemoval::AtOnce,
            values_max: 100_000_000,
        }
    }
}
