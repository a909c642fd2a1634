//! A manifest whose commits do not read, made anew from the segments that are there.
//!
//! A segment that a commit replaced has another name, so what is named `<id>.parquet` is what was live, but for what a crash left between a
//! rename and its commit. Of segments that any readable commit knows the checksums are those of the commit; of others they are taken from the
//! file as it is. Rows that are there twice go when the days that hold them are merged, which follows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::layout::{Layout, SegmentPath, is_ours};
use crate::manifest::{Segment, State, VERSION_MAX, decode};
use crate::schema::Table;
use crate::segment::describe;
use crate::storage::Listed;
use crate::{Error, Result, Shared, now};

/// What a rebuild could not take over.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    /// Commits that do not read.
    pub(super) commits: Vec<PathBuf>,
    /// Files that are no segments, with what is wrong.
    pub(super) files: Vec<(PathBuf, Error)>,
}

/// Makes one commit of all segments that are there. The caller sets the damaged commits aside afterwards.
pub(super) fn rebuild(shared: &Arc<Shared>) -> Result<Rebuilt> {
    let layout = &shared.layout;
    let storage = &shared.storage;
    let mut lock = storage.lock(&layout.lock(), &layout.marker(), now())?;
    let mut rebuilt = Rebuilt::default();
    let mut state = State::empty();
    let mut known: BTreeMap<SegmentPath, Segment> = BTreeMap::new();
    for Listed { path, .. } in storage.list(&layout.manifest())? {
        let name = path.file_name().and_then(|n| n.to_str());
        let Some(version) = name.and_then(Layout::commit_version) else {
            continue;
        };
        if version > VERSION_MAX {
            rebuilt.commits.push(path);
            continue;
        }
        state.version = state.version.max(version);
        let content = match storage.read(&path) {
            Ok(None) => continue,
            Ok(Some(content)) => decode(&path, &content),
            // A sector that does not read is damage; a network that does not answer is not.
            Err(error @ Error::Io { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        match content {
            Ok(commit) => {
                state.wal = state.wal.max(commit.wal);
                let sources = commit.sources.into_iter();
                state.sources.extend(sources.map(|s| (s.hash, s.name)));
                known.extend(commit.add.into_iter().map(|s| (s.path.clone(), s)));
            }
            Err(error @ Error::NewerFormat { .. }) => return Err(error),
            Err(_) => rebuilt.commits.push(path),
        }
    }
    for (path, place) in there(shared)? {
        let segment = match known.remove(&path) {
            Some(segment) => Ok(segment),
            None => describe(shared, &path),
        };
        match segment {
            Ok(segment) => state.segments[path.table.index()].push(Arc::new(segment)),
            Err(error) => rebuilt.files.push((place, error)),
        }
    }
    let by = lock.id().map(str::to_owned);
    state.commit_whole(layout, storage, now().to_string(), by)?;
    lock.ended_clean();
    Ok(rebuilt)
}

/// The files that are named as segments.
fn there(shared: &Shared) -> Result<BTreeSet<(SegmentPath, PathBuf)>> {
    let layout = &shared.layout;
    let mut found = BTreeSet::new();
    for table in Table::all() {
        for Listed { path: place, .. } in shared.storage.list_below(&layout.table(table))? {
            let name = place.file_name().and_then(|n| n.to_str());
            let below = place.strip_prefix(layout.root()).unwrap_or(&place);
            let below = below.to_string_lossy().replace('\\', "/");
            if name.is_some_and(is_ours)
                && let Some(path) = SegmentPath::parse(&below)
            {
                found.insert((path, place));
            }
        }
    }
    Ok(found)
}
