//! Whether everything is as it was written, and setting aside what is not.
//!
//! [`Store::verify`] reads every byte: all commits, of each live segment the checksums of file, row groups and footer, then every row of
//! it (order, instances, times, statistics that queries prune by), the WAL, the files kept whole by their hash, and looks for files that belong to
//! no commit. [`Store::repair`] copies what is damaged to `quarantine/` and takes it out of the manifest; rows in row groups that are
//! whole stay. A manifest that is damaged itself is made anew from the segments that are there.

mod bounds;
mod files;
mod rebuild;
mod repair;
mod segment;

use std::fmt;
use std::path::Path;

use crate::damage::Gap;
use crate::manifest::State;
use crate::schema::Table;
use crate::{Error, Result, Store};

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file, as a path below the store.
    pub file: String,
    /// What was expected and what was found.
    pub problem: String,
    /// Rows that cannot be read because of it.
    pub gap: Option<Gap>,
    /// Where [`Store::repair`] put a copy of the file, below the store.
    pub set_aside: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.problem)?;
        if let Some(gap) = &self.gap {
            write!(f, "; missing: {gap}")?;
        }
        match &self.set_aside {
            Some(path) => write!(f, "; set aside as {path}"),
            None => Ok(()),
        }
    }
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The number of the last commit.
    pub version: u64,
    /// Live segments.
    pub segments: usize,
    /// Rows in them that were read.
    pub rows: u64,
    /// Bytes of all files that were read.
    pub bytes: u64,
    /// Files kept whole.
    pub artifacts: usize,
    /// What is wrong, by file.
    pub findings: Vec<Finding>,
    /// What is left of a crash or waits for its time, and harms nobody.
    pub notes: Vec<String>,
}

impl Verified {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, store: &Store, error: Error) {
        self.findings.push(finding(store.root(), error));
    }
}

/// An error as a finding.
fn finding(root: &Path, error: Error) -> Finding {
    let below = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path);
        path.to_string_lossy().replace('\\', "/")
    };
    match error {
        Error::Damaged {
            path,
            expected,
            found,
            gap,
        } => Finding {
            file: below(&path),
            problem: format!("expected {expected}, found {found}"),
            gap: gap.map(|gap| *gap),
            set_aside: None,
        },
        other => {
            let mut problem = other.to_string();
            let mut cause = std::error::Error::source(&other);
            while let Some(inner) = cause {
                problem = format!("{problem}: {inner}");
                cause = inner.source();
            }
            let file = match &other {
                Error::Io { path, .. }
                | Error::ObjectStorage { path, .. }
                | Error::Parquet { path, .. }
                | Error::NewerFormat { path, .. } => below(path),
                _ => String::new(),
            };
            Finding {
                file,
                problem,
                gap: None,
                set_aside: None,
            }
        }
    }
}

impl Store {
    /// Looks at everything. Takes no lock and changes nothing: with a writer at work, only what it has committed is looked at.
    ///
    /// # Errors
    /// When a folder cannot be listed. What is wrong with files is in the result.
    pub fn verify(&self) -> Result<Verified> {
        let mut verified = Verified::default();
        if let Err(error) = files::check_marker(self) {
            verified.find(self, error);
        }
        for error in files::check_commits(self, &mut verified.bytes)? {
            verified.find(self, error);
        }
        let state = match State::read(&self.shared.layout, &self.shared.storage) {
            Ok(state) => state,
            Err(error) => {
                // Named already, unless it is about several files at once.
                let error = finding(self.root(), error);
                if verified.findings.iter().all(|f| f.file != error.file) {
                    verified.findings.push(error);
                }
                return Ok(verified);
            }
        };
        verified.version = state.version;
        for segment in Table::all().flat_map(|table| state.of(table)) {
            verified.segments += 1;
            verified.bytes += segment.bytes;
            match segment::check(&self.shared, segment) {
                Ok(()) => verified.rows += segment.rows,
                Err(error) => {
                    let mut finding = finding(self.root(), error.with_gap(segment));
                    finding.gap.get_or_insert_with(|| Gap::of(segment));
                    verified.findings.push(finding);
                }
            }
        }
        files::check_wal(self, &state, &mut verified)?;
        files::check_artifacts(self, &state, &mut verified)?;
        files::look_for_orphans(self, &state, &mut verified)?;
        verified.findings.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(verified)
    }

    /// Verifies, and takes what is damaged out of the way: a copy goes to `quarantine/`, rows that are still whole stay, and queries run
    /// again without what is lost. The result says what was found and where it went; what could not be mended has no `set_aside`.
    ///
    /// # Errors
    /// [`Error::Locked`] when there is a writer; when something cannot be written.
    pub fn repair(&self) -> Result<Verified> {
        let mut verified = self.verify()?;
        repair::repair(self, &mut verified)?;
        Ok(verified)
    }
}
