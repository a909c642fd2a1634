//! Quantiles of what is too much to keep: counts in logarithmic buckets, mergeable, within 1 %.
//!
//! The mapping of DDSketch (Masson, Rim, Lee 2019): bucket ⌈log_γ x⌉ with γ = (1 + α)/(1 − α), so the middle of a bucket is within α of
//! every value in it. Unlike a t-digest the error is relative to the value also in the far tail.

mod bytes;

use std::collections::BTreeMap;

/// Counts in logarithmic buckets. Values of any sign; NaN is counted apart, infinities are kept as they are.
///
/// ```
/// # use memwatch_core::stats::sketch::Sketch;
/// let mut pauses = Sketch::new(0.01);
/// (1..=1000).for_each(|i| pauses.accumulate(f64::from(i) * 1e-6));
/// let p99 = pauses.quantile(0.99).unwrap();
/// assert!((p99 / 990e-6 - 1.0).abs() < 0.0101);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    accuracy: f64,
    log_gamma: f64,
    positive: Side,
    negative: Side,
    zeros: u64,
    nans: u64,
    /// Sum of the finite values.
    sum: f64,
    min: f64,
    max: f64,
}

/// Most buckets a side has; beyond that the ones nearest to zero are merged. 2,048 reach over 17 powers of ten at 1 %.
const BUCKETS: usize = 2048;

/// The counts of one sign, by bucket.
#[derive(Debug, Clone, PartialEq, Default)]
struct Side {
    buckets: BTreeMap<i32, u64>,
    infinite: u64,
}

impl Side {
    fn add(&mut self, bucket: i32, count: u64) {
        *self.buckets.entry(bucket).or_default() += count;
        if self.buckets.len() > BUCKETS
            && let Some((_, lowest)) = self.buckets.pop_first()
            && let Some(mut next) = self.buckets.first_entry()
        {
            *next.get_mut() += lowest;
        }
    }

    fn count(&self) -> u64 {
        self.buckets.values().sum::<u64>() + self.infinite
    }
}

impl Sketch {
    /// An empty sketch whose quantiles are within `accuracy` of a value of that rank, relatively.
    ///
    /// # Panics
    /// When the accuracy is not inside of [0.0001, 0.5].
    #[must_use]
    pub fn new(accuracy: f64) -> Sketch {
        assert!(
            (1e-4..=0.5).contains(&accuracy),
            "an accuracy of 0.0001 to 0.5"
        );
        Sketch {
            accuracy,
            log_gamma: ((1.0 + accuracy) / (1.0 - accuracy)).ln(),
            positive: Side::default(),
            negative: Side::default(),
            zeros: 0,
            nans: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Takes a value.
    pub fn accumulate(&mut self, value: f64) {
        if value.is_nan() {
            self.nans += 1;
            return;
        }
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        let bucket = self.bucket(value.abs());
        let side = if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        };
        if value.is_infinite() {
            side.infinite += 1;
        } else {
            side.add(bucket, 1);
            self.sum += value;
        }
    }

    /// Takes all that `other` took. The order of merging changes nothing but the last bits of the sum.
    ///
    /// # Panics
    /// When the accuracies differ.
    pub fn merge(&mut self, other: &Sketch) {
        assert!(self.accuracy == other.accuracy, "sketches of one accuracy");
        for (side, from) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            from.buckets
                .iter()
                .for_each(|(bucket, count)| side.add(*bucket, *count));
            side.infinite += from.infinite;
        }
        self.zeros += other.zeros;
        self.nans += other.nans;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many values were taken, NaN not counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.positive.count() + self.negative.count() + self.zeros
    }

