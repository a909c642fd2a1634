//! Count, mean and spread, of parts that can be merged (Chan, Golub, LeVeque 1979).

/// Count, mean and sum of squared distances from the mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Of no values.
    pub const EMPTY: Moments = Moments {
        count: 0.0,
        mean: 0.0,
        squares: 0.0,
    };

    /// Of one value.
    #[must_use]
    pub fn of(value: f64) -> Moments {
        Moments {
            count: 1.0,
            mean: value,
            squares: if value.is_finite() { 0.0 } else { f64::NAN },
        }
    }

    /// Of the values of both.
    #[must_use]
    pub fn merge(self, other: Moments) -> Moments {
        if self.count == 0.0 {
            return other;
        }
        if other.count == 0.0 {
            return self;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        Moments {
            count,
            mean: self.mean + delta * (other.count / count),
            squares: self.squares
                + other.squares
                + delta * delta * (self.count * other.count / count),
        }
    }

    /// Population variance; NaN of nothing.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.squares / self.count
    }
}

/// Population variance of all values; NaN of none.
///
/// ```
/// # use memwatch_core::stats::moments::variance;
/// assert_eq!(variance(&[1.0, 2.0, 3.0, 6.0]), 3.5);
/// ```
#[must_use]
pub fn variance(values: &[f64]) -> f64 {
    let all = values
        .iter()
        .fold(Moments::default(), |all, v| all.merge(Moments::of(*v)));
    all.variance()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_large_offset_does_not_hide_the_spread() {
        assert_eq!(
            variance(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]),
            22.5
        );
        assert_eq!(variance(&[5.0; 7]), 0.0);
        assert!(variance(&[]).is_nan() && variance(&[1.0, f64::INFINITY]).is_nan());
    }

    proptest! {
        #[test]
        fn merging_parts_is_the_whole(values in prop::collection::vec(-1000.0..1000.0f64, 1..50), cut in 0usize..50) {
            let part = |values: &[f64]| values.iter().fold(Moments::default(), |all, v| all.merge(Moments::of(*v)));
            let (a, b) = values.split_at(cut.min(values.len()));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let naive = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            prop_assert!((part(a).merge(part(b)).variance() - naive).abs() <= 1e-9 * naive.max(1.0));
        }
    }
}
