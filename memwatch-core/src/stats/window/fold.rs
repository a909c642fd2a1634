//! What can be said of a stretch of rows, and put together from two stretches.

use crate::stats::moments::Moments;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When it was read; its number times 10⁹ where rows have no time.
    pub at_ns: i64,
    /// What was read.
    pub value: f64,
}

/// Where times and values are counted from, so that their products stay small: near the rows in question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    at_ns: i64,
    value: f64,
}

impl Origin {
    /// At a row.
    pub(super) fn at(row: Row) -> Origin {
        Origin {
            at_ns: row.at_ns,
            value: if row.value.is_finite() {
                row.value
            } else {
                0.0
            },
        }
    }

    /// After a block of rows: its last time, and the middle one of three of its values, so that a single outlier cannot be it.
    pub(super) fn after(first: Row, middle: Row, last: Row) -> Origin {
        let (a, b, c) = (first.value, middle.value, last.value);
        let value = a.min(b).max(a.max(b).min(c));
        Origin::at(Row {
            at_ns: last.at_ns,
            value,
        })
    }
}

/// A statistic of rows that is put together from parts.
pub trait Fold: Copy {
    /// What is kept of some rows.
    type Part: Copy;

    /// The part of no rows.
    const EMPTY: Self::Part;

    /// Whether parts are of steps, from a row's predecessor to it: then the first row of a window has none.
    const STEPS: bool = false;

    /// A result that may also be that of a window of nothing but NaN; then it is looked at again.
    const SUSPECT: Option<f64> = None;

    /// The part of one row, or of the step to it.
    fn part(origin: Origin, before: Row, row: Row) -> Self::Part;

    /// The part of both; the rows of `earlier` come first.
    fn merge(earlier: Self::Part, later: Self::Part) -> Self::Part;

