//! `cargo +nightly fuzz run states corpus/states`, in this folder: sketches and baselines kept as bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("states", bytes));
