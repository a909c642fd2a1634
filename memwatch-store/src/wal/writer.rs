//! Appends frames; syncs; deletes files that a commit made needless.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::frame::{Kind, file_header, frame};
use super::replay::files;
use super::rows::encode;
use crate::buffer::Columns;
use crate::{Result, Shared};

/// The end of the WAL. Only the holder of the writer's lock may have one.
pub(crate) struct WalWriter {
    shared: Arc<Shared>,
    /// Begun with the first frame.
    file: Option<(File, PathBuf)>,
    /// The sequence of the next frame.
    next: u64,
}

impl WalWriter {
    /// The next frame has the sequence after `last`.
    pub(crate) fn after(shared: Arc<Shared>, last: u64) -> WalWriter {
        WalWriter {
            shared,
            file: None,
            next: last + 1,
        }
    }

    /// The sequence of the last frame.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Appends rows of one table; not durable yet.
    pub(crate) fn append(&mut self, rows: &Columns) -> Result<()> {
        let bytes = frame(Kind::Rows, self.next, &encode(rows));
        let disk = &self.shared.disk;
        let (file, path) = match &mut self.file {
            Some(file) => file,
            none => {
                let path = self.shared.layout.wal_file(self.next);
                disk.create_dir(&self.shared.layout.wal())?;
                let mut file = disk.create(&path, false)?;
                disk.append(&mut file, &path, &file_header())?;
                // With its name durable, what follows needs only the file synced.
                disk.sync(&file, &path)?;
                disk.sync_dir(&self.shared.layout.wal())?;
                none.insert((file, path))
            }
        };
        disk.append(file, path, &bytes)?;
        self.next += 1;
        Ok(())
    }

    /// Makes all frames durable. After a failure nobody knows which are: the file is not to be used any more.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let last = self.last();
        if let Some((file, path)) = &mut self.file {
            self.shared.disk.sync(file, path)?;
            // Not synced: it is a help, and no promise.
            self.shared
                .disk
                .append(file, path, &frame(Kind::Mark, last, &[]))?;
        }
        Ok(())
    }

    /// The next frame begins a new file.
    pub(crate) fn rotate(&mut self) {
        self.file = None;
    }
}

/// Deletes the files whose frames are all in segments: those that begin at or before `position`, and of which the manifest says so.
pub(crate) fn remove_upto(shared: &Shared, position: u64) -> Result<()> {
    for (first, path) in files(&shared.layout)? {
        if first <= position {
            shared.disk.remove(&path)?;
        }
    }
    Ok(())
}
