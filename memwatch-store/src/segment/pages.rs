//! The pages of a column, looked at before the Parquet library decodes them: it asks for memory as a page says, and some bytes can say more
//! than any machine has.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use parquet::basic::{Compression, Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader as _;

use super::Content;
use super::footer::byte_range;
use super::thrift::{PAGE_HEADER, walk};
use crate::{Error, Result};

/// Bytes of a page, at most, decompressed. A writer ends one at 1 MiB, whatever the last thousand values came to.
const PAGE_MAX: u64 = 512 << 20;

/// Bytes of a page's header, at most; mostly some fifty.
const HEADER_MAX: u64 = 64 << 10;

const DELTA_LENGTHS: i64 = 6;
const DELTA_TEXTS: i64 = 7;

/// Looks at all pages of a column of a row group.
pub(super) fn check(
    path: &Path,
    content: &Content,
    metadata: &ParquetMetaData,
    (group, column): (usize, usize),
) -> Result<()> {
    let chunk = metadata.row_group(group).column(column);
    let all = byte_range(chunk).unwrap_or_default();
    let pages = Pages {
        path,
        content,
        compressed: !matches!(chunk.compression(), Compression::UNCOMPRESSED),
        texts: chunk.column_type() == Type::BYTE_ARRAY,
    };
    let mut found = Vec::new();
    let mut at = all.start;
    while at < all.end {
        let end = pages.check(at..all.end)?;
        found.push((at, end));
        at = end;
    }
    // The library goes where the index says.
    let index = metadata.offset_index();
    let locations = index.and_then(|index| index.get(group)?.get(column));
    for location in locations.map_or(&[][..], |index| index.page_locations()) {
        let start = u64::try_from(location.offset).unwrap_or(u64::MAX);
        let length = u64::try_from(location.compressed_page_size).unwrap_or(u64::MAX);
        let end = start.saturating_add(length);
        if found.binary_search(&(start, end)).is_err() {
            let expected = format!("one of the {} pages of a column", found.len());
            return Err(Error::damaged(
                path,
                expected,
                format!("bytes {start}..{end}"),
            ));
        }
    }
    Ok(())
}

struct Pages<'a> {
    path: &'a Path,
    content: &'a Content,
    compressed: bool,
    texts: bool,
}

/// What the header of a page says, as far as memory depends on it.
#[derive(Default)]
struct Header {
    length: u64,
    bytes: i64,
    stored: i64,
    /// In a dictionary.
    words: i64,
    values: i64,
    encoding: i64,
    /// Levels, which are not compressed, in front of the values; pages of version 2.
    levels: i64,
    /// Not compressed although its column is.
    is_plain: bool,
}

