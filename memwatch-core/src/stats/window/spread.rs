//! Standard deviation.

use super::fold::Fold;
use super::rows::{Asked, Origin, Row};
use crate::stats::moments::Moments;

/// Standard deviation of the population; NaN with a NaN or an infinity.
#[derive(Debug, Clone, Copy)]
pub struct Stddev;

/// Below this share of Σy², the sum of squared distances from the mean has lost too many digits to the origin's distance from it.
const LEAST_SHARE: f64 = 1.0 / 32.0;

/// Stands for a result that has.
const LOST: f64 = -1.0;

/// Sums of values and of their squares, from an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Squares {
    y: f64,
    yy: f64,
}

impl Fold for Stddev {
    type Part = Squares;
    const EMPTY: Squares = Squares { y: 0.0, yy: 0.0 };
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
    const SUSPECT: Option<f64> = Some(LOST);
    /// The last ones: in the middle of the windows to come, where values rise or fall.
    fn usual(rows: usize) -> [usize; 3] {
        [rows - 1, rows.max(2) - 2, rows.max(3) - 3]
    }
    #[inline]
    fn part(origin: Origin, _: Row, row: Row) -> Squares {
        let y = row.value - origin.value;
        Squares { y, yy: y * y }
    }
    #[inline]
    fn merge(earlier: Squares, later: Squares) -> Squares {
        Squares {
            y: earlier.y + later.y,
            yy: earlier.yy + later.yy,
        }
    }
    #[inline]
    fn value(part: Squares, _: Origin, _: Row, _: Row, rows: f64) -> f64 {
        let squares = rows * part.yy;
        let spread = squares - part.y * part.y;
        let found = spread.sqrt() / rows;
        // Squares that overflowed are lost too; sums with a NaN or an infinity in them are not.
        let kept = (spread >= squares * LEAST_SHARE) | !part.y.is_finite();
        if kept { found } else { LOST }
    }
    fn again(older: &[f64], newer: &[f64]) -> f64 {
        let of = moments_from(newer);
        let before = older
            .iter()
            .rev()
            .fold(Moments::EMPTY, |after, v| of(*v).merge(after));
        let after = newer
            .iter()
            .fold(Moments::EMPTY, |before, v| before.merge(of(*v)));
        before.merge(after).variance().sqrt()
    }
    fn again_block(
        values: &[f64],
        before: usize,
        start: usize,
        first: impl Fn(usize) -> usize,
        out: &mut [f64],
    ) {
        let of = moments_from(&values[start..]);
        let mut older: Vec<Moments> = Vec::with_capacity(start - before + 1);
        older.push(Moments::EMPTY);
        let mut after = Moments::EMPTY;
        for value in values[before..start].iter().rev() {
            after = of(*value).merge(after);
            older.push(after);
        }
        let mut newer = Moments::EMPTY;
        for (k, (out, value)) in out.iter_mut().zip(&values[start..]).enumerate() {
            newer = newer.merge(of(*value));
            if *out == LOST {
                let part = older[start.saturating_sub(first(start + k))];
                *out = part.merge(newer).variance().sqrt();
            }
        }
    }
}

/// The moments of single values, counted from the first of a block: it is in all windows that end in the block.
fn moments_from(block: &[f64]) -> impl Fn(f64) -> Moments {
    let from = block.first().copied().filter(|v| v.is_finite());
    let from = from.unwrap_or(0.0);
    move |value| Moments::of(value - from)
}
