//! Go memory: what was observed, what it means, which alerts follow.
//!
//! Bytes, numbers and times go in, values come out. This crate opens no file or socket and reads no clock or environment: where it
//! needs data it declares a trait ([`series::SeriesReader`], [`record::RecordSink`]) that `memwatch-store` implements.
//!
//! ```text
//! bytes ─► source ─► record ─► (store) ─► series ─► expr ─► alert ─► backtest
//! ```

pub mod alert;
pub mod backtest;
pub mod error;
pub mod expr;
pub mod incident;
pub mod labels;
pub mod record;
pub mod rule;
pub mod series;
pub mod source;
pub mod stats;
pub mod time;
pub mod units;

pub use error::{Error, Place, Result};
pub use labels::{Labels, MatchOp, Matcher};
pub use time::{Steps, TimeRange, Timestamp, Window};
pub use units::{Bytes, Nanos};