impl Pages<'_> {
    fn bytes(&self, range: &Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let bytes = self.content.get_bytes(range.start, length);
        bytes.map_err(Error::parquet(self.path))
    }

    /// Looks at the page that begins there; where it ends.
    fn check(&self, range: Range<u64>) -> Result<u64> {
        let at = range.start;
        let bad = |expected: &str, found: String| {
            Error::damaged(self.path, format!("{expected} at byte {at}"), found)
        };
        let header = self.header(&range)?;
        let header = header.ok_or_else(|| bad("the header of a page", "other bytes".to_owned()))?;
        let size = u64::try_from(header.bytes).unwrap_or(u64::MAX);
        if size > PAGE_MAX {
            let expected = format!("a page of at most {PAGE_MAX} bytes");
            return Err(bad(&expected, header.bytes.to_string()));
        }
        if !(0..=header.bytes).contains(&header.words) {
            let expected = format!("as many values as fit into {size} bytes");
            return Err(bad(&expected, header.words.to_string()));
        }
        let start = at + header.length;
        let end = u64::try_from(header.stored).ok();
        let end = end.and_then(|stored| start.checked_add(stored));
        let Some(end) = end.filter(|end| *end <= range.end) else {
            let expected = format!("a page that ends at byte {}", range.end);
            return Err(bad(&expected, format!("{} bytes", header.stored)));
        };
        if self.texts && [DELTA_LENGTHS, DELTA_TEXTS].contains(&header.encoding) {
            let values = self.values(&header, start..end)?;
            if values.is_none_or(|values| !lengths_fit(&values, &header)) {
                let expected = format!("lengths of at most {} texts in a page", header.values);
                return Err(bad(&expected, "others".to_owned()));
            }
        }
        Ok(end)
    }

    fn header(&self, range: &Range<u64>) -> Result<Option<Header>> {
        for most in [256, HEADER_MAX] {
            let end = range.end.min(range.start + most);
            let bytes = self.bytes(&(range.start..end))?;
            let mut header = Header::default();
            let length = walk(&bytes, PAGE_HEADER, &mut |field, value| match field {
                (0, 2) => header.bytes = value,
                (0, 3) => header.stored = value,
                (7, 1) => header.words = value,
                (5 | 8, 1) => header.values = value,
                (5, 2) | (8, 4) => header.encoding = value,
                (8, 5 | 6) => header.levels = header.levels.saturating_add(value),
                (8, 7) => header.is_plain |= value == 0,
                _ => {}
            });
            if let Some(length) = length {
                header.length = length as u64;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// The values of a page of version 2, decompressed.
    fn values(&self, header: &Header, stored: Range<u64>) -> Result<Option<Vec<u8>>> {
        let stored = self.bytes(&stored)?;
        let Some(levels) = usize::try_from(header.levels).ok() else {
            return Ok(None);
        };
        let Some(values) = stored.get(levels..) else {
            return Ok(None);
        };
        if !self.compressed || header.is_plain {
            return Ok(Some(values.to_vec()));
        }
        let mut out = Vec::new();
        let read = zstd::stream::read::Decoder::with_buffer(values)
            .and_then(|decoder| decoder.take(PAGE_MAX).read_to_end(&mut out));
        Ok(read.is_ok().then_some(out))
    }
}

/// Whether a page of texts says of no more of them how long they are than it has.
fn lengths_fit(values: &[u8], header: &Header) -> bool {
    let most = u64::try_from(header.values).unwrap_or(0);
    let first = delta_numbers(values, most);
    let rest = first.and_then(|length| values.get(length..));
    match header.encoding {
        DELTA_LENGTHS => first.is_some(),
        // What each has of the one before, then how long the rest of each is.
        _ => rest.is_some_and(|rest| delta_numbers(rest, most).is_some()),
    }
}

/// How many bytes numbers in the encoding DELTA_BINARY_PACKED take; `None` when they are none, or more than `most`.
fn delta_numbers(bytes: &[u8], most: u64) -> Option<usize> {
    let mut left = bytes;
    let varint = |left: &mut &[u8]| {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = left.split_first()?;
            *left = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    let block = varint(&mut left)?;
    let minis = varint(&mut left)?;
    let count = varint(&mut left)?;
    varint(&mut left)?;
    if count > most || block > 1 << 20 || minis == 0 || block % minis != 0 {
        return None;
    }
    let per_mini = block / minis;
    let mut numbers = count.saturating_sub(1);
    while numbers > 0 && per_mini > 0 {
        varint(&mut left)?;
        let (widths, rest) = left.split_at_checked(usize::try_from(minis).ok()?)?;
        left = rest;
        for width in widths {
            if numbers == 0 {
                break;
            }
            let bits = per_mini * u64::from(*width);
            // The last one may be cut where its numbers end.
            let length = usize::try_from(bits.div_ceil(8)).ok()?.min(left.len());
            left = &left[length..];
            numbers = numbers.saturating_sub(per_mini);
        }
    }
    Some(bytes.len() - left.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_more_than_there_are_texts() {
        // Blocks of 128 numbers in 4 parts; 3 numbers, the first 5, then one block in which 2 bits are enough.
        let three = [128, 1, 4, 3, 10, 0, 2, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(delta_numbers(&three, 3), Some(three.len()));
        assert_eq!(
            delta_numbers(&[&three[..], b"rest"].concat(), 3),
            Some(three.len())
        );
        assert_eq!(delta_numbers(&three, 2), None);
        assert_eq!(delta_numbers(&[128, 1, 4, 0, 0], 3), Some(5));
        assert_eq!(delta_numbers(&[128, 1, 0, 3, 10], 3), None);
        let billions = [128, 1, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 10];
        assert_eq!(delta_numbers(&billions, 3), None);
    }
}
