//! Everything beside the segments: the marker, commits, files kept whole, and files that belong to nobody.

use std::collections::HashSet;
use std::path::PathBuf;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use memwatch_core::TimeRange;
use sha2::{Digest as _, Sha256};

use super::{Finding, Verified};
use crate::layout::{IN_PROGRESS, Layout, REPLACED, hex, is_artifact};
use crate::manifest::{State, decode};
use crate::schema::Table;
use crate::segment::TextColumn;
use crate::storage::Listed;
use crate::wal::{self, OnDamage, replay};
use crate::writer::sweep::unknown_segments;
use crate::{Error, Instances, Result, Snapshot, Store, marker};

/// The marker reads as it did when the store was opened.
pub(super) fn check_marker(store: &Store) -> Result<()> {
    marker::read(&store.shared.layout, &store.shared.storage).map(|_| ())
}

/// What is wrong with commits, also with those that no reader needs any more.
pub(super) fn check_commits(store: &Store, bytes: &mut u64) -> Result<Vec<Error>> {
    let (layout, storage) = (&store.shared.layout, &store.shared.storage);
    let mut wrong = Vec::new();
    for Listed { path, .. } in storage.list(&layout.manifest())? {
        let name = path.file_name().and_then(|n| n.to_str());
        let Some(version) = name.and_then(Layout::commit_version) else {
            continue;
        };
        let content = match storage.read(&path) {
            // A writer forgot it meanwhile.
            Ok(None) => continue,
            Ok(Some(content)) => Ok(content),
            Err(error) => Err(error),
        };
        let commit = content.and_then(|content| {
            *bytes += content.len() as u64;
            decode(&path, &content)
        });
        match commit {
            Ok(commit) if commit.version == version => {}
            Ok(commit) => wrong.push(Error::damaged(
                &path,
                format!("version {version}"),
                format!("version {}", commit.version),
            )),
            Err(error) => wrong.push(error),
        }
    }
    Ok(wrong)
}

/// The WAL reads to its end.
pub(super) fn check_wal(store: &Store, state: &State, into: &mut Verified) -> Result<()> {
    let (layout, storage) = (&store.shared.layout, &store.shared.storage);
    let mut undecodable = None;
    let read = replay(&store.shared, state.wal, OnDamage::Fail, |path, payload| {
        into.bytes += payload.len() as u64;
        if let Err(expected) = wal::decode(payload) {
            undecodable = Some(Error::damaged(path, expected, "something else in a frame"));
        }
        Ok(())
    });
    match read {
        Ok(Some(found)) if found.torn_bytes > 0 => into.notes.push(format!(
            "wal: {} bytes at its end are no whole row: being written, or left by a crash",
            found.torn_bytes
        )),
        Ok(_) => {}
        // A writer has moved on.
        Err(_) if State::newest(layout, storage)? != state.version => return Ok(()),
        Err(error) => into.find(store, error),
    }
    if let Some(error) = undecodable {
        into.find(store, error);
    }
    Ok(())
}

/// A row of `artifacts`: which file it names, and what is to be in it.
pub(super) struct NamedFile {
    pub(super) path: String,
    sha256: String,
    size_bytes: i64,
}

/// The files that rows of a snapshot name, each once. Segments that cannot be read are left out: they have their own finding.
pub(super) fn named_files(snapshot: &Snapshot) -> Vec<NamedFile> {
    let columns = ["path", "sha256", "size_bytes"];
    let scan = snapshot.scan(
        Table::Artifacts,
        Some(&columns),
        TimeRange::ALL,
        &Instances::All,
    );
    let mut seen = HashSet::new();
    let mut named = Vec::new();
    for batch in scan.into_iter().flatten().flatten() {
        let text = |column: usize| TextColumn::new(batch.column(column).as_ref());
        let sizes = batch.column(2).as_primitive_opt::<Int64Type>();
        let (Some(path), Some(sha256), Some(sizes)) = (text(0), text(1), sizes) else {
            continue;
        };
        for row in 0..batch.num_rows() {
            if seen.insert(path.value(row).to_owned()) {
                named.push(NamedFile {
                    path: path.value(row).to_owned(),
                    sha256: sha256.value(row).to_owned(),
                    size_bytes: sizes.value(row),
                });
            }
        }
    }
    named
}

/// Files kept whole are what their rows say.
pub(super) fn check_artifacts(store: &Store, state: &State, into: &mut Verified) -> Result<()> {
    // Rows in the WAL name files, too.
    let (snapshot, _) = store.snapshot_without_damage()?;
    let snapshot = if snapshot.version() == state.version {
        snapshot
    } else {
        store.at(state.clone()).without_damage()?.0
    };
    let named = named_files(&snapshot);
    into.artifacts = named.len();
    for file in &named {
        if let Some(problem) = check_artifact(store, file, &mut into.bytes) {
            into.findings.push(Finding {
                file: file.path.clone(),
                problem,
                gap: None,
                set_aside: None,
            });
        }
    }
    let known: HashSet<PathBuf> = named.iter().map(|f| store.root().join(&f.path)).collect();
    // Rows in a damaged segment may name others: then nobody can say whose they are.
    if into
        .findings
        .iter()
        .any(|f| f.gap.as_ref().is_some_and(|g| g.table == Table::Artifacts))
    {
        return Ok(());
    }
    let artifacts = store.shared.layout.artifacts();
    for Listed { path, .. } in store.shared.storage.list_below(&artifacts)? {
        let below = below(store, &path);
        if is_artifact(&below) && !known.contains(&path) {
            into.notes.push(format!("{below}: no row refers to it"));
        }
    }
    Ok(())
}

fn check_artifact(store: &Store, file: &NamedFile, bytes: &mut u64) -> Option<String> {
    if !is_artifact(&file.path) {
        return Some("expected a path below artifacts/, found another".to_owned());
    }
    let read = store.shared.storage.read(&store.root().join(&file.path));
    let found = match read {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err("no file".to_owned()),
        Err(Error::Io { source, .. }) => Err(source.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let content = match found {
        Ok(content) => content,
        Err(found) => return Some(format!("expected {} bytes, found {found}", file.size_bytes)),
    };
    *bytes += content.len() as u64;
    let found = hex(&Sha256::digest(&content));
    (found != file.sha256 || usize::try_from(file.size_bytes) != Ok(content.len())).then(|| {
        format!(
            "expected {} bytes of SHA-256 {}, found {} of {found}",
            file.size_bytes,
            file.sha256,
            content.len()
        )
    })
}

/// Files of ours that no commit knows.
pub(super) fn look_for_orphans(store: &Store, state: &State, into: &mut Verified) -> Result<()> {
    let (layout, storage) = (&store.shared.layout, &store.shared.storage);
    for Listed { path, .. } in unknown_segments(&store.shared, state)? {
        let below = below(store, &path);
        if below.ends_with(IN_PROGRESS) {
            into.notes
                .push(format!("{below}: being written, or left by a crash"));
        } else if below.ends_with(REPLACED) {
            into.notes
                .push(format!("{below}: replaced, kept for readers of before"));
        } else if State::read(layout, storage)?.version == state.version {
            into.findings.push(Finding {
                file: below,
                problem: "expected a segment of some commit, found one of none: other engines \
                          read it, memwatch does not"
                    .to_owned(),
                gap: None,
                set_aside: None,
            });
        }
    }
    Ok(())
}

fn below(store: &Store, path: &std::path::Path) -> String {
    let path = path.strip_prefix(store.root()).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}
