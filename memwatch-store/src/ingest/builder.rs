//! What to read and how: the settings of an ingest.

use std::io::Read;
use std::sync::Arc;

use memwatch_core::Timestamp;
use memwatch_core::source::{ARTIFACT_SOURCES, Recognized, SOURCES};

use super::IngestReport;
use super::inputs::{InputError, Inputs};
use super::run::Run;
use crate::{Error, Result, Store};

/// The format name that stands for looking at the content.
const AUTO: &str = "auto";

/// What a rejection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// It is counted and reported, and reading goes on.
    #[default]
    Skip,
    /// The input fails and leaves no rows, and no more inputs are read.
    Fail,
}

/// How far an ingest is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The input being read.
    pub input: &'a str,
    /// Bytes of all inputs so far, before decompression.
    pub bytes: u64,
    /// Bytes of all inputs; `None` when standard input is among them.
    pub bytes_total: Option<u64>,
    /// Rows of all inputs so far.
    pub rows: u64,
}

/// Who is told how far it is.
pub(super) type Tell<'a> = Box<dyn FnMut(&Progress<'_>) + 'a>;

/// Reads recordings into a store.
#[must_use]
pub struct Ingest<'a> {
    store: Store,
    inputs: Vec<String>,
    pub(super) stdin: Option<Box<dyn Read + Send>>,
    pub(super) service: Option<Arc<str>>,
    pub(super) instance: Option<Arc<str>>,
    pub(super) at: Option<Timestamp>,
    pub(super) starts: Vec<Timestamp>,
    format: Option<String>,
    pub(super) on_error: OnError,
    pub(super) progress: Tell<'a>,
}

/// The formats by name, each with what it is.
pub fn formats() -> impl Iterator<Item = (&'static str, &'static str)> {
    SOURCES
        .iter()
        .map(|s| (s.name(), s.about()))
        .chain(ARTIFACT_SOURCES.iter().map(|s| (s.name(), s.about())))
}

/// How many files these inputs are, before anything is read or made.
///
/// # Errors
/// When one does not exist, or a folder holds no files.
pub fn find<S: Into<String>>(inputs: impl IntoIterator<Item = S>) -> Result<usize> {
    let inputs: Vec<String> = inputs.into_iter().map(Into::into).collect();
    Ok(Inputs::expand(&inputs)?.len())
}

impl<'a> Ingest<'a> {
    /// Nothing to read yet.
    pub fn new(store: &Store) -> Ingest<'a> {
        Ingest {
            store: store.clone(),
            inputs: Vec::new(),
            stdin: None,
            service: None,
            instance: None,
            at: None,
            starts: Vec::new(),
            format: None,
            on_error: OnError::Skip,
            progress: Box::new(|_| ()),
        }
    }

    /// Adds files, folders (with all below, in order; links are not followed), patterns, or `-` for [`Ingest::standard_input`].
    pub fn inputs<S: Into<String>>(mut self, inputs: impl IntoIterator<Item = S>) -> Self {
        self.inputs.extend(inputs.into_iter().map(Into::into));
        self
    }

    /// What the input `-` reads.
    pub fn standard_input(mut self, from: impl Read + Send + 'static) -> Self {
        self.stdin = Some(Box::new(from));
        self
    }

    /// Whose recordings these are, where lines do not say. Without an instance it is called as the service.
    pub fn service(mut self, service: Option<&str>) -> Self {
        self.service = service.map(Arc::from);
        self
    }

    /// Which instance, where lines do not say.
    pub fn instance(mut self, instance: Option<&str>) -> Self {
        self.instance = instance.map(Arc::from);
        self
    }

    /// When inputs without a time of their own were read.
    pub fn at(mut self, at: Option<Timestamp>) -> Self {
        self.at = at;
        self
    }

    /// When the processes of a gctrace log began, in order.
    pub fn starts(mut self, starts: impl IntoIterator<Item = Timestamp>) -> Self {
        self.starts.extend(starts);
        self
    }

    /// The format of all inputs (see [`formats`]), instead of looking at their content; `auto` and `None` look.
    pub fn format(mut self, name: Option<&str>) -> Self {
        self.format = name.filter(|n| *n != AUTO).map(str::to_owned);
        self
    }

    /// What a rejection does.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Is told how far it is, some times a second.
    pub fn progress(mut self, tell: impl FnMut(&Progress<'_>) + 'a) -> Self {
        self.progress = Box::new(tell);
        self
    }

    /// Reads everything. When it has returned, all rows of the report are durable.
    ///
    /// # Errors
    /// When an input does not exist, the format is unknown, or the store cannot be written. What is wrong inside of an input is in the
    /// report.
    pub fn run(self) -> Result<IngestReport> {
        if self.inputs.is_empty() {
            return Err(wrong_input("", "expected an input, found none"));
        }
        let format = self.format.as_deref().map(named).transpose()?;
        let inputs = Inputs::expand(&self.inputs)?;
        let writer = self.store.writer()?;
        let had_sources = self.store.snapshot()?.info().sources > 0;
        Run::new(writer, had_sources, inputs.size_bytes(), format, self).all(inputs)
    }
}

pub(super) fn wrong_input(input: &str, why: impl Into<String>) -> Error {
    Error::Input(InputError {
        input: input.to_owned(),
        why: why.into(),
    })
}

/// The format of that name.
fn named(name: &str) -> Result<Recognized> {
    if let Some(source) = SOURCES.iter().find(|s| s.name() == name) {
        return Ok(Recognized::Records(*source));
    }
    if let Some(source) = ARTIFACT_SOURCES.iter().find(|s| s.name() == name) {
        return Ok(Recognized::Artifact(*source));
    }
    let known: Vec<&str> = formats().map(|(name, _)| name).collect();
    Err(wrong_input(
        "--format",
        format!(
            "expected auto or one of {}, found `{name}`",
            known.join(", ")
        ),
    ))
}
