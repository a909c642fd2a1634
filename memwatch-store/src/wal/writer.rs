//! Appends frames; syncs; deletes files that a commit made needless.

use std::sync::Arc;

use super::frame::{Kind, SEQUENCE_MAX, file_header, frame};
use super::replay::files;
use super::rows::encode;
use crate::buffer::Columns;
use crate::storage::NewFile;
use crate::{Error, Result, Shared};

/// The end of the WAL. Only the holder of the writer's lock may have one.
pub(crate) struct WalWriter {
    shared: Arc<Shared>,
    /// Begun with the first frame.
    file: Option<Box<dyn NewFile>>,
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
        if self.next > SEQUENCE_MAX {
            let wal = self.shared.layout.wal();
            let expected = format!("frames up to one below {SEQUENCE_MAX}");
            return Err(Error::damaged(&wal, expected, self.last().to_string()));
        }
        let bytes = frame(Kind::Rows, self.next, &encode(rows));
        let storage = &self.shared.storage;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let path = self.shared.layout.wal_file(self.next);
                storage.create_dir(&self.shared.layout.wal())?;
                let mut file = storage.create(&path, false)?;
                file.append(&file_header())?;
                // With its name durable, what follows needs only the file synced.
                file.sync()?;
                storage.sync_dir(&self.shared.layout.wal())?;
                none.insert(file)
            }
        };
        file.append(&bytes)?;
        self.next += 1;
        Ok(())
    }

    /// Makes all frames durable. After a failure nobody knows which are: the file is not to be used any more.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let last = self.last();
        if let Some(file) = &mut self.file {
            file.sync()?;
            // Not synced: it is a help, and no promise.
            file.append(&frame(Kind::Mark, last, &[]))?;
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
    for (first, path) in files(shared)? {
        if first <= position {
            shared.storage.remove(&path)?;
        }
    }
    Ok(())
}
