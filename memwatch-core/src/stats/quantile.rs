//! Quantiles of values, R-7: linear between the two neighbours of rank `q·(n − 1)`.

use std::cmp::Ordering;

/// The order of values: NaN before all others, as in Prometheus.
#[must_use]
pub fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The `q`-quantile of values in [`order`].
///
/// NaN for no values or a NaN `q`, −Inf below 0, +Inf above 1.
///
/// ```
/// # use memwatch_core::stats::quantile::quantile;
/// assert_eq!(quantile(0.5, &[1.0, 2.0, 4.0, 8.0]), 3.0);
/// ```
#[must_use]
pub fn quantile(q: f64, sorted: &[f64]) -> f64 {
    if sorted.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = sorted.len() - 1;
    let rank = q * last as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and `last`.
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// The values of a sliding window in [`order`]: finding a place is logarithmic, making room a move of memory.
#[derive(Debug, Clone, Default)]
pub struct SortedWindow {
    sorted: Vec<f64>,
}

impl SortedWindow {
    /// Adds a value.
    pub fn insert(&mut self, value: f64) {
        let at = self
            .sorted
            .partition_point(|v| order(*v, value) == Ordering::Less);
        self.sorted.insert(at, value);
    }

    /// Removes a value that was inserted before.
    pub fn remove(&mut self, value: f64) {
        let at = self
            .sorted
            .partition_point(|v| order(*v, value) == Ordering::Less);
        self.sorted.remove(at);
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.sorted.clear();
    }

    /// The values, sorted.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.sorted
    }
}

/// Median distance of values in [`order`] from their median; NaN of none, or if one is NaN.
#[must_use]
pub fn median_absolute_deviation(sorted: &[f64]) -> f64 {
    if sorted.first().is_some_and(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, sorted);
    let mut distances: Vec<f64> = sorted.iter().map(|v| (v - median).abs()).collect();
    distances.sort_by(|a, b| order(*a, *b));
    quantile(0.5, &distances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn special_values() {
        let ten: Vec<f64> = (0..10).map(|i| f64::from(1 << i)).collect();
        assert!((quantile(0.99, &ten) - 488.96).abs() < 1e-9);
        assert_eq!(quantile(-0.1, &ten), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &ten), f64::INFINITY);
        assert!(quantile(f64::NAN, &ten).is_nan() && quantile(0.5, &[]).is_nan());
        assert_eq!(
            median_absolute_deviation(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]),
            1.0
        );
    }

    proptest! {
        #[test]
        fn a_sliding_window_stays_sorted(values in prop::collection::vec(prop_oneof![Just(f64::NAN), -5.0..5.0f64, Just(0.0)], 1..60), width in 1usize..10) {
            let mut window = SortedWindow::default();
            for i in 0..values.len() {
                window.insert(values[i]);
                if i >= width { window.remove(values[i - width]); }
                let mut naive: Vec<f64> = values[(i + 1).saturating_sub(width)..=i].to_vec();
                naive.sort_by(|a, b| order(*a, *b));
                let same = window.values().iter().zip(&naive).all(|(a, b)| order(*a, *b).is_eq());
                prop_assert!(same && naive.len() == window.values().len());
            }
        }
    }
}
