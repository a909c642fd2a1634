//! Sums that do not lose small values beside large ones (Neumaier's compensated summation), and means.

/// A sum with the rounding error it has made so far. Sums of parts can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    /// The sum of one value.
    #[must_use]
    pub fn of(value: f64) -> Sum {
        Sum {
            high: value,
            low: 0.0,
        }
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        let total = self.high + value;
        if total.is_infinite() {
            self.low = 0.0;
        } else if self.high.abs() >= value.abs() {
            self.low += (self.high - total) + value;
        } else {
            self.low += (value - total) + self.high;
        }
        self.high = total;
    }

    /// The sum of both.
    #[must_use]
    pub fn merge(mut self, other: Sum) -> Sum {
        let low = self.low + other.low;
        self.low = 0.0;
        self.add(other.high);
        self.low += low;
        self
    }

    /// The sum.
    #[must_use]
    pub fn total(&self) -> f64 {
        if self.high.is_infinite() {
            self.high
        } else {
            self.high + self.low
        }
    }

    /// The sum divided by `count`.
    #[must_use]
    pub fn mean(&self, count: f64) -> f64 {
        if self.high.is_infinite() {
            self.high
        } else {
            self.high / count + self.low / count
        }
    }
}

/// Sum of all values; 0 of none.
///
/// ```
/// # use memwatch_core::stats::sum::sum;
/// assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
/// ```
#[must_use]
pub fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|v| sum.add(*v));
    sum.total()
}

/// A running mean that does not overflow where the sum would: it goes on incrementally from there, as in Prometheus.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    count: f64,
    sum: Sum,
    incremental: bool,
}

impl Mean {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if self.count == 1.0 || !next.high.is_infinite() {
                self.sum = next;
                return;
            }
            self.incremental = true;
            self.sum.high /= self.count - 1.0;
            self.sum.low /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum.high *= kept;
        self.sum.low *= kept;
        self.sum.add(value / self.count);
    }

    /// The mean; NaN of nothing.
    #[must_use]
    pub fn value(&self) -> f64 {
        if self.incremental {
            self.sum.total()
        } else {
            self.sum.mean(self.count)
        }
    }
}

/// Mean of all values; NaN of none.
///
/// ```
/// # use memwatch_core::stats::sum::mean;
/// assert_eq!(mean(&[f64::MAX, f64::MAX]), f64::MAX);
/// ```
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|v| mean.add(*v));
    mean.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn special_values() {
        let inf = f64::INFINITY;
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[inf, 1.0]), inf);
        assert!(sum(&[inf, -inf]).is_nan());
        assert_eq!(sum(&[5.0, 1e100, 7.0, -1e100]), 12.0);
        assert!(mean(&[]).is_nan());
        assert_eq!(mean(&[inf, 1.0]), inf);
        assert_eq!(mean(&[1.0, -inf]), -inf);
        assert!(mean(&[inf, -inf]).is_nan());
        assert!((mean(&[-f64::MAX, -f64::MAX, -f64::MAX]) / -f64::MAX - 1.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn merging_parts_is_summing_the_whole(values in prop::collection::vec(-1_000_000_000i64..1_000_000_000, 1..50), cut in 0usize..50) {
            let floats: Vec<f64> = values.iter().map(|v| *v as f64 / 1024.0).collect();
            let (a, b) = floats.split_at(cut.min(floats.len()));
            let part = |values: &[f64]| { let mut s = Sum::default(); values.iter().for_each(|v| s.add(*v)); s };
            let exact = values.iter().sum::<i64>() as f64 / 1024.0;
            prop_assert_eq!(part(a).merge(part(b)).total(), exact);
            prop_assert!((mean(&floats) - exact / floats.len() as f64).abs() <= 1e-9);
        }
    }
}
