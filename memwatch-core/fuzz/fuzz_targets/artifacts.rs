//! `cargo +nightly fuzz run artifacts corpus/artifacts ../../testdata/pprof ../../testdata/trace ../../testdata/goroutine-dump`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("artifacts", bytes));
