//! Segments: immutable Parquet files, written in the order of their table's key.

mod encoding;
mod reader;
mod text;
mod writer;

pub(crate) use reader::{SegmentBatches, SegmentReader, Wanted, verify};
pub(crate) use text::TextColumn;
pub(crate) use writer::{SegmentWriter, unfinished};

/// Rows of a row group.
pub(crate) const ROWS_PER_GROUP: usize = 128 * 1024;

/// Rows of a page: few enough that the page index cuts five minutes out of a day, at 2 % more bytes than pages of 20,000.
pub(crate) const ROWS_PER_PAGE: usize = 8 * 1024;
