//! `cargo +nightly fuzz run rule_files corpus/rule_files ../../testdata/rules`, in this folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    memwatch_core::expr::fuzz::any_rules(text);
});
