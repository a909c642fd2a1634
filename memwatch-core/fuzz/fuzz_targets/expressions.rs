//! `cargo +nightly fuzz run expressions corpus/expressions`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("expressions", bytes));
