//! What was observed: one type per table of the store.
//!
//! `None` is what a source does not report; it is never written as 0. Counters begin at zero again after a restart.

mod artifact;
mod gc_event;
mod memory_sample;
mod metric_sample;
mod span;

pub use artifact::{Artifact, ArtifactKind};
pub use gc_event::{GcCycle, GcPause, PauseKind, PauseOrigin};
pub use memory_sample::MemorySample;
pub use metric_sample::{MetricKind, MetricSample};
pub use span::Span;

use std::sync::Arc;

use crate::Result;
use crate::incident::Incident;
use crate::source::Rejection;

/// Whose reading a record is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The service: what runs in several instances.
    pub service: Arc<str>,
    /// The instance: one place where the service runs.
    pub instance: Arc<str>,
}

/// Takes what a source finds, record by record.
///
/// Records are borrowed, so that a source may reuse one. An error stops the source and comes back from it.
pub trait RecordSink {
    /// One reading of one process.
    fn sample(&mut self, of: &Identity, row: &MemorySample) -> Result<()>;
    /// One cycle of the collector.
    fn gc_cycle(&mut self, of: &Identity, row: &GcCycle) -> Result<()>;
    /// One stop-the-world pause.
    fn gc_pause(&mut self, of: &Identity, row: &GcPause) -> Result<()>;
    /// One value of any other series.
    fn metric(&mut self, of: &Identity, row: &MetricSample) -> Result<()>;
    /// One request.
    fn span(&mut self, of: &Identity, row: &Span) -> Result<()>;
    /// One labelled stretch of history.
    fn incident(&mut self, row: &Incident) -> Result<()>;
    /// One file to keep whole. `content` is the file as it was found, compressed or not.
    fn artifact(&mut self, of: &Identity, row: &Artifact, content: &[u8]) -> Result<()>;
    /// Something that could not be read: counted and reported, and the source goes on unless this returns an error.
    fn reject(&mut self, rejection: Rejection) -> Result<()>;
    /// Something the user should know about the input as a whole (`12 GC cycles are missing between 40 and 53`).
    fn note(&mut self, note: String);
}
