//! Writing files so that they survive a crash: every step that changes the disk goes through here, one after the other.
//!
//! Tests stop a writer at any step ([`Disk::failing`]), which is how each crash point is covered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::layout::{new_id, with_suffix};
use crate::{Error, Result};

/// One step that changes the disk.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// `create`, `write`, `sync`, `rename`, `link`, `remove`, `create folder`, `sync folder`.
    pub name: &'static str,
    /// The file or folder; of `rename` and `link` the new name.
    pub path: &'a Path,
    /// Of `rename` and `link` the name before.
    pub from: Option<&'a Path>,
}

/// Asked before each step; an error stops the writer there as a crash would.
pub type StepHook = Arc<dyn Fn(&Step<'_>) -> io::Result<()> + Send + Sync>;

/// The disk below one store.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    hook: Option<StepHook>,
    /// After the first failure of the hook nothing is written any more.
    crashed: Arc<AtomicBool>,
}

impl Disk {
    pub(crate) fn failing(hook: StepHook) -> Disk {
        Disk {
            hook: Some(hook),
            crashed: Arc::default(),
        }
    }

    fn step(&self, name: &'static str, path: &Path) -> Result<()> {
        self.step_from(name, path, None)
    }

    fn step_from(&self, name: &'static str, path: &Path, from: Option<&Path>) -> Result<()> {
        let Some(hook) = &self.hook else {
            return Ok(());
        };
        let asked = if self.crashed.load(Ordering::SeqCst) {
            Err(io::Error::other("crashed before"))
        } else {
            hook(&Step { name, path, from })
        };
        asked.map_err(|source| {
            self.crashed.store(true, Ordering::SeqCst);
            Error::io(path, name)(source)
        })
    }

    /// A new file, which must not exist, readable by others only when `private` is false.
    pub(crate) fn create(&self, path: &Path, private: bool) -> Result<File> {
        self.step("create", path)?;
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

    /// Adds bytes to a file in one go; not durable yet.
    pub(crate) fn append(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<()> {
        self.step("write", path)?;
        file.write_all(bytes).map_err(Error::io(path, "write"))
    }

    /// Makes a file's content durable.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<()> {
        self.step("sync", path)?;
        file.sync_all().map_err(Error::io(path, "sync"))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step_from("rename", to, Some(from))?;
        fs::rename(from, to).map_err(Error::io(to, "rename"))
    }

    /// A second name for a file; a copy where the file system has no second names.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.step_from("link", to, Some(from))?;
        fs::hard_link(from, to)
            .or_else(|_| fs::copy(from, to).map(|_| ()))
            .map_err(Error::io(to, "link"))
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.step("sync folder", dir)?;
        #[cfg(unix)]
        File::open(dir)
            .and_then(|d| d.sync_all())
            .map_err(Error::io(dir, "sync folder"))?;
        Ok(())
    }

    /// Makes a folder with its parents, durably.
    pub(crate) fn create_dir(&self, dir: &Path) -> Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir(parent)?;
        }
        self.step("create folder", dir)?;
        match fs::create_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => return Ok(()),
            made => made.map_err(Error::io(dir, "create folder"))?,
        }
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    /// Removes a file; one that is not there is no failure.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        self.step("remove", path)?;
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::io(path, "remove")),
        }
    }

    /// Writes a whole file in its own folder under an unfinished name and makes it durable; not yet under its name.
    fn write_unfinished(&self, path: &Path, content: &[u8], private: bool) -> Result<PathBuf> {
        let unfinished = with_suffix(
            path,
            &format!(".{}{}", new_id(), crate::layout::IN_PROGRESS),
        );
        let mut file = self.create(&unfinished, private)?;
        self.step("write", &unfinished)?;
        file.write_all(content)
            .map_err(Error::io(&unfinished, "write"))?;
        self.sync(&file, &unfinished)?;
        Ok(unfinished)
    }

    /// A whole file under its name, durably, whatever stood there.
    pub(crate) fn write(&self, path: &Path, content: &[u8], private: bool) -> Result<()> {
        let unfinished = self.write_unfinished(path, content, private)?;
        self.rename(&unfinished, path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// A whole file under its name, durably, only when there is none: of several writers one wins, the others get
    /// [`Error::Conflict`].
    pub(crate) fn write_if_absent(&self, path: &Path, content: &[u8]) -> Result<()> {
        let unfinished = self.write_unfinished(path, content, false)?;
        self.step_from("link", path, Some(&unfinished))?;
        let linked = fs::hard_link(&unfinished, path);
        let _ = self.remove(&unfinished); // A left-over is swept by the next writer.
        match linked {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Conflict {
                    path: path.to_path_buf(),
                });
            }
            // A file system without hard links: creating is exclusive there too, and the checksum inside finds a torn file.
            Err(_) => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(path)
                    .map_err(|e| {
                        if e.kind() == io::ErrorKind::AlreadyExists {
                            Error::Conflict {
                                path: path.to_path_buf(),
                            }
                        } else {
                            Error::io(path, "create")(e)
                        }
                    })?;
                file.write_all(content).map_err(Error::io(path, "write"))?;
                self.sync(&file, path)?;
            }
            Ok(()) => {}
        }
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}
