//! Rows on their way into segments: buffers, what was written of them, and which live segments that takes the place of.
//!
//! The writer stages rows on the disk and commits them; a reader that finds acknowledged rows in the WAL stages them in memory and sees
//! what that commit would make.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use memwatch_core::record::Identity;

use super::RowCounts;
use crate::buffer::Columns;
use crate::layout::SegmentPath;
use crate::manifest::{Segment, State};
use crate::schema::{Row, TABLES, Table};
use crate::segment::{Place, ROWS_PER_GROUP, unfinished};
use crate::{Result, Shared};

/// A buffer of so many rows is written: one row group.
const FLUSH_ROWS: usize = ROWS_PER_GROUP;

/// When all buffers together are larger than this, the largest is written. With keys, one encoded row group and one batch beside it a
/// writer stays below 100 MiB.
const FLUSH_BYTES: usize = 56 << 20;

/// Rows on their way into segments.
pub(crate) struct Staging {
    pub(crate) shared: Arc<Shared>,
    /// What is live without them.
    pub(crate) state: State,
    pub(crate) place: Place,
    pub(super) buffers: Vec<Columns>,
    /// Written and durable (or held in memory), not committed: under unfinished names.
    pub(crate) pending: Vec<Arc<Segment>>,
    /// Live segments that a pending one takes the place of.
    pub(crate) removed: HashSet<SegmentPath>,
    pub(super) counts: BTreeMap<(u32, Table), RowCounts>,
}

impl Staging {
    pub(crate) fn new(shared: Arc<Shared>, state: State, place: Place) -> Staging {
        Staging {
            shared,
            state,
            place,
            buffers: empty_buffers(),
            pending: Vec::new(),
            removed: HashSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Adds a row of that input; may write a buffer that is full.
    pub(super) fn push<R: Row>(&mut self, of: &Identity, row: &R, input: u32) -> Result<()> {
        let buffer = &mut self.buffers[R::TABLE.index()];
        buffer.push(of, row, input);
        // Summing all buffers for each row would cost more than the row.
        if buffer.rows() >= FLUSH_ROWS || buffer.rows().is_multiple_of(256) {
            self.flush_full(R::TABLE)?;
        }
        Ok(())
    }

    /// Writes the buffer of a table when it is full, and the largest when all together are.
    pub(super) fn flush_full(&mut self, table: Table) -> Result<()> {
        if self.buffers[table.index()].rows() >= FLUSH_ROWS {
            return self.flush(table);
        }
        if self.buffers.iter().map(Columns::bytes).sum::<usize>() > FLUSH_BYTES {
            let largest = Table::all().max_by_key(|t| self.buffers[t.index()].bytes());
            return largest.map_or(Ok(()), |table| self.flush(table));
        }
        Ok(())
    }

    /// Writes all buffers.
    pub(crate) fn flush_all(&mut self) -> Result<()> {
        Table::all().try_for_each(|table| self.flush(table))
    }

    /// Takes a segment away: a pending one is gone at once, a live one with the commit.
    pub(crate) fn discard(&mut self, path: &SegmentPath) -> Result<()> {
        let Some(at) = self.pending.iter().position(|s| s.path == *path) else {
            self.removed.insert(path.clone());
            return Ok(());
        };
        self.pending.remove(at);
        match self.place {
            Place::Memory => Ok(()),
            Place::Disk => self.shared.storage.remove(&unfinished(&self.shared, path)),
        }
    }

    /// What will be live.
    pub(crate) fn into_state(self) -> State {
        let mut state = self.state;
        for segments in &mut state.segments {
            segments.retain(|s| !self.removed.contains(&s.path));
        }
        for segment in self.pending {
            state.segments[segment.path.table.index()].push(segment);
        }
        for segments in &mut state.segments {
            segments.sort_by(|a, b| a.path.cmp(&b.path));
        }
        state
    }

    /// The segments of a table as they will be.
    pub(crate) fn live(&self, table: Table) -> impl Iterator<Item = &Arc<Segment>> {
        self.state
            .of(table)
            .iter()
            .filter(|s| !self.removed.contains(&s.path))
            .chain(self.pending.iter().filter(move |s| s.path.table == table))
    }
}

fn empty_buffers() -> Vec<Columns> {
    TABLES
        .iter()
        .map(|(table, _)| Columns::new(*table))
        .collect()
}
