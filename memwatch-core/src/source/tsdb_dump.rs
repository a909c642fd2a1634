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
use crate::record::RecordSink;
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
    series.row.at = at;
    series.row.value = value;
    out.sink.metric(of, &series.row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    #[test]
    fn lines_of_a_dump_are_metrics() {
        let text = r#"{__name__="go_goroutines", instance="127.0.0.1:2019", job="caddy"} 16 1795410241867
{GOARCH="amd64", __name__="go_info_ext"} 1 1795410241867
{__name__="x_bucket", le="+Inf"} NaN 1795410241867

{__name__="h"} {count:1, sum:2} 1795410241867
{job="x"} 1 1795410241867
{__name__="cut"} 1 17954102"#;
        assert!(TsdbDump.recognizes(text.as_bytes()));
        let read = Collected::of(&TsdbDump, text.as_bytes());
        let rows: Vec<String> = read
            .metrics
            .iter()
            .map(|(of, m)| {
                let of = format!("{}/{}", of.service, of.instance);
                format!("{of} {}{{{}}} {} {:?}", m.metric, m.labels, m.value, m.kind)
            })
            .collect();
        assert_eq!(
            rows,
            [
                "caddy/127.0.0.1:2019 go_goroutines{} 16 Gauge",
                "service/instance go_info_ext{GOARCH=\"amd64\"} 1 Gauge",
                "service/instance x_bucket{le=\"+Inf\"} NaN Untyped",
            ]
        );
        let seen: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(seen, [(5, "value"), (6, "series"), (7, "")]);
    }
}
