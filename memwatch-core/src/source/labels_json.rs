//! Labels JSON (`memwatch-labels/1`): which stretches of a recording were wrong, which harmless.

use std::io::{BufRead, Read};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Fault, Text, Whole};
use super::json_head::{JsonFormat, json_format};
use super::line::without_bom;
use super::output::{Output, shortened};
use super::{Context, MAX_LINE_BYTES, Rejection, Source};
use crate::incident::{Incident, Verdict};
use crate::record::{Identity, RecordSink};
use crate::{Error, Place, Result, TimeRange, Timestamp};

/// Labels JSON.
pub(super) struct LabelsJson;

impl Source for LabelsJson {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn about(&self) -> &'static str {
        "labels JSON (memwatch-labels/1): incidents, benign and unlabelled stretches of a recording"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::Labels)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut text = Vec::new();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        input
            .take(limit + 1)
            .read_to_end(&mut text)
            .map_err(|source| Error::Read {
                input: context.input.clone(),
                source,
            })?;
        if text.len() > MAX_LINE_BYTES {
            return Err(Error::Input {
                place: place(context, 0),
                expected: format!("labels of at most {} MiB", MAX_LINE_BYTES >> 20),
                found: "more".to_owned(),
            });
        }
        let labels = read_labels(&text, context)?;
        for incident in &labels.incidents {
            sink.incident(incident)?;
        }
        let out = Output { context, sink };
        for rejected in labels.rejected {
            out.sink.reject(rejected)?;
        }
        Ok(())
    }
}

fn place(context: &Context, line: u64) -> Place {
    Place {
        input: context.input.clone(),
        line,
    }
}

/// What a labels file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelsFile {
    /// Whose recording it labels.
    pub identity: Option<Identity>,
    /// When the processes of the recording began, in order.
    pub process_starts: Vec<Timestamp>,
    /// The labelled stretches: incidents, then benign, then unlabelled ones.
    pub incidents: Vec<Incident>,
    /// Entries that could not be read.
    pub rejected: Vec<Rejection>,
}

#[derive(Deserialize)]
struct JsonLabels<'a> {
    #[serde(borrow)]
    format: Text<'a>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    instance: Option<Text<'a>>,
    #[serde(borrow)]
    processes: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    incidents: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    benign: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    unlabelled: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct JsonProcess {
    start_unix_ns: Whole,
}

/// One entry of any of the lists; hand-written ones may name another service, and give times as text only.
#[derive(Deserialize)]
struct JsonEntry<'a> {
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    what: Option<Text<'a>>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    instance: Option<Text<'a>>,
    #[serde(borrow)]
    start: Option<Text<'a>>,
    #[serde(borrow)]
    end: Option<Text<'a>>,
    start_unix_ns: Option<Whole>,
    end_unix_ns: Option<Whole>,
    at_unix_ns: Option<Whole>,
    gap_ns: Option<Whole>,
    #[serde(borrow)]
    detail: Option<Text<'a>>,
}

