//! Segments: immutable Parquet files, written in the order of their table's key.

mod check;
mod checksums;
mod content;
mod describe;
mod encoding;
mod footer;
mod instances;
mod on_disk;
mod pages;
mod reader;
mod remote;
mod text;
mod thrift;
mod writer;

pub(crate) use check::{check_whole, verify};
pub(crate) use checksums::ColumnChecksums;
pub(crate) use content::Content;
pub(crate) use describe::describe;
pub(crate) use encoding::Effort;
pub(crate) use instances::count_instances;
pub(crate) use on_disk::OnDisk;
pub(crate) use reader::{SegmentBatches, SegmentReader, Wanted};
pub(crate) use remote::Remote;
pub(crate) use text::TextColumn;
pub(crate) use writer::{Place, SegmentWriter, unfinished};

/// Rows of a row group.
pub(crate) const ROWS_PER_GROUP: usize = 128 * 1024;

/// Rows of a page: few enough that the page index cuts five minutes out of a day, at 2 % more bytes than pages of 20,000.
pub(crate) const ROWS_PER_PAGE: usize = 8 * 1024;
