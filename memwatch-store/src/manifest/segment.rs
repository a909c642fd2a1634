//! What the manifest knows of a segment.

use std::sync::Arc;

use bytes::Bytes;
use memwatch_core::record::Identity;
use memwatch_core::{TimeRange, Timestamp};

use crate::layout::SegmentPath;

/// Rows and bytes of a segment, at most: more than any file has, and few enough that sums over all segments fit 64 bits.
const SEGMENT_MAX: u64 = 1 << 44;

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

    /// Whether the row groups and the footer lie one behind the other and are all of the file, and row groups and instances have all of the
    /// rows; else what was expected and what was found. No commit names a segment of which this does not hold.
    pub(crate) fn check_numbers(&self) -> Result<(), (String, String)> {
        let mut end = 0u64;
        for chunk in self.row_groups.iter().chain([&self.footer]) {
            let next = end.checked_add(chunk.bytes);
            let next = next.filter(|next| chunk.offset == end && *next <= self.bytes);
            end = next.ok_or_else(|| {
                let expected = format!(
                    "a row group or footer of {} from byte {end} on, within {} bytes",
                    self.path, self.bytes
                );
                let found = format!("{} bytes from byte {} on", chunk.bytes, chunk.offset);
                (expected, found)
            })?;
        }
        if end != self.bytes || self.rows.max(self.bytes) > SEGMENT_MAX {
            let expected = format!(
                "{end} bytes in {} and no more than {SEGMENT_MAX} bytes and rows",
                self.path
            );
            let found = format!("{} bytes and {} rows", self.bytes, self.rows);
            return Err((expected, found));
        }
        let mut groups = self.row_groups.iter().map(|group| group.rows);
        let in_groups = groups.try_fold(0, u64::checked_add);
        let mut instances = self.instances.iter().map(|instance| instance.rows);
        let in_instances = instances.try_fold(0, u64::checked_add);
        if in_groups != Some(self.rows) || in_instances != Some(self.rows) {
            let expected = format!(
                "{} rows in the row groups and instances of {}",
                self.rows, self.path
            );
            return Err((expected, format!("{in_groups:?} and {in_instances:?}")));
        }
        Ok(())
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
