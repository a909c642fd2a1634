//! Takes rows, makes segments of them, commits.
//!
//! Rows gather in one buffer a table. A full buffer is sorted, rid of rows that are there already (in the buffer, in what this writer wrote
//! before, in the store), split by day and written as segments under unfinished names. A commit writes the rest, gives the segments their
//! names and adds them to the manifest.

mod flush;
mod recover;
mod small;
mod staging;
pub(crate) mod sweep;

pub use recover::Recovered;
pub(crate) use staging::Staging;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use memwatch_core::record::{Artifact, ArtifactKind, Identity};
use sha2::{Digest, Sha256};

use crate::layout::{Layout, SegmentPath, hex};
use crate::manifest::{Commit, FORMAT, SourceHash, SourceIdentity, State};
use crate::row_sink::{RowSink, record_sink};
use crate::schema::{Row, Run, Table};
use crate::segment::{Place, unfinished};
use crate::storage::WriterLock;
use crate::wal::OnDamage;
use crate::{Error, Result, Shared, marker, now, settle_names};

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
    staging: Staging,
    lock: Box<dyn WriterLock>,
    input: u32,
    failed: bool,
    recovered: Recovered,
    /// When what nobody needs any more was last removed.
    swept: Instant,
}

impl Writer {
    /// Takes the lock, cleans up, and takes over what a crashed writer had acknowledged.
    pub(crate) fn open(shared: Arc<Shared>, on_damage: OnDamage) -> Result<Writer> {
        let (layout, storage) = (&shared.layout, &shared.storage);
        let lock = storage.lock(&layout.lock(), &layout.marker(), now())?;
        // An older version would not know what this one writes.
        let marker = marker::read(layout, storage)?;
        if marker.format < FORMAT {
            marker::write(layout, storage, &marker.created_by)?;
        }
        settle_names(layout, storage)?;
        let mut state = State::read(layout, storage)?;
        if state.version > 0 {
            storage.sync_dir(&layout.manifest())?;
        }
        if lock.must_fence() {
            state = fence(&shared, state, lock.as_ref())?;
        }
        sweep::sweep(&shared, &state)?;
        let mut writer = Writer {
            staging: Staging::new(shared, state, Place::Disk),
            lock,
            input: 0,
            failed: false,
            recovered: Recovered::default(),
            swept: Instant::now(),
        };
        writer.recover(on_damage)?;
        Ok(writer)
    }

    /// From now on rows count for this input, a number of the caller's.
    pub fn begin_input(&mut self, input: u32) {
        self.input = input;
    }

    /// From now on a buffer that is full is written by another thread while the next one fills: two buffers more in memory.
    pub(crate) fn write_in_background(&mut self) {
        self.staging.write_in_background();
    }

    /// Whether an input with this hash was taken whole before.
    #[must_use]
    pub fn has_source(&self, hash: &SourceHash) -> bool {
        self.staging.state.sources.contains_key(hash)
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
    /// A day whose small segments became many has them merged on the way.
    ///
    /// # Errors
    /// When something cannot be written; then nothing of it is visible, and the writer takes no more rows.
    pub fn commit(&mut self, sources: &[SourceIdentity]) -> Result<Committed> {
        self.guarded(|writer| {
            writer.staging.flush_all()?;
            writer.staging.merge_small()?;
            let mut sources = sources.to_vec();
            sources.retain(|s| !writer.has_source(&s.hash));
            writer.publish(sources)?;
            Ok(Committed {
                version: writer.staging.state.version,
                rows: std::mem::take(&mut writer.staging.counts),
            })
        })
    }

    /// Runs one step; after a failure the writer is of no more use, for what it had gathered is no longer whole.
    pub(crate) fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.check_usable()?;
        self.failed = true; // Also when the step panics.
        let done = step(self);
        self.failed = done.is_err();
        done
    }

    /// Fails when a step failed before.
    pub(crate) fn check_usable(&self) -> Result<()> {
        if self.failed {
            return Err(Error::WriterFailed);
        }
        Ok(())
    }

    /// Fails when another writer took over meanwhile.
    pub(crate) fn confirm(&self) -> Result<()> {
        self.lock.confirm()
    }

    pub(crate) fn staging(&mut self) -> &mut Staging {
        &mut self.staging
    }

