//! Between a source and the writer: counts, keeps the first rejections, commits on the way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use memwatch_core::incident::Incident;
use memwatch_core::record::{
    Artifact, GcCycle, GcPause, Identity, MemorySample, MetricSample, RecordSink, Span,
};
use memwatch_core::source::Rejection;
use memwatch_core::{Error as CoreError, Result as CoreResult, TimeRange, Timestamp};

use super::report::{KEPT_MAX, hull, instant};
use super::{OnError, Tally};
use crate::writer::Writer;

/// Rows between two looks at the progress.
const ROWS_PER_REPORT: u64 = 8_192;
/// Rows after which what was read so far is made durable: some 10 s of reading.
const ROWS_PER_COMMIT: u64 = 8_000_000;
/// The same for rows that come slowly, from a pipe: what a crash may take.
const TIME_PER_COMMIT: Duration = Duration::from_secs(60);

/// Takes the rows of one input.
pub(crate) struct Sink<'a> {
    pub(crate) writer: &'a mut Writer,
    pub(crate) tally: &'a mut Tally,
    pub(crate) on_error: OnError,
    /// Rows may come slowly.
    pub(crate) slow: bool,
    /// The identity used when the lines do not say.
    pub(crate) fallback: Option<Identity>,
    /// Told how many rows were read.
    pub(crate) progress: &'a mut dyn FnMut(u64),
    pub(crate) seen: Seen,
}

/// What was seen of one input.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rows: u64,
    pub(crate) range: Option<TimeRange>,
    pub(crate) rejected: u64,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) notes: Vec<String>,
    pub(crate) notes_dropped: u64,
    pub(crate) used_fallback: bool,
    /// The writer failed: not the input's fault.
    pub(crate) writer_failed: bool,
}

/// A rejection that ends the input.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Rejected(pub(crate) Rejection);

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

/// `file:line: field …: expected …, found …`.
pub(crate) fn describe(rejection: &Rejection) -> String {
    let Rejection {
        place,
        field,
        expected,
        found,
    } = rejection;
    if field.is_empty() {
        format!("{place}: expected {expected}, found `{found}`")
    } else {
        format!("{place}: field `{field}`: expected {expected}, found `{found}`")
    }
}

impl Sink<'_> {
    fn took(
        &mut self,
        of: Option<&Identity>,
        at: Timestamp,
        result: CoreResult<()>,
    ) -> CoreResult<()> {
        if result.is_err() {
            self.seen.writer_failed = true;
            return result;
        }
        if let (Some(of), Some(fallback), false) = (of, &self.fallback, self.seen.used_fallback) {
            self.seen.used_fallback = Arc::ptr_eq(&of.service, &fallback.service) || of == fallback;
        }
        let range = instant(at);
        self.seen.range = Some(self.seen.range.map_or(range, |before| hull(before, range)));
        self.seen.rows += 1;
        self.tally.uncommitted += 1;
        if self.seen.rows.is_multiple_of(ROWS_PER_REPORT) {
            (self.progress)(self.seen.rows);
        }
        // An input that must come whole or not at all is committed at its end only.
        let due = self.tally.uncommitted >= ROWS_PER_COMMIT
            || (self.slow && self.tally.committed_at.elapsed() >= TIME_PER_COMMIT);
        if due && self.on_error == OnError::Skip {
            self.tally.commit(self.writer).map_err(|e| {
                self.seen.writer_failed = true;
                CoreError::from(e)
            })?;
        }
        Ok(())
    }
}

impl RecordSink for Sink<'_> {
    fn sample(&mut self, of: &Identity, row: &MemorySample) -> CoreResult<()> {
        let result = self.writer.sample(of, row);
        self.took(Some(of), row.at, result)
    }

    fn gc_cycle(&mut self, of: &Identity, row: &GcCycle) -> CoreResult<()> {
        let result = self.writer.gc_cycle(of, row);
        self.took(Some(of), row.at, result)
    }

    fn gc_pause(&mut self, of: &Identity, row: &GcPause) -> CoreResult<()> {
        let result = self.writer.gc_pause(of, row);
        self.took(Some(of), row.at, result)
    }

    fn metric(&mut self, of: &Identity, row: &MetricSample) -> CoreResult<()> {
        let result = self.writer.metric(of, row);
        self.took(Some(of), row.at, result)
    }

    fn span(&mut self, of: &Identity, row: &Span) -> CoreResult<()> {
        let result = self.writer.span(of, row);
        self.took(Some(of), row.at, result)
    }

    fn incident(&mut self, row: &Incident) -> CoreResult<()> {
        let result = self.writer.incident(row);
        self.took(None, row.range.start, result)
    }

    fn artifact(&mut self, of: &Identity, row: &Artifact, content: &[u8]) -> CoreResult<()> {
        let result = self.writer.artifact(of, row, content);
        self.took(Some(of), row.at.unwrap_or_default(), result)
    }

    fn reject(&mut self, rejection: Rejection) -> CoreResult<()> {
        self.seen.rejected += 1;
        if self.seen.rejections.len() < KEPT_MAX {
            self.seen.rejections.push(rejection.clone());
        }
        match self.on_error {
            OnError::Skip => Ok(()),
            OnError::Fail => Err(CoreError::outside(Rejected(rejection))),
        }
    }

    fn note(&mut self, note: String) {
        if self.seen.notes.len() < KEPT_MAX {
            self.seen.notes.push(note);
        } else {
            self.seen.notes_dropped += 1;
        }
    }
}
