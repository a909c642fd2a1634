//! The footer of a segment: read only when its lengths and numbers fit each other and the file, so that everything behind rests on them.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::{Buf as _, Bytes};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::Content;
use super::thrift::{COLUMN_INDEX, FILE, NUM_CHILDREN, OFFSET_INDEX, Shape, walk};
use crate::{Error, Result};

/// How every Parquet file ends: the length of the footer, and this.
const MAGIC: &[u8; 4] = b"PAR1";

/// Asks the Parquet library something: it panics on some bytes.
pub(super) fn guarded<T>(path: &Path, ask: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|panic| {
        let found = format!("what the Parquet library fails at ({})", words(&*panic));
        Err(Error::damaged(path, "a segment", found))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

/// Reads the footer with the index of pages, where there is one. Nothing before the byte `first` is looked at.
pub(super) fn read(path: &Path, content: &Content, first: u64) -> Result<ParquetMetaData> {
    let size = content.size().map_err(Error::io(path, "read"))?;
    let bytes = |range: Range<u64>| {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        content
            .get_bytes(range.start, length)
            .map_err(Error::parquet(path))
    };
    let bad = |expected: &str, found: String| Error::damaged(path, expected, found);
    let Some(end) = size.checked_sub(8) else {
        let found = format!("{size} bytes");
        return Err(bad("a Parquet file of 12 bytes or more", found));
    };
    let mut tail = bytes(end..size)?;
    let length = u64::from(tail.get_u32_le());
    let from = end
        .checked_sub(length)
        .filter(|from| *from >= first && *tail == *MAGIC);
    let Some(from) = from else {
        let found = format!("a footer of {length} bytes, then {}", tail.escape_ascii());
        return Err(bad("a footer within the file, then PAR1", found));
    };
    let footer = bytes(from..end)?;
    let mut parents = 0;
    let walked = walk(&footer, FILE, &mut |field, _| {
        parents += i32::from(field == NUM_CHILDREN);
    });
    if walked.is_none() || parents != 1 {
        let found = format!("others at byte {from}");
        return Err(bad("the fields of a footer of flat columns", found));
    }
    let metadata = guarded(path, || {
        ParquetMetaDataReader::decode_metadata(&footer).map_err(Error::parquet(path))
    })?;
    check_columns(path, &metadata, from)?;
    let indexes = indexes(&metadata);
    let start = indexes.iter().map(|(range, _)| range.start).min();
    let end = indexes.iter().map(|(range, _)| range.end).max();
    let (Some(start), Some(end)) = (start, end) else {
        return Ok(metadata);
    };
    if start < first || end > from {
        let found = format!("one from byte {start} to {end}");
        let expected = format!("an index of pages between byte {first} and {from}");
        return Err(bad(&expected, found));
    }
    let bytes = bytes(start..end)?;
    let part = Part { start, bytes, size };
    for (range, shape) in indexes {
        let index = part.slice(&range).unwrap_or_default();
        if walk(&index, shape, &mut |_, _| {}).is_none() {
            let expected = format!("an index of pages at byte {}", range.start);
            return Err(bad(&expected, "something else".to_owned()));
        }
    }
    let metadata = guarded(path, || {
        let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_page_index_policy(PageIndexPolicy::Optional);
        reader
            .read_page_indexes(&part)
            .map_err(Error::parquet(path))?;
        reader.finish().map_err(Error::parquet(path))
    })?;
    check_pages(path, &metadata)?;
    Ok(metadata)
}

/// Each row group has all columns, and each column lies in the file, compressed as segments are.
fn check_columns(path: &Path, metadata: &ParquetMetaData, end: u64) -> Result<()> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let bad = |expected: &str, found: String| {
            let expected = format!("{expected} in row group {number}");
            Err(Error::damaged(path, expected, found))
        };
        if group.num_columns() != columns || group.num_rows() < 0 {
            let found = format!("{} of {} rows", group.num_columns(), group.num_rows());
            return bad(&format!("{columns} columns"), found);
        }
        for column in group.columns() {
            if byte_range(column).is_none_or(|range| range.end > end) {
                let found = format!("{:?}", byte_range(column));
                return bad(&format!("a column within {end} bytes"), found);
            }
            let compression = column.compression();
            if !matches!(
                compression,
                Compression::ZSTD(_) | Compression::UNCOMPRESSED
            ) {
                return bad("columns compressed by ZSTD", compression.to_string());
            }
        }
    }
    Ok(())
}

