//! Results of PromQL: as rows, or as Prometheus' API answers.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use memwatch_core::expr::{AnnotationLevel, Evaluated, Value};
use memwatch_core::{Labels, Steps, Timestamp};
use serde::Serialize;
use serde_json::{Value as Json, json};

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
        serde_json::to_writer(&mut *out, &api(result, steps, is_range))?;
        writeln!(out)?;
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

#[derive(Serialize)]
struct Api {
    status: &'static str,
    data: Data,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    infos: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: &'static str,
    result: Json,
}

/// What Prometheus answers to `query` and `query_range`.
fn api(result: &Evaluated, steps: Steps, is_range: bool) -> Api {
    let metric = |labels: &Labels| {
        labels
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let pair = |at: Timestamp, value: f64| json!([seconds(at), number(value)]);
    let (result_type, data) = match &result.value {
        Value::Vector(matrix) if is_range => {
            let series = matrix.series.iter().map(|s| {
                let values: Vec<Json> = s.iter().map(|(i, v)| pair(steps.at(i), v)).collect();
                json!({ "metric": metric(&s.labels), "values": values })
            });
            ("matrix", series.collect())
        }
        Value::Vector(matrix) => {
            let series = matrix.series.iter().filter_map(|s| {
                let value = s.get(0)?;
                Some(json!({ "metric": metric(&s.labels), "value": pair(steps.start, value) }))
            });
            ("vector", series.collect())
        }
        Value::Range(windows) => {
            let series = windows.iter().map(|s| {
                let samples = s.at_ns.iter().zip(s.values.iter());
                let values: Vec<Json> = samples.map(|(at, v)| pair(Timestamp(*at), *v)).collect();
                json!({ "metric": metric(&s.labels), "values": values })
            });
            ("matrix", series.collect())
        }
        // A scalar over a range is a series without labels.
        Value::Scalar(values) if is_range => {
            let values: Vec<Json> = values
                .iter()
                .enumerate()
                .map(|(i, v)| pair(steps.at(i), *v))
                .collect();
            ("matrix", json!([{ "metric": {}, "values": values }]))
        }
        Value::Scalar(values) => (
            "scalar",
            values.first().map_or(Json::Null, |v| pair(steps.start, *v)),
        ),
        Value::Text(text) => ("string", json!([seconds(steps.start), text])),
    };
    let messages = |level| {
        let of_level = result.annotations.iter().filter(|a| a.level == level);
        of_level.map(ToString::to_string).collect()
    };
    Api {
        status: "success",
        data: Data {
            result_type,
            result: data,
        },
        warnings: messages(AnnotationLevel::Warning),
        infos: messages(AnnotationLevel::Info),
    }
}

/// Seconds since the epoch with milliseconds, as Prometheus prints times: a whole number when it is one.
fn seconds(at: Timestamp) -> Json {
    let ms = at.0.div_euclid(1_000_000);
    if ms % 1_000 == 0 {
        json!(ms / 1_000)
    } else {
        json!(ms as f64 / 1e3)
    }
}

/// As Prometheus prints values: shortest, without exponent.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
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
            (1e21, "1000000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (-0.0, "-0"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(
            seconds(Timestamp(1_795_410_242_000_000_000)).to_string(),
            "1795410242"
        );
        assert_eq!(
            seconds(Timestamp(1_795_410_242_250_000_000)).to_string(),
            "1795410242.25"
        );
    }
}
