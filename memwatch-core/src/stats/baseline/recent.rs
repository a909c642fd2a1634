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
}

impl Recent {
    pub(super) fn new(length: usize) -> Recent {
        Recent {
            values: Vec::with_capacity(length),
            at: 0,
            length,
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
    pub(super) fn median(&self) -> Option<f64> {
        let mut values = self.values.clone();
        let middle = values.len() / 2;
        if values.is_empty() {
            return None;
        }
        let (below, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        if below.len() * 2 == self.values.len() {
            let other = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return Some(other + (median - other) / 2.0);
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

#[cfg(test)]
mod tests {
    use super::*;

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
