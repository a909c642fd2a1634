//! Checksums of single columns: whoever reads two columns of sixty must not read the other fifty-eight to know that the two are whole.
//!
//! They stand in the file's footer, whose own checksum is in the manifest: one CRC-32C for each column chunk (pages and dictionary; what
//! lies before the first one, the file's magic, belongs to it). Files of older versions have none; of these a row group is compared as a
//! whole.

use std::fmt::Write as _;
use std::ops::Range;

use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};

/// Under which key of the footer they stand.
const KEY: &str = "memwatch.column_crc32c";

/// CRC-32C by row group, then column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ColumnChecksums(Vec<Vec<u32>>);

impl ColumnChecksums {
    /// Adds those of a row group. `bytes`: its bytes, of which the first lies at `offset` of the file.
    pub(super) fn add(&mut self, group: &RowGroupMetaData, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        let columns = (0..group.num_columns()).map(|column| {
            let Range { start, end } = byte_range(group, column, offset..end);
            let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX);
            crc32c::crc32c(bytes.get(place(start)..place(end)).unwrap_or_default())
        });
        self.0.push(columns.collect());
    }

    /// As the footer has them: a line for each row group.
    pub(super) fn to_metadata(&self) -> KeyValue {
        let mut text = String::new();
        for group in &self.0 {
            for crc in group {
                let _ = write!(text, "{crc:08x}");
            }
            text.push('\n');
        }
        KeyValue::new(KEY.to_owned(), text)
    }

    /// What a footer says; `None` when it says nothing, or not of each column of each row group.
    pub(crate) fn of(metadata: &ParquetMetaData) -> Option<ColumnChecksums> {
        let pairs = metadata.file_metadata().key_value_metadata()?;
        let text = pairs.iter().find(|pair| pair.key == KEY)?.value.as_ref()?;
        let groups: Option<Vec<Vec<u32>>> = text.lines().map(numbers).collect();
        let groups = groups?;
        let fits = groups.len() == metadata.num_row_groups()
            && groups
                .iter()
                .zip(metadata.row_groups())
                .all(|(crcs, group)| crcs.len() == group.num_columns());
        fits.then_some(ColumnChecksums(groups))
    }

    /// That of a column of a row group.
    pub(crate) fn get(&self, group: usize, column: usize) -> Option<u32> {
        self.0.get(group)?.get(column).copied()
    }
}

/// Numbers of eight hexadecimal digits.
fn numbers(line: &str) -> Option<Vec<u32>> {
    let digits = line.as_bytes();
    if !digits.is_ascii() || !digits.len().is_multiple_of(8) {
        return None;
    }
    let all = digits.chunks(8).map(|digits| {
        let digits = std::str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok()
    });
    all.collect()
}

/// Where the bytes of a column of a row group lie in the file, between its neighbours. `all`: where the row group lies.
pub(super) fn byte_range(group: &RowGroupMetaData, column: usize, all: Range<u64>) -> Range<u64> {
    let end_of = |column: usize| {
        let column = group.column(column);
        let dictionary = column.dictionary_page_offset();
        let start = dictionary.unwrap_or_else(|| column.data_page_offset());
        let length = u64::try_from(column.compressed_size()).unwrap_or(0);
        u64::try_from(start).unwrap_or(0).saturating_add(length)
    };
    let start = match column.checked_sub(1) {
        Some(before) => end_of(before).clamp(all.start, all.end),
        None => all.start,
    };
    let end = if column + 1 < group.num_columns() {
        end_of(column).clamp(start, all.end)
    } else {
        all.end
    };
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbers_of_eight_digits() {
        assert_eq!(numbers(""), Some(vec![]));
        assert_eq!(numbers("0000000affffffff"), Some(vec![10, u32::MAX]));
        assert_eq!(numbers("0000000affffff"), None);
        assert_eq!(numbers("0000000x"), None);
        assert_eq!(numbers("ääää"), None);
    }
}
