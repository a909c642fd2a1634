//! `cargo +nightly fuzz run promql_scripts corpus/promql_scripts ../../testdata/promql`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    memwatch_core::expr::fuzz::any_script(text);
});
