//! Decimal numbers in text → whole units, without a float in between.

/// The number that `text` writes (`0.022`, `36`, `1.7954102358590598e+09`) times 10^`scale`, rounded to the nearest whole.
///
/// `None` when it is not a decimal number, or does not fit.
pub(crate) fn scaled(text: &[u8], scale: i32) -> Option<i64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(e) => {
            let exponent = std::str::from_utf8(&rest[e + 1..]).ok()?;
            (&rest[..e], exponent.parse::<i16>().ok()?)
        }
        None => (rest, 0),
    };
    let (mut digits, mut fraction, mut seen) = (0i128, None, false);
    for byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                // 30 digits are more than any double needs; the rest cannot matter.
                if digits < 10i128.pow(30) {
                    digits = digits * 10 + i128::from(byte - b'0');
                    fraction = fraction.map(|n: i32| n + 1);
                } else if fraction.is_none() {
                    return None;
                }
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return None,
        }
    }
    if !seen {
        return None;
    }
    let shift = scale + i32::from(exponent) - fraction.unwrap_or(0);
    let whole = if shift >= 0 {
        let factor = 10i128.checked_pow(shift.unsigned_abs());
        match factor {
            Some(factor) => digits.checked_mul(factor)?,
            None if digits == 0 => 0,
            None => return None,
        }
    } else {
        match 10i128.checked_pow(shift.unsigned_abs()) {
            Some(divisor) => (digits + divisor / 2) / divisor,
            None => 0,
        }
    };
    i64::try_from(if negative { -whole } else { whole }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::scaled;

    #[test]
    fn numbers_are_exact() {
        for (text, scale, expected) in [
            ("0.022", 6, Some(22_000)),
            ("36", 6, Some(36_000_000)),
            ("0.1", 6, Some(100_000)),
            ("1.7954102358590598e+09", 9, Some(1_795_410_235_859_059_800)),
            ("1795410235.123456789", 9, Some(1_795_410_235_123_456_789)),
            ("0.0000000005", 9, Some(1)),
            ("-1.5", 0, Some(-2)),
            ("1e3", 0, Some(1000)),
            ("5.", 0, Some(5)),
            ("0e999", 9, Some(0)),
            ("1e-999", 9, Some(0)),
            ("1e999", 9, None),
            ("99999999999999999999", 0, None),
            ("", 0, None),
            (".", 0, None),
            ("1.2.3", 0, None),
            ("NaN", 0, None),
            ("1e", 0, None),
        ] {
            assert_eq!(scaled(text.as_bytes(), scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn milliseconds_print_and_read(ns in 0i64..10_000_000_000_000) {
            let text = format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
            prop_assert_eq!(scaled(text.as_bytes(), 6), Some(ns));
        }

        #[test]
        fn any_bytes_do_not_panic(text in prop::collection::vec(any::<u8>(), 0..40), scale in 0..12i32) {
            let _ = scaled(&text, scale);
        }
    }
}
