//! Takes rows, makes segments of them, commits.
//!
//! Rows gather in one buffer a table. A full buffer is sorted, rid of rows that are there already (in the buffer, in what this writer wrote
//! before, in the store), split by day and written as segments under unfinished names. A commit writes the rest, gives the segments their
//! names and adds them to the manifest.

mod flush;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use memwatch_core::incident::Incident;
use memwatch_core::record::{
    Artifact, ArtifactKind, GcCycle, GcPause, Identity, MemorySample, MetricSample, RecordSink,
    Span,
};
use memwatch_core::source::Rejection;
use sha2::{Digest, Sha256};

use crate::buffer::Columns;
use crate::layout::{Layout, SegmentPath, hex};
use crate::lock::WriterLock;
use crate::manifest::{Commit, Segment, SourceHash, SourceIdentity, State};
use crate::schema::{Row, Run, StoredArtifact, TABLES, Table};
use crate::segment::{ROWS_PER_GROUP, unfinished};
use crate::{Error, Result, Shared, now};

/// A buffer of so many rows is written: one row group.
const FLUSH_ROWS: usize = ROWS_PER_GROUP;

/// When all buffers together are larger than this, the largest is written. With keys, one encoded row group and one batch beside it a
/// writer stays below 100 MiB.
const FLUSH_BYTES: usize = 56 << 20;

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
    pub rows: BTreeMap<(u32, Table), RowCounts>,
}

/// The only writer of a store. Rows are durable when [`Writer::commit`] has returned; rows not committed are gone when it is dropped.
///
/// It keeps at most about 100 MiB in memory; full buffers go to the disk before the commit, out of sight of readers.
pub struct Writer {
    shared: Arc<Shared>,
    _lock: WriterLock,
    state: State,
    buffers: Vec<Columns>,
    input: u32,
    /// Written, durable, not committed: under unfinished names.
    pending: Vec<Arc<Segment>>,
    /// Live segments that a pending one takes the place of.
    removed: HashSet<SegmentPath>,
    counts: BTreeMap<(u32, Table), RowCounts>,
    failed: bool,
}

impl Writer {
    pub(crate) fn open(shared: Arc<Shared>) -> Result<Writer> {
        let lock = WriterLock::take(&shared.layout.lock(), now())?;
        let state = State::read(&shared.layout)?;
        sweep::sweep(&shared, &state)?;
        let buffers = TABLES
            .iter()
            .map(|(table, _)| Columns::new(*table))
            .collect();
        Ok(Writer {
            shared,
            _lock: lock,
            state,
            buffers,
            input: 0,
            pending: Vec::new(),
            removed: HashSet::new(),
            counts: BTreeMap::new(),
            failed: false,
        })
    }

    /// From now on rows count for this input, a number of the caller's.
    pub fn begin_input(&mut self, input: u32) {
        self.input = input;
    }

    /// Whether an input with this hash was taken whole before.
    #[must_use]
    pub fn has_source(&self, hash: &SourceHash) -> bool {
        self.state.sources.contains_key(hash)
    }

    /// Saves one alert of a backtest.
    ///
    /// # Errors
    /// When a full buffer cannot be written.
    pub fn run(&mut self, of: &Identity, row: &Run) -> Result<()> {
        self.push(of, row)
    }

    /// Makes all rows since the last commit durable and visible, at once or not at all, and remembers that these inputs were taken whole.
    ///
    /// # Errors
    /// When something cannot be written; then nothing of it is visible, and the writer takes no more rows.
    pub fn commit(&mut self, sources: &[SourceIdentity]) -> Result<Committed> {
        self.guarded(|writer| writer.try_commit(sources))
    }

