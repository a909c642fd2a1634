//! Least-squares lines.

use super::fold::Fold;
use super::rows::{Asked, Origin, Row, Scan, Windows, float};

/// Slope of the least-squares line, a second; NaN unless two different instants are given.
#[derive(Debug, Clone, Copy)]
pub struct Slope;

/// [`Slope`] where rows are one second apart, in half the time: of [`by_count`](super::by_count), the slope a row.
#[derive(Debug, Clone, Copy)]
pub struct EvenSlope;

/// The last value less the height of the least-squares line there.
#[derive(Debug, Clone, Copy)]
pub struct Deviation;

/// Time (seconds) and value of a row, from an origin.
#[inline]
fn place<const NEAR: bool>(origin: Origin, at_ns: i64, value: f64) -> (f64, f64) {
    let x = float::<false>(at_ns.wrapping_sub(origin.at_ns)) * 1e-9;
    (x, value - origin.value)
}

/// Sums of times (seconds), values and their products, from an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Line {
    const EMPTY: Line = Line {
        x: 0.0,
        y: 0.0,
        xx: 0.0,
        xy: 0.0,
    };

    #[inline]
    fn of(x: f64, y: f64) -> Line {
        Line {
            x,
            y,
            xx: x * x,
            xy: x * y,
        }
    }

    #[inline]
    fn merge(self, later: Line) -> Line {
        Line {
            x: self.x + later.x,
            y: self.y + later.y,
            xx: self.xx + later.xx,
            xy: self.xy + later.xy,
        }
    }

    #[inline]
    fn slope(self, first: Row, last: Row, rows: f64) -> f64 {
        if first.at_ns == last.at_ns {
            return f64::NAN;
        }
        (rows * self.xy - self.x * self.y) / (rows * self.xx - self.x * self.x)
    }

    #[inline]
    fn deviation<const NEAR: bool>(self, origin: Origin, first: Row, last: Row, rows: f64) -> f64 {
        let (x, y) = place::<NEAR>(origin, last.at_ns, last.value);
        let slope = self.slope(first, last, rows);
        y - self.y / rows - slope * (x - self.x / rows)
    }

    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, Line>, behind: &mut Scan<'_, Line>) {
        let n = ahead.parts.len();
        let (forward, backward) = (&mut ahead.parts[..n], &mut behind.parts[..n]);
        let (onward, back) = (ahead.rows.cut(n), behind.rows.cut(n));
        let (from, next) = (ahead.origin, behind.origin);
        let (mut sum, mut rest) = (ahead.part, behind.part);
        for (k, into) in forward.iter_mut().enumerate() {
            let (x, y) = place::<NEAR>(from, onward.at_ns[k], onward.values[k]);
            sum = sum.merge(Line::of(x, y));
            *into = sum;
            let j = n - 1 - k;
            let (x, y) = place::<NEAR>(next, back.at_ns[j], back.values[j]);
            rest = Line::of(x, y).merge(rest);
            backward[j] = rest;
        }
        (ahead.part, behind.part) = (sum, rest);
    }
}

impl Line {
    /// Parts and values in one loop: there is so much to do for a row that nothing waits. A function for itself, so that it has all registers.
    #[inline]
    fn chunk<const NEAR: bool>(
        ahead: &mut Scan<'_, Line>,
        behind: &mut Scan<'_, Line>,
        windows: Windows<'_, Line>,
        out: &mut [f64],
        value: impl Fn(Line, usize, Row, Row) -> f64,
    ) {
        let n = out.len();
        let (windows, backward) = (windows.cut(n), &mut behind.parts[..n]);
        let (onward, back) = (ahead.rows.cut(n), behind.rows.cut(n));
        let (from, next) = (ahead.origin, behind.origin);
        let (mut sum, mut rest) = (ahead.part, behind.part);
        for (k, out) in out.iter_mut().enumerate() {
            let last = onward.row(k);
            let (x, y) = place::<NEAR>(from, last.at_ns, last.value);
            sum = sum.merge(Line::of(x, y));
            let j = n - 1 - k;
            let (x, y) = place::<NEAR>(next, back.at_ns[j], back.values[j]);
            rest = Line::of(x, y).merge(rest);
            backward[j] = rest;
            *out = value(windows.older[k].merge(sum), k, windows.first(k), last);
        }
        (ahead.part, behind.part) = (sum, rest);
    }
}

impl Fold for Slope {
    type Part = Line;
    const EMPTY: Line = Line::EMPTY;
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> Line {
        let (x, y) = place::<false>(origin, row.at_ns, row.value);
        Line::of(x, y)
    }
    #[inline]
    fn merge(earlier: Line, later: Line) -> Line {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: Line, _: Origin, first: Row, last: Row, rows: f64) -> f64 {
        part.slope(first, last, rows)
    }
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, Line>, behind: &mut Scan<'_, Line>) {
        Line::scan::<NEAR>(ahead, behind);
    }
    #[inline]
    fn chunk<const NEAR: bool>(
        ahead: &mut Scan<'_, Line>,
        behind: &mut Scan<'_, Line>,
        windows: Windows<'_, Line>,
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        Line::chunk::<NEAR>(ahead, behind, windows, out, |part, k, first, last| {
            part.slope(first, last, rows(k))
        });
    }
}

