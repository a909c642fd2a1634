//! Series: what expressions read.

use std::sync::Arc;

use crate::record::Identity;
use crate::{Labels, Matcher, Result, Timestamp, Window};

/// The bits of Prometheus' staleness marker: a NaN that says "this series ended here".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a value.
#[must_use]
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether a value is the staleness marker; no other NaN is.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// Samples of one series inside of a window.
#[derive(Debug, Clone)]
pub struct Series {
    /// Name (`__name__`) and labels.
    pub labels: Labels,
    /// When each value was read, nanoseconds since the epoch, strictly ascending. Series of one process share one array.
    pub at_ns: Arc<[i64]>,
    /// The values; as long as `at_ns`.
    pub values: Arc<[f64]>,
}

/// When a process was read, whatever was read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// The process.
    pub of: Identity,
    /// What was read. Where a process was read in several ways, each at times of its own, this tells them apart.
    pub what: Arc<str>,
    /// The times, nanoseconds since the epoch, strictly ascending.
    pub at_ns: Arc<[i64]>,
}

/// Gives the samples that expressions ask for.
pub trait SeriesReader: Sync {
    /// The series that satisfy all `matchers`, in the order of their labels, with their samples inside of `window`.
    ///
    /// A series without samples in the window may be left out, and one may come with samples outside of the window: the evaluator looks
    /// only inside.
    ///
    /// # Errors
    /// When the data cannot be read; never because nothing matches.
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>>;

    /// The names of all series, sorted, each once: for suggestions.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn metric_names(&self) -> Result<Vec<Arc<str>>>;

    /// The earliest instant at which there may be a sample; `None` when that is not known, or there is none.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn begins(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// When the recorded processes were read inside of `window`, in the order of processes and of what was read. It does not depend on
    /// what anybody asked before. `None` when that is not known.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn readings(&self, window: Window) -> Result<Option<Vec<Readings>>> {
        let _ = window;
        Ok(None)
    }

    /// As [`select`](SeriesReader::select), where nobody will ask for these samples again, so that none need be kept.
    ///
    /// # Errors
    /// As [`select`](SeriesReader::select).
    fn select_once(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        self.select(matchers, window)
    }
}

/// Whose series it is: `service`, or `job` where there is none, and `instance`. Either is empty when the labels do not say.
pub(crate) fn owner(labels: &Labels) -> (Arc<str>, Arc<str>) {
    let service = match labels.get("service") {
        "" => labels.get("job"),
        service => service,
    };
    (service.into(), labels.get("instance").into())
}

/// Series held in memory, for tests and small inputs.
#[derive(Debug, Clone, Default)]
pub struct MemorySeries {
    /// All series; each with a label set of its own.
    pub series: Vec<Series>,
}

impl SeriesReader for MemorySeries {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let mut found: Vec<Series> = self
            .series
            .iter()
            .filter(|s| matchers.iter().all(|m| m.matches(&s.labels)))
            .map(|s| {
                let from = s.at_ns.partition_point(|at| *at <= window.after.0);
                let to = s
                    .at_ns
                    .partition_point(|at| *at <= window.until.0)
                    .max(from);
                Series {
                    labels: s.labels.clone(),
                    at_ns: s.at_ns[from..to].into(),
                    values: s.values[from..to].into(),
                }
            })
            .filter(|s| !s.at_ns.is_empty())
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        let mut names: Vec<Arc<str>> = self
            .series
            .iter()
            .map(|s| Arc::from(s.labels.name()))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn readings(&self, window: Window) -> Result<Option<Vec<Readings>>> {
        let of = |series: &Series| {
            let (service, instance) = owner(&series.labels);
            Readings {
                of: Identity { service, instance },
                what: series.labels.to_string().into(),
                at_ns: Arc::clone(&series.at_ns),
            }
        };
        let mut found: Vec<Readings> = self.select(&[], window)?.iter().map(of).collect();
        found.sort_by(|a, b| (&a.of, &a.what).cmp(&(&b.of, &b.what)));
        Ok(Some(found))
    }

    fn begins(&self) -> Result<Option<Timestamp>> {
        let first = self.series.iter().filter_map(|s| s.at_ns.first()).min();
        Ok(first.map(|at| Timestamp(*at)))
    }
}