    /// The accuracy that it was made with.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// Bytes of memory that it holds, about.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let buckets = self.positive.buckets.len() + self.negative.buckets.len();
        // A node of a tree holds up to 11 entries and is half full at least.
        size_of::<Sketch>() + buckets * 2 * size_of::<(i32, u64)>()
    }

    /// How many NaN were taken.
    #[must_use]
    pub fn nans(&self) -> u64 {
        self.nans
    }

    /// Mean of the values; `None` of nothing.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let infinite = match (self.negative.infinite, self.positive.infinite) {
            (0, 0) => return (self.count() > 0).then(|| self.sum / self.count() as f64),
            (0, _) => f64::INFINITY,
            (_, 0) => f64::NEG_INFINITY,
            _ => f64::NAN,
        };
        Some(infinite)
    }

    /// A value within the accuracy of the one of rank ⌊q(n − 1)⌋, and never beyond the least and the greatest taken.
    ///
    /// `None` of nothing, or for a `q` outside of [0, 1].
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Between 0 and the count.
        let mut rank = ((q * (count - 1) as f64) as u64).min(count - 1);
        let down = self
            .negative
            .buckets
            .iter()
            .rev()
            .map(|(b, n)| (-self.middle(*b), *n));
        let up = self
            .positive
            .buckets
            .iter()
            .map(|(b, n)| (self.middle(*b), *n));
        let ascending = std::iter::once((f64::NEG_INFINITY, self.negative.infinite))
            .chain(down)
            .chain([(0.0, self.zeros)])
            .chain(up)
            .chain([(f64::INFINITY, self.positive.infinite)]);
        for (value, count) in ascending {
            if rank < count {
                return Some(value.clamp(self.min, self.max));
            }
            rank -= count;
        }
        Some(self.max)
    }

    fn bucket(&self, size: f64) -> i32 {
        #[allow(clippy::cast_possible_truncation)]
        // At most ±745/0.0002; infinity saturates and is not used.
        let bucket = (size.ln() / self.log_gamma).ceil() as i32;
        bucket
    }

    /// 2γⁱ/(γ + 1): as far from the lower end of the bucket as from the upper, relatively.
    fn middle(&self, bucket: i32) -> f64 {
        // γ = (1 + α)/(1 − α), so 2/(γ + 1) is 1 − α.
        (f64::from(bucket) * self.log_gamma).exp() * (1.0 - self.accuracy)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::new(0.01);
        values.iter().for_each(|v| sketch.accumulate(*v));
        sketch
    }

    #[test]
    fn special_values() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(sketch(&[]).quantile(0.5), None);
        assert_eq!(sketch(&[nan]).quantile(0.5), None);
        assert_eq!(sketch(&[3.0]).quantile(0.5), Some(3.0));
        let mixed = sketch(&[inf, -inf, 0.0, -0.0, nan, 5.0, -5.0]);
        assert_eq!((mixed.count(), mixed.nans()), (6, 1));
        assert_eq!(
            (mixed.quantile(0.0), mixed.quantile(1.0)),
            (Some(-inf), Some(inf))
        );
        assert_eq!(mixed.quantile(0.5), Some(0.0));
        assert!(mixed.mean().unwrap().is_nan());
        assert_eq!(sketch(&[1.0, 2.0, 6.0]).mean(), Some(3.0));
        assert_eq!((mixed.quantile(1.5), mixed.quantile(nan)), (None, None));
        let extremes = sketch(&[f64::MIN_POSITIVE, f64::MAX, 5e-324]);
        assert_eq!(extremes.quantile(1.0), Some(f64::MAX));
    }

    #[test]
    fn buckets_are_bounded() {
        let mut sketch = Sketch::new(0.01);
        (-300..300).for_each(|e| {
            (0..20).for_each(|k| sketch.accumulate(10_f64.powi(e) * (1.0 + f64::from(k) * 0.4)))
        });
        assert!(sketch.positive.buckets.len() <= BUCKETS);
        assert_eq!(sketch.count(), 12_000);
        let top = sketch.quantile(1.0).unwrap();
        assert!(
            (top / (10_f64.powi(299) * 8.6) - 1.0).abs() < 0.011,
            "the tail keeps its accuracy: {top}"
        );
    }

    proptest! {
        #[test]
        fn within_the_accuracy_and_mergeable(
            values in prop::collection::vec(prop_oneof![Just(0.0), -1e6..1e6_f64, (-20_i32..20).prop_map(|e| 10_f64.powi(e))], 1..300),
            cut in any::<prop::sample::Index>(),
            q in 0.0..=1.0_f64,
        ) {
            let whole = sketch(&values);
            let cut = cut.index(values.len());
            let mut parts = sketch(&values[cut..]);
            parts.merge(&sketch(&values[..cut]));
            prop_assert_eq!(&parts.positive, &whole.positive);
            prop_assert_eq!(&parts.negative, &whole.negative);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // An index.
            let want = sorted[(q * (sorted.len() - 1) as f64) as usize];
            let got = parts.quantile(q).unwrap();
            prop_assert!((got - want).abs() <= want.abs() * 0.010_000_1, "{got} instead of {want}");
            prop_assert_eq!(Some(got), whole.quantile(q));
        }
    }
}
