//! Rows one after the other, durable soon: for recordings that last, and for programs that keep their own.
//!
//! Rows gather in memory; [`Appender::sync`] writes those since the last one to the WAL and syncs it once for all of them. What it has
//! returned for survives a crash, and readers see it at once. Once there are enough rows, or the oldest is old enough, they become
//! segments in one commit, and the WAL before it goes.
//!
//! ```
//! use memwatch_core::record::{Identity, MemorySample, RecordSink};
//! use memwatch_core::{Bytes, Timestamp};
//! use memwatch_store::Store;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::create(dir.path())?;
//! let mut appender = store.append()?;
//! let of = Identity { service: "checkout".into(), instance: "checkout-0".into() };
//! let mut sample = MemorySample::default();
//! sample.at = Timestamp::parse_rfc3339("2026-11-23T05:03:09Z")?;
//! sample.heap_inuse = Some(Bytes(4 << 20));
//! appender.sample(&of, &sample)?;
//! assert_eq!(appender.sync()?.rows, 1); // Acknowledged.
//! assert_eq!(store.snapshot()?.info().tables[0].rows, 1);
//! appender.flush()?; // In a segment, for every other engine to read.
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use memwatch_core::record::{Artifact, Identity};

use crate::buffer::Columns;
use crate::row_sink::{RowSink, record_sink};
use crate::schema::{Row, Run, TABLES};
use crate::wal::WalWriter;
use crate::writer::{Recovered, Writer};
use crate::{Committed, Error, Result, Store};

/// Rows that gather before they are written to the WAL, synced or not: a frame stays far below its limit.
const GROUP_BYTES: usize = 8 << 20;

/// When acknowledged rows become segments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendSettings {
    /// At so many rows.
    pub flush_rows: u64,
    /// When the oldest has waited for so long.
    pub flush_after: Duration,
}

impl Default for AppendSettings {
    /// 100,000 rows, 10 minutes.
    fn default() -> Self {
        AppendSettings {
            flush_rows: 100_000,
            flush_after: Duration::from_secs(600),
        }
    }
}

/// What [`Appender::sync`] made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acknowledged {
    /// Rows since the sync before.
    pub rows: u64,
    /// All rows of this appender so far.
    pub total: u64,
}

/// Takes rows that are durable when [`Appender::sync`] has returned. The only writer of its store.
///
/// Rows that are not synced are gone when it is dropped; those that are stay in the WAL until the next writer opens the store.
pub struct Appender {
    writer: Writer,
    wal: WalWriter,
    settings: AppendSettings,
    /// Rows since the last sync, by table.
    group: Vec<Columns>,
    group_rows: u64,
    total: u64,
    /// Rows in the WAL that are in no segment, and since when.
    waiting: u64,
    since: Option<Instant>,
}

impl Store {
    /// The only writer, for rows that come one after the other. What a crashed one left in the WAL is in segments first.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] with the owner when there is another writer; when the WAL is damaged; [`crate::Error::Unsupported`] on
    /// object storage.
    pub fn append(&self) -> Result<Appender> {
        self.append_with(AppendSettings::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub fn append_with(&self, settings: AppendSettings) -> Result<Appender> {
        if self.shared.storage.is_remote() {
            return Err(Error::Unsupported {
                path: self.root().to_path_buf(),
                what: "appending row by row",
                instead: "an acknowledged row is synced to a write-ahead log within milliseconds, which takes a disk: append to a \
                          store in a folder, or use a `Writer` and commit every minute",
            });
        }
        let mut writer = self.writer()?;
        let staging = writer.staging();
        let wal = WalWriter::after(Arc::clone(&staging.shared), staging.state.wal);
        Ok(Appender {
            writer,
            wal,
            settings,
            group: TABLES
                .iter()
                .map(|(table, _)| Columns::new(*table))
                .collect(),
            group_rows: 0,
            total: 0,
            waiting: 0,
            since: None,
        })
    }
}

impl Appender {
    /// What was found of a writer that crashed.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        self.writer.recovered()
    }

    /// Saves one alert of a backtest.
    ///
    /// # Errors
    /// When the WAL cannot be written.
    pub fn run(&mut self, of: &Identity, row: &Run) -> Result<()> {
        self.push(of, row)
    }

    /// Makes all rows so far durable: acknowledged. Readers see them at once. Flushes when it is time to.
    ///
    /// # Errors
    /// When something cannot be written or synced. Then nobody knows what is durable: the appender takes no more rows, and opening a new one
    /// finds out.
    pub fn sync(&mut self) -> Result<Acknowledged> {
        let acknowledged = self.sync_only()?;
        let waited = self
            .since
            .is_some_and(|since| since.elapsed() >= self.settings.flush_after);
        if self.waiting >= self.settings.flush_rows || waited {
            self.flush()?;
        }
        Ok(acknowledged)
    }

    fn sync_only(&mut self) -> Result<Acknowledged> {
        let rows = std::mem::take(&mut self.group_rows);
        let wal = &mut self.wal;
        let group = &mut self.group;
        // Also without rows: those that a failed sync took with it are not acknowledged by the next one.
        self.writer.guarded(|_| {
            if rows == 0 {
                return Ok(());
            }
            for columns in group.iter_mut().filter(|columns| columns.rows() > 0) {
                wal.append(columns)?;
                columns.clear();
            }
            wal.sync()
        })?;
        if rows > 0 {
            self.total += rows;
            self.waiting += rows;
            self.since.get_or_insert_with(Instant::now);
        }
        Ok(Acknowledged {
            rows,
            total: self.total,
        })
    }

    /// Makes segments of all rows so far, in one commit.
    ///
    /// # Errors
    /// As [`Appender::sync`]. Rows that were acknowledged before are in the WAL still.
    pub fn flush(&mut self) -> Result<Committed> {
        self.sync_only()?;
        self.wal.rotate();
        let last = self.wal.last();
        let committed = self.writer.guarded(|writer| writer.flush_wal(last))?;
        self.waiting = 0;
        self.since = None;
        Ok(committed)
    }
}

impl RowSink for Appender {
    fn push<R: Row>(&mut self, of: &Identity, row: &R) -> Result<()> {
        self.writer.check_usable()?;
        let group = &mut self.group[R::TABLE.index()];
        group.push(of, row, 0);
        self.group_rows += 1;
        if group.bytes() > GROUP_BYTES {
            let wal = &mut self.wal;
            self.writer.guarded(|_| wal.append(group))?;
            group.clear();
        }
        Ok(())
    }

    fn keep(&mut self, row: &Artifact, content: &[u8]) -> Result<(String, String)> {
        self.writer.guarded(|w| w.store_artifact(row, content))
    }
}

record_sink!(Appender);
