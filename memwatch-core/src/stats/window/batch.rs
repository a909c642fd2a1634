//! A statistic of the window before each row, for a whole column at once.
//!
//! Rows are cut into blocks as long as the window, so that a window ends in one block and begins in that one or the one before. Its
//! statistic is put together from the end of the block before (summed backward once) and the beginning of this one (summed forward):
//! two additions a row, nothing is ever subtracted, so nothing drifts and a NaN or an infinity is gone with its row (van Herk 1992, Gil
//! and Werman 1993).

use std::ops::Range;

use super::fold::{Fold, Origin, Row};

/// Rows whose windows' first rows are found together.
const FIRSTS: usize = 4096;

/// For each row the statistic of the last `rows` rows up to it; of as many as there are near the beginning.
///
/// Times count as one second a row. `values` and `out` have one length.
///
/// ```
/// # use memwatch_core::stats::window::{by_count, Max, Mean};
/// let mut out = [0.0; 5];
/// by_count(Mean, &[1.0, 2.0, 6.0, 4.0, 5.0], 3, &mut out);
/// assert_eq!(out, [1.0, 1.5, 3.0, 4.0, 5.0]);
/// by_count(Max, &[1.0, 2.0, 6.0, 4.0, 5.0], 2, &mut out);
/// assert_eq!(out, [1.0, 2.0, 6.0, 6.0, 5.0]);
/// ```
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn by_count<F: Fold>(_: F, values: &[f64], rows: usize, out: &mut [f64]) {
    #[allow(clippy::cast_possible_wrap)] // A row number.
    count_blocks::<F>(|i| i as i64 * 1_000_000_000, values, rows, out);
}

/// As [`by_count`], with the times of the rows, ascending.
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn by_count_at<F: Fold>(_: F, at_ns: &[i64], values: &[f64], rows: usize, out: &mut [f64]) {
    assert_eq!(values.len(), at_ns.len(), "one value a time");
    count_blocks::<F>(|i| at_ns[i], values, rows, out);
}

fn count_blocks<F: Fold>(at: impl Fn(usize) -> i64, values: &[f64], rows: usize, out: &mut [f64]) {
    assert_eq!(values.len(), out.len(), "one result a value");
    assert!(rows > 0, "a window of at least one row");
    if out.is_empty() {
        return;
    }
    let row = |i: usize| Row {
        at_ns: at(i),
        value: values[i],
    };
    // A window longer than all there is never ends.
    let width = rows.min(out.len());
    let mut older = vec![F::EMPTY; width + 2];
    let mut newer = older.clone();
    let mut origin = Origin::at(row(0));
    for start in (0..out.len()).step_by(width) {
        let length = width.min(out.len() - start);
        let next = Origin::after(row(start), row(start + length / 2), row(start + length - 1));
        // Slices of one length, so that the loop below needs no bounds.
        let block = &values[start..][..length];
        let results = &mut out[start..][..length];
        let into_newer = &mut newer[..length];
        let first_block = start == 0;
        let firsts = if first_block {
            block
        } else {
            &values[start + 1 - width..][..length]
        };
        if F::STEPS && !first_block {
            enter::<F>(
                &mut older[1..=width],
                F::part(origin, row(start - 1), row(start)),
            );
        }
        let parts = &older[1 + usize::from(F::STEPS)..][..length];
        let (mut forward, mut backward) = (F::EMPTY, F::EMPTY);
        let mut before = block[0];
        for k in 0..length {
            let i = start + k;
            let this = Row {
                at_ns: at(i),
                value: block[k],
            };
            let prior = Row {
                at_ns: this.at_ns,
                value: before,
            };
            before = block[k];
            // The step into a block belongs to the parts of the block before.
            if !F::STEPS || k > 0 {
                forward = F::merge(forward, F::part(origin, prior, this));
            }
            let j = length - 1 - k;
            let that = Row {
                at_ns: at(start + j),
                value: block[j],
            };
            let prior = Row {
                at_ns: that.at_ns,
                value: if F::STEPS {
                    block[j.max(1) - 1]
                } else {
                    that.value
                },
            };
            backward = F::merge(F::part(next, prior, that), backward);
            into_newer[j] = backward;
            results[k] = if first_block {
                F::value(
                    forward,
                    origin,
                    Row {
                        at_ns: at(0),
                        value: firsts[0],
                    },
                    this,
                    (k + 1) as f64,
                )
            } else {
                let first = Row {
                    at_ns: at(i + 1 - width),
                    value: firsts[k],
                };
                F::value(
                    F::merge(parts[k], forward),
                    origin,
                    first,
                    this,
                    width as f64,
                )
            };
        }
        if let Some(suspect) = F::SUSPECT {
            recheck(
                suspect,
                values,
                |i| (i + 1).saturating_sub(width),
                start..start + length,
                out,
            );
        }
        newer[length..].fill(F::EMPTY);
        std::mem::swap(&mut older, &mut newer);
        origin = next;
    }
}