/// Where the pages of a column lie; `None` when these are no bytes of a file.
pub(super) fn byte_range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let first = column.dictionary_page_offset();
    let start = u64::try_from(first.unwrap_or_else(|| column.data_page_offset())).ok()?;
    let length = u64::try_from(column.compressed_size()).ok()?;
    Some(start..start.checked_add(length)?)
}

/// Where the indexes of all columns lie, each with the fields that it has; of numbers that are no bytes of a file, at their end.
fn indexes(metadata: &ParquetMetaData) -> Vec<(Range<u64>, Shape)> {
    let columns = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns());
    let range = |offset: Option<i64>, length: Option<i32>| {
        let (offset, length) = (offset?, length?);
        let start = u64::try_from(offset).unwrap_or(u64::MAX);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        Some(start..start.saturating_add(length))
    };
    let of_column = |column: &ColumnChunkMetaData| {
        let offsets = range(column.offset_index_offset(), column.offset_index_length());
        let bounds = range(column.column_index_offset(), column.column_index_length());
        let offsets = offsets.map(|range| (range, OFFSET_INDEX));
        offsets
            .into_iter()
            .chain(bounds.map(|range| (range, COLUMN_INDEX)))
    };
    columns.flat_map(of_column).collect()
}

/// The pages of a column begin with its first row and ascend, and each has bounds where some have.
fn check_pages(path: &Path, metadata: &ParquetMetaData) -> Result<()> {
    let (offsets, bounds) = (metadata.offset_index(), metadata.column_index());
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for at in 0..group.num_columns() {
            let offsets = offsets.map(|all| all.get(number).and_then(|group| group.get(at)));
            let bounds = bounds.map(|all| all.get(number).and_then(|group| group.get(at)));
            let fits = match (offsets, bounds) {
                (None, None) => true,
                (Some(Some(offsets)), None) => ascends(offsets, group.num_rows()),
                (Some(Some(offsets)), Some(Some(bounds))) => {
                    ascends(offsets, group.num_rows())
                        && (matches!(bounds, ColumnIndexMetaData::NONE)
                            || bounds.num_pages() == offsets.page_locations().len() as u64)
                }
                _ => false,
            };
            if !fits {
                let expected = format!("an index of {} rows in pages", group.num_rows());
                let found = format!("another for column {at} of row group {number}");
                return Err(Error::damaged(path, expected, found));
            }
        }
    }
    Ok(())
}

fn ascends(offsets: &OffsetIndexMetaData, rows: i64) -> bool {
    let starts = offsets.page_locations().iter().map(|p| p.first_row_index);
    let starts: Vec<i64> = starts.collect();
    let within = starts.last().is_none_or(|last| *last < rows);
    starts.first().is_none_or(|first| *first == 0) && starts.is_sorted_by(|a, b| a < b) && within
}

/// Some bytes of a file, by their place in it, and how large the file is.
struct Part {
    start: u64,
    bytes: Bytes,
    size: u64,
}

impl Part {
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Part {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let bytes = self.slice(&(start..self.len()));
        let bytes = bytes.ok_or_else(|| ParquetError::EOF(format!("no byte {start}")))?;
        Ok(bytes.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.slice(&(start..start.saturating_add(length as u64)));
        bytes.ok_or_else(|| ParquetError::EOF(format!("no {length} bytes from byte {start} on")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_damage() {
        let told = |ask: fn() -> Result<()>| {
            guarded(Path::new("a.parquet"), ask)
                .unwrap_err()
                .to_string()
        };
        let expected = "a.parquet: damaged: expected a segment, found what the Parquet library fails at (index 3)";
        assert_eq!(told(|| panic!("index 3")), expected);
        assert_eq!(
            told(|| panic!("index {}", std::hint::black_box(3))),
            expected
        );
    }

    #[test]
    fn lengths_are_compared_with_the_file() {
        let read = |bytes: &'static [u8]| {
            let content = Content::Held(Bytes::from_static(bytes));
            read(Path::new("a.parquet"), &content, 0)
                .unwrap_err()
                .to_string()
        };
        for (bytes, told) in [
            (&b"PAR1"[..], "found 4 bytes"),
            (
                b"\xff\xff\xff\xffPAR1",
                "found a footer of 4294967295 bytes",
            ),
            (b"\0\0\0\0PAR2", "then PAR2"),
            (
                b"\0\x01\0\0\0PAR1",
                "the fields of a footer of flat columns",
            ),
            // Two billion row groups, in no bytes.
            (
                b"\x49\xfc\xff\xff\xff\xff\x07\0\x08\0\0\0PAR1",
                "the fields of a footer",
            ),
        ] {
            let error = read(bytes);
            assert!(error.contains(told), "{error}");
        }
    }
}
