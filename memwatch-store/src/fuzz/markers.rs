//! What says what a folder is, and who writes; names of files.

use std::path::Path;
use std::sync::Arc;

use super::store_of;
use crate::layout::{Day, Layout, SegmentPath, is_artifact};
use crate::{Error, lock, marker};

/// Reads any bytes as `memwatch.json`, as the content of `memwatch.lock`, and as a lease: nothing panics, and what is refused names the file.
pub(super) fn any_marker(bytes: &[u8]) {
    let store = store_of([("memwatch.json.new".into(), Vec::new())]);
    let (layout, storage) = (&store.shared.layout, &store.shared.storage);
    let written = storage.write(&layout.marker(), bytes, false);
    written.expect("a file in memory");
    match marker::read(layout, storage) {
        Ok(format) => {
            // What reads is written as something that reads.
            let layout = Layout::new(Path::new("other"));
            let other = Arc::clone(storage);
            marker::write(&layout, &other, &format.created_by).expect("a file in memory");
            let again = marker::read(&layout, &other).expect("a marker as it was written");
            assert_eq!(again.created_by, format.created_by);
        }
        Err(Error::Damaged { path, .. } | Error::NewerFormat { path, .. }) => {
            assert_eq!(path, layout.marker());
        }
        Err(other) => panic!("{other}"),
    }
    let told = lock::told(&String::from_utf8_lossy(bytes));
    assert!(!told.is_empty());
    #[cfg(feature = "s3")]
    crate::storage::any_lease(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        any_name(text);
    }
}

/// Reads a text as the name of each kind of file: what reads prints as the same, and leads nowhere else.
fn any_name(text: &str) {
    let layout = Layout::new(Path::new("store"));
    if let Some(path) = SegmentPath::parse(text) {
        assert_eq!(path.to_string(), text);
        assert_eq!(layout.segment(&path), layout.root().join(text));
    }
    if let Some(day) = Day::parse(text) {
        assert_eq!(Day::of_micros(day.start_micros()), day);
        assert_eq!(day.to_string(), text);
    }
    let name = |path: &Path| path.file_name().is_some_and(|name| name == text);
    if let Some(version) = Layout::commit_version(text) {
        assert!(name(&layout.commit(version)));
    }
    if let Some(first) = Layout::wal_first(text) {
        assert!(name(&layout.wal_file(first)));
    }
    assert!(!is_artifact(text) || !text.contains(".."));
}
