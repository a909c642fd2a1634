//! Where the files of a store lie, and the only way to them: a folder, or a bucket of object storage.
//!
//! Both keep the same names and make the same promise: what [`Storage::write_if_absent`] has written is durable and was not there before.
//! So everything above is written once. What they do differently: a folder renames and syncs, a bucket copies and deletes, and its
//! objects are there whole or not at all; a folder is locked by the system, a bucket by an object with a lease
//! ([`WriterLock::must_fence`]).
//!
//! Names are paths: that of a file in a bucket is `s3://bucket/prefix/` and its name below the store.

#[cfg(feature = "s3")]
mod bucket;
mod folder;
#[cfg(feature = "s3")]
mod lease;
#[cfg(feature = "s3")]
mod object_storage;
#[cfg(feature = "s3")]
mod problem;
mod steps;
#[cfg(feature = "s3")]
mod upload;

use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use memwatch_core::Timestamp;

#[cfg(feature = "s3")]
pub(crate) use bucket::Bucket;
pub(crate) use folder::Folder;
#[cfg(feature = "s3")]
pub(crate) use lease::any_lease;
#[cfg(feature = "s3")]
pub use object_storage::ObjectStorage;
pub(crate) use steps::Steps;
pub use steps::{Step, StepHook};

use crate::Result;

/// Where the files of one store lie.
pub(crate) type Storage = Arc<dyn Backend>;

/// A file that was found in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    /// When it was last written, where the listing says so.
    pub(crate) modified: Option<SystemTime>,
}

/// What a store needs of the place of its files. Every step that changes something can be stopped by a test ([`StepHook`]).
pub(crate) trait Backend: Send + Sync {
    /// The whole of a file; `None` when there is none.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>>;

    /// The same of several, at once where that is faster.
    fn read_each(&self, paths: &[PathBuf]) -> Result<Vec<Option<Vec<u8>>>> {
        paths.iter().map(|path| self.read(path)).collect()
    }

    /// A file from its beginning on, piece by piece; `None` when there is none.
    fn reader(&self, path: &Path) -> Result<Option<Box<dyn Read>>>;

    /// A stretch of a file, and the size of the file; fewer bytes where it ends before. `None` when there is none.
    fn read_range(&self, path: &Path, range: Range<u64>) -> Result<Option<(Bytes, u64)>>;

    /// The size of a file; `None` when there is none.
    fn size(&self, path: &Path) -> Result<Option<u64>>;

    /// The names of all that is directly in a folder, folders too; `None` when there is no such folder.
    fn names(&self, folder: &Path) -> Result<Option<Vec<String>>>;

    /// The files directly in a folder; none when there is no such folder.
    fn list(&self, folder: &Path) -> Result<Vec<Listed>>;

    /// The files in the folders of a folder.
    fn list_below(&self, folder: &Path) -> Result<Vec<Listed>>;

    /// Whether a file was last written longer ago than that.
    fn is_older_than(&self, file: &Listed, age: Duration) -> bool;

    /// A new file, which must not exist, readable by others only when `private` is false.
    fn create(&self, path: &Path, private: bool) -> Result<Box<dyn NewFile>>;

    /// Gives a file another name, whatever stood there. Nobody ever finds none of the two.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives a replaced file another name, and lets its time of grace begin.
    fn set_aside(&self, from: &Path, to: &Path) -> Result<()>;

    /// A second name for a file; a copy where there are no second names.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; one that is not there is no failure.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes a folder with its parents, durably; nothing where folders are only names.
    fn create_dir(&self, dir: &Path) -> Result<()>;

    /// Makes the names in a folder durable; nothing where they are at once.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// A whole file under its name, durably, whatever stood there.
    fn write(&self, path: &Path, content: &[u8], private: bool) -> Result<()>;

    /// A whole file under its name, durably, only when there is none: of several writers one wins, the others get
    /// [`crate::Error::Conflict`].
    fn write_if_absent(&self, path: &Path, content: &[u8]) -> Result<()>;

    /// Refuses a place where two writers could not be kept apart. `marker` is a file that exists; it stays as it is.
    fn check_fit(&self, marker: &Path) -> Result<()> {
        let _ = marker;
        Ok(())
    }

    /// Takes the writer's lock, or says who has it, after [`Backend::check_fit`].
    fn lock(&self, lock: &Path, marker: &Path, now: Timestamp) -> Result<Box<dyn WriterLock>>;

    /// Whether files are reached over a network: then they are read in large pieces, and there is no WAL.
    fn is_remote(&self) -> bool;
}

/// A file being written: what is written is durable once it is synced.
pub(crate) trait NewFile: Write + Send {
    /// Adds bytes in one go.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the content so far durable. In a bucket the file is not there before, and takes no more.
    fn sync(&mut self) -> Result<()>;
}

/// One writer at a time. Dropping it lets the lock go.
pub(crate) trait WriterLock: Send + Sync {
    /// Who this writer is, in its commits: so that one whose answer got lost on the way is known again.
    fn id(&self) -> Option<&str> {
        None
    }

    /// Whether the owner before may still be at work: then the next number of the manifest has to be taken before anything that it wrote
    /// is touched.
    fn must_fence(&self) -> bool {
        false
    }

    /// Fails when another writer took over. What follows within seconds happens under the lock.
    fn confirm(&self) -> Result<()> {
        Ok(())
    }

    /// All that this writer began has ended: the next one need not fence.
    fn ended_clean(&mut self) {}
}

/// Whether this is an address of object storage, and no path of this machine.
pub(crate) fn is_url(root: &Path) -> bool {
    root.as_os_str().as_encoded_bytes().starts_with(b"s3://")
}

/// The place of a store's files.
pub(crate) fn at(root: &Path) -> Result<Storage> {
    if is_url(root) {
        return bucket_at(root);
    }
    Ok(Arc::new(Folder::default()))
}

#[cfg(feature = "s3")]
fn bucket_at(root: &Path) -> Result<Storage> {
    Ok(Arc::new(Bucket::open(
        root,
        &ObjectStorage::from_env(),
        Steps::default(),
    )?))
}

#[cfg(not(feature = "s3"))]
fn bucket_at(root: &Path) -> Result<Storage> {
    Err(crate::Error::Unsupported {
        path: root.to_path_buf(),
        what: "object storage",
        instead: "build memwatch with its feature `s3`",
    })
}
