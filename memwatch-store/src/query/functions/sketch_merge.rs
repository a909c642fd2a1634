//! `sketch_merge`: sketches put together.

use datafusion::logical_expr::AggregateUDF;

use super::sketch::{Summarize, Takes};
use super::{Body, SqlFunction};

pub(super) static SKETCH_MERGE: SqlFunction = SqlFunction {
    name: "sketch_merge",
    arguments: "sketch",
    about: "The sketch of all values whose sketches are given: the bytes that `sketch` gives of those values.",
    example: "SELECT sketch_quantile(sketch_merge(pauses), 0.99) AS p99_ns FROM (\n\
              \x20 SELECT sketch(pause_ns) AS pauses FROM gc_pauses_best GROUP BY service, date_trunc('minute', ts)) AS minutes",
    body: Body::Aggregate(|function| {
        AggregateUDF::new_from_impl(Summarize::new(function, Takes::Sketches))
    }),
};
