//! What damage costs: which rows are missing from an answer.

use std::fmt;

use memwatch_core::TimeRange;

use crate::layout::SegmentPath;
use crate::manifest::Segment;
use crate::schema::Table;

/// Rows that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Of which table.
    pub table: Table,
    /// How many.
    pub rows: u64,
    /// From the first to the last of them.
    pub range: TimeRange,
    /// Of whom, `service/instance`: the first few, and how many there are in all.
    pub instances: (Vec<String>, usize),
}

/// Instances that a message names.
const NAMED: usize = 3;

impl Gap {
    pub(crate) fn of(segment: &Segment) -> Gap {
        let name = |i: &crate::manifest::InstanceRows| {
            format!("{}/{}", i.identity.service, i.identity.instance)
        };
        let SegmentPath { table, .. } = &segment.path;
        Gap {
            table: *table,
            rows: segment.rows,
            range: segment.time_range(),
            instances: (
                segment.instances.iter().take(NAMED).map(name).collect(),
                segment.instances.len(),
            ),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = memwatch_core::Timestamp(self.range.end.0.saturating_sub(1_000));
        let (named, count) = &self.instances;
        write!(
            f,
            "{} rows of {} from {} to {}, of {}",
            self.rows,
            self.table.name(),
            self.range.start,
            last,
            named.join(", "),
        )?;
        match count - named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A file that is left out of an answer because it is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The file, as a path below the store.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
    /// What is missing; `None` when that cannot be known.
    pub gap: Option<Gap>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.problem)?;
        match &self.gap {
            Some(gap) => write!(f, "; missing: {gap}"),
            None => f.write_str("; missing: rows that were in no segment yet"),
        }
    }
}
