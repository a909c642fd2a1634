//! The last samples: means of a few, the median of a thousand.

use super::checkpoint::{Reader, Writer};
use crate::Result;

/// The last values, in the order of arrival.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    values: Vec<f64>,
    /// Where the next value goes once the ring is full.
    at: usize,
    length: usize,
    /// Values not far below and above the median as it was: where it is looked for first. Says nothing about the result.
    near: (f64, f64),
}

/// Ranks to either side of the median within which it is looked for the next time.
const NEAR: usize = 100;

/// Fewer values are not worth two looks.
const FEW: usize = 4 * NEAR;

const NOWHERE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

impl Recent {
    pub(super) fn new(length: usize) -> Recent {
        Recent {
            values: Vec::with_capacity(length),
            at: 0,
            length,
            near: NOWHERE,
        }
    }

    /// How many values it holds at most.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, x: f64) {
        if self.length == 0 {
            return;
        }
        if self.values.len() < self.length {
            self.values.push(x);
        } else {
            self.values[self.at] = x;
            self.at = (self.at + 1) % self.length;
        }
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.at = 0;
    }

    /// The mean of the last `samples − 1` values and `x`; `None` when there are not so many. Summed anew, so that nothing drifts.
    pub(super) fn mean_with(&self, x: f64, samples: usize) -> Option<f64> {
        let earlier = samples - 1;
        if self.values.len() < earlier {
            return None;
        }
        // Oldest first: `values[at..]`, then `values[..at]`.
        let (newer, older) = self.values.split_at(self.at);
        let from_newer = newer.len().min(earlier);
        let from_older = earlier - from_newer;
        let sum: f64 = older[older.len() - from_older..]
            .iter()
            .chain(&newer[newer.len() - from_newer..])
            .sum();
        Some((sum + x) / samples as f64)
    }

    /// The median of all values; `None` without any.
    pub(super) fn median(&mut self) -> Option<f64> {
        let rank = self.values.len() / 2;
        if self.values.is_empty() {
            return None;
        }
        // From one sample to the next it moves by a rank at most. So it is sought among those that were near to it, if it is still there.
        let (low, high) = self.near;
        let below = self.values.iter().filter(|v| **v < low).count();
        let within = self.values.iter().filter(|v| **v <= high).count();
        if self.values.len() >= FEW && below < rank && rank < within {
            let mut values = vec![0.0; within - below + 1];
            let mut count = 0;
            for value in &self.values {
                // Written in any case, kept by counting: without a branch, as it is chance which are near.
                values[count] = *value;
                count += usize::from(low <= *value && *value <= high);
            }
            values.truncate(within - below);
            return Some(middle(&mut values, rank - below, self.values.len()));
        }
        let mut values = self.values.clone();
        let median = middle(&mut values, rank, self.values.len());
        if values.len() >= FEW {
            // The values stand below and above the median already.
            let (lower, upper) = values.split_at_mut(rank);
            let (_, low, _) = lower.select_nth_unstable_by(rank - NEAR, f64::total_cmp);
            let (_, high, _) = upper.select_nth_unstable_by(NEAR, f64::total_cmp);
            self.near = (*low, *high);
        }
        Some(median)
    }

    /// Bytes that this memory holds.
    pub(super) fn size_bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
    }

    pub(super) fn write(&self, to: &mut Writer) {
        let (newer, older) = self.values.split_at(self.at);
        let in_order: Vec<f64> = older.iter().chain(newer).copied().collect();
        to.floats(in_order.into_iter());
    }

    pub(super) fn read(length: usize, from: &mut Reader<'_>) -> Result<Recent> {
        let mut recent = Recent::new(length);
        let values = from.floats()?;
        if values.len() > length {
            return Err(from.wrong("no more recent values than are kept"));
        }
        recent.values.extend(values);
        Ok(recent)
    }
}

/// The value of order `rank` (from 0), which is the middle one of `all` values; the mean of it and the one below where two are in the
/// middle. Leaves lower values before it and higher ones after it.
fn middle(values: &mut [f64], rank: usize, all: usize) -> f64 {
    let (below, median, _) = values.select_nth_unstable_by(rank, f64::total_cmp);
    if !all.is_multiple_of(2) {
        return *median;
    }
    let other = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    other + (*median - other) / 2.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_median_of_many_is_that_of_sorting(
            length in 380_usize..420,
            drift in -3.0..3.0_f64,
            values in prop::collection::vec(prop_oneof![4 => -50.0..50.0_f64, 2 => (0_i8..4).prop_map(f64::from), 1 => Just(-0.0), 1 => Just(1e300)], 1500),
        ) {
            let mut recent = Recent::new(length);
            for (i, value) in values.iter().enumerate() {
                recent.push(value + if i > 900 { i as f64 * drift } else { 0.0 });
                if i % 7 != 0 {
                    continue;
                }
                let mut sorted = recent.values.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                let upper = sorted[sorted.len() / 2];
                let want = if sorted.len().is_multiple_of(2) {
                    let lower = sorted[sorted.len() / 2 - 1];
                    lower + (upper - lower) / 2.0
                } else {
                    upper
                };
                prop_assert_eq!(recent.median(), Some(want));
            }
        }
    }

    #[test]
    fn means_and_medians_of_the_last() {
        let mut recent = Recent::new(4);
        assert_eq!((recent.median(), recent.mean_with(1.0, 2)), (None, None));
        for (x, median, mean_of_3) in [
            (1.0, 1.0, None),
            (5.0, 3.0, Some(2.0)),
            (3.0, 3.0, Some(8.0 / 3.0)),
            (9.0, 4.0, Some(4.0)),
            (7.0, 6.0, Some(16.0 / 3.0)), // 5 3 9 7
            (2.0, 5.0, Some(3.0)),        // 3 9 7 2
        ] {
            recent.push(x);
            assert_eq!(recent.median(), Some(median), "after {x}");
            assert_eq!(recent.mean_with(0.0, 3), mean_of_3, "after {x}");
        }
        recent.clear();
        assert_eq!(recent.mean_with(0.0, 2), None);
    }
}
