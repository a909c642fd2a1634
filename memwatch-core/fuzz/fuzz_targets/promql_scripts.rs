//! `cargo +nightly fuzz run promql_scripts corpus/promql_scripts ../../testdata/promql`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("promql_scripts", bytes));
