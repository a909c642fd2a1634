//! Rows, and stretches of them as kernels take them: slices of one length.

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When it was read; its number times 10⁹ where rows have no time.
    pub at_ns: i64,
    /// What was read.
    pub value: f64,
}

/// Which of the times of successive rows something asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// None.
    None,
    /// The first and the last.
    Ends,
    /// All.
    All,
}

/// Where times and values are counted from, so that their products stay small: near the rows in question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    pub(super) at_ns: i64,
    pub(super) value: f64,
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
    pub(super) fn after(last_ns: i64, [a, b, c]: [f64; 3]) -> Origin {
        Origin::at(Row {
            at_ns: last_ns,
            value: a.min(b).max(a.max(b).min(c)),
        })
    }
}

/// Successive rows, and the value before each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) at_ns: &'a [i64],
    pub(super) before: &'a [f64],
    pub(super) values: &'a [f64],
}

impl<'a> Rows<'a> {
    /// So many of them: where that is all, loops over them need no bounds.
    #[inline]
    pub(super) fn cut(self, rows: usize) -> Rows<'a> {
        Rows {
            at_ns: &self.at_ns[..rows],
            before: &self.before[..rows],
            values: &self.values[..rows],
        }
    }

    #[inline]
    pub(super) fn row(self, k: usize) -> Row {
        Row {
            at_ns: self.at_ns[k],
            value: self.values[k],
        }
    }

    /// The row before, as far as is known of it: its value.
    #[inline]
    pub(super) fn prior(self, k: usize) -> Row {
        Row {
            at_ns: self.at_ns[k],
            value: self.before[k],
        }
    }
}

/// Parts that grow by a row at a time.
#[derive(Debug)]
pub struct Scan<'a, P> {
    pub(super) origin: Origin,
    pub(super) rows: Rows<'a>,
    /// The part so far.
    pub(super) part: P,
    /// The part after each row.
    pub(super) parts: &'a mut [P],
}

/// Windows that end at successive rows: all slices are of one length.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a, P> {
    pub(super) origin: Origin,
    /// The parts of their rows in the block before.
    pub(super) older: &'a [P],
    pub(super) first_at_ns: &'a [i64],
    pub(super) first_values: &'a [f64],
    pub(super) last_at_ns: &'a [i64],
    pub(super) last_values: &'a [f64],
}

impl<'a, P> Windows<'a, P> {
    /// So many of them: where that is all, loops over them need no bounds.
    #[inline]
    pub(super) fn cut(self, rows: usize) -> Windows<'a, P> {
        Windows {
            origin: self.origin,
            older: &self.older[..rows],
            first_at_ns: &self.first_at_ns[..rows],
            first_values: &self.first_values[..rows],
            last_at_ns: &self.last_at_ns[..rows],
            last_values: &self.last_values[..rows],
        }
    }

    #[inline]
    pub(super) fn first(&self, k: usize) -> Row {
        Row {
            at_ns: self.first_at_ns[k],
            value: self.first_values[k],
        }
    }

    #[inline]
    pub(super) fn last(&self, k: usize) -> Row {
        Row {
            at_ns: self.last_at_ns[k],
            value: self.last_values[k],
        }
    }
}

/// Differences of times below this have a short way to a floating-point number; 26 days.
pub(super) const NEAR_NS: i64 = 1 << 51;

/// The number as it is, between −[`NEAR_NS`] and [`NEAR_NS`].
///
/// To add 1.5·2⁵² to a small whole number is to write it into the mantissa. Vectors of 128 bits have no other conversion.
#[inline]
pub(super) fn near(whole: i64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    f64::from_bits(SHIFT.to_bits().wrapping_add(whole.cast_unsigned())) - SHIFT
}

/// The number as it is; `NEAR` says that it is between −[`NEAR_NS`] and [`NEAR_NS`].
#[inline]
pub(super) fn float<const NEAR: bool>(whole: i64) -> f64 {
    if NEAR { near(whole) } else { whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_gives_the_same_number(whole in -NEAR_NS..=NEAR_NS) {
            prop_assert_eq!(near(whole).to_bits(), (whole as f64).to_bits());
        }
    }

    #[test]
    fn ends_and_zero_have_the_short_way() {
        for whole in [-NEAR_NS, -1, 0, 1, NEAR_NS] {
            assert_eq!(near(whole).to_bits(), (whole as f64).to_bits(), "{whole}");
        }
    }
}
