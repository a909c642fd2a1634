//! What is ingested, decompressed.

use std::io::{Cursor, Read as _};

use crate::ingest::{Compression, Content};

/// More than comes out of an input of a few thousand bytes.
const OUT_MAX: u64 = 100 << 20;

/// Decompresses any bytes: what is not compressed stays as it is, and what goes in is counted and hashed.
pub(super) fn any_content(bytes: &[u8]) {
    let Ok(mut content) = Content::new(Box::new(Cursor::new(bytes.to_vec()))) else {
        return;
    };
    let (compression, raw) = (content.compression(), content.raw());
    let mut out = Vec::new();
    let read = (&mut content).take(OUT_MAX).read_to_end(&mut out);
    assert!((out.len() as u64) < OUT_MAX);
    assert!(out.starts_with(content.head()));
    if read.is_ok() {
        assert_eq!(raw.bytes(), bytes.len() as u64);
        assert_eq!(raw.hash(), blake3::hash(bytes));
    }
    if compression == Compression::None {
        assert_eq!(out, bytes);
    }
}
