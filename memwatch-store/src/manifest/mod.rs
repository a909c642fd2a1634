//! The catalog of live segments. Adding a file to the manifest is the only commit.
//!
//! `manifest/%020d.json` are numbered commits, created only when absent. Each says which segments it adds and removes; now and then one
//! holds everything that is live instead (a checkpoint), so that a reader starts there. Readers take a snapshot and never block.

mod commit;
mod segment;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use commit::{Commit, VERSION_MAX, decode, encode};
pub use segment::{Chunk, InstanceRows, Segment};

use crate::layout::Layout;
use crate::schema::{TABLES, Table};
use crate::storage::Storage;
use crate::{Error, Result};

/// The newest format of store and manifest that this version reads, and the one that it writes.
///
/// 1: commits and segments. 2: the WAL, whose rows an older version would not see, and a checksum in `memwatch.json`.
pub const FORMAT: u32 = 2;

/// Every so many commits one is a checkpoint.
pub(crate) const CHECKPOINT_EVERY: u64 = 32;

/// Identity of an input that was taken whole: a hash over its content and over all that changes what is read from it (service,
/// instance, time given from outside).
pub type SourceHash = [u8; 32];

/// An input that a commit took whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIdentity {
    /// Tells inputs apart.
    pub hash: SourceHash,
    /// As the user named it; for people only.
    pub name: String,
}

/// What is live after some commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) version: u64,
    /// The live segments of each table, in the order of their paths: of day, then of time written.
    pub(crate) segments: Vec<Vec<Arc<Segment>>>,
    pub(crate) sources: BTreeMap<SourceHash, String>,
    /// Rows of the WAL up to this sequence are in segments.
    pub(crate) wal: u64,
}

impl State {
    pub(crate) fn empty() -> State {
        State {
            version: 0,
            segments: vec![Vec::new(); TABLES.len()],
            sources: BTreeMap::new(),
            wal: 0,
        }
    }

    pub(crate) fn of(&self, table: Table) -> &[Arc<Segment>] {
        &self.segments[table.index()]
    }

    /// The state after one more commit.
    fn apply(&mut self, commit: Commit) {
        if commit.checkpoint {
            *self = State::empty();
        }
        self.version = commit.version;
        self.wal = self.wal.max(commit.wal);
        let removed: HashSet<_> = commit.remove.into_iter().collect();
        if !removed.is_empty() {
            for segments in &mut self.segments {
                segments.retain(|s| !removed.contains(&s.path));
            }
        }
        for segment in commit.add {
            self.segments[segment.path.table.index()].push(Arc::new(segment));
        }
        for segments in &mut self.segments {
            segments.sort_by(|a, b| a.path.cmp(&b.path));
        }
        self.sources
            .extend(commit.sources.into_iter().map(|s| (s.hash, s.name)));
    }

    /// What is live now.
    pub(crate) fn read(layout: &Layout, storage: &Storage) -> Result<State> {
        // Old commits may be removed while we read; the newest checkpoint then is another one.
        for _ in 0..16 {
            if let Some(state) = State::try_read(layout, storage)? {
                return Ok(state);
            }
        }
        Err(Error::damaged(
            &layout.manifest(),
            "commits from a checkpoint on",
            "commits that vanish while they are read",
        ))
    }

    fn try_read(layout: &Layout, storage: &Storage) -> Result<Option<State>> {
        let versions = versions(layout, storage)?;
        let Some(newest) = versions.last().copied() else {
            return Ok(Some(State::empty()));
        };
        // Whatever may follow the newest checkpoint, at once: over a network one by one takes long.
        let from = newest.saturating_sub(newest % CHECKPOINT_EVERY);
        let recent: Vec<u64> = versions.iter().copied().filter(|v| *v >= from).collect();
        let paths: Vec<PathBuf> = recent.iter().map(|v| layout.commit(*v)).collect();
        let mut recent: BTreeMap<u64, Option<Vec<u8>>> =
            recent.into_iter().zip(storage.read_each(&paths)?).collect();
        // Backwards to the newest checkpoint, then forwards. What is older was being forgotten: a crash may have left some of it.
        let mut commits: Vec<Commit> = Vec::new();
        for version in versions.iter().rev() {
            if commits
                .last()
                .is_some_and(|after| after.version != version + 1)
            {
                return Err(Error::damaged(
                    &layout.commit(version + 1),
                    "a commit between two others",
                    "no file",
                ));
            }
            let path = layout.commit(*version);
            let bytes = match recent.remove(version) {
                Some(bytes) => bytes,
                None => storage.read(&path)?,
            };
            let Some(bytes) = bytes else {
                return Ok(None);
            };
            let commit = decode(&path, &bytes)?;
            if commit.version != *version {
                return Err(Error::damaged(
                    &path,
                    format!("version {version}"),
                    format!("version {}", commit.version),
                ));
            }
            let done = commit.checkpoint;
            commits.push(commit);
            if done {
                break;
            }
        }
        let complete = commits
            .last()
            .is_some_and(|c| c.checkpoint || c.version == 1);
        if !complete {
            return Err(Error::damaged(
                &layout.commit(versions[0]),
                "a checkpoint or the first commit",
                "neither",
            ));
        }
        let mut state = State::empty();
        for commit in commits.into_iter().rev() {
            state.apply(commit);
        }
        debug_assert_eq!(state.version, newest);
        Ok(Some(state))
    }

