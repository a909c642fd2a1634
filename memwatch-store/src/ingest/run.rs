//! Takes inputs one after the other: recognizes, asks the folder, reads, commits.

use std::fs::{self, File};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use memwatch_core::record::{Artifact, Identity, RecordSink as _};
use memwatch_core::source::{self, ArtifactSource, Context, Recognized, Rejection, Source};
use memwatch_core::{Error as CoreError, Place, Result as CoreResult, Timestamp};

use super::Tally;
use super::builder::{Ingest, OnError, Progress, Tell, wrong_input};
use super::content::Content;
use super::context::{Basis, Folder, Folders, moment_of_companion};
use super::inputs::{Candidate, Inputs, plain};
use super::report::{IngestReport, InputReport, Outcome};
use super::sink::{Seen, Sink};
use crate::manifest::SourceIdentity;
use crate::writer::Writer;
use crate::{Result, SourceHash};

/// Largest file that is kept whole: it passes through memory.
const ARTIFACT_BYTES_MAX: u64 = 64 << 20;
/// Changes when the same bytes would be read into other rows: what was taken whole by an older reader is then read again.
const READER: u32 = 1;

/// One ingest on its way.
pub(super) struct Run<'a> {
    writer: Writer,
    tally: Tally,
    folders: Folders,
    reports: Vec<InputReport>,
    format: Option<Recognized>,
    on_error: OnError,
    stdin: Option<Box<dyn Read + Send>>,
    service: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    at: Option<Timestamp>,
    starts: Vec<Timestamp>,
    tell: Tell<'a>,
    /// Whether inputs were taken whole before this ingest.
    had_sources: bool,
    bytes_total: Option<u64>,
    /// Bytes and rows of the inputs before this one.
    bytes_before: u64,
    rows_before: u64,
    /// An input failed that may leave no rows: nothing is read or committed any more.
    stopped: bool,
}

