//! One writer at a time in a folder: a lock that the system lets go when its owner dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use memwatch_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::storage::WriterLock;
use crate::{Error, Result};

/// Held for as long as it lives.
pub(crate) struct FolderLock {
    /// Closing it lets the lock go.
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    since: String,
}

impl WriterLock for FolderLock {}

impl FolderLock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(path: &Path, now: Timestamp) -> Result<FolderLock> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io(path, "open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&mut file).take(4096).read_to_string(&mut text);
                return Err(Error::Locked {
                    path: path.to_path_buf(),
                    owner: told(&text),
                });
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(path, "lock")(e)),
        }
        let owner = Owner {
            pid: std::process::id(),
            host: host(),
            since: now.to_string(),
        };
        let text = serde_json::to_string(&owner).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(Error::io(path, "write"))?;
        Ok(FolderLock { _file: file })
    }
}

/// Who has the lock, by what its file says.
pub(crate) fn told(text: &str) -> String {
    match serde_json::from_str::<Owner>(text) {
        Ok(o) => format!("process {} on {} since {}", o.pid, o.host, o.since),
        Err(_) => "its name cannot be read".to_owned(),
    }
}

/// What this machine calls itself.
pub(crate) fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this host".to_owned())
}
