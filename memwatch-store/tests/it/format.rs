//! Stores that an older version wrote open, and stay what they were.

use std::path::{Path, PathBuf};

use memwatch_store::{Compaction, Error, FORMAT, Store, Table};

use crate::rows::dump_all;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/store")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn every_format_so_far_opens() {
    // Rows by table, as the version that wrote it counted them.
    let rows = [
        ("format-1", [5, 9, 25, 167, 6, 0, 0, 1, 4, 0]),
        ("format-2", [5, 9, 25, 167, 6, 0, 0, 1, 4, 0]),
    ];
    assert_eq!(rows.len(), usize::try_from(FORMAT).unwrap(), "one of each");
    let mut all = Vec::new();
    for (name, expected) in rows {
        let store = Store::open(fixture(name)).unwrap();
        let snapshot = store.snapshot().unwrap();
        let found: Vec<u64> = snapshot.info().tables.iter().map(|t| t.rows).collect();
        assert_eq!(found, expected, "{name}");
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "{name}: {:?}", verified.findings);
        all.push(dump_all(&snapshot));
    }
    assert!(
        all.windows(2).all(|w| w[0] == w[1]),
        "the same rows in each"
    );
}

#[test]
fn an_old_store_becomes_a_new_one_when_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    copy(&fixture("format-1"), &root);
    let store = Store::open(&root).unwrap();
    let before = dump_all(&store.snapshot().unwrap());
    store.compact(&Compaction::default()).unwrap();
    let marker = std::fs::read_to_string(root.join("memwatch.json")).unwrap();
    assert!(marker.contains(&format!("\"format\":{FORMAT}")), "{marker}");
    assert_eq!(
        dump_all(&Store::open(&root).unwrap().snapshot().unwrap()),
        before
    );
    assert!(store.verify().unwrap().is_whole());
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.segments(Table::GcPauses).len(), 1);
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let newer = FORMAT + 1;
    let text = format!("{{\"format\":{newer},\"created_by\":\"memwatch 9\"}}");
    std::fs::write(dir.path().join("memwatch.json"), text).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found, .. } if found == newer));
    let told = error.to_string();
    let expected =
        format!("expected format {FORMAT} or older, found {newer}: written by a newer memwatch");
    assert!(told.ends_with(&expected), "{told}");
}
