//! `cargo +nightly fuzz run prometheus corpus/prometheus ../../testdata/prometheus`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("prometheus", bytes));
