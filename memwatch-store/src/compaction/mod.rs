//! Many segments of a day become few: a plan, which is pure, then a merge of sorted files in bounded memory, one commit a day.
//!
//! Segments are sorted by their table's key, so merging them is reading each once from front to back. What comes out holds the rows that
//! went in, sorted, cut where one instance ends and the next begins, at the higher effort of compression. Readers of older snapshots find
//! the replaced files for the time of grace; a writer that dies leaves unfinished files, which the next one removes.

mod apply;
mod merge;
mod plan;

pub use apply::{Compacted, MergedDay};
use merge::FAN_IN;
pub(crate) use merge::merge_into_one;
pub use plan::Compaction;
