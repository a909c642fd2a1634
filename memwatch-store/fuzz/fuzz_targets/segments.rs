//! `cargo +nightly fuzz run segments corpus/segments`, in this folder: Parquet files: footers, checksums of columns, rows.
//!
//! The store survives panics of the Parquet library, so only one that comes through is a finding.
#![no_main]

use std::panic::{catch_unwind, set_hook};
use std::sync::Mutex;

static LAST: Mutex<String> = Mutex::new(String::new());

libfuzzer_sys::fuzz_target!(
    init: set_hook(Box::new(|panic| {
        if let Ok(mut last) = LAST.lock() {
            *last = panic.to_string();
        }
    })),
    |bytes: &[u8]| {
        if catch_unwind(|| memwatch_store::fuzz::run("segments", bytes)).is_err() {
            eprintln!("{}", LAST.lock().map(|last| last.clone()).unwrap_or_default());
            std::process::abort();
        }
    }
);
