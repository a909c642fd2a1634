//! The functions that memwatch adds to SQL: one table, one file per function.
//!
//! A statistic ([`Kind`]) wraps a kernel of `memwatch_core::stats`. It is an aggregate (rows of a group are [collected], put in the order of
//! time, and given to the kernel, so that no answer depends on the order of rows, threads or batches) and a window function (the kernel
//! runs once over the partition where the [frame] allows). NULL is skipped; where there is no result there is NULL.

mod aggregate;
mod collected;
mod documents;
mod frame;
mod kind;
mod planner;
mod window;

mod baseline_deviation;
mod deviation;
mod ewma;
mod growth;
mod histogram_quantile;
mod increase;
mod label;
mod leak;
mod list_element;
mod mad;
mod median;
mod quantile;
mod rate;
mod robust_z;
mod sketch;
mod sketch_merge;
mod sketch_quantile;
mod slope;
mod time_to_limit;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use aggregate::Aggregate;
use kind::Kind;

pub use documents::markdown;

/// A function that memwatch adds to SQL.
#[non_exhaustive]
pub struct SqlFunction {
    /// Its name.
    pub name: &'static str,
    /// How it is called, after the name.
    pub arguments: &'static str,
    /// What it is; markdown.
    pub about: &'static str,
    /// A query that runs on any store.
    pub example: &'static str,
    pub(crate) body: Body,
}

/// What it is to DataFusion.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// An aggregate, and a window function.
    Statistic(&'static dyn Kind),
    /// An aggregate only.
    Aggregate(fn(&'static SqlFunction) -> AggregateUDF),
    /// A function of one row.
    Scalar(fn(&'static SqlFunction) -> ScalarUDF),
}

/// Every function, in the order of the documentation.
pub static SQL_FUNCTIONS: &[&SqlFunction] = &[
    &rate::RATE,
    &increase::INCREASE,
    &slope::SLOPE,
    &deviation::DEVIATION,
    &growth::GROWTH,
    &ewma::EWMA,
    &quantile::QUANTILE,
    &median::MEDIAN,
    &mad::MAD,
    &robust_z::ROBUST_Z,
    &baseline_deviation::BASELINE_DEVIATION,
    &leak::LEAK,
    &time_to_limit::TIME_TO_LIMIT,
    &histogram_quantile::HISTOGRAM_QUANTILE,
    &sketch::SKETCH,
    &sketch_merge::SKETCH_MERGE,
    &sketch_quantile::SKETCH_QUANTILE,
    &label::LABEL,
    &list_element::LIST_ELEMENT,
];

impl SqlFunction {
    /// How it is called: `rate(ts, value)`.
    #[must_use]
    pub fn usage(&self) -> String {
        format!("{}({})", self.name, self.arguments)
    }

    /// Whether it may be followed by `OVER (…)`.
    #[must_use]
    pub fn is_window_function(&self) -> bool {
        matches!(self.body, Body::Statistic(_))
    }

    /// Whether it takes the rows of a group.
    #[must_use]
    pub fn is_aggregate(&self) -> bool {
        !matches!(self.body, Body::Scalar(_))
    }
}

/// Makes the functions known to a context; those of DataFusion that have the same name (`median`) are replaced.
pub(crate) fn register(context: &mut SessionContext) -> Result<()> {
    for &function in SQL_FUNCTIONS {
        match function.body {
            Body::Statistic(kind) => {
                let aggregate = AggregateUDF::new_from_impl(Aggregate::new(function, kind));
                context.register_udaf(aggregate.into())?;
            }
            Body::Aggregate(make) => {
                context.register_udaf(make(function).into())?;
            }
            Body::Scalar(make) => {
                context.register_udf(make(function).into())?;
            }
        }
    }
    context.register_expr_planner(Arc::new(planner::Planner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let mut names: Vec<&str> = SQL_FUNCTIONS.iter().map(|f| f.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name twice");
        for f in SQL_FUNCTIONS {
            assert!(f.about.ends_with('.'), "{}: {}", f.name, f.about);
            assert!(f.example.contains(f.name), "{}: {}", f.name, f.example);
        }
    }
}
