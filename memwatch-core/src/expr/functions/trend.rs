//! Where the values of a window are heading.

use std::ops::Range;

use super::window::Windows;
use super::{Body, Function, RANGE, SCALAR, VECTOR, WindowKernel};
use crate::expr::rows::Row;
use crate::stats::regression::Points;
use crate::stats::sliding::{Bounds, cut_before, summarize};

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
    // How many values up to each sample are no numbers: these do not slide out of a sum again.
    let odd: Vec<u32> = std::iter::once(0)
        .chain(w.values.iter().scan(0, |odd, value| {
            *odd += u32::from(!value.is_finite());
            Some(*odd)
        }))
        .collect();
    let mut from = 0;
    while from < w.bounds.len() {
        let factors = |window: usize| (smoothing[window].to_bits(), trend[window].to_bits());
        let same = (from..w.bounds.len()).take_while(|window| factors(*window) == factors(from));
        let to = from + same.count();
        smooth_sliding(w, row, from..to, &odd);
        from = to;
    }
    Ok(())
}

/// Level and trend that some samples leave behind where there was nothing before them, and how many samples these are.
#[derive(Clone, Copy)]
struct Left {
    level: f64,
    trend: f64,
    samples: usize,
}

/// [`smoothed`] of windows that overlap. A sample `x` turns level and trend, as a column `s`, into `A·s + c·x`, so what several samples do
/// is a power of `A` and what they leave behind; of two stretches of samples these are put together, whichever samples they are.
fn smooth_sliding(w: &Windows<'_>, row: &mut Row, windows: Range<usize>, odd: &[u32]) {
    let (sf, tf) = (w.params[0][windows.start], w.params[1][windows.start]);
    let bounds = Bounds {
        from: w.bounds.from[windows.clone()].to_vec(),
        to: w.bounds.to[windows.clone()].to_vec(),
    };
    let (a, c) = (
        [[1.0 - sf, 1.0 - sf], [-tf * sf, 1.0 - tf * sf]],
        [sf, tf * sf],
    );
    let times = |m: &[[f64; 2]; 2], level: f64, trend: f64| {
        let line = |row: &[f64; 2]| row[0] * level + row[1] * trend;
        (line(&m[0]), line(&m[1]))
    };
    let most = (0..bounds.len()).map(|window| bounds.range(window).len());
    let mut powers = vec![[[1.0, 0.0], [0.0, 1.0]]];
    for _ in 0..most.max().unwrap_or(0) {
        let last = powers[powers.len() - 1];
        let (first, second) = (
            times(&a, last[0][0], last[1][0]),
            times(&a, last[0][1], last[1][1]),
        );
        powers.push([[first.0, second.0], [first.1, second.1]]);
    }
    let mut out = row.out();
    summarize(
        w.at_ns,
        &w.until_ns[windows.clone()],
        w.width_ns,
        &bounds,
        |i, _| Left {
            level: c[0] * w.values[i],
            trend: c[1] * w.values[i],
            samples: 1,
        },
        |earlier, later| {
            let (level, trend) = times(&powers[later.samples], earlier.level, earlier.trend);
            Left {
                level: level + later.level,
                trend: trend + later.trend,
                samples: earlier.samples + later.samples,
            }
        },
        |window, left| {
            let samples = bounds.range(window);
            let values = &w.values[samples.clone()];
            if odd[samples.start] != odd[samples.end] {
                if let Some(value) = smoothed(values, sf, tf) {
                    out.set(windows.start + window, value);
                }
            } else if let [first, second, ..] = values {
                // The first sample is where it begins; what it left as one of the samples is taken away.
                let (level, trend) = (first - c[0] * first, second - first - c[1] * first);
                let (level, _) = times(&powers[left.samples - 1], level, trend);
                out.set(windows.start + window, level + left.level);
            }
        },
    );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Nanos, Steps, Timestamp};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn smoothing_slides(
            gaps in prop::collection::vec(1i64..9, 0..60), seed in 0u32..1000, sf in 0.01..0.99f64, tf in 0.01..0.99f64, step in 1i64..20, width in 1i64..60, changes in 0usize..20, odd in 0usize..100,
        ) {
            let at_ns: Vec<i64> = gaps.iter().scan(0, |t, g| { *t += g; Some(*t) }).collect();
            let mut values: Vec<f64> = (0..at_ns.len() as u32).map(|i| f64::from((i * 7919 + seed) % 1009) - 300.0).collect();
            if let Some(value) = values.get_mut(odd) {
                *value = f64::NAN;
            }
            let until_ns: Vec<i64> = (0..20).map(|i| i * step).collect();
            let bounds = Bounds::find(&at_ns, &until_ns, width);
            let steps = Steps { start: Timestamp(0), end: Timestamp(19 * step), step: Nanos(step) };
            let params = [vec![sf; 20], (0..20).map(|i| if i < changes { tf } else { 1.0 - tf }).collect()];
            let windows = Windows {
                at_ns: &at_ns, values: &values, until_ns: &until_ns, width_ns: width, bounds: &bounds, steps, params: &params, name: "",
            };
            let mut row = Row::empty(Labels::default(), 20);
            smooth(&windows, &mut row).unwrap();
            for window in 0..20 {
                let naive = smoothed(&values[bounds.range(window)], sf, params[1][window]);
                prop_assert_eq!(row.present.get(window), naive.is_some());
                if let Some(naive) = naive {
                    let same = row.values[window].is_nan() && naive.is_nan();
                    prop_assert!(same || (row.values[window] - naive).abs() <= 1e-10 * (1.0 + naive.abs()), "{} {}", row.values[window], naive);
                }
            }
        }
    }
}
