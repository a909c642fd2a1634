//! `cargo +nightly fuzz run samples corpus/samples ../../testdata/samples`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("samples", bytes));