/// Whose recording an input is, and how that is known.
struct Known {
    context: Context,
    basis: Option<Basis>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        mut writer: Writer,
        had_sources: bool,
        bytes_total: Option<u64>,
        format: Option<Recognized>,
        settings: Ingest<'a>,
    ) -> Run<'a> {
        writer.write_in_background();
        Run {
            writer,
            tally: Tally::new(),
            folders: Folders::default(),
            reports: Vec::new(),
            format,
            on_error: settings.on_error,
            stdin: settings.stdin,
            service: settings.service,
            instance: settings.instance,
            at: settings.at,
            starts: settings.starts,
            tell: settings.progress,
            had_sources,
            bytes_total,
            bytes_before: 0,
            rows_before: 0,
            stopped: false,
        }
    }

    pub(super) fn all(mut self, inputs: Inputs) -> Result<IngestReport> {
        let files = inputs.folders.into_values().flatten();
        for candidate in files.chain(inputs.standard_input) {
            let report = if self.stopped {
                InputReport::failed(
                    candidate.name.clone(),
                    "not read: an input before it failed",
                )
            } else {
                self.one(&candidate)?
            };
            self.bytes_before += candidate.size_bytes;
            self.reports.push(report);
        }
        for passed in inputs.passed {
            self.reports.push(if passed.failed {
                InputReport::failed(passed.name, passed.why)
            } else {
                InputReport::skipped(passed.name, passed.why)
            });
        }
        if !self.stopped {
            self.tally.commit(&mut self.writer)?;
        }
        for ((input, table), counts) in &self.tally.rows {
            if let Some(report) = self.reports.get_mut(*input as usize) {
                report.rows.insert(*table, *counts);
            }
        }
        Ok(IngestReport {
            inputs: self.reports,
            version: self.tally.version,
        })
    }

    fn one(&mut self, candidate: &Candidate) -> Result<InputReport> {
        let raw: Box<dyn Read + Send> = match &candidate.path {
            Some(path) => match File::open(path) {
                Ok(file) => Box::new(file),
                Err(error) => {
                    return Ok(InputReport::failed(candidate.name.clone(), plain(&error)));
                }
            },
            None => self
                .stdin
                .take()
                .ok_or_else(|| wrong_input("-", "there is no standard input to read here"))?,
        };
        let mut content = match Content::new(raw) {
            Ok(content) => content,
            Err(error) => return Ok(InputReport::failed(candidate.name.clone(), plain(&error))),
        };
        let format = match self.recognize(&content) {
            Ok(format) => format,
            Err(why) if candidate.explicit => {
                return Ok(InputReport::failed(candidate.name.clone(), why));
            }
            Err(why) => return Ok(InputReport::skipped(candidate.name.clone(), why)),
        };
        let known = self.known(candidate, format);
        let mut report = InputReport::new(candidate.name.clone(), Outcome::Read);
        report.compression = content.compression();
        report.format = Some(format.name());
        // Hashing first costs a pass over the file: for nothing when nothing was ever taken.
        if self.had_sources
            && let Some(raw) = candidate.path.as_deref().and_then(hash_of)
            && self.takes(&identity(&raw, format, &known.context))
        {
            report.bytes = candidate.size_bytes;
            report.outcome = Outcome::Known;
            return Ok(report);
        }

        let input = u32::try_from(self.reports.len()).unwrap_or(u32::MAX);
        self.writer.begin_input(input);
        let raw = content.raw();
        let (bytes_before, rows_before) = (self.bytes_before, self.rows_before);
        let (bytes_total, tell) = (self.bytes_total, &mut self.tell);
        let mut progress = |rows: u64| {
            tell(&Progress {
                input: &candidate.name,
                bytes: bytes_before + raw.bytes(),
                bytes_total,
                rows: rows_before + rows,
            });
        };
        progress(0);
        let mut sink = Sink {
            writer: &mut self.writer,
            tally: &mut self.tally,
            on_error: self.on_error,
            slow: candidate.path.is_none(),
            fallback: known.context.identity.clone(),
            progress: &mut progress,
            seen: Seen::default(),
        };
        let done = read(format, &mut content, candidate, &known.context, &mut sink);
        let mut seen = sink.seen;
        progress(seen.rows);
        if seen.writer_failed {
            return Err(match done {
                Err(error) => error.into(),
                Ok(()) => crate::Error::WriterFailed,
            });
        }
        // What the source left (a footer, bytes after the end) belongs to the input's identity, too.
        let drained = done.is_ok() && content.drain().is_ok();
        if let Err(error) = &done {
            report.outcome = Outcome::Failed {
                why: in_words(error, &candidate.name),
            };
        }
        if done.is_err() && self.on_error == OnError::Fail {
            self.stopped = true;
            seen.range = None;
        } else if drained && seen.rejected == 0 {
            self.tally.whole.push(SourceIdentity {
                hash: identity(&raw.hash(), format, &known.context),
                name: candidate.name.to_string(),
            });
        }
        if self.on_error == OnError::Fail && !self.stopped {
            self.tally.commit(&mut self.writer)?;
        }
        self.rows_before += seen.rows;
        report.bytes = raw.bytes();
        fill(&mut report, seen, &known);
        Ok(report)
    }

    fn takes(&self, hash: &SourceHash) -> bool {
        self.writer.has_source(hash)
    }

    fn recognize(&self, content: &Content) -> Result<Format, String> {
        if content.head().is_empty() {
            return Err("empty".to_owned());
        }
        match self
            .format
            .unwrap_or_else(|| source::recognize(content.head()))
        {
            Recognized::Records(source) => Ok(Format::Records(source)),
            Recognized::Artifact(source) => Ok(Format::Artifact(source)),
            Recognized::Unreadable(advice) => Err(advice.to_owned()),
            Recognized::Unknown => Err("no format that memwatch knows: see `--format`".to_owned()),
        }
    }

    /// What is known of an input from outside of it.
    fn known(&mut self, candidate: &Candidate, format: Format) -> Known {
        let folder = candidate
            .path
            .as_deref()
            .map(|path| self.folder(path, candidate));
        let said = folder.as_ref().and_then(|f| f.identity());
        let (identity, basis) = match (&self.service, &self.instance, said) {
            (Some(service), instance, _) => {
                let instance = instance.as_ref().unwrap_or(service).clone();
                let service = service.clone();
                (Some(Identity { service, instance }), Some(Basis::Given))
            }
            (None, Some(instance), Some((said, basis))) => {
                let (service, instance) = (said.service, instance.clone());
                (Some(Identity { service, instance }), Some(basis))
            }
            (None, None, Some((said, basis))) => (Some(said), Some(basis)),
            (None, _, None) => (None, None),
        };
        let mut context = Context::default();
        context.input = candidate.name.clone();
        context.at = self.at;
        context.process_starts = if !self.starts.is_empty() {
            self.starts.clone()
        } else if format.name() == GCTRACE {
            folder.map_or_else(Vec::new, |f| f.process_starts(identity.as_ref()))
        } else {
            Vec::new()
        };
        context.identity = identity;
        Known { context, basis }
    }

    fn folder(&mut self, path: &Path, candidate: &Candidate) -> Rc<Folder> {
        let folder = path.parent().unwrap_or(Path::new(""));
        self.folders.get(folder, candidate.below.as_deref())
    }
}

/// The format whose lines count from the start of their process.
const GCTRACE: &str = "gctrace";

