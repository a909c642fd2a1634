//! Bytes → records: one file per input format.

use std::io::BufRead;
use std::sync::Arc;

use crate::record::{Identity, RecordSink};
use crate::{Place, Result, Timestamp};

/// One input format.
pub trait Source: Sync {
    /// What users type after `--format`.
    fn name(&self) -> &'static str;
    /// What the format is, in one line.
    fn about(&self) -> &'static str;
    /// Whether these first bytes (up to [`HEAD_BYTES`], decompressed) look like this format.
    fn recognizes(&self, head: &[u8]) -> bool;
    /// Reads all of `input` (decompressed) in bounded memory.
    ///
    /// A bad line is given to [`RecordSink::reject`] with its place and reading goes on; `Err` is only for what makes going on
    /// impossible: the reader failed, the sink said no, or the input as a whole is not this format.
    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()>;
}

/// How many bytes of the decompressed input [`Source::recognizes`] is shown.
pub const HEAD_BYTES: usize = 64 * 1024;

/// Every input format, in the order in which they are asked.
pub const SOURCES: &[&dyn Source] = &[];

/// What is known about an input from outside of it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Context {
    /// The input as the user named it; begins every place.
    pub input: Arc<str>,
    /// Whose recording it is, when the lines do not say.
    pub identity: Option<Identity>,
    /// When it was read, when it does not say (`--at`).
    pub at: Option<Timestamp>,
    /// When the processes of the recording began, in order (`--start`, labels, or a neighbouring recording).
    pub process_starts: Vec<Timestamp>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Where.
    pub place: Place,
    /// The field, as its format calls it; empty for the line as a whole.
    pub field: String,
    /// What the format allows.
    pub expected: String,
    /// What stood there, shortened.
    pub found: String,
}
