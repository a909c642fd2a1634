//! `cargo +nightly fuzz run manifest corpus/manifest`, in this folder: commits, one by one and as a manifest.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_store::fuzz::run("manifest", bytes));