impl Fold for Deviation {
    type Part = Line;
    const EMPTY: Line = Line::EMPTY;
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> Line {
        let (x, y) = place::<false>(origin, row.at_ns, row.value);
        Line::of(x, y)
    }
    #[inline]
    fn merge(earlier: Line, later: Line) -> Line {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: Line, origin: Origin, first: Row, last: Row, rows: f64) -> f64 {
        part.deviation::<false>(origin, first, last, rows)
    }
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, Line>, behind: &mut Scan<'_, Line>) {
        Line::scan::<NEAR>(ahead, behind);
    }
    #[inline]
    fn chunk<const NEAR: bool>(
        ahead: &mut Scan<'_, Line>,
        behind: &mut Scan<'_, Line>,
        windows: Windows<'_, Line>,
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        let origin = windows.origin;
        Line::chunk::<NEAR>(ahead, behind, windows, out, |part, k, first, last| {
            part.deviation::<NEAR>(origin, first, last, rows(k))
        });
    }
}

/// Sums of values, and of their products with the time (seconds), from an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvenLine {
    y: f64,
    xy: f64,
}

/// Seconds from the origin: whole ones, so that one more is a second later to the last bit.
#[inline]
fn seconds(origin: Origin, at_ns: i64) -> f64 {
    at_ns.wrapping_sub(origin.at_ns) as f64 / 1e9
}

impl EvenLine {
    #[inline]
    fn of(x: f64, y: f64) -> EvenLine {
        EvenLine { y, xy: x * y }
    }

    #[inline]
    fn merge(self, later: EvenLine) -> EvenLine {
        EvenLine {
            y: self.y + later.y,
            xy: self.xy + later.xy,
        }
    }

    /// `end` is where the last row is.
    #[inline]
    fn slope(self, end: f64, rows: f64) -> f64 {
        let mean_x = end - (rows - 1.0) * 0.5;
        // Σ(x − mean)² of successive seconds; of one row 0/0.
        (self.xy - mean_x * self.y) * 12.0 / (rows * (rows * rows - 1.0))
    }
}

impl Fold for EvenSlope {
    type Part = EvenLine;
    const EMPTY: EvenLine = EvenLine { y: 0.0, xy: 0.0 };
    const PART_TIMES: Asked = Asked::Ends;
    const VALUE_TIMES: Asked = Asked::Ends;
    const FIRST: bool = false;
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> EvenLine {
        EvenLine::of(seconds(origin, row.at_ns), row.value - origin.value)
    }
    #[inline]
    fn merge(earlier: EvenLine, later: EvenLine) -> EvenLine {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: EvenLine, origin: Origin, _: Row, last: Row, rows: f64) -> f64 {
        part.slope(seconds(origin, last.at_ns), rows)
    }
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, EvenLine>, behind: &mut Scan<'_, EvenLine>) {
        let n = ahead.parts.len();
        if n == 0 {
            return;
        }
        let (forward, backward) = (&mut ahead.parts[..n], &mut behind.parts[..n]);
        let (onward, back) = (ahead.rows.cut(n), behind.rows.cut(n));
        let (from, next) = (ahead.origin, behind.origin);
        let mut x = seconds(from, onward.at_ns[0]);
        let mut back_x = seconds(next, back.at_ns[n - 1]);
        let (mut sum, mut rest) = (ahead.part, behind.part);
        for (k, into) in forward.iter_mut().enumerate() {
            sum = sum.merge(EvenLine::of(x, onward.values[k] - from.value));
            *into = sum;
            x += 1.0;
            let j = n - 1 - k;
            rest = EvenLine::of(back_x, back.values[j] - next.value).merge(rest);
            backward[j] = rest;
            back_x -= 1.0;
        }
        (ahead.part, behind.part) = (sum, rest);
    }
    #[inline]
    fn values<const NEAR: bool>(
        windows: Windows<'_, EvenLine>,
        newer: &[EvenLine],
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        let (windows, newer) = (windows.cut(out.len()), &newer[..out.len()]);
        let Some(first) = windows.last_at_ns.first() else {
            return;
        };
        let end = seconds(windows.origin, *first);
        for (k, out) in out.iter_mut().enumerate() {
            #[allow(clippy::cast_possible_wrap)] // A row of a chunk.
            let end = end + float::<true>(k as i64);
            *out = windows.older[k].merge(newer[k]).slope(end, rows(k));
        }
    }
}