/// Puts the step from one block into the next to the parts of the first.
fn enter<F: Fold>(parts: &mut [F::Part], step: F::Part) {
    for part in parts {
        *part = F::merge(*part, step);
    }
}

/// Windows of nothing but NaN are NaN: looks again at those whose result is `suspect`.
fn recheck(
    suspect: f64,
    values: &[f64],
    first: impl Fn(usize) -> usize,
    rows: Range<usize>,
    out: &mut [f64],
) {
    for i in rows {
        if out[i] == suspect {
            // A window adds one row to what the window before it had, so that one decides unless it had a number.
            let known = i > 0 && out[i - 1].is_nan() && first(i) >= first(i - 1);
            let nothing = if known && i > first(i) {
                values[i].is_nan()
            } else {
                values[first(i)..=i].iter().rev().all(|v| v.is_nan())
            };
            if nothing {
                out[i] = f64::NAN;
            }
        }
    }
}

/// For each row the statistic of the rows up to it that are less than `width_ns` older: a window `(t − width, t]`, in the order of rows.
///
/// `at_ns` ascends, equal times allowed; `values` and `out` are as long.
///
/// ```
/// # use memwatch_core::stats::window::{by_time, Sum};
/// let mut out = [0.0; 4];
/// by_time(Sum, &[0, 10, 15, 40], &[1.0, 2.0, 4.0, 8.0], 10, &mut out);
/// assert_eq!(out, [1.0, 2.0, 6.0, 8.0]);
/// ```
///
/// # Panics
/// When the lengths differ or the width is not positive.
pub fn by_time<F: Fold>(_: F, at_ns: &[i64], values: &[f64], width_ns: i64, out: &mut [f64]) {
    let n = at_ns.len();
    assert!(
        values.len() == n && out.len() == n,
        "one result a value, one value a time"
    );
    assert!(width_ns > 0, "a window of positive width");
    let row = |i: usize| Row {
        at_ns: at_ns[i],
        value: values[i],
    };
    let (mut older, mut newer): (Vec<F::Part>, Vec<F::Part>) = (vec![F::EMPTY; 2], Vec::new());
    // The first rows of the windows of some rows, found for many at a time.
    let mut firsts: Vec<usize> = Vec::new();
    let mut firsts_from = 0;
    // Rows of the block before, if it ends where this one begins.
    let (mut before, mut start) = (0, 0);
    let mut ended = None;
    let mut origin = None;
    while start < n {
        let (begins, ends) = block(at_ns[start], width_ns);
        let length = up_to(&at_ns[start..], ends, start - before);
        if ended != Some(begins) {
            before = start;
            older.clear();
            older.resize(2, F::EMPTY);
            origin = None;
        }
        let from = origin.unwrap_or_else(|| Origin::at(row(start)));
        let next = Origin::after(row(start), row(start + length / 2), row(start + length - 1));
        if F::STEPS && start > before {
            enter::<F>(
                &mut older[1..=start - before],
                F::part(from, row(start - 1), row(start)),
            );
        }
        newer.clear();
        newer.resize(length + 2, F::EMPTY);
        if firsts_from + firsts.len() < start + length {
            let rows = start..n.min(start + length.max(FIRSTS));
            find_firsts(at_ns, before, rows, width_ns, &mut firsts);
            firsts_from = start;
        }
        let (block, times) = (&values[start..][..length], &at_ns[start..][..length]);
        let (results, into_newer) = (&mut out[start..][..length], &mut newer[..length]);
        let firsts = &firsts[start - firsts_from..][..length];
        let (mut forward, mut backward) = (F::EMPTY, F::EMPTY);
        let mut last = block[0];
        for k in 0..length {
            let this = Row {
                at_ns: times[k],
                value: block[k],
            };
            let prior = Row {
                at_ns: this.at_ns,
                value: last,
            };
            last = block[k];
            if !F::STEPS || k > 0 {
                forward = F::merge(forward, F::part(from, prior, this));
            }
            let j = length - 1 - k;
            let that = Row {
                at_ns: times[j],
                value: block[j],
            };
            let prior = Row {
                at_ns: that.at_ns,
                value: if F::STEPS {
                    block[j.max(1) - 1]
                } else {
                    that.value
                },
            };
            backward = F::merge(F::part(next, prior, that), backward);
            into_newer[j] = backward;
            let first = firsts[k];
            let part = older[first - before + usize::from(F::STEPS)];
            let rows = (start + k + 1 - first) as f64;
            results[k] = F::value(F::merge(part, forward), from, row(first), this, rows);
        }
        if let Some(suspect) = F::SUSPECT {
            recheck(
                suspect,
                values,
                |i| if i < start { 0 } else { firsts[i - start] },
                start..start + length,
                out,
            );
        }
        std::mem::swap(&mut older, &mut newer);
        (before, start, ended, origin) = (start, start + length, Some(ends), Some(next));
    }
}