    /// Gives the pending segments their names and makes the commit that adds them and removes those they replace; none when nothing
    /// changes.
    pub(crate) fn publish(&mut self, sources: Vec<SourceIdentity>) -> Result<()> {
        let wal = self.staging.state.wal;
        self.publish_with(sources, wal)
    }

    /// The same; rows of the WAL up to that sequence are among them.
    fn publish_with(&mut self, sources: Vec<SourceIdentity>, wal: u64) -> Result<()> {
        let staging = &mut self.staging;
        let nothing = staging.pending.is_empty() && staging.removed.is_empty();
        if nothing && sources.is_empty() && wal == staging.state.wal {
            return Ok(());
        }
        let shared = Arc::clone(&staging.shared);
        let (layout, storage) = (&shared.layout, &shared.storage);
        // What follows shows in the folder: not to be done by one who was taken for dead.
        self.lock.confirm()?;
        let mut folders = BTreeSet::new();
        for segment in &staging.pending {
            let path = layout.segment(&segment.path);
            storage.rename(&unfinished(&shared, &segment.path), &path)?;
            folders.extend(path.parent().map(Path::to_path_buf));
        }
        for folder in &folders {
            storage.sync_dir(folder)?;
        }
        let removed: BTreeSet<SegmentPath> = staging.removed.iter().cloned().collect();
        let commit = Commit {
            at: now().to_string(),
            add: staging.pending.iter().map(|s| (**s).clone()).collect(),
            remove: removed.iter().cloned().collect(),
            sources,
            wal,
            by: self.lock.id().map(str::to_owned),
            ..Commit::default()
        };
        staging.state = staging.state.commit(layout, storage, commit)?;
        staging.pending.clear();
        staging.removed.clear();
        // Out of the way of engines that read the folder; readers of older snapshots still find it. When this fails the next
        // writer does it.
        for path in &removed {
            let _ = sweep::set_aside(storage, &layout.segment(path));
        }
        // One that lives for days would leave what it replaced to the next writer.
        if self.swept.elapsed() > sweep::GRACE {
            let _ = sweep::sweep(&shared, &staging.state);
            self.swept = Instant::now();
        }
        Ok(())
    }

    /// Puts an artifact's content into its place.
    pub(crate) fn store_artifact(
        &self,
        artifact: &Artifact,
        content: &[u8],
    ) -> Result<(String, String)> {
        let hash: [u8; 32] = Sha256::digest(content).into();
        let relative = Layout::artifact(&hash, extension(artifact.kind, content));
        let shared = &self.staging.shared;
        let path = shared.layout.root().join(&relative);
        let folder = path.parent().unwrap_or(&path);
        if shared.storage.size(&path)? == Some(content.len() as u64) {
            // Whoever put it there may have died before its name was durable.
            shared.storage.create_dir(folder)?;
            shared.storage.sync_dir(folder)?;
        } else {
            shared.storage.create_dir(folder)?;
            shared.storage.write(&path, content, true)?;
        }
        Ok((hex(&hash), relative))
    }
}

/// Takes the next number of the manifest, so that no commit of an owner before can follow on what this writer has seen. From here on that
/// owner's commits fail, and what it wrote can be touched.
fn fence(shared: &Shared, mut state: State, lock: &dyn WriterLock) -> Result<State> {
    let (layout, storage) = (&shared.layout, &shared.storage);
    loop {
        let nothing = Commit {
            at: now().to_string(),
            by: lock.id().map(str::to_owned),
            ..Commit::default()
        };
        match state.commit(layout, storage, nothing) {
            // It was at work still, and was faster.
            Err(Error::Conflict { .. }) => {
                lock.confirm()?;
                state = State::read(layout, storage)?;
            }
            done => return done,
        }
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

impl RowSink for Writer {
    fn push<R: Row>(&mut self, of: &Identity, row: &R) -> Result<()> {
        self.guarded(|writer| writer.staging.push(of, row, writer.input))
    }

    fn keep(&mut self, row: &Artifact, content: &[u8]) -> Result<(String, String)> {
        self.guarded(|writer| writer.store_artifact(row, content))
    }
}

record_sink!(Writer);

impl Drop for Writer {
    /// Removes what was not committed. What a crash leaves is removed by the next writer.
    fn drop(&mut self) {
        self.staging.abandon();
        flush::remove_uncommitted(&self.staging.shared, &self.staging.pending);
        if !self.failed {
            self.lock.ended_clean();
        }
    }
}
