//! The least and the greatest.

use super::fold::Fold;
use super::rows::{Asked, Origin, Row, Scan};

/// Least value that is not NaN.
#[derive(Debug, Clone, Copy)]
pub struct Min;

/// Greatest value that is not NaN.
#[derive(Debug, Clone, Copy)]
pub struct Max;

// With infinities for empty parts, NaN put in their place, and a comparison instead of `f64::max`, these are an instruction each.
impl Fold for Max {
    type Part = f64;
    const EMPTY: f64 = f64::NEG_INFINITY;
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
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
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
        by_twos::<Max>(ahead, behind);
    }
}

impl Fold for Min {
    type Part = f64;
    const EMPTY: f64 = f64::INFINITY;
    const PART_TIMES: Asked = Asked::None;
    const VALUE_TIMES: Asked = Asked::None;
    const FIRST: bool = false;
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
    #[inline]
    fn scan<const NEAR: bool>(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
        by_twos::<Min>(ahead, behind);
    }
}

/// Takes the better of each two rows first, so that half as many have to wait for one another. Of equal ones it is the earlier in any case.
#[inline]
fn by_twos<F: Fold<Part = f64>>(ahead: &mut Scan<'_, f64>, behind: &mut Scan<'_, f64>) {
    let n = ahead.parts.len();
    let (onward, back) = (&ahead.rows.values[..n], &behind.rows.values[..n]);
    let part = |value: f64| {
        let row = Row { at_ns: 0, value };
        F::part(ahead.origin, row, row)
    };
    let (mut forward, mut backward) = (ahead.part, behind.part);
    let (onward, last) = onward.as_chunks::<2>();
    let (forwards, last_forward) = ahead.parts.as_chunks_mut::<2>();
    let (first, back) = back.as_rchunks::<2>();
    let (first_backward, backwards) = behind.parts[..n].as_rchunks_mut::<2>();
    let both = onward.iter().zip(forwards);
    let both = both.zip(back.iter().zip(backwards).rev());
    for (([a, b], to), ([c, d], back_to)) in both {
        let (a, b) = (part(*a), part(*b));
        to[0] = F::merge(forward, a);
        forward = F::merge(forward, F::merge(a, b));
        to[1] = forward;
        let (c, d) = (part(*c), part(*d));
        back_to[1] = F::merge(d, backward);
        backward = F::merge(F::merge(c, d), backward);
        back_to[0] = backward;
    }
    if let ([value], [to]) = (last, last_forward) {
        forward = F::merge(forward, part(*value));
        *to = forward;
    }
    if let ([value], [to]) = (first, first_backward) {
        backward = F::merge(part(*value), backward);
        *to = backward;
    }
    (ahead.part, behind.part) = (forward, backward);
}
