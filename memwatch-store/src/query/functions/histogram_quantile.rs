//! `histogram_quantile`: a quantile of a classic histogram.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::buckets::{Bucket, prepare, quantile};

use super::kind::{Kind, Rows, Setting, Statistic, as_number, defined};
use super::{Body, SqlFunction};

pub(super) static HISTOGRAM_QUANTILE: SqlFunction = SqlFunction {
    name: "histogram_quantile",
    arguments: "le, count, q",
    about: "Quantile of a classic histogram whose rows are its buckets: upper bound and how many observations were at most that. The rules \
            are those of Prometheus: linear within the bucket that holds it, so no finer than the buckets are; NULL without a bucket up to \
            infinity, or without observations. For a stretch of time take the increase of each bucket first.",
    example: "SELECT histogram_quantile(le, observed, 0.99) AS p99 FROM (\n\
              \x20 SELECT label(labels, 'le')::double AS le, increase(ts, value) AS observed FROM metrics\n\
              \x20 WHERE metric = 'go_gc_pauses_seconds_bucket' AND kind = 'histogram' GROUP BY labels) AS buckets",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
struct Of {
    q: f64,
}

impl Kind for Unbound {
    fn timed(&self) -> bool {
        false
    }

    fn columns(&self, _: &[DataType]) -> usize {
        2
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Number]
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        let q = as_number(settings.first())?;
        if !(0.0..=1.0).contains(&q) {
            return Err(format!("expected a quantile from 0 to 1, found {q}"));
        }
        Ok(Box::new(Of { q }))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let pairs = rows.values.iter().zip(rows.second);
        let mut buckets: Vec<Bucket> = pairs
            .filter(|(_, count)| !count.is_nan())
            .map(|(upper, count)| Bucket {
                upper: *upper,
                count: *count,
            })
            .collect();
        // Sums of counts of one bound must not depend on the order of rows.
        buckets.sort_by(|a, b| {
            a.upper
                .total_cmp(&b.upper)
                .then(a.count.total_cmp(&b.count))
        });
        Ok(defined(
            prepare(&mut buckets).map(|_| quantile(self.q, &buckets)),
        ))
    }
}
