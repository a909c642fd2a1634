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
    // Each value depends on the one before it, to the last bit as Prometheus computes it (a sum of powers is not: a window of which the
    // result is 0 would give 1e-15), so windows do not slide. Several at once keep the processor busy all the same.
    let filled = (0..w.bounds.len()).filter(|window| w.bounds.range(*window).len() >= 2);
    let filled: Vec<usize> = filled.collect();
    let mut out = row.out();
    for windows in filled.chunks(LANES) {
        let last = windows[windows.len() - 1];
        let lane = |i: usize| windows.get(i).copied().unwrap_or(last);
        let values = std::array::from_fn(|i| &w.values[w.bounds.range(lane(i))]);
        let (sf, tf) = (|i| smoothing[lane(i)], |i| trend[lane(i)]);
        let found = smoothed(values, std::array::from_fn(sf), std::array::from_fn(tf));
        for (window, found) in windows.iter().zip(found) {
            out.set(*window, found);
        }
    }
    Ok(())
}

/// How many windows are smoothed at once.
const LANES: usize = 8;

/// Holt's double exponential smoothing of several windows, each of at least two values.
fn smoothed(values: [&[f64]; LANES], sf: [f64; LANES], tf: [f64; LANES]) -> [f64; LANES] {
    let mut before = [0.0; LANES];
    let mut level = values.map(|values| values[0]);
    let mut trend = values.map(|values| values[1] - values[0]);
    let mut take = |lane: usize, i: usize, value: f64| {
        if i > 1 {
            trend[lane] = tf[lane] * (level[lane] - before[lane]) + (1.0 - tf[lane]) * trend[lane];
        }
        let next = sf[lane] * value + (1.0 - sf[lane]) * (level[lane] + trend[lane]);
        before[lane] = std::mem::replace(&mut level[lane], next);
    };
    let shortest = values.iter().map(|values| values.len()).min().unwrap_or(0);
    for i in 1..shortest {
        for (lane, values) in values.iter().enumerate() {
            take(lane, i, values[i]);
        }
    }
    for (lane, values) in values.iter().enumerate() {
        for (i, value) in values.iter().enumerate().skip(shortest) {
            take(lane, i, *value);
        }
    }
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Prometheus has it (`promql/functions.go`).
    fn one_after_the_other(values: &[f64], sf: f64, tf: f64) -> f64 {
        let (mut s0, mut s1, mut b) = (0.0, values[0], values[1] - values[0]);
        for (i, value) in values.iter().enumerate().skip(1) {
            let x = sf * value;
            if i > 1 {
                b = tf * (s1 - s0) + (1.0 - tf) * b;
            }
            let y = (1.0 - sf) * (s1 + b);
            (s0, s1) = (s1, x + y);
        }
        s1
    }

    proptest! {
        #[test]
        fn several_windows_at_once_are_as_each_alone(
            values in prop::collection::vec(-1e3..1e3f64, 60), windows in prop::collection::vec((0usize..50, 2usize..10), LANES), sf in 0.01..0.99f64, tf in 0.01..0.99f64,
        ) {
            let windows: Vec<&[f64]> = windows.iter().map(|(from, len)| &values[*from..from + len]).collect();
            let factors = std::array::from_fn(|lane| if lane % 2 == 0 { sf } else { 1.0 - sf });
            let found = smoothed(std::array::from_fn(|lane| windows[lane]), factors, [tf; LANES]);
            for lane in 0..LANES {
                let alone = one_after_the_other(windows[lane], factors[lane], tf);
                prop_assert_eq!(found[lane].to_bits(), alone.to_bits());
            }
        }
    }
}