    /// The number of the newest commit; 0 without one.
    pub(crate) fn newest(layout: &Layout, storage: &Storage) -> Result<u64> {
        Ok(versions(layout, storage)?.last().copied().unwrap_or(0))
    }

    /// Makes the next commit durable; returns the state after it.
    pub(crate) fn commit(
        &self,
        layout: &Layout,
        storage: &Storage,
        mut commit: Commit,
    ) -> Result<State> {
        commit.version = self.next_version(layout)?;
        commit.wal = commit.wal.max(self.wal);
        let mut next = self.clone();
        next.apply(commit.clone());
        if commit.version.is_multiple_of(CHECKPOINT_EVERY) {
            let by = commit.by.take();
            commit = next.checkpoint(commit.at);
            commit.by = by;
        }
        storage.create_dir(&layout.manifest())?;
        storage.write_if_absent(&layout.commit(commit.version), &encode(&commit))?;
        Ok(next)
    }

    /// The number of the commit that follows.
    fn next_version(&self, layout: &Layout) -> Result<u64> {
        if self.version >= VERSION_MAX {
            let expected = format!("a commit numbered below {VERSION_MAX}");
            let path = layout.commit(self.version);
            return Err(Error::damaged(&path, expected, self.version.to_string()));
        }
        Ok(self.version + 1)
    }

    /// Makes a commit of all that is live, whatever the commits before it said.
    pub(crate) fn commit_whole(
        &self,
        layout: &Layout,
        storage: &Storage,
        at: String,
        by: Option<String>,
    ) -> Result<()> {
        let mut next = self.clone();
        next.version = self.next_version(layout)?;
        let mut commit = next.checkpoint(at);
        commit.by = by;
        storage.create_dir(&layout.manifest())?;
        storage.write_if_absent(&layout.commit(next.version), &encode(&commit))
    }

    /// All that is live, as the commit that leads to this state.
    fn checkpoint(&self, at: String) -> Commit {
        Commit {
            version: self.version,
            at,
            checkpoint: true,
            add: self
                .segments
                .iter()
                .flatten()
                .map(|s| (**s).clone())
                .collect(),
            remove: Vec::new(),
            sources: self
                .sources
                .iter()
                .map(|(hash, name)| SourceIdentity {
                    hash: *hash,
                    name: name.clone(),
                })
                .collect(),
            wal: self.wal,
            by: None,
        }
    }
}

/// The number of the newest commit; 0 before the first.
pub(crate) fn newest_version(layout: &Layout, storage: &Storage) -> Result<u64> {
    Ok(versions(layout, storage)?.last().copied().unwrap_or(0))
}

/// The numbers of the commits that are there, ascending.
fn versions(layout: &Layout, storage: &Storage) -> Result<Vec<u64>> {
    let mut versions: Vec<u64> = storage
        .list(&layout.manifest())?
        .iter()
        .filter_map(|file| Layout::commit_version(file.path.file_name()?.to_str()?))
        .collect();
    versions.sort_unstable();
    match versions.last().filter(|last| **last > VERSION_MAX) {
        None => Ok(versions),
        Some(last) => {
            let expected = format!("a number up to {VERSION_MAX} in the name of the file");
            Err(Error::damaged(
                &layout.commit(*last),
                expected,
                last.to_string(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::Folder;

    #[test]
    fn a_checkpoint_holds_what_all_commits_before_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let folder: Storage = Arc::new(Folder::default());
        let mut state = State::read(&layout, &folder).unwrap();
        for n in 1..=70u8 {
            let source = SourceIdentity {
                hash: [n; 32],
                name: format!("input {n}"),
            };
            let commit = Commit {
                sources: vec![source],
                ..Commit::default()
            };
            state = state.commit(&layout, &folder, commit).unwrap();
            let read = State::read(&layout, &folder).unwrap();
            assert_eq!(
                (read.version, read.sources.len()),
                (u64::from(n), usize::from(n))
            );
        }
        for version in 1..64 {
            fs::remove_file(layout.commit(version)).unwrap();
        }
        assert_eq!(
            State::read(&layout, &folder).unwrap().sources,
            state.sources
        );
        fs::remove_file(layout.commit(66)).unwrap();
        assert!(matches!(
            State::read(&layout, &folder),
            Err(Error::Damaged { .. })
        ));
    }
}
