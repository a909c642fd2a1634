//! `cargo +nightly fuzz run wal corpus/wal`, in this folder: files of the WAL, and what each way of reading them gives.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_store::fuzz::run("wal", bytes));
