//! Columns of segments, a block of rows at a time, through the store's cache.
//!
//! A block is a page: what one read decodes, another need not. Rules that ask for the same columns selector after selector, and
//! backtests that go through time chunk after chunk, decode each page once while it fits the cache.
//!
//! A request that needs many blocks ([`Blocks::load`]) decodes the missing ones on as many threads as there are, mostly a
//! column of a row group each, and holds them until it is done: so none is decoded twice even when they are more than the cache takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use rayon::prelude::*;

use crate::buffer::buffer_schema;
use crate::layout::SegmentPath;
use crate::segment::{ROWS_PER_PAGE, SegmentReader};
use crate::{Error, Result};

/// Consecutive rows of one segment.
#[derive(Clone)]
pub(super) struct Stretch {
    pub(super) reader: Arc<SegmentReader>,
    pub(super) rows: Range<usize>,
}

/// Rows of one row group, and how many rows there are before it.
struct Piece {
    group: usize,
    group_start: usize,
    group_rows: usize,
    /// Within the group.
    rows: Range<usize>,
}

impl Piece {
    /// The blocks that hold the rows.
    fn blocks(&self) -> Range<usize> {
        self.rows.start / ROWS_PER_PAGE..self.rows.end.div_ceil(ROWS_PER_PAGE)
    }

    /// The rows of a block, within the segment.
    fn rows_of(&self, block: usize) -> Range<usize> {
        let start = block * ROWS_PER_PAGE;
        let end = (start + ROWS_PER_PAGE).min(self.group_rows);
        self.group_start + start..self.group_start + end
    }
}

/// The row groups that hold some rows of a segment.
fn pieces<'r>(
    reader: &'r SegmentReader,
    rows: &'r Range<usize>,
) -> impl Iterator<Item = Piece> + 'r {
    let groups = reader.segment.row_groups.iter().enumerate();
    let starts = groups.scan(0, |next, (group, chunk)| {
        let group_start = *next;
        let group_rows = usize::try_from(chunk.rows).unwrap_or(0);
        *next += group_rows;
        Some((group, group_start, group_rows))
    });
    starts.filter_map(|(group, group_start, group_rows)| {
        let from = rows.start.max(group_start);
        let to = rows.end.min(group_start + group_rows);
        (from < to).then(|| Piece {
            group,
            group_start,
            group_rows,
            rows: from - group_start..to - group_start,
        })
    })
}

/// Blocks that a request needs, decoded.
#[derive(Default)]
pub(super) struct Blocks(HashMap<SegmentPath, OfSegment>);

/// By row group, column and number of the block.
type OfSegment = HashMap<(usize, usize, usize), ArrayRef>;

