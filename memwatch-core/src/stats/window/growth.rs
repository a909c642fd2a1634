//! This window over the one before it.

use super::batch::{by_count, by_count_at};
use super::fold::Fold;
use crate::stats::sliding::{Bounds, summarize};
use crate::stats::sum::Sum;

/// A statistic of the last `rows` rows over that of the `rows` rows before these; NaN until there are as many.
///
/// For gauges take [`Mean`](super::Mean), for counters [`Increase`](super::Increase).
///
/// ```
/// # use memwatch_core::stats::window::{growth_by_count, Mean};
/// let mut out = [0.0; 4];
/// growth_by_count(Mean, &[1.0, 3.0, 4.0, 8.0], 2, &mut out);
/// assert!(out[2].is_nan());
/// assert_eq!(out[3], 3.0); // 6 over 2
/// ```
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn growth_by_count<F: Fold>(fold: F, values: &[f64], rows: usize, out: &mut [f64]) {
    by_count(fold, values, rows, out);
    over_before(rows, out);
}

/// As [`growth_by_count`], with the times of the rows.
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn growth_by_count_at<F: Fold>(
    fold: F,
    at_ns: &[i64],
    values: &[f64],
    rows: usize,
    out: &mut [f64],
) {
    by_count_at(fold, at_ns, values, rows, out);
    over_before(rows, out);
}

fn over_before(rows: usize, out: &mut [f64]) {
    for i in (0..out.len()).rev() {
        // Row `i − rows` ends the window before; that one is full from row `2·rows − 1` on.
        out[i] = if i + 1 >= 2 * rows {
            out[i] / out[i - rows]
        } else {
            f64::NAN
        };
    }
}

/// What growth is measured of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Mean over mean.
    Gauge,
    /// Increase over increase, with resets.
    Counter,
}

/// For each row the statistic of `(t − width, t]` over that of `(t − 2·width, t − width]`; NaN when one of them has no rows.
///
/// # Panics
/// When the lengths differ, times do not ascend or the width is not positive.
pub fn growth_by_time(of: Growth, at_ns: &[i64], values: &[f64], width_ns: i64, out: &mut [f64]) {
    assert!(
        values.len() == at_ns.len() && values.len() == out.len(),
        "one result a value, one value a time"
    );
    assert!(width_ns > 0, "a window of positive width");
    let earlier: Vec<i64> = at_ns.iter().map(|at| at.saturating_sub(width_ns)).collect();
    let now = statistic(of, at_ns, values, at_ns, width_ns);
    let before = statistic(of, at_ns, values, &earlier, width_ns);
    for ((out, now), before) in out.iter_mut().zip(now).zip(before) {
        *out = now / before;
    }
}

fn statistic(
    of: Growth,
    at_ns: &[i64],
    values: &[f64],
    until_ns: &[i64],
    width_ns: i64,
) -> Vec<f64> {
    let bounds = Bounds::find(at_ns, until_ns, width_ns);
    let mut found = vec![f64::NAN; until_ns.len()];
    match of {
        Growth::Gauge => summarize(
            at_ns,
            until_ns,
            width_ns,
            &bounds,
            |i, _| (Sum::of(values[i]), 1.0),
            |a, b| (a.0.merge(b.0), a.1 + b.1),
            |i, (sum, count): (Sum, f64)| found[i] = sum.mean(count),
        ),
        Growth::Counter => summarize(
            at_ns,
            until_ns,
            width_ns,
            &bounds,
            |i, _| (values[i], values[i], 0.0),
            |a, b| {
                let lost = if b.0 < a.1 { a.1 } else { 0.0 };
                (a.0, b.1, a.2 + lost + b.2)
            },
            |i, (first, last, lost): (f64, f64, f64)| found[i] = last - first + lost,
        ),
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::counter::increase;

    proptest! {
        #[test]
        fn agrees_with_looking_at_each_window(
            steps in prop::collection::vec((1_i64..20, 0_u8..50), 1..60),
            width in 1_i64..60,
        ) {
            let mut at = Vec::new();
            let values: Vec<f64> = steps.iter().map(|s| f64::from(s.1)).collect();
            let _ = steps.iter().fold(0, |t, s| { at.push(t + s.0); t + s.0 });
            for of in [Growth::Gauge, Growth::Counter] {
                let mut out = vec![0.0; values.len()];
                growth_by_time(of, &at, &values, width, &mut out);
                for (i, t) in at.iter().enumerate() {
                    let inside = |until: i64| -> Vec<f64> {
                        (0..at.len()).filter(|j| until - width < at[*j] && at[*j] <= until).map(|j| values[j]).collect()
                    };
                    let statistic = |rows: Vec<f64>| match of {
                        _ if rows.is_empty() => f64::NAN,
                        Growth::Gauge => rows.iter().sum::<f64>() / rows.len() as f64,
                        Growth::Counter => increase(&rows),
                    };
                    let want = statistic(inside(*t)) / statistic(inside(t - width));
                    prop_assert!(out[i] == want || out[i].is_nan() && want.is_nan(), "{of:?} row {i}: {} {want}", out[i]);
                }
            }
        }
    }
}
