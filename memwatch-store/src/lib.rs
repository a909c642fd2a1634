//! Where memwatch keeps recordings: Parquet segments by day, a manifest as the only commit, scans and series over them.
//!
//! ```text
//! records ─► Writer ─► buffer ─► segment ─► manifest        Snapshot ─► scan ─► series
//!         └► Appender ─► WAL ──┘
//! ```
//!
//! One [`Writer`] or [`Appender`] at a time, any number of readers: a [`Snapshot`] sees what was acknowledged when it was taken, and never
//! blocks. Rows are durable when [`Writer::commit`] (many at once) or [`Appender::sync`] (as they come) has returned. Taking the same rows again, in any order and any split, changes nothing.
//!
//! ```
//! use memwatch_core::record::{Identity, MemorySample, RecordSink};
//! use memwatch_core::{Bytes, TimeRange, Timestamp};
//! use memwatch_store::{Instances, Store, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::create(dir.path())?;
//! let mut writer = store.writer()?;
//! let of = Identity { service: "checkout".into(), instance: "checkout-0".into() };
//! let mut sample = MemorySample::default();
//! sample.at = Timestamp::parse_rfc3339("2026-11-23T05:03:09Z")?;
//! sample.heap_inuse = Some(Bytes(4 << 20));
//! writer.sample(&of, &sample)?;
//! writer.commit(&[])?;
//!
//! let snapshot = store.snapshot()?;
//! let rows = snapshot.scan(Table::Samples, Some(&["ts", "heap_inuse_bytes"]), TimeRange::ALL, &Instances::All)?;
//! assert_eq!(rows.map(|batch| batch.map(|b| b.num_rows())).sum::<Result<usize, _>>()?, 1);
//! # Ok(())
//! # }
//! ```

mod append;
mod buffer;
mod cache;
mod compaction;
mod damage;
mod disk;
mod error;
mod identity;
pub mod ingest;
mod layout;
mod lock;
pub mod manifest;
mod marker;
mod overlay;
#[cfg(feature = "sql")]
pub mod query;
mod retention;
mod row_sink;
mod scan;
pub mod schema;
mod segment;
pub mod series;
mod snapshot;
mod verify;
mod wal;
mod writer;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use memwatch_core::Timestamp;

pub use append::{Acknowledged, AppendSettings, Appender};
pub use compaction::{Compacted, Compaction, MergedDay};
pub use damage::{Gap, LeftOut};
#[doc(hidden)]
pub use disk::{Step, StepHook};
pub use error::{Error, Result};
pub use layout::{Day, SegmentPath};
pub use manifest::{FORMAT, Segment, SourceHash, SourceIdentity};
pub use retention::{DroppedDay, Retained, Retention};
pub use scan::{Instances, Scan};
pub use schema::{Run, TABLES, Table};
pub use series::StoreSeries;
pub use snapshot::{Info, InstanceInfo, Snapshot, TableInfo};
pub use verify::{Finding, Verified};
pub use writer::{Committed, Recovered, RowCounts, Writer};

use cache::Cache;
use disk::Disk;
use layout::Layout;
use manifest::State;
use overlay::Overlay;
use wal::OnDamage;

/// A folder of recordings. Cheap to clone; clones share what was read and verified.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What a store's writers and snapshots share.
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) disk: Disk,
    pub(crate) cache: Cache,
    pub(crate) overlay: Overlay,
}

impl Store {
    /// Opens a store.
    ///
    /// # Errors
    /// When the folder is not a store, or one of a newer format.
    pub fn open(root: impl AsRef<Path>) -> Result<Store> {
        Store::open_on(root.as_ref(), Disk::default())
    }

    /// Opens a store, making an empty one when the folder is missing or empty.
    ///
    /// # Errors
    /// When the folder holds something else, cannot be written, or is a store of a newer format.
    pub fn create(root: impl AsRef<Path>) -> Result<Store> {
        Store::create_on(root.as_ref(), Disk::default())
    }

    /// As [`Store::create`], for tests: `hook` is asked before each step on the disk and may stop the writer there.
    ///
    /// # Errors
    /// As [`Store::create`].
    #[doc(hidden)]
    pub fn create_failing(root: impl AsRef<Path>, hook: StepHook) -> Result<Store> {
        Store::create_on(root.as_ref(), Disk::failing(hook))
    }

    /// Whether the folder is a store, of whatever format.
    #[must_use]
    pub fn is_store(root: impl AsRef<Path>) -> bool {
        Layout::new(root.as_ref()).marker().is_file()
    }

    fn create_on(root: &Path, disk: Disk) -> Result<Store> {
        let layout = Layout::new(root);
        if !layout.marker().exists() {
            let filled = match fs::read_dir(root) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => false,
                Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                    return Err(Error::NotAStore {
                        path: root.to_path_buf(),
                        found: "a file",
                    });
                }
                Err(e) => return Err(Error::io(root, "list")(e)),
                // The unfinished name of a marker is what a crash in the next step leaves.
                Ok(entries) => entries
                    .flatten()
                    .any(|entry| !entry.file_name().to_string_lossy().starts_with("memwatch.")),
            };
            if filled {
                let found = "a folder with other things in it";
                return Err(Error::NotAStore {
                    path: root.to_path_buf(),
                    found,
                });
            }
            disk.create_dir(root)?;
            marker::write(&layout, &disk, &marker::created_by())?;
        }
        Store::open_on(root, disk)
    }

    fn open_on(root: &Path, disk: Disk) -> Result<Store> {
        let layout = Layout::new(root);
        marker::read(&layout)?;
        Ok(Store {
            shared: Arc::new(Shared {
                layout,
                disk,
                cache: Cache::default(),
                overlay: Overlay::default(),
            }),
        })
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.shared.layout.root()
    }

    /// The only writer.
    ///
    /// # Errors
    /// [`Error::Locked`] with the owner when there is another one.
    pub fn writer(&self) -> Result<Writer> {
        Writer::open(Arc::clone(&self.shared), OnDamage::Recover)
    }

    /// What is acknowledged now: what is committed, and rows of an [`Appender`] that are in no segment yet.
    ///
    /// # Errors
    /// When the manifest or the WAL cannot be read or is damaged.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(overlay::acknowledged(&self.shared, OnDamage::Fail)?.0)
    }

    /// The same without what is damaged, and what is missing with it. Reads every byte once.
    ///
    /// # Errors
    /// When the manifest cannot be read or is damaged, or a file cannot be read for another reason.
    pub fn snapshot_without_damage(&self) -> Result<(Snapshot, Vec<LeftOut>)> {
        let (snapshot, mut left_out) = overlay::acknowledged(&self.shared, OnDamage::Skip)?;
        let (snapshot, more) = snapshot.without_damage()?;
        left_out.extend(more);
        Ok((snapshot, left_out))
    }

    pub(crate) fn at(&self, state: State) -> Snapshot {
        Snapshot::new(Arc::clone(&self.shared), Arc::new(state))
    }
}

/// The time now: for names, locks and the commits' dates, never for data.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