impl Blocks {
    /// Decodes some columns of some rows, what is not in the cache.
    pub(super) fn load(stretches: &[Stretch], columns: &[usize]) -> Result<Blocks> {
        // Stretches of several instances lie in the same row groups, and even pages.
        let mut wanted: BTreeMap<(&SegmentPath, usize), Wanted<'_>> = BTreeMap::new();
        for stretch in stretches {
            for piece in pieces(&stretch.reader, &stretch.rows) {
                let blocks = piece.blocks();
                let place = (&stretch.reader.segment.path, piece.group);
                let entry = wanted.entry(place).or_insert_with(|| Wanted {
                    reader: &stretch.reader,
                    piece,
                    blocks: BTreeSet::new(),
                });
                entry.blocks.extend(blocks);
            }
        }
        let wanted: Vec<Wanted<'_>> = wanted.into_values().collect();
        let tasks = wanted.iter().flat_map(|wanted| wanted.tasks(columns));
        let tasks: Vec<(&Wanted<'_>, &[usize])> = tasks.collect();
        let loaded: Result<Vec<OfSegment>> = tasks
            .par_iter()
            .map(|(wanted, columns)| wanted.load(columns))
            .collect();
        let mut blocks = Blocks::default();
        for ((wanted, _), loaded) in tasks.iter().zip(loaded?) {
            let path = wanted.reader.segment.path.clone();
            blocks.0.entry(path).or_default().extend(loaded);
        }
        Ok(blocks)
    }

    /// One column of a stretch that was loaded, in pieces.
    pub(super) fn column(&self, stretch: &Stretch, column: usize) -> Vec<ArrayRef> {
        let reader = &stretch.reader;
        if stretch.rows.is_empty() {
            return Vec::new();
        }
        if !reader.has_column(column) {
            let schema = buffer_schema(reader.segment.path.table);
            let data_type = schema.field(column).data_type();
            return vec![new_null_array(data_type, stretch.rows.len())];
        }
        let Some(blocks) = self.0.get(&reader.segment.path) else {
            debug_assert!(false, "loaded before");
            return Vec::new();
        };
        let mut found = Vec::new();
        for piece in pieces(reader, &stretch.rows) {
            for number in piece.blocks() {
                let Some(block) = blocks.get(&(piece.group, column, number)) else {
                    debug_assert!(false, "loaded before");
                    continue;
                };
                let first = number * ROWS_PER_PAGE;
                let start = piece.rows.start.max(first) - first;
                let end = piece.rows.end.min(first + block.len()) - first;
                found.push(block.slice(start, end - start));
            }
        }
        found
    }
}

/// The blocks of a row group that a request needs.
struct Wanted<'r> {
    reader: &'r Arc<SegmentReader>,
    /// Some rows of the group.
    piece: Piece,
    blocks: BTreeSet<usize>,
}

impl Wanted<'_> {
    /// Which columns are loaded together: each for itself, unless they come over a network, where a request costs more than what it brings,
    /// or are compared with a checksum that they share.
    fn tasks<'c>(&self, columns: &'c [usize]) -> impl Iterator<Item = (&Self, &'c [usize])> {
        let is_remote = self.reader.shared.storage.is_remote();
        let together = is_remote || !self.reader.has_column_checksums();
        let size = if together { columns.len() } else { 1 };
        columns.chunks(size.max(1)).map(move |some| (self, some))
    }

    /// The blocks of some columns: from the cache; the missing ones from the file in one go.
    fn load(&self, columns: &[usize]) -> Result<OfSegment> {
        let (reader, group) = (self.reader, self.piece.group);
        let cache = &reader.shared.cache;
        let path = &reader.segment.path;
        let mut found = OfSegment::new();
        let mut missing: BTreeSet<usize> = BTreeSet::new();
        let mut decode: BTreeSet<usize> = BTreeSet::new();
        for &column in columns.iter().filter(|c| reader.has_column(**c)) {
            for &number in &self.blocks {
                match cache.block(&(path.clone(), group, column, number)) {
                    Some(block) => {
                        found.insert((group, column, number), block);
                    }
                    None => {
                        missing.insert(number);
                        decode.insert(column);
                    }
                }
            }
        }
        if decode.is_empty() {
            return Ok(found);
        }
        let decode: Vec<usize> = decode.into_iter().collect();
        let rows: Vec<Range<usize>> = missing.iter().map(|n| self.piece.rows_of(*n)).collect();
        let schema = buffer_schema(reader.segment.path.table);
        let mut batches = reader.read(&schema, &decode, &rows)?;
        for (number, rows) in missing.into_iter().zip(rows) {
            let batch = batches.next().transpose()?;
            let batch = batch.filter(|b| b.num_rows() == rows.len());
            let Some(batch) = batch else {
                let expected = format!("{} rows in block {number}", rows.len());
                return Err(Error::damaged(reader.path(), expected, "another number"));
            };
            for (&column, block) in decode.iter().zip(batch.columns()) {
                cache.keep_block((path.clone(), group, column, number), block);
                found.insert((group, column, number), block.clone());
            }
        }
        Ok(found)
    }
}
