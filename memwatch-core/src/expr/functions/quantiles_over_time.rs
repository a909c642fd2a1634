//! Several quantiles of one window at once.

use super::histograms::label_value;
use super::over_time::warn_of_quantiles;
use super::{Body, Call, Function, RANGE, SCALAR, TEXT, VECTOR};
use crate::Result;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{self, Row, Val};
use crate::expr::select::Samples;
use crate::stats::sliding::Bounds;
use crate::stats::window::quantiles_within;

pub(super) const QUANTILES_OVER_TIME: Function = Function::new(
    "quantiles_over_time",
    &[RANGE, TEXT, SCALAR],
    VECTOR,
    Body::Rows(quantiles_over_time),
    "`quantiles_over_time(v[5m], label, q, …)`: several quantiles of the samples in the window, each the value of `quantile_over_time`, told apart by \
     the given label, with the window sorted once.",
)
.repeating();

fn quantiles_over_time(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let label = evaluator.text(&call.args[1], call.steps)?;
    let mut wanted = Vec::new();
    for arg in &call.args[2..] {
        let q = evaluator.scalar(arg, call.steps)?;
        warn_of_quantiles(evaluator, arg.span, &q);
        wanted.push(q);
    }
    let ranges = evaluator.ranges(&call.args[0], call.steps, 1)?;
    let work = ranges
        .series
        .iter()
        .map(|s| s.values().len())
        .sum::<usize>()
        * wanted.len();
    let found = rows::map(&ranges.series, work, |series: &Samples| {
        let bounds = Bounds::find(series.at_ns(), &ranges.until_ns, ranges.width_ns);
        let mut row = Row::empty(series.labels.clone(), call.steps.count());
        row.drop_name = series.drop_name;
        let mut quantiles = vec![Vec::new(); wanted.len()];
        let asked = |window: usize, qs: &mut [f64]| {
            for (q, wanted) in qs.iter_mut().zip(&wanted) {
                *q = wanted[window];
            }
        };
        quantiles_within(
            series.values(),
            &bounds,
            wanted.len(),
            asked,
            |w, values| {
                for (found, value) in quantiles.iter_mut().zip(values) {
                    found.push((w, *value));
                }
            },
        );
        (row, quantiles)
    });
    let mut rows = Vec::new();
    for (row, quantiles) in found {
        for (found, q) in quantiles.into_iter().zip(&wanted) {
            // The argument may differ between evaluations, and with it the label.
            let mut values: Vec<u64> = q.iter().map(|q| q.to_bits()).collect();
            values.sort_unstable();
            values.dedup();
            for bits in values {
                let mut part = Row::empty(
                    row.labels.with(&label, &label_value(f64::from_bits(bits))),
                    call.steps.count(),
                );
                part.drop_name = row.drop_name;
                for (window, value) in found.iter().filter(|(w, _)| q[*w].to_bits() == bits) {
                    part.set(*window, *value);
                }
                rows.push(part);
            }
        }
    }
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}
