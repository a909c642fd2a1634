//! `cargo +nightly fuzz run prometheus_query corpus/prometheus_query ../../testdata/prometheus-query`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("prometheus_query", bytes));