/// The first row of the window of each of `rows`, `low` or later.
fn find_firsts(
    at_ns: &[i64],
    low: usize,
    rows: Range<usize>,
    width_ns: i64,
    firsts: &mut Vec<usize>,
) {
    // Each answer waits for the one before it, so four stretches are walked side by side.
    const STRETCHES: usize = 4;
    let times = &at_ns[rows.clone()];
    let stretch = times.len() / STRETCHES;
    let edge = |at: i64| at.saturating_sub(width_ns);
    firsts.clear();
    firsts.resize(times.len(), 0);
    let mut left = [low; STRETCHES];
    if stretch > 0 {
        let (one, rest) = firsts.split_at_mut(stretch);
        let (two, rest) = rest.split_at_mut(stretch);
        let (three, rest) = rest.split_at_mut(stretch);
        let four = &mut rest[..stretch];
        let walked: [&[i64]; STRETCHES] = std::array::from_fn(|c| &times[c * stretch..][..stretch]);
        for c in 1..STRETCHES {
            let older = &at_ns[low..rows.start + c * stretch];
            left[c] = low + older.partition_point(|then| *then <= edge(walked[c][0]));
        }
        let [mut a, mut b, mut c, mut d] = left;
        for k in 0..stretch {
            a = leave(at_ns, a, edge(walked[0][k]));
            b = leave(at_ns, b, edge(walked[1][k]));
            c = leave(at_ns, c, edge(walked[2][k]));
            d = leave(at_ns, d, edge(walked[3][k]));
            (one[k], two[k], three[k], four[k]) = (a, b, c, d);
        }
        left[STRETCHES - 1] = d;
    }
    let mut left = left[STRETCHES - 1];
    let done = stretch * STRETCHES;
    for (first, at) in firsts[done..].iter_mut().zip(&times[done..]) {
        left = leave(at_ns, left, edge(*at));
        *first = left;
    }
}

/// The first row, from `left` on, that is after `edge`; there is one.
#[inline]
fn leave(at_ns: &[i64], mut left: usize, edge: i64) -> usize {
    // How many rows leave is chance where times are irregular. So it is counted of four at a time, without a branch.
    while let Some([a, b, c, d]) = at_ns.get(left..).and_then(|rest| rest.first_chunk()) {
        let leave = (usize::from(*a <= edge) + usize::from(*b <= edge)) + usize::from(*c <= edge);
        if *d > edge {
            return left + leave;
        }
        left += 4;
    }
    while at_ns.get(left).is_some_and(|then| *then <= edge) {
        left += 1;
    }
    left
}

/// How many of the first times, at least one, are at most `end`; `guess` is about how many.
fn up_to(at_ns: &[i64], end: i64, guess: usize) -> usize {
    let (mut low, mut step) = (0, guess.max(1));
    while at_ns.get(low + step - 1).is_some_and(|at| *at <= end) {
        low += step;
        step = (step / 8).max(1) * 2;
    }
    let high = (low + step).min(at_ns.len());
    low + at_ns[low..high].partition_point(|at| *at <= end)
}

/// The block `(begin, end]` that an instant lies in: between two multiples of the width.
#[inline]
pub(super) fn block(at: i64, width: i64) -> (i64, i64) {
    let begins = at.saturating_sub(1).div_euclid(width).saturating_mul(width);
    (begins, begins.saturating_add(width))
}
