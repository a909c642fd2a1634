//! `cargo +nightly fuzz run gctrace corpus/gctrace ../../testdata/gctrace`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("gctrace", bytes));
