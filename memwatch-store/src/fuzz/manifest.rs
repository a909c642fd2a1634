//! Commits, one by one and as a manifest.

use std::path::{Path, PathBuf};

use memwatch_core::TimeRange;

use super::store_of;
use crate::damage::Gap;
use crate::manifest::{Commit, State, decode, encode};
use crate::schema::Table;
use crate::{Compaction, Error, Instances, Store};

/// Reads any bytes as one commit, and each line as the content of one that has the right checksum; all of them are a manifest, on which
/// everything is asked that rests on numbers in it.
pub(super) fn any_commits(bytes: &[u8]) {
    any_commit(bytes);
    let mut files = Vec::new();
    for (line, body) in bytes.split(|byte| *byte == b'\n').take(8).enumerate() {
        let text = enveloped(body);
        let version = match any_commit(&text) {
            Some(commit) => commit.version,
            None => line as u64 + 1,
        };
        files.push((PathBuf::from(format!("manifest/{version:020}.json")), text));
    }
    let store = store_of(files);
    match store.snapshot() {
        Ok(_) => ask(&store),
        Err(Error::Damaged { path, .. } | Error::NewerFormat { path, .. }) => {
            assert!(path.starts_with("store/manifest"), "{}", path.display());
        }
        Err(other) => panic!("{other}"),
    }
    let verified = store.verify().expect("a folder in memory");
    verified.findings.iter().for_each(|f| drop(f.to_string()));
}

/// A commit of that content, with its checksum.
fn enveloped(body: &[u8]) -> Vec<u8> {
    let crc32c = crc32c::crc32c(body);
    let before = format!("{{\"crc32c\":\"{crc32c:08x}\",\"commit\":");
    [before.as_bytes(), body, b"}\n"].concat()
}

/// What was read, when it is a commit.
fn any_commit(bytes: &[u8]) -> Option<Commit> {
    let path = Path::new("manifest/1.json");
    match decode(path, bytes) {
        Ok(commit) => {
            let again = decode(path, &encode(&commit)).expect("a commit as it was written");
            assert_eq!(again, commit);
            Some(commit)
        }
        Err(Error::Damaged { path: named, .. } | Error::NewerFormat { path: named, .. }) => {
            assert_eq!(named, path);
            None
        }
        Err(other) => panic!("{other}"),
    }
}

fn ask(store: &Store) {
    let snapshot = store.snapshot().expect("as before");
    let info = snapshot.info();
    let _ = (info.series_range(), info.processes());
    for segment in Table::all().flat_map(|table| snapshot.segments(table)) {
        let _ = (Gap::of(segment).to_string(), segment.time_range());
        // None of them is there.
        let all = (TimeRange::ALL, Instances::All);
        let scan = snapshot.scan(segment.path.table, None, all.0, &all.1);
        let scanned: Result<Vec<_>, Error> = scan.and_then(Iterator::collect);
        assert!(segment.instances.is_empty() || scanned.is_err());
    }
    store
        .plan_compaction(&Compaction::default())
        .expect("a manifest that reads");
    let (layout, storage) = (&store.shared.layout, &store.shared.storage);
    let state = State::read(layout, storage).expect("as before");
    match state.commit(layout, storage, Commit::default()) {
        Ok(next) => {
            let again = State::read(layout, storage).expect("a commit as it was written");
            assert_eq!(again.segments, next.segments);
            assert_eq!((again.version, again.wal), (next.version, next.wal));
        }
        Err(Error::Damaged { .. }) => {} // No number follows.
        Err(other) => panic!("{other}"),
    }
}
