//! `cargo +nightly fuzz run rule_files corpus/rule_files ../../testdata/rules`, in this folder: read in both languages, and settings changed in the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("rule_files", bytes));
