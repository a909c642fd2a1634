//! What a crashed writer left, and what no reader needs any more.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::layout::{IN_PROGRESS, Layout, REPLACED, is_ours, with_suffix};
use crate::manifest::{CHECKPOINT_EVERY, State};
use crate::schema::Table;
use crate::storage::{Listed, Storage};
use crate::{Result, Shared};

/// How long a replaced segment stays for the readers of older snapshots.
pub(super) const GRACE: Duration = Duration::from_secs(600);

/// Cleans up; only the holder of the lock may.
pub(super) fn sweep(shared: &Shared, state: &State) -> Result<()> {
    let (layout, storage) = (&shared.layout, &shared.storage);
    for file in unknown_segments(shared, state)? {
        let name = file.path.to_string_lossy();
        if name.ends_with(IN_PROGRESS)
            || (name.ends_with(REPLACED) && storage.is_older_than(&file, GRACE))
        {
            storage.remove(&file.path)?;
        } else if !name.ends_with(REPLACED) {
            set_aside(storage, &file.path)?;
        }
    }
    // In a bucket an object is there whole or not at all.
    if !storage.is_remote() {
        let mut files = storage.list_below(&layout.artifacts())?;
        files.extend(storage.list(&layout.manifest())?);
        files.extend(storage.list(layout.root())?);
        for file in files {
            if file.path.to_str().is_some_and(|p| p.ends_with(IN_PROGRESS)) {
                storage.remove(&file.path)?;
            }
        }
    }
    forget_old_commits(layout, storage, state.version)
}

/// Files of ours below the tables that are no live segment, whatever became of them. Files of others are none of our business.
pub(crate) fn unknown_segments(shared: &Shared, state: &State) -> Result<Vec<Listed>> {
    let layout = &shared.layout;
    let mut found = Vec::new();
    for table in Table::all() {
        let segments = state.of(table).iter();
        let live: HashSet<PathBuf> = segments.map(|s| layout.segment(&s.path)).collect();
        let files = shared.storage.list_below(&layout.table(table))?;
        found.extend(files.into_iter().filter(|file| {
            let name = file.path.file_name().and_then(|n| n.to_str());
            name.is_some_and(is_ours) && !live.contains(&file.path)
        }));
    }
    Ok(found)
}

/// Gives a segment that is not live a name that no engine reads. The grace period begins now.
pub(super) fn set_aside(storage: &Storage, path: &Path) -> Result<()> {
    storage.set_aside(path, &with_suffix(path, REPLACED))
}

/// Removes commits from before the checkpoint before the last one.
fn forget_old_commits(layout: &Layout, storage: &Storage, version: u64) -> Result<()> {
    let first = (version / CHECKPOINT_EVERY).saturating_sub(1) * CHECKPOINT_EVERY;
    let mut old: Vec<u64> = storage
        .list(&layout.manifest())?
        .iter()
        .filter_map(|file| Layout::commit_version(file.path.file_name()?.to_str()?))
        .filter(|v| *v < first)
        .collect();
    old.sort_unstable(); // From the oldest on, so that a crash leaves no gap.
    old.iter()
        .try_for_each(|version| storage.remove(&layout.commit(*version)))
}
