//! Every fuzz target by its name, with its body; tests call the bodies too.
//!
//! Checksums come first in every file of a store, so bytes are given both as they are and with checksums that are right: what lies behind
//! must not rest on nobody meaning harm.

mod contents;
mod manifest;
mod markers;
mod memory;
mod segments;
mod wal;

use memory::store_of;

use crate::Store;

/// Takes any bytes and panics when something does not hold.
pub type Body = fn(&[u8]);

/// Every target with its body: `fuzz/fuzz_targets/<name>.rs` calls it with what the fuzzer makes, a test with `fuzz/corpus/<name>`.
pub const TARGETS: &[(&str, Body)] = &[
    ("wal", wal::any_files),
    ("wal_rows", wal::any_rows),
    ("manifest", manifest::any_commits),
    ("markers", markers::any_marker),
    ("segments", segments::any_segment),
    ("contents", contents::any_content),
];

/// Runs a target.
///
/// # Panics
/// When there is none of this name, or it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("the name of a target").1(bytes);
}

/// All segments of a store read as its commits say. What they say of files kept whole is another matter.
fn assert_segments_are_whole(store: &Store) {
    let verified = store.verify().expect("a folder in memory");
    let damaged = verified.findings.iter().find(|found| found.gap.is_some());
    assert!(damaged.is_none(), "{damaged:?}");
}

/// Takes numbers and bytes from the front; zeros and nothing where there are none left.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u64 {
        let mut word = [0; 8];
        let taken = self.bytes(8);
        word[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(word)
    }

    /// Bytes behind their length.
    fn piece(&mut self) -> &'a [u8] {
        let length = u16::from_le_bytes([self.byte(), self.byte()]);
        self.bytes(usize::from(length))
    }
}
