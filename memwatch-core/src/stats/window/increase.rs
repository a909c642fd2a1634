//! Increase and rate of counters.

use super::fold::Fold;
use super::rows::{Asked, Origin, Row, Scan, Windows, float};

/// Increase of a counter from the first to the last row, a fall counted as a restart from zero; NaN of one row.
#[derive(Debug, Clone, Copy)]
pub struct Increase;

/// [`Increase`] a second, over the time covered; NaN unless two different instants are given.
#[derive(Debug, Clone, Copy)]
pub struct Rate;

/// What the resets of a window hide: the sum of the values before them.
#[inline]
fn lost(before: f64, value: f64) -> f64 {
    if value < before { before } else { 0.0 }
}

impl Fold for Increase {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const STEPS: bool = true;
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    #[inline]
    fn part(_: Origin, before: Row, row: Row) -> f64 {
        lost(before.value, row.value)
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        earlier + later
    }
    #[inline]
    fn value(part: f64, _: Origin, first: Row, last: Row, rows: f64) -> f64 {
        if rows < 2.0 {
            f64::NAN
        } else {
            last.value - first.value + part
        }
    }
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
        scan(ahead, behind);
    }
}

impl Fold for Rate {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const STEPS: bool = true;
    const PART_TIMES: Asked = Asked::None;
    #[inline]
    fn part(_: Origin, before: Row, row: Row) -> f64 {
        lost(before.value, row.value)
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        earlier + later
    }
    #[inline]
    fn value(part: f64, _: Origin, first: Row, last: Row, _: f64) -> f64 {
        rate::<false>(part, first, last)
    }
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
        scan(ahead, behind);
    }
    #[inline]
    fn values<const NEAR: bool>(
        windows: Windows<'_, f64>,
        newer: &[f64],
        _: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        let (windows, newer) = (windows.cut(out.len()), &newer[..out.len()]);
        for (k, out) in out.iter_mut().enumerate() {
            let part = windows.older[k] + newer[k];
            *out = rate::<NEAR>(part, windows.first(k), windows.last(k));
        }
    }
}

#[inline]
fn rate<const NEAR: bool>(lost: f64, first: Row, last: Row) -> f64 {
    let increase = last.value - first.value + lost;
    let covered_ns = float::<NEAR>(last.at_ns.wrapping_sub(first.at_ns));
    // Of one instant 0 is covered, and no quotient by that is a rate.
    let rate = increase * 1e9 / covered_ns;
    if covered_ns > 0.0 { rate } else { f64::NAN }
}

#[inline]
fn scan(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
    let n = ahead.parts.len();
    let (forward, backward) = (&mut ahead.parts[..n], &mut behind.parts[..n]);
    let (onward, back) = (ahead.rows.cut(n), behind.rows.cut(n));
    // Counters fall seldom: where none does, nothing is lost but what was.
    let falls = |before: &[f64], values: &[f64]| {
        let pairs = before.iter().zip(values);
        pairs.fold(false, |any, (before, value)| any | (value < before))
    };
    if !falls(onward.before, onward.values) && !falls(back.before, back.values) {
        forward.fill(ahead.part);
        backward.fill(behind.part);
        return;
    }
    for (k, into) in forward.iter_mut().enumerate() {
        ahead.part += lost(onward.before[k], onward.values[k]);
        *into = ahead.part;
        let j = n - 1 - k;
        behind.part += lost(back.before[j], back.values[j]);
        backward[j] = behind.part;
    }
}
