//! What can go wrong in this crate, said with the file, what was expected and what was found.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

use crate::damage::Gap;
use crate::manifest::Segment;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `rename` …
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder is not a store.
    #[error("{}: expected a memwatch store (a folder with memwatch.json), found {found}", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// A store was written by a newer memwatch.
    #[error("{}: expected format {supported} or older, found {found}: written by a newer memwatch", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },
    /// A file of the store is not what was written.
    #[error("{}: damaged: expected {expected}, found {found}{}", path.display(), missing(gap.as_deref()))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was written.
        expected: String,
        /// What is there.
        found: String,
        /// The rows that cannot be read because of it.
        gap: Option<Box<Gap>>,
    },
    /// Another writer has the store.
    #[error("{}: another writer has this store: {owner}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it: process, host and since when.
        owner: String,
    },
    /// Somebody else made the commit that this writer was about to make.
    #[error("{}: expected to be the first to write this commit, found it written", path.display())]
    Conflict {
        /// The commit file.
        path: PathBuf,
    },
    /// A segment is not Parquet as this crate writes it.
    #[error("{}: cannot read or write as Parquet", path.display())]
    Parquet {
        /// The segment.
        path: PathBuf,
        /// What the Parquet library said.
        #[source]
        source: ParquetError,
    },
    /// Object storage refused, or could not be reached.
    #[error("{}: cannot {action}: {problem}", path.display())]
    ObjectStorage {
        /// The address of the object, or of what was to be listed.
        path: PathBuf,
        /// What was tried: `read`, `write`, `list` …
        action: &'static str,
        /// What is wrong, and which variable of the environment or permission to look at.
        problem: String,
        /// What the server or the network said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A server takes writes that it was asked to refuse, so that two writers could not be kept apart.
    #[error("{}: expected a server that refuses a write whose condition ({condition}) does not hold, found one that {found}: two writers \
             could overwrite each other's commits there, so memwatch writes nothing", path.display())]
    Unconditional {
        /// The object.
        path: PathBuf,
        /// The condition: `If-None-Match: *`, `If-Match`.
        condition: &'static str,
        /// What the server did.
        found: String,
    },
    /// Another writer took this store over; what was not committed is lost.
    #[error("{}: another writer took this store over: {owner}; this one had not renewed its lock in time", path.display())]
    LockLost {
        /// The lock.
        path: PathBuf,
        /// Who holds it now.
        owner: String,
    },
    /// Something does not exist at this place.
    #[error("{}: {what} is not supported here: {instead}", path.display())]
    Unsupported {
        /// The store.
        path: PathBuf,
        /// What was asked for.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// Columns could not be put together.
    #[error("cannot arrange columns")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A table has no such column.
    #[error("expected a column of table `{table}`, found `{column}`")]
    UnknownColumn {
        /// The table.
        table: &'static str,
        /// What was asked for.
        column: String,
    },
    /// A value lies outside of what the store can hold.
    #[error("field `{field}`: expected {expected}, found `{found}`")]
    Value {
        /// The field.
        field: &'static str,
        /// What fits.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// The writer failed before; what it had not committed is lost, and a new writer has to be opened.
    #[error("this writer failed before and takes no more rows: open a new one")]
    WriterFailed,
    /// What was named as input cannot be read.
    #[error(transparent)]
    Input(#[from] crate::ingest::InputError),
    /// A statement is not one, asks for what is not there, or failed.
    #[error("{message}")]
    Sql {
        /// What is wrong.
        message: String,
    },
    /// A query took longer than it may.
    #[error("expected an answer within {}, found none: raise the limit, or ask for less", memwatch_core::Nanos(i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX)))]
    Timeout {
        /// The limit.
        limit: std::time::Duration,
    },
    /// A merge did not keep all rows: a fault of this crate, found before anything was committed.
    #[error("merging segments: expected {expected} rows, found {found}: nothing was changed")]
    Merge {
        /// Rows that went in, without duplicates.
        expected: u64,
        /// Rows that came out.
        found: u64,
    },
    /// Something of the core crate failed.
    #[error(transparent)]
    Core(#[from] memwatch_core::Error),
}

impl Error {
    /// A closure for `map_err` that says which file it was and what was tried.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io {
            path,
            action,
            source,
        }
    }

    /// A closure for `map_err` around the Parquet library.
    pub(crate) fn parquet(path: &Path) -> impl FnOnce(ParquetError) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Parquet { path, source }
    }

    /// A file of the store is not what was written.
    pub(crate) fn damaged(
        path: &Path,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        Error::Damaged {
            path: path.to_path_buf(),
            expected: expected.into(),
            found: found.into(),
            gap: None,
        }
    }

    /// The same with the rows that are missing, when it is about a segment that is damaged.
    pub(crate) fn with_gap(mut self, segment: &Segment) -> Error {
        if let Error::Damaged { gap, .. } = &mut self {
            gap.get_or_insert_with(|| Box::new(Gap::of(segment)));
        }
        self
    }
}

fn missing(gap: Option<&Gap>) -> String {
    gap.map_or_else(String::new, |gap| format!("; missing: {gap}"))
}

impl From<Error> for memwatch_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(inner) => inner,
            other => memwatch_core::Error::outside(other),
        }
    }
}
