//! `cargo +nightly fuzz run wal_rows corpus/wal_rows`, in this folder: the rows of a frame, through replay and a snapshot.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_store::fuzz::run("wal_rows", bytes));
