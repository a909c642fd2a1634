//! A folder of this machine: files that survive a crash.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use memwatch_core::Timestamp;

use super::{Backend, Listed, NewFile, Steps, WriterLock};
use crate::cache::locked;
use crate::layout::{new_id, with_suffix};
use crate::lock::FolderLock;
use crate::{Error, Result};

/// A folder, whichever: paths say where.
#[derive(Clone, Default)]
pub(crate) struct Folder {
    steps: Steps,
    /// Folders whose names are durable for sure.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Folder {
    pub(crate) fn stopped_by(steps: Steps) -> Folder {
        Folder {
            steps,
            ..Folder::default()
        }
    }

    fn create_file(&self, path: &Path, private: bool) -> Result<File> {
        self.steps.step("create", path)?;
        let mut options = OpenOptions::new();
        options.write(true).read(true).create_new(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = private;
        options.open(path).map_err(Error::io(path, "create"))
    }

    fn sync(&self, file: &File, path: &Path) -> Result<()> {
        self.steps.step("sync", path)?;
        file.sync_all().map_err(Error::io(path, "sync"))
    }

    /// Writes a whole file in its own folder under an unfinished name and makes it durable; not yet under its name.
    fn write_unfinished(&self, path: &Path, content: &[u8], private: bool) -> Result<PathBuf> {
        let unfinished = with_suffix(
            path,
            &format!(".{}{}", new_id(), crate::layout::IN_PROGRESS),
        );
        let mut file = self.create_file(&unfinished, private)?;
        self.steps.step("write", &unfinished)?;
        file.write_all(content)
            .map_err(Error::io(&unfinished, "write"))?;
        self.sync(&file, &unfinished)?;
        Ok(unfinished)
    }
}

/// Whether a link failed because the file system has none: FAT, some network file systems. All else (a full disk, a bad one) is a failure.
fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}

/// What is there, or nothing.
fn found<T>(done: io::Result<T>, path: &Path, action: &'static str) -> Result<Option<T>> {
    match done {
        // What was not there a moment ago may be by now: not to be looked at again.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory && !path.exists() => Ok(None),
        done => done.map(Some).map_err(Error::io(path, action)),
    }
}

/// The paths in a folder; none when there is no such folder.
fn paths(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(entries) = found(fs::read_dir(folder), folder, "list")? else {
        return Ok(None);
    };
    let paths = entries.map(|entry| entry.map(|e| e.path()));
    let paths = paths.collect::<io::Result<_>>();
    paths.map(Some).map_err(Error::io(folder, "list"))
}

