//! What the manifest knows of a segment.

use std::sync::Arc;

use bytes::Bytes;
use memwatch_core::record::Identity;
use memwatch_core::{TimeRange, Timestamp};

use crate::layout::SegmentPath;

/// One immutable Parquet file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Table, day and name.
    pub path: SegmentPath,
    /// Rows.
    pub rows: u64,
    /// First `ts`, microseconds.
    pub min_us: i64,
    /// Last `ts`, microseconds.
    pub max_us: i64,
    /// Size of the file.
    pub bytes: u64,
    /// CRC-32C of the file.
    pub crc32c: u32,
    /// The row groups, in their order.
    pub row_groups: Vec<Chunk>,
    /// All that follows the last row group: indexes and footer.
    pub footer: Chunk,
    /// The instances, in the order of their rows: those of one instance lie together.
    pub instances: Vec<InstanceRows>,
    /// The file itself when it is on no disk: rows that are acknowledged and in no segment yet, as a reader sees them.
    pub(crate) held: Option<Bytes>,
}

/// A stretch of a segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// Rows in it; 0 for a footer.
    pub rows: u64,
    /// CRC-32C of the bytes.
    pub crc32c: u32,
}

/// The rows of one instance in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRows {
    /// Whose they are.
    pub identity: Identity,
    /// First `ts`, microseconds.
    pub min_us: i64,
    /// Last `ts`, microseconds.
    pub max_us: i64,
    /// How many.
    pub rows: u64,
}

impl Segment {
    /// The times that its rows cover.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        range(self.min_us, self.max_us)
    }

    /// Each instance with the number of its first row.
    pub(crate) fn instance_offsets(&self) -> impl Iterator<Item = (usize, &InstanceRows)> {
        self.instances.iter().scan(0usize, |next, rows| {
            let first = *next;
            *next += usize::try_from(rows.rows).unwrap_or(usize::MAX / 4);
            Some((first, rows))
        })
    }

    /// The rows of one instance.
    #[must_use]
    pub fn instance(&self, identity: &Identity) -> Option<&InstanceRows> {
        self.instances.iter().find(|i| i.identity == *identity)
    }
}

impl InstanceRows {
    /// The times that its rows cover.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        range(self.min_us, self.max_us)
    }
}

/// From the first microsecond up to the end of the last.
fn range(min_us: i64, max_us: i64) -> TimeRange {
    TimeRange {
        start: Timestamp(min_us.saturating_mul(1_000)),
        end: Timestamp(max_us.saturating_add(1).saturating_mul(1_000)),
    }
}

/// An identity whose strings are shared with equal ones seen before.
#[derive(Default)]
pub(crate) struct Identities(std::collections::HashSet<Arc<str>>);

impl Identities {
    pub(crate) fn share(&mut self, text: &str) -> Arc<str> {
        match self.0.get(text) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared: Arc<str> = text.into();
                self.0.insert(Arc::clone(&shared));
                shared
            }
        }
    }
}
