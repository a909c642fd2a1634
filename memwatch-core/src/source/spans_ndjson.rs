//! Spans NDJSON: one request a line.

use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;

use super::intern::{Identities, Strings};
use super::json::{Fault, Text, Whole};
use super::json_head::{JsonFormat, json_format};
use super::line::Lines;
use super::output::Output;
use super::{Context, Source};
use crate::record::{RecordSink, Span};
use crate::{Nanos, Result, Timestamp};

/// Spans NDJSON.
pub(super) struct SpansNdjson;

impl Source for SpansNdjson {
    fn name(&self) -> &'static str {
        "spans"
    }

    fn about(&self) -> &'static str {
        "spans NDJSON: one request a line, with trace_id, start_unix_ns and duration_ns"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::Spans)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut reader = Reader::default();
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text {
                Some(text) => reader.line(line.number, text, &mut out)?,
                None => out.reject_length(line.number)?,
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct JsonSpan<'a> {
    #[serde(borrow)]
    trace_id: Text<'a>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    instance: Option<Text<'a>>,
    #[serde(borrow)]
    route: Option<Text<'a>>,
    start_unix_ns: Whole,
    duration_ns: Whole,
    status: Option<i64>,
    #[serde(borrow)]
    sampled: Option<Text<'a>>,
}

#[derive(Default)]
struct Reader {
    identities: Identities,
    strings: Strings,
    /// Both sides of a request mostly follow each other.
    trace_id: Arc<str>,
    row: Span,
}

impl Reader {
    fn line(&mut self, number: u64, text: &[u8], out: &mut Output<'_>) -> Result<()> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let span: JsonSpan<'_> = match serde_json::from_slice(text) {
            Ok(span) => span,
            Err(error) => {
                let fault = Fault::of(&error, text);
                return out.reject(number, fault.field, fault.expected, fault.found);
            }
        };
        let of = self.identities.get(
            span.service.as_ref().map(Text::as_str),
            span.instance.as_ref().map(Text::as_str),
            out.context.identity.as_ref(),
        );
        let Some(of) = of else {
            return out.reject_identity(number);
        };
        if span.trace_id.as_str().is_empty() {
            return out.reject(number, "trace_id", "an id", "an empty string");
        }
        if *self.trace_id != *span.trace_id.as_str() {
            self.trace_id = span.trace_id.as_str().into();
        }
        let mut cached =
            |text: &Option<Text<'_>>| text.as_ref().map(|text| self.strings.get(text.as_str()));
        self.row.route = cached(&span.route);
        self.row.kind = cached(&span.kind);
        self.row.sampled = cached(&span.sampled);
        self.row.at = Timestamp(span.start_unix_ns.0);
        self.row.trace_id = self.trace_id.clone();
        self.row.duration = Nanos(span.duration_ns.0);
        self.row.status = span.status;
        out.sink.span(&of, &self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    #[test]
    fn spans_need_an_id_a_start_and_a_duration() {
        let text = [
            r#"{"trace_id":"t","kind":"server","service":"api","instance":"api-0","route":"/v1/a","start_unix_ns":5,"duration_ns":6,"status":200,"sampled":"slow","x":1}"#,
            r#"{"trace_id":"t","start_unix_ns":7,"duration_ns":8}"#,
            r#"{"trace_id":"","start_unix_ns":7,"duration_ns":8}"#,
            r#"{"start_unix_ns":7,"duration_ns":8}"#,
            r#"{"trace_id":"t","start_unix_ns":7,"duration_ns":-8}"#,
        ]
        .join("\n");
        let read = Collected::of(&SpansNdjson, text.as_bytes());
        let (of, span) = &read.spans[0];
        assert_eq!((&*of.service, &*of.instance), ("api", "api-0"));
        let expected = Span {
            at: Timestamp(5),
            trace_id: "t".into(),
            route: Some("/v1/a".into()),
            kind: Some("server".into()),
            duration: Nanos(6),
            status: Some(200),
            sampled: Some("slow".into()),
        };
        assert_eq!(*span, expected);
        assert_eq!(&*read.spans[1].0.service, "service");
        assert_eq!(read.spans[1].1.route, None);
        let fields: Vec<&str> = read.rejected.iter().map(|r| &*r.field).collect();
        assert_eq!(fields, ["trace_id", "trace_id", "duration_ns"]);
    }
}
