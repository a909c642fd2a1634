//! A statistic of the window before each row, for a whole column at once.
//!
//! Rows are cut into blocks as long as the window, so that a window ends in one block and begins in that one or the one before. Its
//! statistic is put together from the end of the block before (summed backward once) and the beginning of this one (summed forward):
//! two additions a row, nothing is ever subtracted, so nothing drifts and a NaN or an infinity is gone with its row (van Herk 1992, Gil
//! and Werman 1993).

use super::fold::{Fold, Origin, Row};

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
    assert_eq!(values.len(), out.len(), "one result a value");
    #[allow(clippy::cast_possible_wrap)] // A row number.
    let row = |i: usize| Row {
        at_ns: i as i64 * 1_000_000_000,
        value: values[i],
    };
    count_blocks::<F>(row, rows, out);
}

/// As [`by_count`], with the times of the rows, ascending.
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn by_count_at<F: Fold>(_: F, at_ns: &[i64], values: &[f64], rows: usize, out: &mut [f64]) {
    assert!(
        values.len() == at_ns.len() && values.len() == out.len(),
        "one result a value, one value a time"
    );
    count_blocks::<F>(
        |i| Row {
            at_ns: at_ns[i],
            value: values[i],
        },
        rows,
        out,
    );
}

fn count_blocks<F: Fold>(row: impl Fn(usize) -> Row, rows: usize, out: &mut [f64]) {
    assert!(rows > 0, "a window of at least one row");
    if out.is_empty() {
        return;
    }
    // A window longer than all there is never ends.
    let width = rows.min(out.len());
    let mut older = vec![F::EMPTY; width + 2];
    let mut newer = older.clone();
    let mut origin = Origin::at(row(0));
    for start in (0..out.len()).step_by(width) {
        let length = width.min(out.len() - start);
        let end = start + length;
        let next = Origin::after(row(start), row(start + length / 2), row(end - 1));
        let into = if F::STEPS && start > 0 {
            F::part(origin, row(start - 1), row(start))
        } else {
            F::EMPTY
        };
        let first_block = start == 0;
        let (mut forward, mut backward) = (F::EMPTY, F::EMPTY);
        let results = &mut out[start..end];
        let skip = 1 + usize::from(F::STEPS);
        // The last row's window is the block itself; it comes after the loop, so that all others are alike.
        let parts = &older[skip..][..length.saturating_sub(1)];
        let into_newer = &mut newer[..length];
        for k in 0..length - 1 {
            let i = start + k;
            let this = row(i);
            if !(F::STEPS && k == 0) {
                forward = F::merge(forward, F::part(origin, row(i.max(1) - 1), this));
            }
            let j = length - 1 - k;
            backward = F::merge(F::part(next, row(start + j - 1), row(start + j)), backward);
            into_newer[j] = backward;
            let before = if F::STEPS {
                F::merge(parts[k], into)
            } else {
                parts[k]
            };
            let (first, count) = if first_block {
                (0, k + 1)
            } else {
                (i + 1 - width, width)
            };
            let part = if first_block {
                forward
            } else {
                F::merge(before, forward)
            };
            results[k] = F::value(part, origin, row(first), this, count as f64);
        }
        let last = row(end - 1);
        if !(F::STEPS && length == 1) {
            forward = F::merge(forward, F::part(origin, row((end - 1).max(1) - 1), last));
        }
        into_newer[0] = F::merge(F::part(next, row(start.max(1) - 1), row(start)), backward);
        let (part, first) = if length == width || first_block {
            (forward, start)
        } else {
            let before = older[length - 1 + skip];
            let before = if F::STEPS {
                F::merge(before, into)
            } else {
                before
            };
            (F::merge(before, forward), end - width)
        };
        results[length - 1] = F::value(part, origin, row(first), last, (end - first) as f64);
        newer[length] = F::EMPTY;
        newer[length + 1] = F::EMPTY;
        std::mem::swap(&mut older, &mut newer);
        origin = next;
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
    // Rows of the block before, if it ends where this one begins.
    let (mut before, mut start) = (0, 0);
    let mut ended = None;
    let mut origin = None;
    while start < n {
        let (begins, ends) = block(at_ns[start], width_ns);
        let end = start + at_ns[start..].partition_point(|at| *at <= ends);
        let length = end - start;
        if ended != Some(begins) {
            before = start;
            older.clear();
            older.resize(2, F::EMPTY);
            origin = None;
        }
        let from = origin.unwrap_or_else(|| Origin::at(row(start)));
        let next = Origin::after(row(start), row(start + length / 2), row(end - 1));
        let into = if F::STEPS && start > before {
            F::part(from, row(start - 1), row(start))
        } else {
            F::EMPTY
        };
        newer.clear();
        newer.resize(length + 2, F::EMPTY);
        let (mut forward, mut backward) = (F::EMPTY, F::EMPTY);
        let mut first = before;
        let results = &mut out[start..end];
        for k in 0..length {
            let i = start + k;
            let this = row(i);
            if !(F::STEPS && k == 0) {
                forward = F::merge(forward, F::part(from, row(i.max(1) - 1), this));
            }
            let j = length - 1 - k;
            backward = F::merge(
                F::part(next, row((start + j).max(1) - 1), row(start + j)),
                backward,
            );
            newer[j] = backward;
            let edge = this.at_ns.saturating_sub(width_ns);
            while first < start && at_ns[first] <= edge {
                first += 1;
            }
            let part = if first < start {
                let part = older[first - before + usize::from(F::STEPS)];
                F::merge(if F::STEPS { F::merge(part, into) } else { part }, forward)
            } else {
                forward
            };
            results[k] = F::value(part, from, row(first), this, (i + 1 - first) as f64);
        }
        std::mem::swap(&mut older, &mut newer);
        (before, start, ended, origin) = (start, end, Some(ends), Some(next));
    }
}

/// The block `(begin, end]` that an instant lies in: between two multiples of the width.
#[inline]
pub(super) fn block(at: i64, width: i64) -> (i64, i64) {
    let begins = at.saturating_sub(1).div_euclid(width).saturating_mul(width);
    (begins, begins.saturating_add(width))
}
