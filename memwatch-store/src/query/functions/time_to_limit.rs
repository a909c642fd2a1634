//! `time_to_limit`: how long until the floors reach a limit.

use std::sync::Arc;

use datafusion::arrow::array::StructArray;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue};

use super::kind::{Kind, Rows, Setting, Statistic};
use super::leak::Rule;
use super::{Body, SqlFunction};

pub(super) static TIME_TO_LIMIT: SqlFunction = SqlFunction {
    name: "time_to_limit",
    arguments: "ts, value, limit[, option, …]",
    about: "How long until the line through the floors of the value (see `leak`) reaches the limit that the newest row names: a struct of \
            `seconds`, and of `earliest_seconds` and `latest_seconds` from the 90 % interval of the slope; the latest is infinite when the rise \
            may be chance. 0 when the limit is reached; NULL where the floors do not rise, or are fewer than 60. Options as of `leak`.",
    example: "SELECT service, instance, time_to_limit(ts, heap_inuse_bytes, memory_limit_bytes)['seconds'] AS seconds\n\
              \x20 FROM samples WHERE memory_limit_bytes < 9223372036854775807 GROUP BY service, instance",
    body: Body::Statistic(&Unbound),
};

const PARTS: [&str; 3] = ["seconds", "earliest_seconds", "latest_seconds"];

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
struct Of(Rule);

fn field(name: &str) -> Field {
    Field::new(name, DataType::Float64, true)
}

impl Kind for Unbound {
    fn columns(&self, _: &[DataType]) -> usize {
        2
    }

    fn returns(&self, _: usize) -> DataType {
        DataType::Struct(Fields::from_iter(PARTS.map(field)))
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Text]
    }

    fn optional(&self) -> usize {
        1
    }

    fn repeats(&self) -> bool {
        true
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        Ok(Box::new(Of(Rule::read(settings)?)))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let limit = rows.second.iter().rev().find(|limit| !limit.is_nan());
        let left = self
            .0
            .judge(rows, None)
            .zip(limit)
            .and_then(|(verdict, limit)| verdict.time_to_limit(*limit));
        let Some(left) = left else {
            let fields = Fields::from_iter(PARTS.map(field));
            return Ok(ScalarValue::Struct(Arc::new(StructArray::new_null(
                fields, 1,
            ))));
        };
        PARTS
            .into_iter()
            .zip([left.seconds, left.earliest, left.latest])
            .fold(ScalarStructBuilder::new(), |parts, (name, value)| {
                parts.with_scalar(field(name), ScalarValue::Float64(Some(value)))
            })
            .build()
    }
}
