//! Bytes → records: one file per input format.
//!
//! [`SOURCES`] lists the formats that are read into records, [`ARTIFACT_SOURCES`] those that are kept whole. Each is recognized from
//! its content alone; [`recognize`] asks them all.

mod artifact;
mod decimal;
mod expvar;
#[doc(hidden)]
pub mod fuzz;
mod gctrace;
mod gctrace_line;
mod gctrace_process;
mod intern;
mod json;
mod json_head;
mod json_shape;
mod labels_json;
mod line;
mod log_time;
mod memstats;
mod metrics_ndjson;
mod output;
mod prometheus_families;
mod prometheus_query;
mod prometheus_series;
mod prometheus_text;
mod samples_line;
mod samples_ndjson;
mod scraped_sample;
mod spans_ndjson;
mod tsdb_dump;

pub use artifact::{ARTIFACT_SOURCES, ArtifactSource, unreadable};
pub use labels_json::{LabelsFile, read_labels};
pub use line::MAX_LINE_BYTES;
pub use samples_ndjson::{RecordedProcesses, read_processes};

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
pub const SOURCES: &[&dyn Source] = &[
    &samples_ndjson::SamplesNdjson,
    &metrics_ndjson::MetricsNdjson,
    &spans_ndjson::SpansNdjson,
    &labels_json::LabelsJson,
    &expvar::Expvar,
    &prometheus_query::PrometheusQuery,
    &tsdb_dump::TsdbDump,
    &prometheus_text::PrometheusText,
    &gctrace::GcTrace,
];

/// What an input was recognized as.
#[derive(Clone, Copy)]
pub enum Recognized {
    /// A format that is read into records.
    Records(&'static dyn Source),
    /// A format that is kept whole.
    Artifact(&'static dyn ArtifactSource),
    /// A known format that is not read; says what to do instead.
    Unreadable(&'static str),
    /// Nothing that memwatch knows.
    Unknown,
}

/// What these first bytes (up to [`HEAD_BYTES`], decompressed) are.
#[must_use]
pub fn recognize(head: &[u8]) -> Recognized {
    if let Some(source) = SOURCES.iter().find(|s| s.recognizes(head)) {
        return Recognized::Records(*source);
    }
    if let Some(source) = ARTIFACT_SOURCES.iter().find(|s| s.recognizes(head)) {
        return Recognized::Artifact(*source);
    }
    unreadable(head).map_or(Recognized::Unknown, Recognized::Unreadable)
}

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
