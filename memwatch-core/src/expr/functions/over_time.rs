//! `…_over_time`: summaries of the values of a window.

use super::window::Windows;
use super::{Body, Call, Function, RANGE, SCALAR, VECTOR, WindowKernel};
use crate::Result;
use crate::expr::ast::{NodeKind, VectorSelector};
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};
use crate::expr::select::seconds;
use crate::expr::{AnnotationLevel, Bits};
use crate::labels::METRIC_NAME;
use crate::stats::moments::Moments;
use crate::stats::quantile::SortedWindow;
use crate::stats::sliding::Bounds;
use crate::stats::sum::{Sum, mean, sum};
use crate::stats::window::{mad_within, quantiles_within};
use crate::{Labels, MatchOp, Matcher};

const fn window(
    name: &'static str,
    run: fn(&Windows<'_>, &mut Row) -> Result<(), String>,
    about: &'static str,
) -> Function {
    Function::new(
        name,
        &[RANGE],
        VECTOR,
        Body::Window(WindowKernel::new(run)),
        about,
    )
}

const fn naming(
    name: &'static str,
    run: fn(&Windows<'_>, &mut Row) -> Result<(), String>,
    about: &'static str,
) -> Function {
    let mut kernel = WindowKernel::new(run);
    kernel.keeps_name = true;
    Function::new(name, &[RANGE], VECTOR, Body::Window(kernel), about)
}

pub(super) static FUNCTIONS: &[Function] = &[
    window(
        "avg_over_time",
        average,
        "Mean of the samples in the window.",
    ),
    window("sum_over_time", total, "Sum of the samples in the window."),
    window(
        "min_over_time",
        |w, row| summary(w, row, |v| v, lesser, |v| v),
        "Least sample in the window; NaN only if all are.",
    ),
    window(
        "max_over_time",
        |w, row| summary(w, row, |v| v, greater, |v| v),
        "Greatest sample in the window; NaN only if all are.",
    ),
    window(
        "stddev_over_time",
        |w, row| summary(w, row, Moments::of, Moments::merge, |m| m.variance().sqrt()),
        "Population standard deviation of the samples in the window.",
    ),
    window(
        "stdvar_over_time",
        |w, row| summary(w, row, Moments::of, Moments::merge, |m| m.variance()),
        "Population variance of the samples in the window.",
    ),
    window(
        "count_over_time",
        |w, row| counted(w, row, |n| n as f64),
        "How many samples the window holds.",
    ),
    window(
        "present_over_time",
        |w, row| counted(w, row, |_| 1.0),
        "1 if the window holds a sample.",
    ),
    naming(
        "last_over_time",
        |w, row| edge(w, row, |_, values| values.last().copied()),
        "The newest sample in the window.",
    ),
    naming(
        "first_over_time",
        |w, row| edge(w, row, |_, values| values.first().copied()),
        "The oldest sample in the window.",
    ),
    window(
        "ts_of_last_over_time",
        |w, row| edge(w, row, |at, _| at.last().map(|t| seconds(*t))),
        "When the newest sample in the window was read, in seconds.",
    ),
    window(
        "ts_of_first_over_time",
        |w, row| edge(w, row, |at, _| at.first().map(|t| seconds(*t))),
        "When the oldest sample in the window was read, in seconds.",
    ),
    window(
        "ts_of_min_over_time",
        |w, row| when(w, row, |a, b| b <= a),
        "When the least sample in the window was last read, in seconds.",
    ),
    window(
        "ts_of_max_over_time",
        |w, row| when(w, row, |a, b| b >= a),
        "When the greatest sample in the window was last read, in seconds.",
    ),
    window(
        "mad_over_time",
        |w, row| {
            let mut out = row.out();
            mad_within(w.values, w.bounds, |window, mad| out.set(window, mad));
            Ok(())
        },
        "Median distance of the samples in the window from their median.",
    ),
    Function::new(
        "quantile_over_time",
        &[SCALAR, RANGE],
        VECTOR,
        Body::Rows(quantile_over_time),
        "Quantile (R-7: linear between neighbours) of the samples in the window. The first argument lies between 0 and 1.",
    ),
    Function::new(
        "absent_over_time",
        &[RANGE],
        VECTOR,
        Body::Rows(absent_over_time),
        "1 if no series has a sample in the window, with the labels that the selector says; else nothing.",
    ),
];

fn summary<S: Copy>(
    w: &Windows<'_>,
    row: &mut Row,
    of: fn(f64) -> S,
    merge: fn(S, S) -> S,
    result: fn(S) -> f64,
) -> Result<(), String> {
    w.summarize(row, |i| of(w.values[i]), merge, |_, s| result(s));
    Ok(())
}

/// A sum, and how much was summed disregarding signs.
#[derive(Clone, Copy)]
struct Total {
    sum: Sum,
    magnitude: f64,
}

/// Less than this share of what was summed is left: then the order of the additions decides, and it is that of Prometheus, one sample
/// after the other.
const CANCELLED: f64 = 1e-9;

/// Gives `result` the sum of each window, and its samples where they have to be added one after the other: they cancel each other, or
/// the sum overflowed, or one is not finite.
fn totals(w: &Windows<'_>, row: &mut Row, result: impl Fn(Sum, usize, Option<&[f64]>) -> f64) {
    w.summarize(
        row,
        |i| Total {
            sum: Sum::of(w.values[i]),
            magnitude: w.values[i].abs(),
        },
        |a, b| Total {
            sum: a.sum.merge(b.sum),
            magnitude: a.magnitude + b.magnitude,
        },
        |window, total| {
            let samples = w.bounds.range(window);
            let left = total.sum.total();
            let in_order = !left.is_finite() || left.abs() < CANCELLED * total.magnitude;
            result(
                total.sum,
                samples.len(),
                in_order.then(|| &w.values[samples]),
            )
        },
    );
}

fn total(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    totals(w, row, |total, _, in_order| {
        in_order.map_or(total.total(), sum)
    });
    Ok(())
}

pub(super) fn average(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    totals(w, row, |total, count, in_order| {
        in_order.map_or_else(|| total.mean(count as f64), mean)
    });
    Ok(())
}

fn lesser(a: f64, b: f64) -> f64 {
    if b < a || a.is_nan() { b } else { a }
}

fn greater(a: f64, b: f64) -> f64 {
    if b > a || a.is_nan() { b } else { a }
}

fn counted(w: &Windows<'_>, row: &mut Row, result: fn(usize) -> f64) -> Result<(), String> {
    w.each(row, |_, _, values| Some(result(values.len())));
    Ok(())
}

fn edge(
    w: &Windows<'_>,
    row: &mut Row,
    result: fn(&[i64], &[f64]) -> Option<f64>,
) -> Result<(), String> {
    w.each(row, |_, at_ns, values| result(at_ns, values));
    Ok(())
}

fn when(w: &Windows<'_>, row: &mut Row, later_wins: fn(f64, f64) -> bool) -> Result<(), String> {
    let choose = |a: usize, b: usize| {
        let (x, y) = (w.values[a], w.values[b]);
        if later_wins(x, y) || x.is_nan() { b } else { a }
    };
    w.summarize(row, |i| i, choose, |_, i| seconds(w.at_ns[i]));
    Ok(())
}

/// Gives `f` the values of each window in order.
pub(super) fn sorted(
    w: &Windows<'_>,
    row: &mut Row,
    mut f: impl FnMut(usize, &[f64]) -> f64,
) -> Result<(), String> {
    let mut window_values = SortedWindow::default();
    let mut held = 0..0;
    for window in 0..w.bounds.len() {
        let samples = w.bounds.range(window);
        if samples.is_empty() {
            continue;
        }
        if samples.start >= held.end || samples.start < held.start {
            window_values.clear();
            held = samples.start..samples.start;
        }
        while held.start < samples.start {
            window_values.remove(w.values[held.start]);
            held.start += 1;
        }
        while held.end < samples.end {
            window_values.insert(w.values[held.end]);
            held.end += 1;
        }
        row.set(window, f(window, window_values.values()));
    }
    Ok(())
}

fn quantile_over_time(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let kernel = WindowKernel::new(|w, row| {
        let mut out = row.out();
        let wanted = |window: usize, qs: &mut [f64]| qs[0] = w.params[0][window];
        quantiles_within(w.values, w.bounds, 1, wanted, |window, found| {
            out.set(window, found[0]);
        });
        Ok(())
    });
    let result = evaluator.windows(call, kernel)?;
    if let Val::Vector(rows) = &result
        && !rows.is_empty()
    {
        let q = evaluator.scalar(&call.args[0], call.steps)?;
        warn_of_quantiles(evaluator, call.args[0].span, &q);
    }
    Ok(result)
}

/// Warns of quantiles that are not between 0 and 1.
pub(in crate::expr) fn warn_of_quantiles(
    evaluator: &Evaluator<'_>,
    span: crate::expr::Span,
    quantiles: &[f64],
) {
    let mut told: Vec<u64> = Vec::new();
    for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        if told.contains(&q.to_bits()) {
            continue;
        }
        told.push(q.to_bits());
        let q = crate::expr::print::general(*q);
        let message = format!("quantile value should be between 0 and 1, got {q}");
        evaluator.annotate(AnnotationLevel::Warning, span, message);
    }
}

fn absent_over_time(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let ranges = evaluator.ranges(&call.args[0], call.steps, 1)?;
    let mut present = Bits::none(call.steps.count());
    for series in &ranges.series {
        let bounds = Bounds::find(series.at_ns(), &ranges.until_ns, ranges.width_ns);
        for window in 0..bounds.len() {
            if !bounds.range(window).is_empty() {
                present.set(window);
            }
        }
    }
    let labels = match &call.args[0].without_parens().kind {
        NodeKind::Range { selector, .. } => labels_of_absent(selector),
        _ => Labels::default(),
    };
    Ok(Val::Vector(where_absent(labels, &present)))
}

/// A row with 1 wherever nothing is present.
pub(super) fn where_absent(labels: Labels, present: &Bits) -> Vec<Row> {
    let mut row = Row::empty(labels, present.len());
    for step in 0..present.len() {
        if !present.get(step) {
            row.set(step, 1.0);
        }
    }
    if row.present.any() {
        vec![row]
    } else {
        Vec::new()
    }
}

/// The labels that every series would have that a selector takes: those of its matchers `=`, as far as no other matcher speaks of them.
pub(super) fn labels_of_absent(selector: &VectorSelector) -> Labels {
    let [matchers] = selector.alternatives.as_slice() else {
        return Labels::default();
    };
    let only_one = |m: &Matcher| {
        matchers
            .iter()
            .filter(|other| other.name() == m.name())
            .count()
            == 1
    };
    matchers
        .iter()
        .filter(|m| m.name() != METRIC_NAME && m.op() == MatchOp::Equal && only_one(m))
        .map(|m| (m.name(), m.value()))
        .collect()
}
