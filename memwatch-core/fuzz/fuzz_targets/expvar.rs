//! `cargo +nightly fuzz run expvar corpus/expvar ../../testdata/expvar`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("expvar", bytes));
