//! `cargo +nightly fuzz run expvar ../../testdata/expvar`, in this folder.
#![no_main]

use memwatch_core::source::{SOURCES, fuzz::any_bytes};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for source in SOURCES.iter().filter(|source| source.name() == "expvar") {
        any_bytes(*source, bytes);
    }
});
