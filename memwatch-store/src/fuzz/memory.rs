//! A store whose files are in memory: a fuzz target makes thousands a second.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use memwatch_core::Timestamp;

use crate::cache::locked;
use crate::layout::Layout;
use crate::storage::{Backend, Listed, NewFile, Storage, WriterLock};
use crate::{Error, Result, Store, marker};

/// Files by path. Clones share them.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<PathBuf, Bytes>>>);

/// A store of these files, by their path below it.
pub(super) fn store_of(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Store {
    let memory = Memory::default();
    let layout = Layout::new(Path::new("store"));
    let storage: Storage = Arc::new(memory.clone());
    marker::write(&layout, &storage, "memwatch").expect("a file in memory");
    let files = files
        .into_iter()
        .map(|(path, bytes)| (layout.root().join(path), bytes.into()));
    locked(&memory.0).extend(files);
    Store::open_on(layout.root(), storage).expect("a marker")
}

impl Memory {
    fn get(&self, path: &Path) -> Option<Bytes> {
        locked(&self.0).get(path).cloned()
    }

    fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        locked(&self.0).insert(path.to_path_buf(), bytes);
        Ok(())
    }

    /// The files so many folders below a folder.
    fn below(&self, folder: &Path, depth: usize) -> Vec<Listed> {
        let files = locked(&self.0);
        let paths = files
            .keys()
            .filter(|path| path.ancestors().nth(depth) == Some(folder));
        paths
            .map(|path| Listed {
                path: path.clone(),
                modified: None,
            })
            .collect()
    }
}

impl Backend for Memory {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        Ok(self.get(path).map(|bytes| bytes.to_vec()))
    }

    fn reader(&self, path: &Path) -> Result<Option<Box<dyn Read>>> {
        let bytes = self.get(path);
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> Result<Option<(Bytes, u64)>> {
        let place = |at: u64, bytes: &Bytes| {
            usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()))
        };
        Ok(self.get(path).map(|bytes| {
            let (from, to) = (place(range.start, &bytes), place(range.end, &bytes));
            (bytes.slice(from..to.max(from)), bytes.len() as u64)
        }))
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        Ok(self.get(path).map(|bytes| bytes.len() as u64))
    }

    fn names(&self, folder: &Path) -> Result<Option<Vec<String>>> {
        let files = self.below(folder, 1).into_iter();
        let names = files.filter_map(|file| Some(file.path.file_name()?.to_str()?.to_owned()));
        Ok(Some(names.collect()))
    }

    fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        Ok(self.below(folder, 1))
    }

    fn list_below(&self, folder: &Path) -> Result<Vec<Listed>> {
        Ok(self.below(folder, 2))
    }

    fn is_older_than(&self, _: &Listed, _: Duration) -> bool {
        false
    }

    fn create(&self, path: &Path, _: bool) -> Result<Box<dyn NewFile>> {
        Ok(Box::new(OpenFile {
            memory: self.clone(),
            path: path.to_path_buf(),
            bytes: Vec::new(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut files = locked(&self.0);
        let bytes = files.remove(from).unwrap_or_default();
        files.insert(to.to_path_buf(), bytes);
        Ok(())
    }

    fn set_aside(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.put(to, self.get(from).unwrap_or_default())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        locked(&self.0).remove(path);
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8], _: bool) -> Result<()> {
        self.put(path, content.to_vec().into())
    }

    fn write_if_absent(&self, path: &Path, content: &[u8]) -> Result<()> {
        if self.get(path).is_some() {
            let path = path.to_path_buf();
            return Err(Error::Conflict { path });
        }
        self.put(path, content.to_vec().into())
    }

    fn lock(&self, _: &Path, _: &Path, _: Timestamp) -> Result<Box<dyn WriterLock>> {
        Ok(Box::new(Nobody))
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Nobody else has these files.
struct Nobody;

impl WriterLock for Nobody {}

struct OpenFile {
    memory: Memory,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.memory.put(&self.path, self.bytes.clone().into())
    }
}
