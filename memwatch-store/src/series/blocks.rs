//! Columns of a segment, a block of rows at a time, through the store's cache.
//!
//! A block is a page: what one read decodes, another need not. Rules that ask for the same columns selector after selector, and
//! backtests that go through time chunk after chunk, decode each page once while it fits the cache.

use std::ops::Range;

use arrow::array::{ArrayRef, new_null_array};

use crate::buffer::buffer_schema;
use crate::segment::{ROWS_PER_PAGE, SegmentReader};
use crate::{Error, Result};

/// One column of consecutive rows of a segment, in pieces.
pub(super) fn column(
    reader: &SegmentReader,
    column: usize,
    rows: &Range<usize>,
) -> Result<Vec<ArrayRef>> {
    let schema = buffer_schema(reader.segment.path.table);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    if !reader.has_column(column) {
        return Ok(vec![new_null_array(
            schema.field(column).data_type(),
            rows.len(),
        )]);
    }
    let mut pieces = Vec::new();
    let mut group_start = 0;
    for (group, chunk) in reader.segment.row_groups.iter().enumerate() {
        let group_rows = usize::try_from(chunk.rows).unwrap_or(0);
        let from = rows.start.max(group_start);
        let to = rows.end.min(group_start + group_rows);
        if from < to {
            let wanted = from - group_start..to - group_start;
            let first = wanted.start / ROWS_PER_PAGE;
            let blocks = load(
                reader,
                column,
                group,
                group_start,
                group_rows,
                first..wanted.end.div_ceil(ROWS_PER_PAGE),
            )?;
            for (block, number) in blocks.into_iter().zip(first..) {
                let block_start = number * ROWS_PER_PAGE;
                let start = wanted.start.max(block_start) - block_start;
                let end = wanted.end.min(block_start + block.len()) - block_start;
                pieces.push(block.slice(start, end - start));
            }
        }
        group_start += group_rows;
    }
    Ok(pieces)
}

/// Some blocks of a row group: from the cache, the missing ones from the file in one go.
fn load(
    reader: &SegmentReader,
    column: usize,
    group: usize,
    group_start: usize,
    group_rows: usize,
    numbers: Range<usize>,
) -> Result<Vec<ArrayRef>> {
    let cache = &reader.shared.cache;
    let key = |number: usize| (reader.segment.path.clone(), group, column, number);
    let mut blocks: Vec<Option<ArrayRef>> = numbers.clone().map(|n| cache.block(&key(n))).collect();
    let missing: Vec<usize> = numbers
        .clone()
        .zip(&blocks)
        .filter(|(_, b)| b.is_none())
        .map(|(n, _)| n)
        .collect();
    if !missing.is_empty() {
        let rows_of = |number: usize| {
            let start = number * ROWS_PER_PAGE;
            group_start + start..group_start + (start + ROWS_PER_PAGE).min(group_rows)
        };
        let rows: Vec<Range<usize>> = missing.iter().map(|n| rows_of(*n)).collect();
        let schema = buffer_schema(reader.segment.path.table);
        let mut batches = reader.read(&schema, &[column], &rows)?;
        for number in missing {
            let expected = rows_of(number).len();
            let batch = batches.next().transpose()?;
            let block = batch.filter(|b| b.num_rows() == expected).ok_or_else(|| {
                Error::damaged(
                    reader.path(),
                    format!("{expected} rows in block {number}"),
                    "another number",
                )
            })?;
            let block = block.column(0);
            cache.keep_block(key(number), block);
            blocks[number - numbers.start] = Some(block.clone());
        }
    }
    Ok(blocks.into_iter().flatten().collect())
}
