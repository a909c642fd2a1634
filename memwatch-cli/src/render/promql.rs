//! Results of PromQL: as rows, or as Prometheus' API answers.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use memwatch_core::expr::{AnnotationLevel, Evaluated, ExprError, Value};
use memwatch_core::{Labels, Steps, Timestamp};
use serde_json::Value as Json;

use super::{Output, rows};
use crate::args::RowFormat;

/// Writes a result; tables stop after `rows_max` rows (0: never).
pub fn write(
    result: &Evaluated,
    steps: Steps,
    is_range: bool,
    format: RowFormat,
    rows_max: usize,
    out: &mut Output,
) -> anyhow::Result<()> {
    if format == RowFormat::Json {
        api(result, steps, is_range, out)?;
        return Ok(());
    }
    let mut table = Table::new(&result.value);
    match &result.value {
        Value::Vector(matrix) => {
            for series in &matrix.series {
                for (i, value) in series.iter() {
                    table.push(&series.labels, steps.at(i), value);
                }
            }
        }
        Value::Range(windows) => {
            for series in windows {
                for (at, value) in series.at_ns.iter().zip(series.values.iter()) {
                    table.push(&series.labels, Timestamp(*at), *value);
                }
            }
        }
        Value::Scalar(values) => {
            for (i, value) in values.iter().enumerate() {
                table.push(&Labels::default(), steps.at(i), *value);
            }
        }
        Value::Text(text) => {
            writeln!(out, "{}", super::clean(text, false))?;
            return Ok(());
        }
    }
    let (schema, batch) = table.finish()?;
    rows::write(std::iter::once(Ok(batch)), &schema, format, rows_max, out)
}

/// One row for each value: its time, the labels of its series, the value.
struct Table {
    names: Vec<String>,
    at: TimestampMicrosecondBuilder,
    labels: Vec<StringBuilder>,
    values: Float64Builder,
}

impl Table {
    /// A column for each label that any series has.
    fn new(value: &Value) -> Table {
        let label_sets: Vec<&Labels> = match value {
            Value::Vector(matrix) => matrix.series.iter().map(|s| &s.labels).collect(),
            Value::Range(windows) => windows.iter().map(|s| &s.labels).collect(),
            Value::Scalar(_) | Value::Text(_) => Vec::new(),
        };
        let mut names: Vec<String> = label_sets
            .iter()
            .flat_map(|l| l.iter())
            .map(|(n, _)| n.to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        Table {
            at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            labels: names.iter().map(|_| StringBuilder::new()).collect(),
            names,
            values: Float64Builder::new(),
        }
    }

    fn push(&mut self, labels: &Labels, at: Timestamp, value: f64) {
        self.at.append_value(at.micros());
        for (name, column) in self.names.iter().zip(&mut self.labels) {
            column.append_value(labels.get(name));
        }
        self.values.append_value(value);
    }

    fn finish(mut self) -> anyhow::Result<(SchemaRef, RecordBatch)> {
        let mut fields = vec![Field::new(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        )];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.at.finish())];
        for (name, mut column) in self.names.iter().zip(self.labels) {
            // A label may be called like one of the other columns.
            let clash = name == "ts" || name == "value";
            fields.push(Field::new(
                if clash {
                    format!("label_{name}")
                } else {
                    name.clone()
                },
                DataType::Utf8,
                false,
            ));
            columns.push(Arc::new(column.finish()));
        }
        fields.push(Field::new("value", DataType::Float64, false));
        columns.push(Arc::new(self.values.finish()));
        let schema = Arc::new(Schema::new(fields));
        Ok((schema.clone(), RecordBatch::try_new(schema, columns)?))
    }
}

/// How many messages of a level are given; of further ones only the number.
const MESSAGES_MAX: usize = 10;

