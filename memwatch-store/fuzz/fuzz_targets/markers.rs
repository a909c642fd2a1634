//! `cargo +nightly fuzz run markers corpus/markers`, in this folder: what says what a folder is and who writes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_store::fuzz::run("markers", bytes));
