//! `cargo +nightly fuzz run labels corpus/labels ../../testdata/labels`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("labels", bytes));
