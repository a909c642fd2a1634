//! `cargo +nightly fuzz run artifacts ../../testdata/pprof ../../testdata/trace`, in this folder.
#![no_main]

use memwatch_core::source::fuzz::any_artifact;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_artifact(bytes));
