//! Go memory: what was observed, what it means, which alerts follow.
//!
//! Bytes, numbers and times go in, values come out. This crate opens no file or socket and reads no clock or environment: where it
//! needs data it declares a trait ([`series::SeriesReader`], [`record::RecordSink`]) that `memwatch-store` implements.
//!
//! ```text
//! bytes ─► source ─► record ─► (store) ─► series ─► expr ─► alert ─► backtest ─► report
//! ```
//!
//! A rule over series held in memory; with `memwatch-store` the series come from a folder of recordings instead:
//!
//! ```
//! use memwatch_core::backtest::Backtest;
//! use memwatch_core::rule::RuleFile;
//! use memwatch_core::series::{MemorySeries, Series};
//! use memwatch_core::{TimeRange, Timestamp};
//!
//! let rules = RuleFile::parse("rules.toml", r#"
//!     [[group]]
//!     name = "memory"
//!     interval = "1s"
//!     [[group.rule]]
//!     alert = "AllocationBurst"
//!     expr = 'rate(allocs_total[5s]) > 10k'
//!     for = "2s"
//! "#)?;
//!
//! // 1,000 objects a second, then 50,000.
//! let second = 1_000_000_000;
//! let allocations = Series {
//!     labels: [("__name__", "allocs_total"), ("service", "checkout")].into_iter().collect(),
//!     at_ns: (0..30).map(|i| i * second).collect(),
//!     values: (0..30).map(|i| if i < 20 { 1e3 * f64::from(i) } else { 2e4 + 5e4 * f64::from(i - 20) }).collect(),
//! };
//! let recording = MemorySeries { series: vec![allocations] };
//!
//! let outcome = Backtest::new(&rules)
//!     .range(TimeRange { start: Timestamp(0), end: Timestamp(30 * second) })
//!     .run(&recording)?;
//! assert_eq!(outcome.alerts.len(), 1);
//! assert_eq!(outcome.alerts[0].labels.get("service"), "checkout");
//! # Ok::<(), memwatch_core::Error>(())
//! ```

pub mod alert;
pub mod backtest;
pub mod error;
pub mod expr;
#[doc(hidden)]
pub mod fuzz;
pub mod incident;
pub mod labels;
mod pace;
pub mod promtool;
pub mod record;
pub mod report;
pub mod rule;
mod seeded;
pub mod series;
pub mod source;
pub mod stats;
pub mod suggest;
pub mod time;
pub mod units;

pub use error::{Error, Place, Result};
pub use labels::{Labels, MatchOp, Matcher};
pub use time::{Steps, TimeRange, Timestamp, Window};
pub use units::{Bytes, Nanos};
