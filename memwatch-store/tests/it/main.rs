//! The store from outside.

mod append;
mod compaction;
mod crash;
mod damage;
mod docs;
mod format;
mod idempotence;
mod ingest;
#[cfg(feature = "sql")]
mod query;
mod round_trip;
mod rows;
mod series;
mod verify;
