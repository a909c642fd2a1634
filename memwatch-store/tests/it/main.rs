//! The store from outside.

mod append;
mod compaction;
mod crash;
#[cfg(feature = "sql")]
mod cross_check;
mod damage;
mod docs;
#[cfg(feature = "sql")]
mod doors;
mod format;
mod fuzz;
mod idempotence;
mod ingest;
mod peers;
#[cfg(feature = "sql")]
mod query;
mod round_trip;
mod rows;
#[cfg(feature = "s3")]
mod s3;
mod series;
#[cfg(feature = "sql")]
mod sql;
mod verify;
