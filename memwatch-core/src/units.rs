//! Quantities whose type says their unit.

use std::fmt;

/// A size in bytes. Signed, so that differences do not overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub i64);

/// A duration in nanoseconds. Signed, so that differences do not overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

impl Nanos {
    /// One millisecond.
    pub const MILLISECOND: Nanos = Nanos(1_000_000);
    /// One second.
    pub const SECOND: Nanos = Nanos(1_000_000_000);
    /// One minute.
    pub const MINUTE: Nanos = Nanos(60_000_000_000);
    /// One hour.
    pub const HOUR: Nanos = Nanos(3_600_000_000_000);

    /// The duration in seconds, as PromQL counts.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Reads a Prometheus duration: `200ms`, `1m30s`, `1h`, `0`, units in falling order (`y w d h m s ms us ns`).
    ///
    /// `None` when it is not one, or does not fit 64 bits of nanoseconds. A plain number is seconds, with a fraction allowed.
    ///
    /// ```
    /// # use memwatch_core::Nanos;
    /// assert_eq!(Nanos::parse("1m30s"), Some(Nanos(90_000_000_000)));
    /// assert_eq!(Nanos::parse("0.2"), Some(Nanos(200_000_000)));
    /// assert_eq!(Nanos::parse("30s1m"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Nanos> {
        const UNITS: [(&str, i64); 9] = [
            ("y", 365 * 86_400_000_000_000),
            ("w", 7 * 86_400_000_000_000),
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ];
        if text.is_empty() {
            return None;
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            let seconds: f64 = text.parse().ok()?;
            #[allow(clippy::cast_possible_truncation)] // Checked against the range first.
            return (seconds < 9.0e9).then_some(Nanos((seconds * 1e9).round() as i64));
        }
        let (mut rest, mut total, mut least_unit) = (text, 0i64, 0);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let count: i64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = UNITS
                .iter()
                .position(|(name, _)| *name == &rest[..letters])?;
            if unit < least_unit {
                return None;
            }
            least_unit = unit + 1;
            total = total.checked_add(count.checked_mul(UNITS[unit].1)?)?;
            rest = &rest[letters..];
        }
        Some(Nanos(total))
    }
}

impl fmt::Display for Nanos {
    /// As Prometheus prints durations: `1m30s`, `200ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
            ("ns", 1),
        ] {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print() {
        let cases = [
            ("200ms", 200_000_000),
            ("1m30s", 90_000_000_000),
            ("1h", 3_600_000_000_000),
            ("0s", 0),
            ("1d2h", 93_600_000_000_000),
        ];
        for (text, ns) in cases {
            assert_eq!(Nanos::parse(text), Some(Nanos(ns)), "{text}");
            assert_eq!(Nanos(ns).to_string(), text);
        }
        for bad in [
            "",
            "5",
            "-1s",
            "1x",
            "s",
            "1s1m",
            "1m1m",
            "99999999999y",
            "1.5m",
            "é",
        ] {
            assert_eq!(Nanos::parse(bad).is_none(), bad != "5", "{bad}");
        }
    }
}
