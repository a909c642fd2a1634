//! How what takes rows of any table is a [`RecordSink`](memwatch_core::record::RecordSink).

use memwatch_core::record::{Artifact, Identity};

use crate::Result;
use crate::schema::Row;

/// Takes rows of any table, and keeps files whole.
pub(crate) trait RowSink {
    /// Takes a row.
    fn push<R: Row>(&mut self, of: &Identity, row: &R) -> Result<()>;

    /// Keeps a file; gives its hash and its path below the store.
    fn keep(&mut self, row: &Artifact, content: &[u8]) -> Result<(String, String)>;
}

/// Makes a [`RowSink`] a `RecordSink`: core's trait, so it cannot be said of all of them at once. Rejections and notes are passed over: who
/// reads an input reports them.
macro_rules! record_sink {
    ($sink:ty) => {
        impl memwatch_core::record::RecordSink for $sink {
            fn sample(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::MemorySample,
            ) -> memwatch_core::Result<()> {
                Ok($crate::row_sink::RowSink::push(self, of, row)?)
            }

            fn gc_cycle(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::GcCycle,
            ) -> memwatch_core::Result<()> {
                Ok($crate::row_sink::RowSink::push(self, of, row)?)
            }

            fn gc_pause(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::GcPause,
            ) -> memwatch_core::Result<()> {
                Ok($crate::row_sink::RowSink::push(self, of, row)?)
            }

            fn metric(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::MetricSample,
            ) -> memwatch_core::Result<()> {
                Ok($crate::row_sink::RowSink::push(self, of, row)?)
            }

            fn span(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::Span,
            ) -> memwatch_core::Result<()> {
                Ok($crate::row_sink::RowSink::push(self, of, row)?)
            }

            fn incident(
                &mut self,
                row: &memwatch_core::incident::Incident,
            ) -> memwatch_core::Result<()> {
                let of = memwatch_core::record::Identity {
                    service: row.service.clone(),
                    instance: row.instance.clone(),
                };
                Ok($crate::row_sink::RowSink::push(self, &of, row)?)
            }

            fn artifact(
                &mut self,
                of: &memwatch_core::record::Identity,
                row: &memwatch_core::record::Artifact,
                content: &[u8],
            ) -> memwatch_core::Result<()> {
                let (sha256, path) = $crate::row_sink::RowSink::keep(self, row, content)?;
                let stored = $crate::schema::StoredArtifact {
                    artifact: row,
                    sha256: &sha256,
                    size_bytes: i64::try_from(content.len()).unwrap_or(i64::MAX),
                    path: &path,
                };
                Ok($crate::row_sink::RowSink::push(self, of, &stored)?)
            }

            fn reject(&mut self, _: memwatch_core::source::Rejection) -> memwatch_core::Result<()> {
                Ok(())
            }

            fn note(&mut self, _: String) {}
        }
    };
}

pub(crate) use record_sink;
