//! What can be said of a stretch of rows, and put together from two stretches.

use super::rows::{Asked, Origin, Row, Scan, Windows};

/// A statistic of rows that is put together from parts.
///
/// `part`, `merge` and `value` say what it is. The methods after them do the same for many rows at once, and may do it faster, to the
/// same bits.
pub trait Fold: Copy {
    /// What is kept of some rows.
    type Part: Copy;

    /// The part of no rows.
    const EMPTY: Self::Part;

    /// Whether parts are of steps, from a row's predecessor to it: then the first row of a window has none.
    const STEPS: bool = false;

    /// Which times of successive rows parts are made of.
    const PART_TIMES: Asked = Asked::All;

    /// Which times of successive windows' last rows results are made of, and if any, of their first rows too.
    const VALUE_TIMES: Asked = Asked::All;

    /// Whether results depend on the first row of the window.
    const FIRST: bool = true;

    /// A result that says that the window must be looked at again.
    const SUSPECT: Option<f64> = None;

    /// Three of the rows of a block: the middle one of their values is where the values of the next block are counted from.
    #[must_use]
    fn usual(rows: usize) -> [usize; 3] {
        [0, rows / 2, rows - 1]
    }

    /// The part of one row, or of the step to it.
    fn part(origin: Origin, before: Row, row: Row) -> Self::Part;

    /// The part of both; the rows of `earlier` come first.
    fn merge(earlier: Self::Part, later: Self::Part) -> Self::Part;

    /// The statistic of a window of `rows` rows, from `first` to `last`.
    fn value(part: Self::Part, origin: Origin, first: Row, last: Row, rows: f64) -> f64;

    /// The statistic of a window whose result is [`SUSPECT`](Fold::SUSPECT), from its values in the block before and in this block. As
    /// it is for extremes: NaN if all are.
    #[must_use]
    fn again(older: &[f64], newer: &[f64]) -> f64 {
        let nothing = older.iter().chain(newer).rev().all(|v| v.is_nan());
        match Self::SUSPECT {
            Some(suspect) if !nothing => suspect,
            _ => f64::NAN,
        }
    }

    /// [`again`](Fold::again) for the rows of a block that begins at row `start` and has a result for each in `out`; `first` tells where
    /// windows begin, `before` where the block before does.
    fn again_block(
        values: &[f64],
        _before: usize,
        start: usize,
        first: impl Fn(usize) -> usize,
        out: &mut [f64],
    ) {
        let mut last_was_nan = false;
        for (k, out) in out.iter_mut().enumerate() {
            let (i, from) = (start + k, first(start + k));
            if Self::SUSPECT == Some(*out) {
                // A window adds one row to what the window before it had, so that one decides unless it had a number.
                let nothing = if last_was_nan && i > from {
                    values[i].is_nan()
                } else {
                    values[from..=i].iter().rev().all(|v| v.is_nan())
                };
                if nothing {
                    *out = f64::NAN;
                }
            }
            last_was_nan = out.is_nan();
        }
    }

    /// The parts of the rows up to each of some, and of the rows from each of some others on, which are as many. Two ways in one loop,
    /// since each waits for its last sum. `NEAR`: times are within `NEAR_NS` of the origins.
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, Self::Part>, behind: &mut Scan<'_, Self::Part>) {
        let n = ahead.parts.len();
        let (forward, backward) = (&mut ahead.parts[..n], &mut behind.parts[..n]);
        let (onward, back) = (ahead.rows.cut(n), behind.rows.cut(n));
        for (k, into) in forward.iter_mut().enumerate() {
            let part = Self::part(ahead.origin, onward.prior(k), onward.row(k));
            ahead.part = Self::merge(ahead.part, part);
            *into = ahead.part;
            let j = n - 1 - k;
            let part = Self::part(behind.origin, back.prior(j), back.row(j));
            behind.part = Self::merge(part, behind.part);
            backward[j] = behind.part;
        }
    }

    /// The statistics of windows of `rows(k)` rows, given the parts of their rows in this block. `NEAR` as for [`scan`](Fold::scan), and
    /// first and last times are as near to each other.
    #[inline]
    fn values<const NEAR: bool>(
        windows: Windows<'_, Self::Part>,
        newer: &[Self::Part],
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        let (windows, newer) = (windows.cut(out.len()), &newer[..out.len()]);
        for (k, out) in out.iter_mut().enumerate() {
            let part = Self::merge(windows.older[k], newer[k]);
            let (first, last) = (windows.first(k), windows.last(k));
            *out = Self::value(part, windows.origin, first, last, rows(k));
        }
    }

    /// [`scan`](Fold::scan), then [`values`](Fold::values) of the windows that end at the rows `ahead`.
    #[inline]
    fn chunk<const NEAR: bool>(
        ahead: &mut Scan<'_, Self::Part>,
        behind: &mut Scan<'_, Self::Part>,
        windows: Windows<'_, Self::Part>,
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        Self::scan::<NEAR>(ahead, behind);
        Self::values::<NEAR>(windows, ahead.parts, rows, out);
    }
}

/// How many rows.
#[derive(Debug, Clone, Copy)]
pub struct Count;

/// Sum; NaN with a NaN.
#[derive(Debug, Clone, Copy)]
pub struct Sum;

/// Mean; NaN with a NaN.
#[derive(Debug, Clone, Copy)]
pub struct Mean;

impl Fold for Count {
    type Part = ();
    const EMPTY: () = ();
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
    fn part(_: Origin, _: Row, _: Row) {}
    fn merge((): (), (): ()) {}
    fn value((): (), _: Origin, _: Row, _: Row, rows: f64) -> f64 {
        rows
    }
}

impl Fold for Sum {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
    #[inline]
    fn part(_: Origin, _: Row, row: Row) -> f64 {
        row.value
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        earlier + later
    }
    #[inline]
    fn value(part: f64, _: Origin, _: Row, _: Row, _: f64) -> f64 {
        part
    }
}

impl Fold for Mean {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
    #[inline]
    fn part(_: Origin, _: Row, row: Row) -> f64 {
        row.value
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        earlier + later
    }
    #[inline]
    fn value(part: f64, _: Origin, _: Row, _: Row, rows: f64) -> f64 {
        part / rows
    }
}
