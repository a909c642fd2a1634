//! A statistic of all rows at once: the aggregate of a group.

use super::fold::Fold;
use super::rows::{Origin, Row};

/// The statistic of all rows; `None` of none.
///
/// To the last bit what [`by_count_at`](super::by_count_at) says at the last row of a window that holds them all. `at_ns` ascends, equal
/// times allowed; `values` is as long.
///
/// ```
/// # use memwatch_core::stats::window::{whole, Rate};
/// let rate = whole(Rate, &[0, 10_000_000_000, 20_000_000_000], &[5.0, 25.0, 10.0]);
/// assert_eq!(rate, Some(1.5)); // (20 + 10) / 20 s
/// ```
///
/// # Panics
/// When the lengths differ.
#[must_use]
pub fn whole<F: Fold>(_: F, at_ns: &[i64], values: &[f64]) -> Option<f64> {
    assert_eq!(at_ns.len(), values.len(), "one value a time");
    let row = |i: usize| Row {
        at_ns: at_ns[i],
        value: values[i],
    };
    let last = at_ns.len().checked_sub(1)?;
    let origin = Origin::at(row(0));
    let mut part = F::EMPTY;
    for i in 0..=last {
        // Steps begin at the second row.
        if !F::STEPS || i > 0 {
            part = F::merge(part, F::part(origin, row(i.max(1) - 1), row(i)));
        }
    }
    let value = F::value(part, origin, row(0), row(last), (last + 1) as f64);
    if F::SUSPECT == Some(value) {
        return Some(F::again(&[], values));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Deviation, Increase, Max, Mean, Rate, Slope, Stddev, Sum, by_count_at};
    use super::*;

    fn agree<F: Fold>(fold: F, at: &[i64], values: &[f64]) -> bool {
        let mut out = vec![0.0; values.len()];
        by_count_at(fold, at, values, values.len(), &mut out);
        let (whole, last) = (whole(fold, at, values).unwrap(), out[values.len() - 1]);
        whole.to_bits() == last.to_bits() || whole.is_nan() && last.is_nan()
    }

    proptest! {
        #[test]
        fn is_the_last_of_the_windows_of_all_rows(
            rows in prop::collection::vec((0_i64..5, prop_oneof![Just(f64::NAN), Just(f64::INFINITY), -1e9..1e9_f64]), 1..60),
        ) {
            let mut at = Vec::new();
            rows.iter().fold(1_700_000_000_000_000_000, |t, r| { at.push(t + r.0 * 200_000_000); t + r.0 * 200_000_000 });
            let values: Vec<f64> = rows.iter().map(|r| r.1).collect();
            prop_assert!(agree(Sum, &at, &values) && agree(Mean, &at, &values) && agree(Max, &at, &values));
            prop_assert!(agree(Rate, &at, &values) && agree(Increase, &at, &values) && agree(Stddev, &at, &values));
            prop_assert!(agree(Slope, &at, &values) && agree(Deviation, &at, &values));
        }
    }

    #[test]
    fn nothing_has_no_statistic() {
        assert_eq!(whole(Sum, &[], &[]), None);
    }
}
