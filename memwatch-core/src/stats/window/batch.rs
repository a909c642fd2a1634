//! A statistic of the window before each row, for a whole column at once.
//!
//! Rows are cut into blocks as long as the window, so that a window ends in one block and begins in that one or the one before. Its
//! statistic is put together from the end of the block before (summed backward once) and the beginning of this one (summed forward):
//! two additions a row, nothing is ever subtracted, so nothing drifts and a NaN or an infinity is gone with its row (van Herk 1992, Gil
//! and Werman 1993).
//!
//! Sums wait for one another, and all else about a row does not. So a block is done in chunks that stay in the nearest cache: first the
//! sums of a chunk, then the statistics of its rows, a vector at a time.

use super::chunk::{CHUNK, Chunks, Even, Times, enter, suspects};
use super::firsts::find_firsts;
use super::fold::Fold;
use super::rows::{Asked, Origin, Row, Windows};

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
    count_blocks::<F>(Even, values, rows, out);
}

/// As [`by_count`], with the times of the rows, ascending.
///
/// # Panics
/// When the lengths differ or `rows` is 0.
pub fn by_count_at<F: Fold>(_: F, at_ns: &[i64], values: &[f64], rows: usize, out: &mut [f64]) {
    assert_eq!(values.len(), at_ns.len(), "one value a time");
    count_blocks::<F>(at_ns, values, rows, out);
}

fn count_blocks<F: Fold>(times: impl Times, values: &[f64], rows: usize, out: &mut [f64]) {
    assert_eq!(values.len(), out.len(), "one result a value");
    assert!(rows > 0, "a window of at least one row");
    if out.is_empty() {
        return;
    }
    let row = |i: usize| Row {
        at_ns: times.at(i),
        value: values[i],
    };
    // A window longer than all there is never ends.
    let width = rows.min(out.len());
    let mut older = vec![F::EMPTY; width + 2];
    let mut newer = older.clone();
    let mut chunks = Chunks::<F, _>::new(times, values);
    let (mut first_at_ns, mut last_at_ns) = ([0; CHUNK], [0; CHUNK]);
    let mut origin = Origin::at(row(0));
    for start in (0..out.len()).step_by(width) {
        let length = width.min(out.len() - start);
        let first = (start + 1).saturating_sub(width);
        if F::STEPS && start > 0 {
            let step = F::part(origin, row(start - 1), row(start));
            enter::<F>(&mut older[1..=width], step);
        }
        let parts = &older[1 + usize::from(F::STEPS)..][..length];
        let mut block = chunks.block(start..start + length, first, origin);
        if F::STEPS {
            let (rows, part) = if start == 0 {
                (1.0, F::EMPTY)
            } else {
                (width as f64, F::merge(parts[0], F::EMPTY))
            };
            out[start] = F::value(part, origin, row(first), row(start), rows);
        }
        let mut again = false;
        loop {
            let rows = block.chunk::<F>();
            if rows.is_empty() {
                break;
            }
            let out = &mut out[rows.clone()];
            if start == 0 {
                // Windows that have not their length yet.
                chunks.next(
                    &mut block,
                    &mut newer,
                    None,
                    |k| (rows.start + k + 1) as f64,
                    out,
                );
            } else {
                let firsts = rows.start + 1 - width..rows.end + 1 - width;
                let windows = Windows {
                    origin,
                    older: &parts[rows.start - start..rows.end - start],
                    first_at_ns: times.some(F::VALUE_TIMES, firsts.clone(), &mut first_at_ns),
                    first_values: &values[firsts],
                    last_at_ns: times.some(F::VALUE_TIMES, rows.clone(), &mut last_at_ns),
                    last_values: &values[rows],
                };
                chunks.next(&mut block, &mut newer, Some(windows), |_| width as f64, out);
            }
            again |= suspects::<F>(out);
        }
        if again {
            let first = |i: usize| (i + 1).saturating_sub(width);
            let before = start.saturating_sub(width);
            F::again_block(values, before, start, first, &mut out[start..][..length]);
        }
        newer[length..].fill(F::EMPTY);
        std::mem::swap(&mut older, &mut newer);
        origin = block.next();
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
    let (mut older, mut newer): (Vec<F::Part>, Vec<F::Part>) = (vec![F::EMPTY; 2], Vec::new());
    let mut chunks = Chunks::<F, _>::new(at_ns, values);
    // What is needed of the rows of a chunk, where it does not lie side by side.
    let (mut parts_of, mut first_values) = ([F::EMPTY; CHUNK], [0.0; CHUNK]);
    let mut first_at_ns = [0; CHUNK];
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
        let from = origin.unwrap_or_else(|| Origin::at(chunks.row(start)));
        if F::STEPS && start > before {
            let step = F::part(from, chunks.row(start - 1), chunks.row(start));
            enter::<F>(&mut older[1..=start - before], step);
        }
        newer.resize(length + 2, F::EMPTY);
        newer[length..].fill(F::EMPTY);
        if firsts_from + firsts.len() < start + length {
            let rows = start..n.min(start + length.max(FIRSTS));
            find_firsts(at_ns, before, rows, width_ns, &mut firsts);
            firsts_from = start;
        }
        let firsts = &firsts[start - firsts_from..][..length];
        // Row `before` has its part at the offset, and those that begin in this block have the empty one after all.
        let parts = &older[usize::from(F::STEPS)..];
        let (values_from, at_from) = (&values[before..], &at_ns[before..]);
        let mut block = chunks.block(start..start + length, before, from);
        if F::STEPS {
            let (first, last) = (chunks.row(firsts[0]), chunks.row(start));
            let part = F::merge(parts[firsts[0] - before], F::EMPTY);
            out[start] = F::value(part, from, first, last, (start + 1 - firsts[0]) as f64);
        }
        let mut again = false;
        loop {
            let rows = block.chunk::<F>();
            if rows.is_empty() {
                break;
            }
            let out = &mut out[rows.clone()];
            let n = out.len();
            let firsts = &firsts[rows.start - start..rows.end - start];
            // Three gathers in a row, or only the first.
            let (places, room) = (
                firsts.iter().map(|first| *first - before),
                &mut parts_of[..n],
            );
            if F::FIRST {
                let row = room.iter_mut().zip(&mut first_values[..n]);
                for (((part, value), at), place) in row.zip(&mut first_at_ns[..n]).zip(places) {
                    (*part, *value) = (parts[place], values_from[place]);
                    if F::VALUE_TIMES != Asked::None {
                        *at = at_from[place];
                    }
                }
            } else {
                for (part, place) in room.iter_mut().zip(places) {
                    *part = parts[place];
                }
            }
            let windows = Windows {
                origin: from,
                older: &parts_of,
                first_values: &first_values,
                first_at_ns: &first_at_ns,
                last_at_ns: &at_ns[rows.clone()],
                last_values: &values[rows.clone()],
            };
            let count = |k: usize| (rows.start + k + 1 - firsts[k]) as f64;
            chunks.next(&mut block, &mut newer, Some(windows), count, out);
            again |= suspects::<F>(out);
        }
        if again {
            let first = |i: usize| firsts[i - start];
            F::again_block(values, before, start, first, &mut out[start..][..length]);
        }
        std::mem::swap(&mut older, &mut newer);
        (before, start, ended, origin) = (start, start + length, Some(ends), Some(block.next()));
    }
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
