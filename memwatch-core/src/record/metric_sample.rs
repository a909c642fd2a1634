//! One value of any other series.

use std::sync::Arc;

use crate::Timestamp;

/// What a metric's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// Only grows, from zero at process start.
    Counter,
    /// May go both ways.
    Gauge,
    /// Part of a classic histogram: `_bucket` with its label `le`, `_sum`, `_count`.
    Histogram,
    /// Part of a histogram of which only the edges beside non-empty buckets were written (`runtime/metrics`): an edge that is absent
    /// from a reading has the value of the nearest lower edge that is present in it, or 0.
    SparseHistogram,
    /// Part of a summary: the label `quantile`, `_sum`, `_count`.
    Summary,
    /// The source does not say.
    Untyped,
}

/// One value of one series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricSample {
    /// When it was read.
    pub at: Timestamp,
    /// Name, with the suffix of its part (`_bucket`, `_sum`, `_count`, `_total`).
    pub metric: Arc<str>,
    /// The series' own labels as [`crate::Labels::canonical`] writes them; without name, job, service and instance.
    pub labels: Arc<str>,
    /// The value; NaN and infinities are values.
    pub value: f64,
    /// What the values mean.
    pub kind: MetricKind,
}

impl MetricSample {
    /// A value of the series `metric{labels}`.
    #[must_use]
    pub fn new(
        at: Timestamp,
        metric: Arc<str>,
        labels: Arc<str>,
        value: f64,
        kind: MetricKind,
    ) -> Self {
        MetricSample {
            at,
            metric,
            labels,
            value,
            kind,
        }
    }
}
