//! `cargo +nightly fuzz run alertmanager`, in this folder: Alertmanager's configuration and events of silences.
#![no_main]

use memwatch_core::rule::{read_notifications, read_silences};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = read_notifications("am.yml", text);
        let _ = read_silences("silences.ndjson", text);
    }
});
