//! What `promtool tsdb dump` prints: `{__name__="up", job="x"} 1 1795410241867`, a sample a line.

use std::io::BufRead;

use super::decimal::scaled;
use super::json_head::json_format;
use super::line::{Lines, without_bom};
use super::output::Output;
use super::prometheus_families::conventional_kind;
use super::prometheus_series::{self, SeriesTable};
use super::prometheus_text::number;
use super::{Context, Source};
use crate::record::{MetricSample, RecordSink};
use crate::{Result, Timestamp};

/// `promtool tsdb dump`.
pub(super) struct TsdbDump;

impl Source for TsdbDump {
    fn name(&self) -> &'static str {
        "tsdb-dump"
    }

    fn about(&self) -> &'static str {
        "the output of `promtool tsdb dump`: series, value and milliseconds a line"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        let head = without_bom(head);
        let line = head
            .split(|b| *b == b'\n')
            .map(<[u8]>::trim_ascii)
            .find(|line| !line.is_empty());
        line.is_some_and(|line| {
            line.starts_with(b"{")
                && prometheus_series::end(line)
                    .is_some_and(|end| memchr::memmem::find(&line[..end], b"__name__=\"").is_some())
                && json_format(head).is_none()
        })
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut series = SeriesTable::default();
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text.map(<[u8]>::trim_ascii) {
                Some(b"") => {}
                Some(text) if line.ended => sample(line.number, text, &mut series, &mut out)?,
                Some(text) => {
                    out.reject(line.number, "", "a line that ends with a line feed", text)?;
                }
                None => out.reject_length(line.number)?,
            }
        }
        Ok(())
    }
}

fn sample(line: u64, text: &[u8], table: &mut SeriesTable, out: &mut Output<'_>) -> Result<()> {
    let end = text
        .starts_with(b"{")
        .then(|| prometheus_series::end(text))
        .flatten();
    let Some(end) = end else {
        return out.reject(
            line,
            "series",
            "labels like {__name__=\"up\", job=\"x\"}",
            text,
        );
    };
    let mut words = text[end..]
        .split(|b| *b == b' ')
        .filter(|word| !word.is_empty());
    let (value_text, time_text) = (words.next(), words.next());
    let Some(value) = value_text.and_then(number) else {
        let expected = "a number (native histograms are not read)";
        return out.reject(line, "value", expected, value_text.unwrap_or(b"nothing"));
    };
    let at = time_text
        .and_then(|text| scaled(text, 0))
        .and_then(Timestamp::from_millis);
    let (Some(at), None) = (at, words.next()) else {
        let expected = "milliseconds since the epoch";
        return out.reject(line, "timestamp", expected, &text[end..]);
    };
    let series = match table.get(
        &text[..end],
        out.context.identity.as_ref(),
        conventional_kind,
    ) {
        Ok(series) => series,
        Err(expected) => return out.reject(line, "series", expected, &text[..end]),
    };
    let Some(of) = &series.of else {
        return out.reject_identity(line);
    };
    let row = MetricSample::new(
        at,
        series.metric.clone(),
        series.labels.clone(),
        value,
        series.kind,
    );
    out.sink.metric(of, &row)
}
