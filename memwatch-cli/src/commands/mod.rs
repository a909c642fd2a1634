//! One file per command: parse, call, render.

pub mod backtest;
pub mod budget;
pub mod check;
pub mod compact;
pub mod diff;
pub mod export;
pub mod info;
pub mod ingest;
pub mod new_file;
pub mod notify;
pub mod promql;
pub mod query;
pub mod recording;
pub mod replay;
pub mod report;
pub mod retain;
pub mod truth;
pub mod tune;
pub mod verify;

use std::time::{SystemTime, UNIX_EPOCH};

use memwatch_core::Timestamp;

use crate::render::clean;

/// A message for people, on standard error.
#[allow(clippy::print_stderr)] // Where messages belong.
pub fn say(message: &str) {
    eprintln!("{}", clean(message, true));
}

/// The time now.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