impl Backend for Folder {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        found(fs::read(path), path, "read")
    }

    fn reader(&self, path: &Path) -> Result<Option<Box<dyn Read>>> {
        let file = found(File::open(path), path, "open")?;
        Ok(file.map(|file| Box::new(BufReader::with_capacity(256 * 1024, file)) as Box<dyn Read>))
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> Result<Option<(Bytes, u64)>> {
        let Some(mut file) = found(File::open(path), path, "open")? else {
            return Ok(None);
        };
        let mut read = || {
            let size = file.metadata()?.len();
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(range.start))?;
            let length = range.end.saturating_sub(range.start);
            (&mut file).take(length).read_to_end(&mut bytes)?;
            Ok((Bytes::from(bytes), size))
        };
        read().map(Some).map_err(Error::io(path, "read"))
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        Ok(found(fs::metadata(path), path, "read")?.map(|meta| meta.len()))
    }

    fn names(&self, folder: &Path) -> Result<Option<Vec<String>>> {
        let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        Ok(paths(folder)?.map(|paths| paths.into_iter().filter_map(name).collect()))
    }

    fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        let Some(entries) = found(fs::read_dir(folder), folder, "list")? else {
            return Ok(Vec::new());
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io(folder, "list"))?;
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                files.push(Listed {
                    path: entry.path(),
                    modified: None,
                });
            }
        }
        Ok(files)
    }

    fn list_below(&self, folder: &Path) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        for folder in paths(folder)?.unwrap_or_default() {
            if folder.is_dir() {
                found.extend(self.list(&folder)?);
            }
        }
        Ok(found)
    }

    fn is_older_than(&self, file: &Listed, age: Duration) -> bool {
        let modified = fs::metadata(&file.path).and_then(|m| m.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
    }

    fn create(&self, path: &Path, private: bool) -> Result<Box<dyn NewFile>> {
        Ok(Box::new(OpenFile {
            file: self.create_file(path, private)?,
            path: path.to_path_buf(),
            folder: self.clone(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.steps.step_from("rename", to, Some(from))?;
        fs::rename(from, to).map_err(Error::io(to, "rename"))
    }

    fn set_aside(&self, from: &Path, to: &Path) -> Result<()> {
        self.rename(from, to)?;
        let _ = File::options()
            .write(true)
            .open(to)
            .and_then(|f| f.set_modified(SystemTime::now()));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.steps.step_from("link", to, Some(from))?;
        match fs::hard_link(from, to) {
            Err(e) if has_no_links(&e) => fs::copy(from, to).map(|_| ()),
            linked => linked,
        }
        .map_err(Error::io(to, "link"))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.steps.step("remove", path)?;
        found(fs::remove_file(path), path, "remove").map(|_| ())
    }

    fn create_dir(&self, dir: &Path) -> Result<()> {
        if locked(&self.durable).contains(dir) {
            return Ok(());
        }
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        let there = found(fs::metadata(dir), dir, "read")?;
        if there.is_some_and(|there| there.is_dir()) {
            // Whoever made it may have died before its name was durable. What is above was before it was made.
            match self.sync_dir(parent.unwrap_or(Path::new("."))) {
                // A store in a folder of somebody else, who made it.
                Err(Error::Io { source, .. })
                    if source.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        } else {
            if let Some(parent) = parent {
                self.create_dir(parent)?;
            }
            self.steps.step("create folder", dir)?;
            match fs::create_dir(dir) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                made => made.map_err(Error::io(dir, "create folder"))?,
            }
            self.sync_dir(parent.unwrap_or(Path::new(".")))?;
        }
        locked(&self.durable).insert(dir.to_path_buf());
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.steps.step("sync folder", dir)?;
        #[cfg(unix)]
        File::open(dir)
            .and_then(|d| d.sync_all())
            .map_err(Error::io(dir, "sync folder"))?;
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8], private: bool) -> Result<()> {
        let unfinished = self.write_unfinished(path, content, private)?;
        self.rename(&unfinished, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    fn write_if_absent(&self, path: &Path, content: &[u8]) -> Result<()> {
        let unfinished = self.write_unfinished(path, content, false)?;
        self.steps.step_from("link", path, Some(&unfinished))?;
        match fs::hard_link(&unfinished, path) {
            Ok(()) => {
                let _ = self.remove(&unfinished); // A left-over is swept by the next writer.
            }
            // The writer's lock keeps others from it between the two.
            Err(e) if has_no_links(&e) && !path.exists() => self.rename(&unfinished, path)?,
            Err(e) => {
                let _ = self.remove(&unfinished);
                if e.kind() == io::ErrorKind::AlreadyExists || has_no_links(&e) {
                    let path = path.to_path_buf();
                    return Err(Error::Conflict { path });
                }
                return Err(Error::io(path, "link")(e));
            }
        }
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    fn lock(&self, lock: &Path, _: &Path, now: Timestamp) -> Result<Box<dyn WriterLock>> {
        Ok(Box::new(FolderLock::take(lock, now)?))
    }

    fn is_remote(&self) -> bool {
        false
    }
}

/// A file that is open for writing.
struct OpenFile {
    file: File,
    path: PathBuf,
    folder: Folder,
}

impl NewFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.folder.steps.step("write", &self.path)?;
        self.file
            .write_all(bytes)
            .map_err(Error::io(&self.path, "write"))
    }

    fn sync(&mut self) -> Result<()> {
        self.folder.sync(&self.file, &self.path)
    }
}

impl Write for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