    /// The statistic of a window of `rows` rows, from `first` to `last`.
    fn value(part: Self::Part, origin: Origin, first: Row, last: Row, rows: f64) -> f64;
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

/// Least value that is not NaN.
#[derive(Debug, Clone, Copy)]
pub struct Min;

/// Greatest value that is not NaN.
#[derive(Debug, Clone, Copy)]
pub struct Max;

/// Standard deviation of the population; NaN with a NaN or an infinity.
#[derive(Debug, Clone, Copy)]
pub struct Stddev;

/// Increase of a counter from the first to the last row, a fall counted as a restart from zero; NaN of one row.
#[derive(Debug, Clone, Copy)]
pub struct Increase;

/// [`Increase`] a second, over the time covered; NaN unless two different instants are given.
#[derive(Debug, Clone, Copy)]
pub struct Rate;

/// Slope of the least-squares line, a second; NaN unless two different instants are given.
#[derive(Debug, Clone, Copy)]
pub struct Slope;

/// [`Slope`] where rows are one second apart, in half the time: of [`by_count`](super::by_count), the slope a row.
#[derive(Debug, Clone, Copy)]
pub struct EvenSlope;

/// The last value less the height of the least-squares line there.
#[derive(Debug, Clone, Copy)]
pub struct Deviation;

impl Fold for Count {
    type Part = ();
    const EMPTY: () = ();
    fn part(_: Origin, _: Row, _: Row) {}
    fn merge((): (), (): ()) {}
    fn value((): (), _: Origin, _: Row, _: Row, rows: f64) -> f64 {
        rows
    }
}

impl Fold for Sum {
    type Part = f64;
    const EMPTY: f64 = 0.0;
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

// With infinities for empty parts, NaN put in their place, and a comparison instead of `f64::max`, these are an instruction each.
impl Fold for Max {
    type Part = f64;
    const EMPTY: f64 = f64::NEG_INFINITY;
    const SUSPECT: Option<f64> = Some(f64::NEG_INFINITY);
    #[inline]
    fn part(_: Origin, _: Row, row: Row) -> f64 {
        if row.value > f64::NEG_INFINITY {
            row.value
        } else {
            f64::NEG_INFINITY
        }
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        if later > earlier { later } else { earlier }
    }
    #[inline]
    fn value(part: f64, _: Origin, _: Row, _: Row, _: f64) -> f64 {
        part
    }
}

impl Fold for Min {
    type Part = f64;
    const EMPTY: f64 = f64::INFINITY;
    const SUSPECT: Option<f64> = Some(f64::INFINITY);
    #[inline]
    fn part(_: Origin, _: Row, row: Row) -> f64 {
        if row.value < f64::INFINITY {
            row.value
        } else {
            f64::INFINITY
        }
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        if later < earlier { later } else { earlier }
    }
    #[inline]
    fn value(part: f64, _: Origin, _: Row, _: Row, _: f64) -> f64 {
        part
    }
}

impl Fold for Stddev {
    type Part = Moments;
    const EMPTY: Moments = Moments::EMPTY;
    #[inline]
    fn part(_: Origin, _: Row, row: Row) -> Moments {
        Moments::of(row.value)
    }
    #[inline]
    fn merge(earlier: Moments, later: Moments) -> Moments {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: Moments, _: Origin, _: Row, _: Row, _: f64) -> f64 {
        part.variance().sqrt()
    }
}

/// What the resets of a window hide: the sum of the values before them.
#[inline]
fn lost(before: Row, row: Row) -> f64 {
    if row.value < before.value {
        before.value
    } else {
        0.0
    }
}

impl Fold for Increase {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const STEPS: bool = true;
    #[inline]
    fn part(_: Origin, before: Row, row: Row) -> f64 {
        lost(before, row)
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
}

impl Fold for Rate {
    type Part = f64;
    const EMPTY: f64 = 0.0;
    const STEPS: bool = true;
    #[inline]
    fn part(_: Origin, before: Row, row: Row) -> f64 {
        lost(before, row)
    }
    #[inline]
    fn merge(earlier: f64, later: f64) -> f64 {
        earlier + later
    }
    #[inline]
    fn value(part: f64, _: Origin, first: Row, last: Row, _: f64) -> f64 {
        let increase = last.value - first.value + part;
        let covered_ns = last.at_ns.wrapping_sub(first.at_ns) as f64;
        // Of one instant 0 is covered, and no quotient by that is a rate.
        if covered_ns > 0.0 {
            increase * 1e9 / covered_ns
        } else {
            f64::NAN
        }
    }
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
    fn of(origin: Origin, row: Row) -> Line {
        let x = row.at_ns.wrapping_sub(origin.at_ns) as f64 * 1e-9;
        let y = row.value - origin.value;
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
}

impl Fold for Slope {
    type Part = Line;
    const EMPTY: Line = Line::EMPTY;
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> Line {
        Line::of(origin, row)
    }
    #[inline]
    fn merge(earlier: Line, later: Line) -> Line {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: Line, _: Origin, first: Row, last: Row, rows: f64) -> f64 {
        part.slope(first, last, rows)
    }
}

/// Sums of values, and of their products with the time (seconds), from an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvenLine {
    y: f64,
    xy: f64,
}

impl Fold for EvenSlope {
    type Part = EvenLine;
    const EMPTY: EvenLine = EvenLine { y: 0.0, xy: 0.0 };
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> EvenLine {
        let x = row.at_ns.wrapping_sub(origin.at_ns) as f64 * 1e-9;
        let y = row.value - origin.value;
        EvenLine { y, xy: x * y }
    }
    #[inline]
    fn merge(earlier: EvenLine, later: EvenLine) -> EvenLine {
        EvenLine {
            y: earlier.y + later.y,
            xy: earlier.xy + later.xy,
        }
    }
    #[inline]
    fn value(part: EvenLine, origin: Origin, _: Row, last: Row, rows: f64) -> f64 {
        let end = last.at_ns.wrapping_sub(origin.at_ns) as f64 * 1e-9;
        let mean_x = end - (rows - 1.0) * 0.5;
        // Σ(x − mean)² of successive seconds; of one row 0/0.
        (part.xy - mean_x * part.y) * 12.0 / (rows * (rows * rows - 1.0))
    }
}

impl Fold for Deviation {
    type Part = Line;
    const EMPTY: Line = Line::EMPTY;
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> Line {
        Line::of(origin, row)
    }
    #[inline]
    fn merge(earlier: Line, later: Line) -> Line {
        earlier.merge(later)
    }
    #[inline]
    fn value(part: Line, origin: Origin, first: Row, last: Row, rows: f64) -> f64 {
        let end = Line::of(origin, last);
        let slope = part.slope(first, last, rows);
        end.y - part.y / rows - slope * (end.x - part.x / rows)
    }
}
