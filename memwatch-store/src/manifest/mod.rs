//! The catalog of live segments. Adding a file to the manifest is the only commit.
//!
//! `manifest/%020d.json` are numbered commits, created only when absent. Each says which segments it adds and removes; now and then one
//! holds everything that is live instead (a checkpoint), so that a reader starts there. Readers take a snapshot and never block.

mod commit;
mod segment;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::sync::Arc;

pub(crate) use commit::{Commit, decode, encode};
pub use segment::{Chunk, InstanceRows, Segment};

use crate::disk::Disk;
use crate::layout::Layout;
use crate::schema::{TABLES, Table};
use crate::writer::sweep::list;
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
    pub(crate) fn read(layout: &Layout) -> Result<State> {
        // Old commits may be removed while we read; the newest checkpoint then is another one.
        for _ in 0..16 {
            if let Some(state) = State::try_read(layout)? {
                return Ok(state);
            }
        }
        Err(Error::damaged(
            &layout.manifest(),
            "commits from a checkpoint on",
            "commits that vanish while they are read",
        ))
    }

    fn try_read(layout: &Layout) -> Result<Option<State>> {
        let mut versions = Vec::new();
        let dir = layout.manifest();
        match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(State::empty())),
            Err(e) => return Err(Error::io(&dir, "list")(e)),
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(Error::io(&dir, "list"))?;
                    versions.extend(entry.file_name().to_str().and_then(Layout::commit_version));
                }
            }
        }
        versions.sort_unstable();
        let Some(newest) = versions.last().copied() else {
            return Ok(Some(State::empty()));
        };
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
            let bytes = match fs::read(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                read => read.map_err(Error::io(&path, "read"))?,
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
    pub(crate) fn newest(layout: &Layout) -> Result<u64> {
        let names = list(&layout.manifest())?;
        let versions = names
            .iter()
            .filter_map(|path| Layout::commit_version(path.file_name()?.to_str()?));
        Ok(versions.max().unwrap_or(0))
    }

    /// Makes the next commit durable; returns the state after it.
    pub(crate) fn commit(&self, layout: &Layout, disk: &Disk, mut commit: Commit) -> Result<State> {
        commit.version = self.version + 1;
        commit.wal = commit.wal.max(self.wal);
        let mut next = self.clone();
        next.apply(commit.clone());
        if commit.version.is_multiple_of(CHECKPOINT_EVERY) {
            commit = next.checkpoint(commit.at);
        }
        disk.create_dir(&layout.manifest())?;
        disk.write_if_absent(&layout.commit(commit.version), &encode(&commit))?;
        Ok(next)
    }

    /// Makes a commit of all that is live, whatever the commits before it said.
    pub(crate) fn commit_whole(&self, layout: &Layout, disk: &Disk, at: String) -> Result<()> {
        let mut next = self.clone();
        next.version += 1;
        disk.create_dir(&layout.manifest())?;
        disk.write_if_absent(&layout.commit(next.version), &encode(&next.checkpoint(at)))
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_holds_what_all_commits_before_it_did() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let disk = Disk::default();
        let mut state = State::read(&layout).unwrap();
        for n in 1..=70u8 {
            let source = SourceIdentity {
                hash: [n; 32],
                name: format!("input {n}"),
            };
            let commit = Commit {
                sources: vec![source],
                ..Commit::default()
            };
            state = state.commit(&layout, &disk, commit).unwrap();
            let read = State::read(&layout).unwrap();
            assert_eq!(
                (read.version, read.sources.len()),
                (u64::from(n), usize::from(n))
            );
        }
        for version in 1..64 {
            fs::remove_file(layout.commit(version)).unwrap();
        }
        assert_eq!(State::read(&layout).unwrap().sources, state.sources);
        fs::remove_file(layout.commit(66)).unwrap();
        assert!(matches!(State::read(&layout), Err(Error::Damaged { .. })));
    }
}
