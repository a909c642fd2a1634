//! `memwatch.json`: what makes a folder a store, and of which format.

use serde::{Deserialize, Serialize};

use crate::layout::Layout;
use crate::manifest::FORMAT;
use crate::storage::Storage;
use crate::{Error, Result};

/// Read before all else, so that a newer format is named as such.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)] // A name with a flipped bit is an unknown one.
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
pub(crate) fn write(layout: &Layout, storage: &Storage, created_by: &str) -> Result<()> {
    let marker = Marker {
        format: FORMAT,
        created_by: created_by.to_owned(),
        crc32c: Some(checksum(FORMAT, created_by)),
    };
    let text = serde_json::to_vec(&marker).expect("strings and a number");
    storage.write(&layout.marker(), &text, false)
}

/// Reads what a store says of itself.
pub(crate) fn read(layout: &Layout, storage: &Storage) -> Result<Format> {
    let (path, root) = (layout.marker(), layout.root());
    let Some(bytes) = storage.read(&path)? else {
        let found = match storage.names(root) {
            Err(_) if root.is_file() => "a file",
            names => match names? {
                Some(_) => "a folder without it",
                None => "nothing",
            },
        };
        return Err(Error::NotAStore {
            path: root.to_path_buf(),
            found,
        });
    };
    let bad =
        |e: serde_json::Error| Error::damaged(&path, "the format of the store", e.to_string());
    let FormatOnly { format } = serde_json::from_slice(&bytes).map_err(bad)?;
    if format > FORMAT {
        return Err(Error::NewerFormat {
            path,
            found: format,
            supported: FORMAT,
        });
    }
    let marker: Marker = serde_json::from_slice(&bytes).map_err(bad)?;
    let found = checksum(marker.format, &marker.created_by);
    if marker.crc32c.as_ref() != Some(&found) && (format > 1 || marker.crc32c.is_some()) {
        let expected = format!("checksum {}", marker.crc32c.unwrap_or_default());
        return Err(Error::damaged(&path, expected, format!("checksum {found}")));
    }
    Ok(Format {
        format: marker.format,
        created_by: marker.created_by,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::storage::Folder;

    #[test]
    fn no_flipped_bit_passes() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let folder: Storage = Arc::new(Folder::default());
        write(&layout, &folder, "memwatch 0.1.0").unwrap();
        assert_eq!(read(&layout, &folder).unwrap().format, FORMAT);
        let bytes = fs::read(layout.marker()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(layout.marker(), &flipped).unwrap();
            assert!(
                read(&layout, &folder).is_err(),
                "bit {bit}: {:?}",
                String::from_utf8_lossy(&flipped)
            );
        }
        // A newer one may say what it likes beside its number.
        fs::write(layout.marker(), r#"{"format":9,"more":{}}"#).unwrap();
        assert!(matches!(
            read(&layout, &folder),
            Err(Error::NewerFormat { found: 9, .. })
        ));
    }
}