/// A format that can be read.
#[derive(Clone, Copy)]
enum Format {
    Records(&'static dyn Source),
    Artifact(&'static dyn ArtifactSource),
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Records(source) => source.name(),
            Format::Artifact(source) => source.name(),
        }
    }
}

/// Gives all of an input to the sink. A panic of a parser is that input's failure, not ours: nothing of it is half written.
fn read(
    format: Format,
    content: &mut Content,
    candidate: &Candidate,
    context: &Context,
    sink: &mut Sink<'_>,
) -> CoreResult<()> {
    let work = AssertUnwindSafe(|| match format {
        Format::Records(source) => source.parse(content, context, sink),
        Format::Artifact(source) => keep(source, content, candidate, context, sink),
    });
    catch_unwind(work).unwrap_or_else(|_| {
        Err(CoreError::Input {
            place: place(context),
            expected: format!("{} that the parser survives", format.name()),
            found: "a panic: please report this input".to_owned(),
        })
    })
}

/// Keeps a file whole.
fn keep(
    format: &dyn ArtifactSource,
    content: &mut Content,
    candidate: &Candidate,
    context: &Context,
    sink: &mut Sink<'_>,
) -> CoreResult<()> {
    let read_error = |source| CoreError::Read {
        input: context.input.clone(),
        source,
    };
    let mut bytes = Vec::new();
    content
        .take(ARTIFACT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error)?;
    if bytes.len() as u64 > ARTIFACT_BYTES_MAX {
        return Err(CoreError::Input {
            place: place(context),
            expected: format!("at most {} MiB, decompressed", ARTIFACT_BYTES_MAX >> 20),
            found: "more".to_owned(),
        });
    }
    let name = candidate.path.as_deref().and_then(Path::file_name);
    let name = name.map_or_else(|| "stdin".into(), |n| n.to_string_lossy());
    let mut artifact: Artifact = format.describe(&bytes, &name, context)?;
    if artifact.at.is_none()
        && let Some((at, profile)) = candidate.path.as_deref().and_then(moment_of_companion)
    {
        artifact.at = Some(at);
        sink.note(format!(
            "has no time of its own: taken to be of the time of {profile}"
        ));
    }
    let missing = |field: &str, expected: &str| Rejection {
        place: place(context),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: String::new(),
    };
    let Some(identity) = &context.identity else {
        return sink.reject(missing(
            "service",
            "whose it is: give --service and --instance",
        ));
    };
    if artifact.at.is_none() {
        return sink.reject(missing(
            "time",
            "when it was taken: give --at, or a heap profile of the same tag beside it",
        ));
    }
    // The file as it was found: its hash then is that of the user's file.
    let found = match &candidate.path {
        Some(path) => fs::read(path).map_err(read_error)?,
        None => bytes,
    };
    sink.artifact(identity, &artifact, &found)
}

fn place(context: &Context) -> Place {
    Place {
        input: context.input.clone(),
        line: 0,
    }
}

/// Hash of a plain file as it lies there; `None` for what can be read only once.
fn hash_of(path: &Path) -> Option<blake3::Hash> {
    let mut file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut file, &mut hasher).ok()?;
    Some(hasher.finalize())
}

/// Tells inputs apart: the content and all that changes what is read from it.
fn identity(raw: &blake3::Hash, format: Format, context: &Context) -> SourceHash {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(&READER.to_le_bytes());
    add(raw.as_bytes());
    add(format.name().as_bytes());
    if let Some(of) = &context.identity {
        add(of.service.as_bytes());
        add(of.instance.as_bytes());
    }
    for at in context.at.iter().chain(&context.process_starts) {
        add(&at.0.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// An error and its causes on one line, without the input's name before it.
fn in_words(error: &CoreError, input: &str) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    let Some(rest) = text.strip_prefix(input) else {
        return text;
    };
    if let Some(rest) = rest.strip_prefix(": ") {
        return rest.to_owned();
    }
    // `input:12: …`
    match rest.strip_prefix(':').and_then(|r| r.split_once(": ")) {
        Some((line, rest)) if line.bytes().all(|b| b.is_ascii_digit()) => {
            format!("line {line}: {rest}")
        }
        _ => text,
    }
}

fn fill(report: &mut InputReport, seen: Seen, known: &Known) {
    report.range = seen.range;
    report.rejected = seen.rejected;
    report.rejections = seen.rejections;
    report.notes = seen.notes;
    if seen.notes_dropped > 0 {
        report
            .notes
            .push(format!("and {} more notes", seen.notes_dropped));
    }
    if let (true, Some(Basis::FolderName), Some(of)) =
        (seen.used_fallback, known.basis, &known.context.identity)
    {
        report.notes.push(format!(
            "service and instance are the folder's name, `{}`: give --service and --instance if they are not",
            of.service
        ));
    }
}
