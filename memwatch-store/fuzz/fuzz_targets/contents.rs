//! `cargo +nightly fuzz run contents corpus/contents`, in this folder: inputs as they are, gzip and zstd.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_store::fuzz::run("contents", bytes));
