//! Where memwatch keeps recordings: Parquet segments by day, a manifest as the only commit, scans and series over them.
//!
//! ```text
//! records ─► Writer ─► buffer ─► segment ─► manifest        Snapshot ─► scan ─► series
//!         └► Appender ─► WAL ──┘
//! ```
//!
//! One [`Writer`] or [`Appender`] at a time, any number of readers: a [`Snapshot`] sees what was acknowledged when it was taken, and never
//! blocks; a [`Subscription`] tells of new commits. Rows are durable when [`Writer::commit`] (many at once) or [`Appender::sync`] (as they come) has returned. Taking the same rows again, in any order and any split, changes nothing.
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
//! let hour = TimeRange {
//!     start: Timestamp::parse_rfc3339("2026-11-23T05:00:00Z")?,
//!     end: Timestamp::parse_rfc3339("2026-11-23T06:00:00Z")?,
//! };
//! let rows = snapshot.scan(Table::Samples, Some(&["ts", "heap_inuse_bytes"]), hour, &Instances::All)?;
//! assert_eq!(rows.map(|batch| batch.map(|b| b.num_rows())).sum::<Result<usize, _>>()?, 1);
//! # Ok(())
//! # }
//! ```

mod append;
mod buffer;
mod cache;
mod compaction;
mod damage;
mod error;
#[doc(hidden)]
pub mod fuzz;
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
mod storage;
mod subscription;
mod verify;
mod wal;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use memwatch_core::Timestamp;

pub use append::{Acknowledged, AppendSettings, Appender};
pub use compaction::{Compacted, Compaction, MergedDay};
pub use damage::{Gap, LeftOut};
pub use error::{Error, Result};
pub use layout::{Day, SegmentPath};
pub use manifest::{FORMAT, Segment, SourceHash, SourceIdentity};
pub use retention::{DroppedDay, Retained, Retention};
pub use scan::{Instances, Scan};
pub use schema::{Run, TABLES, Table};
pub use series::StoreSeries;
pub use snapshot::{Info, InstanceInfo, Snapshot, TableInfo};
#[cfg(feature = "s3")]
pub use storage::ObjectStorage;
#[doc(hidden)]
pub use storage::{Step, StepHook};
pub use subscription::Subscription;
pub use verify::{Finding, Verified};
pub use writer::{Committed, Recovered, RowCounts, Writer};

use cache::Cache;
use layout::Layout;
use manifest::State;
use overlay::Overlay;
#[cfg(feature = "s3")]
use storage::Bucket;
use storage::{Folder, Steps, Storage};
use wal::OnDamage;

/// A folder of recordings, or the like on object storage. Cheap to clone; clones share what was read and verified.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What a store's writers and snapshots share.
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) storage: Storage,
    pub(crate) cache: Cache,
    pub(crate) overlay: Overlay,
}

/// Makes the names of a store and of what lies in it durable: whoever gave them may have died before they were. From here on all rests on them.
pub(crate) fn settle_names(layout: &Layout, storage: &Storage) -> Result<()> {
    storage.create_dir(layout.root())?;
    storage.sync_dir(layout.root())
}

impl Store {
    /// Opens a store: a folder, or `s3://bucket/prefix` with what the environment says of it ([`ObjectStorage`]).
    ///
    /// # Errors
    /// When there is no store, or one of a newer format; when object storage cannot be reached.
    pub fn open(root: impl AsRef<Path>) -> Result<Store> {
        let root = root.as_ref();
        Store::open_on(root, storage::at(root)?)
    }

    /// Opens a store, making an empty one when the folder is missing or empty, or when nothing in the bucket has the prefix.
    ///
    /// # Errors
    /// When there is something else, nothing can be written, or the store is of a newer format; when object storage cannot be reached, or
    /// does not keep two writers apart ([`Error::Unconditional`]).
    pub fn create(root: impl AsRef<Path>) -> Result<Store> {
        let root = root.as_ref();
        Store::create_on(root, storage::at(root)?)
    }

    /// As [`Store::create`], for tests: `hook` is asked before each step that changes the folder and may stop the writer there.
    ///
    /// # Errors
    /// As [`Store::create`].
    #[doc(hidden)]
    pub fn create_failing(root: impl AsRef<Path>, hook: StepHook) -> Result<Store> {
        let folder = Folder::stopped_by(Steps::failing(hook));
        Store::create_on(root.as_ref(), Arc::new(folder))
    }

    /// Opens a store on object storage that is reached as given.
    ///
    /// # Errors
    /// As [`Store::open`].
    #[cfg(feature = "s3")]
    pub fn open_with(url: impl AsRef<Path>, given: &ObjectStorage) -> Result<Store> {
        let bucket = Bucket::open(url.as_ref(), given, Steps::default())?;
        Store::open_on(url.as_ref(), Arc::new(bucket))
    }

    /// Opens a store on object storage that is reached as given, making an empty one when nothing in the bucket has the prefix.
    ///
    /// # Errors
    /// As [`Store::create`].
    #[cfg(feature = "s3")]
    pub fn create_with(url: impl AsRef<Path>, given: &ObjectStorage) -> Result<Store> {
        let bucket = Bucket::open(url.as_ref(), given, Steps::default())?;
        Store::create_on(url.as_ref(), Arc::new(bucket))
    }

    /// As [`Store::create_failing`], on object storage.
    ///
    /// # Errors
    /// As [`Store::create`].
    #[cfg(feature = "s3")]
    #[doc(hidden)]
    pub fn create_with_failing(
        url: impl AsRef<Path>,
        given: &ObjectStorage,
        hook: StepHook,
    ) -> Result<Store> {
        let bucket = Bucket::open(url.as_ref(), given, Steps::failing(hook))?;
        Store::create_on(url.as_ref(), Arc::new(bucket))
    }

    /// Whether the folder is a store, of whatever format. Of an address of object storage, and of a folder that cannot be looked at, only
    /// opening it can say: they count as one.
    #[must_use]
    pub fn is_store(root: impl AsRef<Path>) -> bool {
        let root = root.as_ref();
        let is_marker = |path: &Path| match path.metadata() {
            Ok(found) => found.is_file(),
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        };
        storage::is_url(root) || is_marker(&Layout::new(root).marker())
    }

    fn create_on(root: &Path, storage: Storage) -> Result<Store> {
        let layout = Layout::new(root);
        if storage.size(&layout.marker())?.is_some() {
            settle_names(&layout, &storage)?;
        } else {
            // The unfinished name of a marker is what a crash in the next step leaves.
            let found = match storage.names(layout.root()) {
                Err(_) if root.is_file() => Some("a file"),
                names => {
                    let names = names?.unwrap_or_default();
                    let filled = names.iter().any(|name| !name.starts_with("memwatch."));
                    filled.then_some("a folder with other things in it")
                }
            };
            if let Some(found) = found {
                return Err(Error::NotAStore {
                    path: root.to_path_buf(),
                    found,
                });
            }
            storage.create_dir(layout.root())?;
            marker::write(&layout, &storage, &marker::created_by())?;
            if let Err(unfit) = storage.check_fit(&layout.marker()) {
                let _ = storage.remove(&layout.marker());
                return Err(unfit);
            }
        }
        Store::open_on(root, storage)
    }

    fn open_on(root: &Path, storage: Storage) -> Result<Store> {
        let layout = Layout::new(root);
        marker::read(&layout, &storage)?;
        Ok(Store {
            shared: Arc::new(Shared {
                layout,
                storage,
                cache: Cache::default(),
                overlay: Overlay::default(),
            }),
        })
    }

    /// The store's folder, or its address.
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
