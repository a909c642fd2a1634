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
    for table in Table::all() {
        let live: HashSet<PathBuf> = state
            .of(table)
            .iter()
            .map(|s| layout.segment(&s.path))
            .collect();
        for folder in list(&layout.table(table))? {
            if !folder.is_dir() {
                continue;
            }
            for path in list(&folder)? {
                let name = path
                    .file_name()
                    .and_then(|n| n.to_str())
                    .unwrap_or_default();
                // Files of others are none of our business.
                if !is_ours(name) || live.contains(&path) {
                    continue;
                }
                if name.ends_with(IN_PROGRESS)
                    || (name.ends_with(REPLACED) && older_than(&path, GRACE))
                {
                    disk.remove(&path)?;
                } else if !name.ends_with(REPLACED) {
                    set_aside(disk, &path)?;
                }
            }
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
