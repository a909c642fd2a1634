//! Rows of the WAL into segments: after a crash, and at every flush of an appender, which is the same.

use std::path::Path;
use std::sync::Arc;

use super::{Committed, Staging, Writer};
use crate::layout::with_suffix;
use crate::wal::{OnDamage, Replayed, SEQUENCE_MAX, decode, remove_upto, replay};
use crate::{Error, Result, Shared};

/// What a writer found of one that crashed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// Groups of acknowledged rows that were in no segment yet, and now are.
    pub frames: u64,
    /// Bytes at the end of the WAL that never were a whole row and were never acknowledged.
    pub dropped_bytes: u64,
    /// Copies of files that did not read to their end, below the store.
    pub set_aside: Vec<String>,
}

impl Staging {
    /// Adds the rows of the WAL that are in no segment. `None` when files vanished meanwhile.
    pub(crate) fn replay(&mut self, on_damage: OnDamage) -> Result<Option<Replayed>> {
        let shared = Arc::clone(&self.shared);
        replay(&shared, self.state.wal, on_damage, |path, payload| {
            let rows = decode(payload)
                .map_err(|expected| Error::damaged(path, expected, "something else in a frame"))?;
            let table = rows.table;
            self.buffers[table.index()]
                .extend(&rows, 0)
                .map_err(|expected| Error::damaged(path, expected, "something else in a frame"))?;
            self.flush_full(table)
        })
    }
}

impl Writer {
    /// What was found of a writer that crashed.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Takes over what a crashed writer had acknowledged.
    pub(super) fn recover(&mut self, on_damage: OnDamage) -> Result<()> {
        let shared = Arc::clone(&self.staging.shared);
        let found = self.replay(on_damage)?;
        self.recovered.frames = found.frames;
        self.recovered.dropped_bytes = found.torn_bytes;
        for (path, _) in &found.skipped {
            self.recovered.set_aside.extend(set_aside(&shared, path)?);
        }
        // A number that a frame had which was never whole is not given again: where that file comes back it says nothing.
        let torn = found.torn_bytes > 0 || !found.skipped.is_empty();
        let last = found.last.max(self.staging.state.wal) + u64::from(torn);
        if last > SEQUENCE_MAX {
            let expected = format!("frames up to one below {SEQUENCE_MAX}");
            let wal = shared.layout.wal();
            return Err(Error::damaged(&wal, expected, last.to_string()));
        }
        if found.frames > 0 || torn {
            self.flush_wal_upto(last)?;
        }
        // Left by a writer that died between its commit and this.
        remove_upto(&shared, u64::MAX)
    }

    /// Stages the rows of the WAL. Nobody but the holder of the lock deletes its files.
    fn replay(&mut self, on_damage: OnDamage) -> Result<Replayed> {
        self.staging.replay(on_damage)?.ok_or_else(|| {
            let wal = self.staging.shared.layout.wal();
            Error::damaged(
                &wal,
                "files of the WAL",
                "such that vanish while they are read",
            )
        })
    }

    /// Makes segments of the rows of the WAL, the last of which has this sequence.
    pub(crate) fn flush_wal(&mut self, last: u64) -> Result<Committed> {
        let found = self.replay(OnDamage::Fail)?;
        if found.last.max(self.staging.state.wal) != last {
            let wal = self.staging.shared.layout.wal();
            let expected = format!("frames up to {last}");
            return Err(Error::damaged(
                &wal,
                expected,
                format!("frames up to {}", found.last),
            ));
        }
        self.flush_wal_upto(last)
    }

    fn flush_wal_upto(&mut self, last: u64) -> Result<Committed> {
        self.staging.flush_all()?;
        self.staging.merge_small()?;
        self.publish_with(Vec::new(), last)?;
        let shared = Arc::clone(&self.staging.shared);
        remove_upto(&shared, last)?;
        Ok(Committed {
            version: self.staging.state.version,
            rows: std::mem::take(&mut self.staging.counts),
        })
    }
}

/// A copy of a file of the WAL in `quarantine/`; its path below the store.
pub(crate) fn set_aside(shared: &Shared, path: &Path) -> Result<Option<String>> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return Ok(None);
    };
    let folder = shared.layout.quarantine();
    shared.storage.create_dir(&folder)?;
    // The same number may have been set aside before.
    let mut to = folder.join(format!("wal-{name}"));
    for n in 2.. {
        if shared.storage.size(&to)?.is_none() {
            break;
        }
        to = with_suffix(&folder.join(format!("wal-{name}")), &format!(".{n}"));
    }
    if shared.storage.size(path)?.is_some() {
        shared.storage.link(path, &to)?;
        shared.storage.sync_dir(&folder)?;
    }
    let below = to.strip_prefix(shared.layout.root()).unwrap_or(&to);
    Ok(Some(below.to_string_lossy().into_owned()))
}
