//! `cargo +nightly fuzz run metrics corpus/metrics ../../testdata/metrics`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("metrics", bytes));
