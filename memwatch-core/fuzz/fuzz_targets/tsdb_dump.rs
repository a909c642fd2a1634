//! `cargo +nightly fuzz run tsdb_dump corpus/tsdb_dump ../../testdata/tsdb-dump`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("tsdb_dump", bytes));
