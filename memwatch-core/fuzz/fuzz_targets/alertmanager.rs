//! `cargo +nightly fuzz run alertmanager corpus/alertmanager`, in this folder: Alertmanager's configuration and events of silences.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memwatch_core::fuzz::run("alertmanager", bytes));