/// Reads a labels file that is in memory.
///
/// # Errors
/// When it is not JSON of the shape `memwatch-labels/1`; a single bad entry is only rejected.
pub fn read_labels(text: &[u8], context: &Context) -> Result<LabelsFile> {
    let text = without_bom(text);
    let labels: JsonLabels<'_> = serde_json::from_slice(text).map_err(|error| {
        let fault = Fault::of(&error, text);
        let line = u64::try_from(error.line()).unwrap_or(0);
        Error::Input {
            place: place(context, line),
            expected: if fault.field.is_empty() {
                fault.expected
            } else {
                format!("in `{}` {}", fault.field, fault.expected)
            },
            found: shortened(fault.found.as_bytes()),
        }
    })?;
    if labels.format.as_str() != "memwatch-labels/1" {
        return Err(Error::Input {
            place: place(context, 0),
            expected: "in `format` memwatch-labels/1".to_owned(),
            found: shortened(labels.format.as_str().as_bytes()),
        });
    }
    let given = context.identity.as_ref();
    let name = |own: &Option<Text<'_>>, fallback: Option<&Arc<str>>| -> Option<Arc<str>> {
        own.as_ref()
            .map(Text::as_str)
            .filter(|name| !name.is_empty())
            .map(Arc::from)
            .or_else(|| fallback.cloned())
    };
    let service = name(&labels.service, given.map(|i| &i.service));
    let instance = name(&labels.instance, given.map(|i| &i.instance));
    let mut found = LabelsFile::default();
    if let (Some(service), Some(instance)) = (&service, &instance) {
        found.identity = Some(Identity {
            service: service.clone(),
            instance: instance.clone(),
        });
    }
    // serde_json keeps a raw value where it stands in `text`, so that its line can be counted.
    let line_of = |raw: &RawValue| {
        let at = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let before = &text[..at.min(text.len())];
        1 + memchr::memchr_iter(b'\n', before).count() as u64
    };
    let reject = |raw: &RawValue, list: &str, i: usize, fault: Fault| Rejection {
        place: place(context, line_of(raw)),
        field: match &*fault.field {
            "" => format!("{list}[{i}]"),
            field => format!("{list}[{i}].{field}"),
        },
        expected: fault.expected,
        found: shortened(fault.found.as_bytes()),
    };
    for (i, raw) in labels.processes.iter().flatten().enumerate() {
        match serde_json::from_str::<JsonProcess>(raw.get()) {
            Ok(process) => found
                .process_starts
                .push(Timestamp(process.start_unix_ns.0)),
            Err(error) => {
                let fault = Fault::of(&error, raw.get().as_bytes());
                found.rejected.push(reject(raw, "processes", i, fault));
            }
        }
    }
    for (list, entries, verdict) in [
        ("incidents", &labels.incidents, Verdict::Wrong),
        ("benign", &labels.benign, Verdict::Benign),
        ("unlabelled", &labels.unlabelled, Verdict::Unlabelled),
    ] {
        for (i, raw) in entries.iter().flatten().enumerate() {
            let read = serde_json::from_str::<JsonEntry<'_>>(raw.get())
                .map_err(|error| Fault::of(&error, raw.get().as_bytes()))
                .and_then(|entry| {
                    let service = name(&entry.service, service.as_ref());
                    let instance = name(&entry.instance, instance.as_ref());
                    incident(&entry, service, instance, verdict)
                });
            match read {
                Ok(incident) => found.incidents.push(incident),
                Err(fault) => found.rejected.push(reject(raw, list, i, fault)),
            }
        }
    }
    Ok(found)
}

fn incident(
    entry: &JsonEntry<'_>,
    service: Option<Arc<str>>,
    instance: Option<Arc<str>>,
    verdict: Verdict,
) -> Result<Incident, Fault> {
    let missing = |field: &str, expected: &str| Fault {
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: "nothing".to_owned(),
    };
    let time = |field: &str, ns: Option<Whole>, text: &Option<Text<'_>>| match (ns, text) {
        (Some(ns), _) => Ok(Timestamp(ns.0)),
        (None, Some(text)) => Timestamp::parse_rfc3339(text.as_str()).map_err(|_| Fault {
            field: field.to_owned(),
            expected: "a time like 2026-11-23T05:03:09Z".to_owned(),
            found: text.as_str().to_owned(),
        }),
        (None, None) => Err(missing(
            field,
            "a time, as text or in `_unix_ns` nanoseconds since the epoch",
        )),
    };
    let range = if let (Verdict::Unlabelled, Some(at)) = (verdict, entry.at_unix_ns) {
        // A point in time, or from the last reading before a gap.
        let gap = entry.gap_ns.map_or(0, |n| n.0);
        TimeRange {
            start: Timestamp(at.0),
            end: Timestamp(at.0.saturating_add(gap)),
        }
    } else {
        TimeRange {
            start: time("start", entry.start_unix_ns, &entry.start)?,
            end: time("end", entry.end_unix_ns, &entry.end)?,
        }
    };
    if range.end < range.start {
        return Err(Fault {
            field: "end".to_owned(),
            expected: format!("a time not before the start {}", range.start),
            found: range.end.to_string(),
        });
    }
    let kind = entry.kind.as_ref().or(entry.what.as_ref());
    Ok(Incident {
        service: service.ok_or_else(|| missing("service", "a service"))?,
        instance: instance.ok_or_else(|| missing("instance", "an instance"))?,
        kind: kind
            .map(Text::as_str)
            .filter(|kind| !kind.is_empty())
            .ok_or_else(|| missing("kind", "a kind of incident"))?
            .into(),
        range,
        detail: entry.detail.as_ref().map_or("", Text::as_str).into(),
        verdict,
    })
}
