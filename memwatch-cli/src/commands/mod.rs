//! One file per command: parse, call, render.

pub mod info;
pub mod ingest;
pub mod query;
