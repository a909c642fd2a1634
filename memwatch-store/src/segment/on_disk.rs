//! The bytes of a segment in a file. Of a few columns what is going to be read is held in memory, up to a bound: a column of a row group has
//! some twenty pages, and the Parquet library asks for each with five system calls.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::{Buf as _, Bytes};
use parquet::file::reader::ChunkReader as _;

/// How much is held of a file of which a few columns are read, at most; and passes at once.
const HELD_BYTES: u64 = 4 << 20;

/// A segment's file, with some of its bytes.
pub(crate) struct OnDisk {
    file: File,
    /// How much may be held.
    room: u64,
    /// Where each begins, and what is there.
    held: Vec<(u64, Bytes)>,
    /// What is held only until the next is.
    passing: Option<(u64, Bytes)>,
}

impl OnDisk {
    pub(crate) fn open(path: &Path) -> io::Result<OnDisk> {
        Ok(OnDisk {
            file: File::open(path)?,
            room: 0,
            held: Vec::new(),
            passing: None,
        })
    }

    /// Few of its columns are going to be read: what is held of them is.
    pub(crate) fn reads_little(&mut self) {
        self.room = HELD_BYTES;
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads these bytes into memory, if that is allowed and they are there.
    pub(crate) fn hold(&mut self, range: &Range<u64>) -> io::Result<()> {
        if self.has_room(range) && self.at_hand(range).is_none() {
            let read = self.read(range)?;
            self.held.extend(read);
        }
        Ok(())
    }

    /// As [`OnDisk::hold`]; where there is no more room, until the next call.
    pub(crate) fn hold_passing(&mut self, range: &Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        if self.has_room(range) || length > HELD_BYTES || self.at_hand(range).is_some() {
            return self.hold(range);
        }
        self.passing = self.read(range)?;
        Ok(())
    }

    /// What is only passing is gone.
    pub(crate) fn has_passed(&mut self) {
        self.passing = None;
    }

    fn has_room(&self, range: &Range<u64>) -> bool {
        let length = range.end.saturating_sub(range.start);
        let already: u64 = self.held.iter().map(|(_, held)| held.len() as u64).sum();
        already.saturating_add(length) <= self.room
    }

    /// These bytes, if the file has them all.
    fn read(&mut self, range: &Range<u64>) -> io::Result<Option<(u64, Bytes)>> {
        let length = range.end.saturating_sub(range.start);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        self.read_from(range.start)?
            .take(length)
            .read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 == length).then(|| (range.start, bytes.into())))
    }

    fn all_held(&self) -> impl Iterator<Item = &(u64, Bytes)> {
        self.held.iter().chain(&self.passing)
    }

    /// These bytes, if they are held.
    pub(crate) fn at_hand(&self, range: &Range<u64>) -> Option<Bytes> {
        self.all_held().find_map(|(start, held)| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            (from <= to && to <= held.len()).then(|| held.slice(from..to))
        })
    }

    /// What is held from this byte on.
    fn held_from(&self, start: u64) -> Option<Bytes> {
        self.all_held().find_map(|(first, held)| {
            let from = usize::try_from(start.checked_sub(*first)?).ok()?;
            (from < held.len()).then(|| held.slice(from..))
        })
    }

    /// All bytes from `offset` on, from the file.
    pub(crate) fn read_from(&mut self, offset: u64) -> io::Result<&mut File> {
        self.file.seek(SeekFrom::Start(offset))?;
        Ok(&mut self.file)
    }

    /// Some bytes from `start` on: those that are held, or else from the file. A page does not end beyond what is held of its column.
    pub(super) fn get_read(&self, start: u64) -> parquet::errors::Result<Box<dyn Read>> {
        Ok(match self.held_from(start) {
            Some(held) => Box::new(held.reader()),
            None => Box::new(self.file.get_read(start)?),
        })
    }

    pub(super) fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self.at_hand(&(start..start.saturating_add(length as u64))) {
            Some(held) => Ok(held),
            None => self.file.get_bytes(start, length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_what_the_file_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let written: Vec<u8> = (0..=255).cycle().take(5 << 20).collect();
        std::fs::write(&path, &written).unwrap();
        let mut file = OnDisk::open(&path).unwrap();
        assert_eq!(file.size().unwrap(), 5 << 20);
        file.hold(&(0..10)).unwrap();
        assert!(file.held.is_empty(), "nobody said that little is read");
        file.reads_little();
        for range in [100..200, 150..180, 190..300, 0..6 << 20] {
            file.hold(&range).unwrap();
        }
        // The second lies within the first, the last is too much.
        let held: Vec<(u64, usize)> = file.held.iter().map(|(at, b)| (*at, b.len())).collect();
        assert_eq!(held, [(100, 100), (190, 110)]);
        for (start, length) in [
            (100, 100),
            (120, 3),
            (180, 15),
            (195, 105),
            (300, 5),
            (90, 20),
        ] {
            let from = usize::try_from(start).unwrap();
            let expected = &written[from..from + length];
            assert_eq!(file.get_bytes(start, length).unwrap(), expected);
        }
        let mut three = [0; 3];
        for start in [0, 100, 250, 1000] {
            file.get_read(start)
                .unwrap()
                .read_exact(&mut three)
                .unwrap();
            let from = usize::try_from(start).unwrap();
            assert_eq!(three, written[from..from + 3]);
        }
        // Bytes behind the end are not held.
        let end = written.len() as u64;
        file.hold(&(end - 10..end + 10)).unwrap();
        assert_eq!(file.at_hand(&(end - 10..end)), None);
        // Without room one after the other is.
        file.hold_passing(&(1000..HELD_BYTES)).unwrap();
        for range in [2000..HELD_BYTES + 2000, 0..HELD_BYTES] {
            file.hold_passing(&range).unwrap();
            let from = usize::try_from(range.start).unwrap();
            let to = usize::try_from(range.end).unwrap();
            assert_eq!(file.at_hand(&range).unwrap(), written[from..to]);
        }
        assert_eq!(file.held.len(), 3);
        assert_eq!(file.at_hand(&(HELD_BYTES..HELD_BYTES + 1)), None);
        file.hold_passing(&(0..5 << 20)).unwrap();
        assert_eq!(file.at_hand(&(0..5 << 20)), None);
        file.has_passed();
        assert_eq!(file.at_hand(&(0..10)), None);
    }
}