    /// Runs one step; after a failure the writer is of no more use, for what it had gathered is no longer whole.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::WriterFailed);
        }
        let done = step(self);
        self.failed = done.is_err();
        done
    }

    fn push<R: Row>(&mut self, of: &Identity, row: &R) -> Result<()> {
        self.guarded(|writer| {
            let buffer = &mut writer.buffers[R::TABLE.index()];
            buffer.push(of, row, writer.input);
            if buffer.rows() >= FLUSH_ROWS {
                return writer.flush(R::TABLE);
            }
            // Summing all buffers for each row would cost more than the row.
            if buffer.rows().is_multiple_of(256)
                && writer.buffers.iter().map(Columns::bytes).sum::<usize>() > FLUSH_BYTES
            {
                let largest = Table::all().max_by_key(|t| writer.buffers[t.index()].bytes());
                return largest.map_or(Ok(()), |table| writer.flush(table));
            }
            Ok(())
        })
    }

    fn try_commit(&mut self, sources: &[SourceIdentity]) -> Result<Committed> {
        for table in Table::all() {
            self.flush(table)?;
        }
        let mut sources = sources.to_vec();
        sources.retain(|s| !self.has_source(&s.hash));
        let nothing = self.pending.is_empty() && self.removed.is_empty() && sources.is_empty();
        if !nothing {
            let (layout, disk) = (&self.shared.layout, &self.shared.disk);
            let mut folders = BTreeSet::new();
            for segment in &self.pending {
                let path = layout.segment(&segment.path);
                disk.rename(&unfinished(&self.shared, &segment.path), &path)?;
                folders.extend(path.parent().map(Path::to_path_buf));
            }
            for folder in &folders {
                disk.sync_dir(folder)?;
            }
            let commit = Commit {
                at: now().to_string(),
                add: self.pending.iter().map(|s| (**s).clone()).collect(),
                remove: self
                    .removed
                    .iter()
                    .cloned()
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
                sources,
                ..Commit::default()
            };
            self.state = self.state.commit(layout, disk, commit)?;
            self.pending.clear();
            // Out of the way of engines that read the folder; readers of older snapshots still find it. When this fails the next
            // writer does it.
            for path in self.removed.drain() {
                let path = layout.segment(&path);
                let _ = sweep::set_aside(disk, &path);
            }
        }
        let rows = std::mem::take(&mut self.counts);
        Ok(Committed {
            version: self.state.version,
            rows,
        })
    }

    /// Puts an artifact's content into its place.
    fn store_artifact(&self, artifact: &Artifact, content: &[u8]) -> Result<(String, String)> {
        let hash: [u8; 32] = Sha256::digest(content).into();
        let relative = Layout::artifact(&hash, extension(artifact.kind, content));
        let path = self.shared.layout.root().join(&relative);
        let whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == content.len() as u64);
        if !whole {
            if let Some(folder) = path.parent() {
                self.shared.disk.create_dir(folder)?;
            }
            self.shared.disk.write(&path, content, true)?;
        }
        Ok((hex(&hash), relative))
    }
}

/// What an artifact's file is called, by what is in it; never by the name that it had.
fn extension(kind: ArtifactKind, content: &[u8]) -> &'static str {
    let gzip = content.starts_with(&[0x1f, 0x8b]);
    let zstd = content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    match kind {
        ArtifactKind::HeapProfile | ArtifactKind::GoroutineProfile | ArtifactKind::Profile => {
            match (gzip, zstd) {
                (true, _) => "pb.gz",
                (_, true) => "pb.zst",
                _ => "pb",
            }
        }
        ArtifactKind::GoroutineDump => match (gzip, zstd) {
            (true, _) => "txt.gz",
            (_, true) => "txt.zst",
            _ => "txt",
        },
        ArtifactKind::Trace => match (gzip, zstd) {
            (true, _) => "trace.gz",
            (_, true) => "trace.zst",
            _ => "trace",
        },
    }
}

/// [`RecordSink::reject`] and [`RecordSink::note`] do nothing: who ingests reports them.
impl RecordSink for Writer {
    fn sample(&mut self, of: &Identity, row: &MemorySample) -> memwatch_core::Result<()> {
        Ok(self.push(of, row)?)
    }

    fn gc_cycle(&mut self, of: &Identity, row: &GcCycle) -> memwatch_core::Result<()> {
        Ok(self.push(of, row)?)
    }

    fn gc_pause(&mut self, of: &Identity, row: &GcPause) -> memwatch_core::Result<()> {
        Ok(self.push(of, row)?)
    }

    fn metric(&mut self, of: &Identity, row: &MetricSample) -> memwatch_core::Result<()> {
        Ok(self.push(of, row)?)
    }

    fn span(&mut self, of: &Identity, row: &Span) -> memwatch_core::Result<()> {
        Ok(self.push(of, row)?)
    }

    fn incident(&mut self, row: &Incident) -> memwatch_core::Result<()> {
        let of = Identity {
            service: row.service.clone(),
            instance: row.instance.clone(),
        };
        Ok(self.push(&of, row)?)
    }

    fn artifact(
        &mut self,
        of: &Identity,
        row: &Artifact,
        content: &[u8],
    ) -> memwatch_core::Result<()> {
        let (sha256, path) = self.guarded(|writer| writer.store_artifact(row, content))?;
        let size_bytes = i64::try_from(content.len()).unwrap_or(i64::MAX);
        let stored = StoredArtifact {
            artifact: row,
            sha256: &sha256,
            size_bytes,
            path: &path,
        };
        Ok(self.push(of, &stored)?)
    }

    fn reject(&mut self, _: Rejection) -> memwatch_core::Result<()> {
        Ok(())
    }

    fn note(&mut self, _: String) {}
}

impl Drop for Writer {
    /// Removes what was not committed. What a crash leaves is removed by the next writer.
    fn drop(&mut self) {
        for segment in &self.pending {
            let _ = self
                .shared
                .disk
                .remove(&unfinished(&self.shared, &segment.path));
        }
    }
}
