//! The store from outside.

mod compaction;
mod crash;
mod damage;
mod docs;
mod idempotence;
mod ingest;
#[cfg(feature = "sql")]
mod query;
mod round_trip;
mod rows;
mod series;
