//! `cargo +nightly fuzz run expressions`, in this folder.
#![no_main]

use memwatch_core::expr::fuzz::{any_expression, series};

libfuzzer_sys::fuzz_target!(|text: &str| {
    any_expression(text, &series());
});
