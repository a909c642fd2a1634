//! The thresholds that are tried: every number of two significant digits, as people write limits.
//!
//! A threshold is known by its place on the ladder: 0 is the number 0, 1 is 1.0e-12, 91 is 1.0e-11; negative places are negative numbers.
//! It does not depend on the data, so that one pass over them tries all.

use std::sync::OnceLock;

const LEAST_EXPONENT: i32 = -12;
const GREATEST_EXPONENT: i32 = 300;

/// The positive numbers, ascending.
fn positive() -> &'static [f64] {
    static NUMBERS: OnceLock<Vec<f64>> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let exponents = LEAST_EXPONENT..=GREATEST_EXPONENT;
        let number = |digits: i32, exponent: i32| {
            // Reading the decimal gives the number nearest to it, as it would stand in a rule.
            format!("{digits}e{}", exponent - 1)
                .parse()
                .unwrap_or(f64::MAX)
        };
        exponents
            .flat_map(|exponent| (10..100).map(move |digits| number(digits, exponent)))
            .collect()
    })
}

/// The number at a place.
pub(super) fn number(place: i32) -> f64 {
    let numbers = positive();
    let at = |place: i32| {
        let index = usize::try_from(place - 1).unwrap_or(0);
        numbers[index.min(numbers.len() - 1)]
    };
    match place {
        0 => 0.0,
        1.. => at(place),
        _ => -at(place.saturating_neg()),
    }
}

/// The lowest place whose number is not below the value: the value is greater than the numbers of all places before it, and of no other.
pub(super) fn place(value: f64) -> i32 {
    let count = |below: &dyn Fn(f64) -> bool| {
        let count = positive().partition_point(|number| below(*number));
        i32::try_from(count).unwrap_or(i32::MAX)
    };
    if value > 0.0 {
        count(&|number| number < value) + 1
    } else {
        -count(&|number| number <= -value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_two_digits() {
        for (at, expected) in [
            (0, 0.0),
            (1, 1e-12),
            (2, 1.1e-12),
            (90, 9.9e-12),
            (91, 1e-11),
            (1081, 1.0),
            (1171, 10.0),
            (1172, 11.0),
            (-1172, -11.0),
        ] {
            assert_eq!(number(at), expected);
            assert_eq!(place(expected), at);
        }
        assert_eq!(place(f64::INFINITY), place(1e301));
        assert_eq!(place(-0.0), 0);
    }

    proptest! {
        #[test]
        fn a_value_is_greater_than_what_lies_before_its_place(
            digits in -9_999_999i64..9_999_999, exponent in -12i32..20,
        ) {
            let value = digits as f64 * 10f64.powi(exponent);
            let at = place(value);
            prop_assert!(number(at) >= value, "{} {}", number(at), value);
            prop_assert!(number(at - 1) < value, "{} {}", number(at - 1), value);
        }
    }
}
