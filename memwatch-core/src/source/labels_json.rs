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
    #[serde(borrow)]
    impact: Option<Text<'a>>,
    impact_unix_ns: Option<Whole>,
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
    let impact = (entry.impact_unix_ns.is_some() || entry.impact.is_some())
        .then(|| time("impact", entry.impact_unix_ns, &entry.impact))
        .transpose()?;
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
        impact,
        detail: entry.detail.as_ref().map_or("", Text::as_str).into(),
        verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_verdicts_and_bad_ones_a_place() {
        let text = br#"{"format": "memwatch-labels/1", "service": "api", "instance": "api-0",
 "processes": [{"n": 1, "start_unix_ns": 5}, {"n": 2}],
 "incidents": [
  {"kind": "heap_leak", "start_unix_ns": 10, "end_unix_ns": 20, "impact_unix_ns": 15, "detail": "d"},
  {"kind": "heap_leak", "start": "2026-11-23T05:00:00Z", "end": "2026-11-23T04:00:00Z"},
  {"kind": "mine", "service": "other", "start": "2026-11-23T05:00:00Z", "end": "2026-11-23T06:00:00Z"},
  {"start_unix_ns": 10, "end_unix_ns": 20}],
 "benign": [{"kind": "restart", "start_unix_ns": 1, "end_unix_ns": 2}],
 "unlabelled": [{"what": "gc_pause", "at_unix_ns": 7}, {"what": "gap", "at_unix_ns": 7, "gap_ns": 3}]}"#;
        let read = read_labels(text, &Context::default()).unwrap();
        assert_eq!(read.process_starts, [Timestamp(5)]);
        let impacts: Vec<_> = read.incidents.iter().map(|i| i.impact).collect();
        assert_eq!(impacts[..2], [Some(Timestamp(15)), None]);
        assert_eq!(read.identity.map(|of| of.instance), Some("api-0".into()));
        let seen: Vec<String> = read
            .incidents
            .iter()
            .map(|i| {
                let length = i.range.duration().0;
                format!("{} {} {length} {:?}", i.service, i.kind, i.verdict)
            })
            .collect();
        assert_eq!(
            seen,
            [
                "api heap_leak 10 Wrong",
                "other mine 3600000000000 Wrong",
                "api restart 1 Benign",
                "api gc_pause 0 Unlabelled",
                "api gap 3 Unlabelled",
            ]
        );
        let places: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(
            places,
            [
                (2, "processes[1].start_unix_ns"),
                (5, "incidents[1].end"),
                (7, "incidents[3].kind"),
            ]
        );
    }

    #[test]
    fn another_shape_is_an_error_with_a_line() {
        for (text, message) in [
            (
                "{\"format\":\"memwatch-labels/2\"}",
                "l.json: expected in `format` memwatch-labels/1, found memwatch-labels/2",
            ),
            (
                "{\"format\":\"memwatch-labels/1\",\n\"benign\":{}}",
                "l.json:2: expected in `benign` a sequence, found map",
            ),
            (
                "{\"service\":\"a\"}",
                "l.json:1: expected in `format` a value, found nothing",
            ),
        ] {
            let context = Context {
                input: "l.json".into(),
                ..Context::default()
            };
            let error = read_labels(text.as_bytes(), &context).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