/// What Prometheus answers to `query` and `query_range`, byte for byte: order of keys, numbers and times as it writes them.
fn api(result: &Evaluated, steps: Steps, is_range: bool, out: &mut dyn Write) -> io::Result<()> {
    let kind = match &result.value {
        Value::Vector(_) | Value::Scalar(_) if is_range => "matrix",
        Value::Range(_) => "matrix",
        Value::Vector(_) => "vector",
        Value::Scalar(_) => "scalar",
        Value::Text(_) => "string",
    };
    write!(
        out,
        r#"{{"status":"success","data":{{"resultType":"{kind}","result":"#
    )?;
    match &result.value {
        Value::Vector(matrix) => list(out, &matrix.series, |out, series| {
            write!(out, r#"{{"metric":"#)?;
            metric(out, &series.labels)?;
            let samples = series.iter().map(|(i, value)| (steps.at(i), value));
            let key = if is_range { "values" } else { "value" };
            write!(out, r#","{key}":"#)?;
            if is_range {
                list(out, samples, |out, (at, value)| pair(out, at, value))?;
            } else {
                samples
                    .take(1)
                    .try_for_each(|(at, value)| pair(out, at, value))?;
            }
            write!(out, "}}")
        })?,
        Value::Range(windows) => list(out, windows, |out, series| {
            write!(out, r#"{{"metric":"#)?;
            metric(out, &series.labels)?;
            write!(out, r#","values":"#)?;
            let samples = series.at_ns.iter().zip(series.values.iter());
            list(out, samples, |out, (at, value)| {
                pair(out, Timestamp(*at), *value)
            })?;
            write!(out, "}}")
        })?,
        // A scalar over a range is a series without labels.
        Value::Scalar(values) if is_range => {
            write!(out, r#"[{{"metric":{{}},"values":"#)?;
            list(out, values.iter().enumerate(), |out, (i, value)| {
                pair(out, steps.at(i), *value)
            })?;
            write!(out, "}}]")?;
        }
        Value::Scalar(values) => pair(
            out,
            steps.start,
            values.first().copied().unwrap_or(f64::NAN),
        )?,
        Value::Text(text) => write!(out, "[{},{}]", seconds(steps.start), quoted(text))?,
    }
    write!(out, "}}")?;
    let levels = [
        (AnnotationLevel::Warning, "warnings", "warning"),
        (AnnotationLevel::Info, "infos", "info"),
    ];
    for (level, key, word) in levels {
        let of_level = result.annotations.iter().filter(|a| a.level == level);
        let mut texts: Vec<String> = of_level.map(ToString::to_string).collect();
        if texts.is_empty() {
            continue;
        }
        let omitted = texts.len().saturating_sub(MESSAGES_MAX);
        texts.truncate(MESSAGES_MAX);
        if omitted > 0 {
            texts.push(format!("{omitted} more {word} annotations omitted"));
        }
        write!(out, r#","{key}":"#)?;
        list(out, &texts, |out, text| write!(out, "{}", quoted(text)))?;
    }
    writeln!(out, "}}")
}

/// Why there is no answer, as Prometheus' API says it.
pub fn write_error(error: &ExprError, parsed: bool, out: &mut Output) -> io::Result<()> {
    let (kind, message) = if parsed {
        ("execution", error.message.clone())
    } else {
        let (line, column) = error
            .span
            .unwrap_or_default()
            .line_column(&error.expression);
        let message = error.message.trim_start_matches("parse error: ");
        let message =
            format!("invalid parameter \"query\": {line}:{column}: parse error: {message}");
        ("bad_data", message)
    };
    writeln!(
        out,
        r#"{{"status":"error","errorType":"{kind}","error":{}}}"#,
        quoted(&message)
    )
}

/// `[a,b]`
fn list<T>(
    out: &mut dyn Write,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut dyn Write, T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        write(out, item)?;
    }
    out.write_all(b"]")
}

fn metric(out: &mut dyn Write, labels: &Labels) -> io::Result<()> {
    out.write_all(b"{")?;
    for (i, (name, value)) in labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}{}:{}", quoted(name), quoted(value))?;
    }
    out.write_all(b"}")
}

fn pair(out: &mut dyn Write, at: Timestamp, value: f64) -> io::Result<()> {
    write!(out, r#"[{},"{}"]"#, seconds(at), number(value))
}

fn quoted(text: &str) -> Json {
    Json::from(text)
}

/// Seconds since the epoch: a whole number, or one with three digits after the point.
fn seconds(at: Timestamp) -> String {
    let ms = at.0.div_euclid(1_000_000);
    let sign = if ms < 0 { "-" } else { "" };
    let (whole, rest) = (ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000);
    if rest == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:03}")
    }
}

/// The shortest digits that read back as the value; very small and very large ones with an exponent, as Go writes it.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_printed_as_prometheus_does() {
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (123_456_789.25, "123456789.25"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1e-6, "0.000001"),
            (9.5e-7, "9.5e-07"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (-0.0, "-0"),
        ] {
            assert_eq!(number(value), text);
        }
        for (ms, text) in [
            (1_795_410_242_000, "1795410242"),
            (1_795_410_242_250, "1795410242.250"),
            (1_795_410_242_005, "1795410242.005"),
            (-1_500, "-1.500"),
            (-1, "-0.001"),
        ] {
            assert_eq!(seconds(Timestamp(ms * 1_000_000)), text);
        }
    }
}
