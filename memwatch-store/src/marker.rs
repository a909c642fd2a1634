//! `memwatch.json`: what makes a folder a store, and of which format.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::layout::Layout;
use crate::manifest::FORMAT;
use crate::{Error, Result};

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    created_by: String,
    /// Over the two before; format 1 has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) format: u32,
    pub(crate) created_by: String,
}

/// This version, as it names itself.
pub(crate) fn created_by() -> String {
    concat!("memwatch ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn checksum(format: u32, created_by: &str) -> String {
    format!(
        "{:08x}",
        crc32c::crc32c(format!("{format} {created_by}").as_bytes())
    )
}

/// Makes a folder a store of the newest format, durably.
pub(crate) fn write(layout: &Layout, disk: &Disk, created_by: &str) -> Result<()> {
    let marker = Marker {
        format: FORMAT,
        created_by: created_by.to_owned(),
        crc32c: Some(checksum(FORMAT, created_by)),
    };
    let text = serde_json::to_vec(&marker).expect("strings and a number");
    disk.write(&layout.marker(), &text, false)
}

/// Reads what a store says of itself.
pub(crate) fn read(layout: &Layout) -> Result<Format> {
    let (path, root) = (layout.marker(), layout.root());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            let found = if !root.exists() {
                "nothing"
            } else if root.is_dir() {
                "a folder without it"
            } else {
                "a file"
            };
            return Err(Error::NotAStore {
                path: root.to_path_buf(),
                found,
            });
        }
        Err(e) => return Err(Error::io(&path, "read")(e)),
    };
    let marker: Marker = serde_json::from_slice(&bytes)
        .map_err(|e| Error::damaged(&path, "the format of the store", e.to_string()))?;
    let found = checksum(marker.format, &marker.created_by);
    if let Some(expected) = marker.crc32c.filter(|crc| *crc != found) {
        let expected = format!("checksum {expected}");
        return Err(Error::damaged(&path, expected, format!("checksum {found}")));
    }
    if marker.format > FORMAT {
        return Err(Error::NewerFormat {
            path,
            found: marker.format,
            supported: FORMAT,
        });
    }
    Ok(Format {
        format: marker.format,
        created_by: marker.created_by,
    })
}
