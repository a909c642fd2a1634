//! The bytes of a segment: a file, behind a network, or held in memory.

use std::io::{self, Read};
use std::ops::Range;

use bytes::{Buf as _, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::{OnDisk, Remote};

/// Up to here nobody asks how large the file is.
const TRUSTED_BYTES: usize = 1 << 20;

/// The bytes of a segment.
pub(crate) enum Content {
    /// A file on the disk.
    File(OnDisk),
    /// On object storage.
    Remote(Remote),
    /// Rows that are in no file yet.
    Held(Bytes),
}

impl Content {
    /// How many bytes there are.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Content::File(file) => file.size(),
            Content::Remote(remote) => Ok(remote.size()),
            Content::Held(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads bytes of a file into memory that are going to be asked for, within bounds.
    pub(crate) fn hold(&mut self, range: &Range<u64>) -> io::Result<()> {
        match self {
            Content::File(file) => file.hold(range),
            Content::Remote(_) | Content::Held(_) => Ok(()),
        }
    }

    /// As [`Content::hold`]; where bounds are reached, until the next call.
    pub(crate) fn hold_passing(&mut self, range: &Range<u64>) -> io::Result<()> {
        match self {
            Content::File(file) => file.hold_passing(range),
            Content::Remote(_) | Content::Held(_) => Ok(()),
        }
    }

    /// The bytes from `offset` on.
    pub(crate) fn from(&mut self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        match self {
            Content::File(file) => Ok(Box::new(file.read_from(offset)?)),
            Content::Remote(remote) => Ok(Box::new(remote.from(offset))),
            Content::Held(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                Ok(Box::new(bytes.slice(from.min(bytes.len())..).reader()))
            }
        }
    }
}

impl Length for Content {
    fn len(&self) -> u64 {
        self.size().unwrap_or(0)
    }
}

impl ChunkReader for Content {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(match self {
            Content::File(file) => file.get_read(start)?,
            Content::Remote(remote) => Box::new(remote.from(start)),
            Content::Held(bytes) => Box::new(bytes.get_read(start)?),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // Before memory is asked for: a length may be anything.
        let end = start.checked_add(length as u64);
        if length > TRUSTED_BYTES && end.is_none_or(|end| end > Length::len(self)) {
            let problem = format!("no {length} bytes from byte {start} on");
            return Err(ParquetError::EOF(problem));
        }
        match self {
            Content::File(file) => file.get_bytes(start, length),
            Content::Remote(remote) => remote
                .bytes_through(start..start + length as u64)
                .map_err(ParquetError::General),
            Content::Held(bytes) => bytes.get_bytes(start, length),
        }
    }
}
