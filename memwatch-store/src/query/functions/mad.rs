//! `mad`: median absolute deviation.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::quantile::{median_absolute_deviation, order};
use memwatch_core::stats::window::{Width, mad_by_count, mad_by_time};

use super::kind::{Kind, Rows, Statistic};
use super::{Body, SqlFunction};

pub(super) static MAD: SqlFunction = SqlFunction {
    name: "mad",
    arguments: "value",
    about: "Median distance of the values from their median, as PromQL's `mad_over_time`. Times 1.4826 it is the standard deviation of normal \
            noise, and single outliers do not move it.",
    example: "SELECT service, instance, mad(heap_inuse_bytes) AS spread_bytes FROM samples GROUP BY service, instance",
    body: Body::Statistic(&Of),
};

#[derive(Debug)]
struct Of;

impl Kind for Of {
    fn timed(&self) -> bool {
        false
    }

    fn bind(&self, _: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        Ok(Box::new(Of))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let mut sorted = rows.values.to_vec();
        sorted.sort_unstable_by(|a, b| order(*a, *b));
        Ok(ScalarValue::Float64(Some(median_absolute_deviation(
            &sorted,
        ))))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        let mut out = vec![0.0; rows.values.len()];
        match width {
            Width::Rows(width) => mad_by_count(rows.values, width, &mut out),
            Width::Time(ns) => mad_by_time(rows.at_ns, rows.values, ns, &mut out),
        }
        Some(Arc::new(Float64Array::from(out)))
    }
}
