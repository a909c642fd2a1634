//! Takes rows, makes segments of them, commits.

use std::sync::Arc;

use memwatch_core::incident::Incident;
use memwatch_core::record::{
    Artifact, GcCycle, GcPause, Identity, MemorySample, MetricSample, RecordSink, Span,
};
use memwatch_core::source::Rejection;

use crate::manifest::SourceIdentity;
use crate::schema::{Run, Table};
use crate::{Result, Shared};

/// How many rows of one input and table a commit took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that nobody had given before.
    pub new: u64,
    /// Rows that were there already, stored or earlier in this commit.
    pub duplicate: u64,
    /// Of the duplicates: those that said more than, or something else than, the row that was there, and took its place.
    pub replaced: u64,
}

/// What a commit did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Committed {
    /// The number of the commit; that of the last one when there was nothing to do.
    pub version: u64,
    /// Rows by input (see [`Writer::begin_input`]) and table.
    pub rows: std::collections::BTreeMap<(u32, Table), RowCounts>,
}

/// The only writer of a store. Rows are durable when [`Writer::commit`] has returned; rows not committed are gone when it is dropped.
pub struct Writer {
    _shared: Arc<Shared>,
}

impl Writer {
    pub(crate) fn open(shared: Arc<Shared>) -> Result<Writer> {
        Ok(Writer { _shared: shared })
    }

    /// From now on rows count for this input, a number of the caller's.
    pub fn begin_input(&mut self, _input: u32) {}

    /// Whether an input with this hash was taken whole before.
    #[must_use]
    pub fn has_source(&self, _hash: &crate::SourceHash) -> bool {
        false
    }

    /// Saves one alert of a backtest.
    ///
    /// # Errors
    /// When a full buffer cannot be written.
    pub fn run(&mut self, _of: &Identity, _row: &Run) -> Result<()> {
        Ok(())
    }

    /// Makes all rows since the last commit durable and visible, at once or not at all, and remembers that these inputs were taken whole.
    ///
    /// # Errors
    /// When something cannot be written; then nothing of it is visible, and the writer takes no more rows.
    pub fn commit(&mut self, _sources: &[SourceIdentity]) -> Result<Committed> {
        Ok(Committed::default())
    }
}

/// [`RecordSink::reject`] and [`RecordSink::note`] do nothing: who ingests reports them.
impl RecordSink for Writer {
    fn sample(&mut self, _: &Identity, _: &MemorySample) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn gc_cycle(&mut self, _: &Identity, _: &GcCycle) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn gc_pause(&mut self, _: &Identity, _: &GcPause) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn metric(&mut self, _: &Identity, _: &MetricSample) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn span(&mut self, _: &Identity, _: &Span) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn incident(&mut self, _: &Incident) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn artifact(&mut self, _: &Identity, _: &Artifact, _: &[u8]) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: Rejection) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: String) {}
}
