//! What a crashed writer left, and what no reader needs any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::disk::Disk;
use crate::layout::{IN_PROGRESS, Layout, REPLACED, is_ours, with_suffix};
use crate::manifest::{CHECKPOINT_EVERY, State};
use crate::schema::Table;
use crate::{Error, Result, Shared};

/// How long a replaced segment stays for the readers of older snapshots.
pub(super) const GRACE: Duration = Duration::from_secs(600);

/// Cleans up; only the holder of the lock may.
pub(super) fn sweep(shared: &Shared, state: &State) -> Result<()> {
    let (layout, disk) = (&shared.layout, &shared.disk);
    for path in unknown_segments(layout, state)? {
        let name = path.to_string_lossy();
        if name.ends_with(IN_PROGRESS) || (name.ends_with(REPLACED) && older_than(&path, GRACE)) {
            disk.remove(&path)?;
        } else if !name.ends_with(REPLACED) {
            set_aside(disk, &path)?;
        }
    }
    let root = layout.root();
    let artifacts = list(&layout.artifacts())?;
    let folders = artifacts
        .iter()
        .map(PathBuf::as_path)
        .filter(|p| p.is_dir());
    for folder in folders.chain([layout.manifest().as_path(), root]) {
        for path in list(folder)? {
            if path.to_str().is_some_and(|p| p.ends_with(IN_PROGRESS)) {
                disk.remove(&path)?;
            }
        }
    }
    forget_old_commits(layout, disk, state.version)
}

/// Files of ours below the tables that are no live segment, whatever became of them. Files of others are none of our business.
pub(crate) fn unknown_segments(layout: &Layout, state: &State) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for table in Table::all() {
        let segments = state.of(table).iter();
        let live: HashSet<PathBuf> = segments.map(|s| layout.segment(&s.path)).collect();
        for folder in list(&layout.table(table))? {
            if !folder.is_dir() {
                continue;
            }
            let files = list(&folder)?.into_iter();
            found.extend(files.filter(|path| {
                let name = path.file_name().and_then(|n| n.to_str());
                name.is_some_and(is_ours) && !live.contains(path)
            }));
        }
    }
    Ok(found)
}

/// Gives a segment that is not live a name that no engine reads.
pub(super) fn set_aside(disk: &Disk, path: &Path) -> Result<()> {
    let aside = with_suffix(path, REPLACED);
    disk.rename(path, &aside)?;
    // The grace period begins now.
    let _ = File::options()
        .write(true)
        .open(&aside)
        .and_then(|f| f.set_modified(SystemTime::now()));
    Ok(())
}

/// Removes commits from before the checkpoint before the last one.
fn forget_old_commits(layout: &Layout, disk: &Disk, version: u64) -> Result<()> {
    let first = (version / CHECKPOINT_EVERY).saturating_sub(1) * CHECKPOINT_EVERY;
    let mut old: Vec<u64> = list(&layout.manifest())?
        .iter()
        .filter_map(|p| Layout::commit_version(p.file_name()?.to_str()?))
        .filter(|v| *v < first)
        .collect();
    old.sort_unstable(); // From the oldest on, so that a crash leaves no gap.
    old.iter()
        .try_for_each(|version| disk.remove(&layout.commit(*version)))
}

fn older_than(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
}

pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io(folder, "list"))?,
    };
    let paths = entries.map(|entry| entry.map(|e| e.path()));
    paths
        .collect::<io::Result<_>>()
        .map_err(Error::io(folder, "list"))
}
