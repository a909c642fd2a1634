//! `cargo +nightly fuzz run spans corpus/spans ../../testdata/spans`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("spans", bytes));
