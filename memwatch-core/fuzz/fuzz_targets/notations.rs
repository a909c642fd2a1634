//! `cargo +nightly fuzz run notations corpus/notations`, in this folder: what users type, and templates of labels and annotations.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("notations", bytes));
