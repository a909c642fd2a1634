//! The body of every fuzz target, which the properties of each source call too.

use std::io::BufReader;

use super::{ARTIFACT_SOURCES, Context, Rejection, Source, recognize};
use crate::incident::Incident;
use crate::record::{
    Artifact, GcCycle, GcPause, Identity, MemorySample, MetricSample, RecordSink, Span,
};
use crate::{Result, Timestamp};

/// Everything that a source gave.
#[derive(Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Collected {
    /// Readings of `runtime.MemStats`.
    pub samples: Vec<(Identity, MemorySample)>,
    /// GC cycles.
    pub gc_cycles: Vec<(Identity, GcCycle)>,
    /// Pauses.
    pub gc_pauses: Vec<(Identity, GcPause)>,
    /// Values of other series.
    pub metrics: Vec<(Identity, MetricSample)>,
    /// Requests.
    pub spans: Vec<(Identity, Span)>,
    /// Labelled stretches.
    pub incidents: Vec<Incident>,
    /// What could not be read.
    pub rejected: Vec<Rejection>,
    /// What else was said.
    pub notes: Vec<String>,
    /// Why the input as a whole was not read.
    pub failed: Option<String>,
}

impl Collected {
    /// What `source` reads from `text`, recorded by `service`/`instance` at 2026-11-23T05:03:09Z.
    #[must_use]
    pub fn of(source: &dyn Source, text: &[u8]) -> Collected {
        let mut context = Context {
            input: "test".into(),
            ..Context::default()
        };
        context.identity = Some(Identity {
            service: "service".into(),
            instance: "instance".into(),
        });
        context.at = Some(Timestamp(1_795_410_189_000_000_000));
        Collected::with(source, text, &context)
    }

    /// What `source` reads from `text` in `context`.
    #[must_use]
    pub fn with(source: &dyn Source, mut text: &[u8], context: &Context) -> Collected {
        let mut read = Collected::default();
        if let Err(error) = source.parse(&mut text, context, &mut read) {
            read.failed = Some(error.to_string());
        }
        read
    }
}

impl RecordSink for Collected {
    fn sample(&mut self, of: &Identity, row: &MemorySample) -> Result<()> {
        self.samples.push((of.clone(), row.clone()));
        Ok(())
    }
    fn gc_cycle(&mut self, of: &Identity, row: &GcCycle) -> Result<()> {
        self.gc_cycles.push((of.clone(), row.clone()));
        Ok(())
    }
    fn gc_pause(&mut self, of: &Identity, row: &GcPause) -> Result<()> {
        self.gc_pauses.push((of.clone(), row.clone()));
        Ok(())
    }
    fn metric(&mut self, of: &Identity, row: &MetricSample) -> Result<()> {
        self.metrics.push((of.clone(), row.clone()));
        Ok(())
    }
    fn span(&mut self, of: &Identity, row: &Span) -> Result<()> {
        self.spans.push((of.clone(), row.clone()));
        Ok(())
    }
    fn incident(&mut self, row: &Incident) -> Result<()> {
        self.incidents.push(row.clone());
        Ok(())
    }
    fn artifact(&mut self, _: &Identity, _: &Artifact, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn reject(&mut self, rejection: Rejection) -> Result<()> {
        self.rejected.push(rejection);
        Ok(())
    }
    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

/// Reads any bytes with `source`: nothing panics, every rejection says where and what, and the size of the buffer does not matter.
///
/// # Panics
/// When one of these does not hold.
pub fn any_bytes(source: &dyn Source, bytes: &[u8]) {
    let _ = recognize(bytes);
    let read = Collected::of(source, bytes);
    let lines = 1 + bytes.iter().filter(|b| **b == b'\n').count() as u64;
    for rejection in &read.rejected {
        assert!(rejection.place.line <= lines, "{rejection:?}");
        assert!(!rejection.expected.is_empty(), "{rejection:?}");
        assert!(rejection.found.len() <= 400, "{rejection:?}");
    }
    let mut again = Collected::default();
    let context = Context::default();
    let mut small = BufReader::with_capacity(7, bytes);
    let _ = source.parse(&mut small, &context, &mut again);
    let whole = Collected::with(source, bytes, &context);
    again.failed.clone_from(&whole.failed);
    // NaN is a value, and unequal to itself.
    assert_eq!(format!("{again:?}"), format!("{whole:?}"));
}

/// Looks at any bytes as each of the formats that are kept whole: nothing panics.
pub fn any_artifact(bytes: &[u8]) {
    let _ = recognize(bytes);
    for artifact in ARTIFACT_SOURCES {
        let _ = artifact.describe(bytes, "x", &Context::default());
    }
}
