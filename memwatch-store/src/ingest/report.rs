//! What an ingest did, input by input.

use std::collections::BTreeMap;
use std::sync::Arc;

use memwatch_core::source::Rejection;
use memwatch_core::{TimeRange, Timestamp};

use super::Compression;
use crate::schema::Table;
use crate::writer::RowCounts;

/// How many rejections and notes of an input are kept in words; all are counted.
pub(crate) const KEPT_MAX: usize = 10;

/// What an ingest did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct IngestReport {
    /// Each input, in the order in which it was taken; what was passed over comes last.
    pub inputs: Vec<InputReport>,
    /// The store's version afterwards.
    pub version: u64,
}

/// What became of one input.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InputReport {
    /// As the user named it, or as it was found.
    pub input: Arc<str>,
    /// What became of it.
    pub outcome: Outcome,
    /// What it was recognized as.
    pub format: Option<&'static str>,
    /// How it was stored.
    pub compression: Compression,
    /// Bytes read, before decompression.
    pub bytes: u64,
    /// Its rows by table.
    pub rows: BTreeMap<Table, RowCounts>,
    /// From its first row to its last.
    pub range: Option<TimeRange>,
    /// What could not be read.
    pub rejected: u64,
    /// The first of these.
    pub rejections: Vec<Rejection>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was read to its end.
    Read,
    /// The whole of it had been taken before: it was not read again.
    Known,
    /// It lay below a named folder and is nothing that memwatch reads.
    Skipped {
        /// Why.
        why: String,
    },
    /// It could not be read, or not to its end. Rows that came before the damage count.
    Failed {
        /// Why.
        why: String,
    },
}

impl InputReport {
    pub(crate) fn new(input: Arc<str>, outcome: Outcome) -> InputReport {
        InputReport {
            input,
            outcome,
            format: None,
            compression: Compression::None,
            bytes: 0,
            rows: BTreeMap::new(),
            range: None,
            rejected: 0,
            rejections: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn skipped(input: Arc<str>, why: impl Into<String>) -> InputReport {
        InputReport::new(input, Outcome::Skipped { why: why.into() })
    }

    pub(crate) fn failed(input: Arc<str>, why: impl Into<String>) -> InputReport {
        InputReport::new(input, Outcome::Failed { why: why.into() })
    }

    /// Rows that nobody had given before.
    #[must_use]
    pub fn new_rows(&self) -> u64 {
        self.rows.values().map(|r| r.new).sum()
    }

    /// Rows that were there already.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.rows.values().map(|r| r.duplicate).sum()
    }
}

impl IngestReport {
    /// Rows that nobody had given before.
    #[must_use]
    pub fn new_rows(&self) -> u64 {
        self.inputs.iter().map(InputReport::new_rows).sum()
    }

    /// Rows that were there already.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.inputs.iter().map(InputReport::duplicates).sum()
    }

    /// What could not be read.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.inputs.iter().map(|i| i.rejected).sum()
    }

    /// New rows by table.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Table, RowCounts> {
        let mut all: BTreeMap<Table, RowCounts> = BTreeMap::new();
        for (table, counts) in self.inputs.iter().flat_map(|i| &i.rows) {
            let sum = all.entry(*table).or_default();
            sum.new += counts.new;
            sum.duplicate += counts.duplicate;
            sum.replaced += counts.replaced;
        }
        all
    }

    /// From the first row to the last.
    #[must_use]
    pub fn range(&self) -> Option<TimeRange> {
        self.inputs.iter().filter_map(|i| i.range).reduce(hull)
    }

    /// The inputs that could not be read, or not to their end.
    pub fn failures(&self) -> impl Iterator<Item = (&InputReport, &str)> {
        self.inputs.iter().filter_map(|i| match &i.outcome {
            Outcome::Failed { why } => Some((i, why.as_str())),
            _ => None,
        })
    }

    /// Whether not one input was something to read.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self
            .inputs
            .iter()
            .any(|i| matches!(i.outcome, Outcome::Read | Outcome::Known) || !i.rows.is_empty())
    }
}

/// The range from the earlier start to the later end.
pub(crate) fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    }
}

/// The range of one instant.
pub(crate) fn instant(at: Timestamp) -> TimeRange {
    TimeRange {
        start: at,
        end: Timestamp(at.0.saturating_add(1)),
    }
}
