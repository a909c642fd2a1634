//! Where the values of a window are heading.

use super::window::Windows;
use super::{Body, Function, RANGE, SCALAR, VECTOR, WindowKernel};
use crate::expr::rows::Row;
use crate::stats::regression::Points;
use crate::stats::sliding::{cut_before, summarize};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("deriv", &[RANGE], VECTOR, Body::Window(WindowKernel::new(deriv)), "Per-second slope of a straight line through the samples in the window, by least squares."),
    Function::new("predict_linear", &[RANGE, SCALAR], VECTOR, Body::Window(WindowKernel::new(predict)), "Value that a straight line through the samples in the window has so many seconds after the evaluation.").seeing_time(),
    Function::new("double_exponential_smoothing", &[RANGE, SCALAR, SCALAR], VECTOR, Body::Window(WindowKernel::new(smooth)), "Smoothed value at the end of the window (Holt). The second argument, between 0 and 1, says how much the newest sample counts, the third how much the newest trend."),
];

/// A result for each window with two samples: of the line through them, whose `x` are seconds from the window's cut, and that cut.
///
/// Seen from there the seconds are small and exact.
pub(super) fn lines(w: &Windows<'_>, row: &mut Row, result: impl Fn(usize, Points, i64) -> f64) {
    let mut out = row.out();
    summarize(
        w.at_ns,
        w.until_ns,
        w.width_ns,
        w.bounds,
        |i, cut| Points::of((w.at_ns[i] - cut) as f64 / 1e9, w.values[i]),
        Points::merge,
        |window, points| {
            if w.bounds.range(window).len() >= 2 {
                let cut = cut_before(w.until_ns[window], w.width_ns);
                out.set(window, result(window, points, cut));
            }
        },
    );
}

fn deriv(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    lines(w, row, |_, points, _| points.slope());
    Ok(())
}

fn predict(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    let ahead = &w.params[0];
    lines(w, row, |window, points, cut| {
        points.at((w.steps.at(window).0 - cut) as f64 / 1e9 + ahead[window])
    });
    Ok(())
}

fn smooth(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    let (smoothing, trend) = (&w.params[0], &w.params[1]);
    for (what, factors) in [("smoothing", smoothing), ("trend", trend)] {
        if let Some(bad) = factors.iter().find(|f| !(**f > 0.0 && **f < 1.0)) {
            let short = if what == "smoothing" { "sf" } else { "tf" };
            return Err(format!(
                "invalid {what} factor. Expected: 0 < {short} < 1, got: {bad:.6}"
            ));
        }
    }
    w.each(row, |window, _, values| {
        smoothed(values, smoothing[window], trend[window])
    });
    Ok(())
}

/// Holt's double exponential smoothing; `None` of fewer than two values.
fn smoothed(values: &[f64], smoothing: f64, trend_factor: f64) -> Option<f64> {
    let [first, second, ..] = values else {
        return None;
    };
    let (mut before, mut level, mut trend) = (0.0, *first, second - first);
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        before = std::mem::replace(&mut level, next);
    }
    Some(level)
}
