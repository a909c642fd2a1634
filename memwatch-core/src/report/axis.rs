//! A time axis of buckets, and signals as the least and the greatest value of each.

use crate::{Nanos, TimeRange};

/// Buckets of time, one after the other, not all as wide: finer where something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// Where each bucket begins, and where the last ends; ascending.
    edges: Vec<i64>,
}

impl Axis {
    /// About `buckets` equal buckets over `range`, and about `fine_buckets` more in the stretches of `focus`, none narrower than
    /// `finest`.
    ///
    /// ```
    /// # use memwatch_core::{report::Axis, Nanos, TimeRange, Timestamp};
    /// let range = |a: i64, b: i64| TimeRange { start: Timestamp(a), end: Timestamp(b) };
    /// let axis = Axis::new(range(0, 100), 4, &[range(30, 40)], Nanos(5), 2);
    /// assert_eq!(axis.edges(), [0, 25, 30, 35, 40, 50, 75, 100]);
    /// assert_eq!(axis.bucket(34), Some(2));
    /// ```
    #[must_use]
    pub fn new(
        range: TimeRange,
        buckets: usize,
        focus: &[TimeRange],
        finest: Nanos,
        fine_buckets: usize,
    ) -> Axis {
        let length = range.duration().0.max(1);
        let finest = finest.0.max(1);
        let coarse = width(length, buckets).max(finest);
        let mut stretches: Vec<(i64, i64)> = focus
            .iter()
            .map(|f| {
                let start = f.start.0.clamp(range.start.0, range.end.0);
                (start, f.end.0.clamp(start, range.end.0))
            })
            .filter(|(start, end)| start < end)
            .collect();
        stretches.sort_unstable();
        stretches.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        let looked_at: i64 = stretches.iter().map(|(a, b)| b - a).sum();
        let fine = width(looked_at.max(1), fine_buckets).max(finest);
        if fine >= coarse {
            stretches.clear();
        }
        let mut edges = ticks(range.start.0, range.end.0, coarse);
        edges.retain(|e| !stretches.iter().any(|(a, b)| a < e && e < b));
        for (start, end) in stretches {
            edges.extend(ticks(start, end, fine));
            edges.push(end);
        }
        edges.push(range.start.0.saturating_add(length));
        edges.sort_unstable();
        edges.dedup();
        Axis { edges }
    }

    /// Where each bucket begins, and where the last ends: nanoseconds since the epoch.
    #[must_use]
    pub fn edges(&self) -> &[i64] {
        &self.edges
    }

    /// How many buckets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// Whether there is none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In which bucket an instant lies; `None` outside of all.
    #[must_use]
    pub fn bucket(&self, at_ns: i64) -> Option<usize> {
        let after = self.edges.partition_point(|e| *e <= at_ns);
        (0 < after && after < self.edges.len()).then(|| after - 1)
    }

    /// For looking up instants one after the other.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            axis: self,
            from: i64::MAX,
            to: i64::MIN,
            bucket: None,
        }
    }

    /// The middle of a bucket: nanoseconds since the epoch.
    #[must_use]
    pub fn middle(&self, bucket: usize) -> i64 {
        let (start, end) = (self.edges[bucket], self.edges[bucket + 1]);
        start + (end - start) / 2
    }
}

/// Looks up instants; those that lie in the bucket of the one before cost nothing.
pub(super) struct Cursor<'a> {
    axis: &'a Axis,
    /// Where the bucket begins and ends, which has the instants up to `to` but not `to` itself.
    from: i64,
    to: i64,
    bucket: Option<usize>,
}

impl Cursor<'_> {
    /// As [`Axis::bucket`].
    pub(super) fn bucket(&mut self, at_ns: i64) -> Option<usize> {
        if at_ns < self.from || self.to <= at_ns {
            self.bucket = self.axis.bucket(at_ns);
            (self.from, self.to) = match self.bucket {
                Some(bucket) => (self.axis.edges[bucket], self.axis.edges[bucket + 1]),
                None => (i64::MAX, i64::MIN),
            };
        }
        self.bucket
    }
}

fn width(length: i64, buckets: usize) -> i64 {
    let buckets = i64::try_from(buckets.max(1)).unwrap_or(i64::MAX);
    // Rounded up, so that there are at most as many.
    length / buckets + i64::from(length % buckets != 0)
}

fn ticks(start: i64, end: i64, width: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let mut at = start;
    while at < end {
        found.push(at);
        at = at.saturating_add(width);
    }
    found
}

/// The least and the greatest value in each bucket of an [`Axis`].
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Envelope {
    /// Without a value anywhere.
    #[must_use]
    pub fn new(axis: &Axis) -> Envelope {
        Envelope {
            low: vec![f64::NAN; axis.len()],
            high: vec![f64::NAN; axis.len()],
        }
    }

    /// Takes a value into a bucket; what is not finite cannot be drawn and is left out.
    pub fn push(&mut self, bucket: usize, value: f64) {
        if value.is_finite() {
            // `min` and `max` of a NaN and a number are the number.
            self.low[bucket] = self.low[bucket].min(value);
            self.high[bucket] = self.high[bucket].max(value);
        }
    }

    /// The least and greatest value of a bucket; `None` where there is none.
    #[must_use]
    pub fn get(&self, bucket: usize) -> Option<(f64, f64)> {
        let found = (self.low[bucket], self.high[bucket]);
        (!found.0.is_nan()).then_some(found)
    }

    /// The same for each bucket in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<(f64, f64)>> + '_ {
        (0..self.low.len()).map(|i| self.get(i))
    }

    /// The least and the greatest value of all; `None` when there is none.
    #[must_use]
    pub fn bounds(&self) -> Option<(f64, f64)> {
        self.iter()
            .flatten()
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use proptest::prelude::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange {
            start: Timestamp(start),
            end: Timestamp(end),
        }
    }

    #[test]
    fn buckets_cover_the_range_and_are_finer_in_focus() {
        let check = |buckets, focus: &[(i64, i64)], finest, fine, expected: &[i64]| {
            let focus: Vec<TimeRange> = focus.iter().map(|(a, b)| range(*a, *b)).collect();
            let axis = Axis::new(range(0, 100), buckets, &focus, Nanos(finest), fine);
            assert_eq!(
                axis.edges(),
                expected,
                "{buckets} {focus:?} {finest} {fine}"
            );
        };
        check(4, &[], 1, 10, &[0, 25, 50, 75, 100]);
        check(3, &[], 1, 10, &[0, 34, 68, 100]);
        check(
            4,
            &[(10, 20), (15, 30)],
            10,
            99,
            &[0, 10, 20, 30, 50, 75, 100],
        );
        check(
            4,
            &[(-50, 10), (90, 500)],
            5,
            99,
            &[0, 5, 10, 25, 50, 75, 90, 95, 100],
        );
        // Not finer than the rest: no focus.
        check(
            50,
            &[(10, 90)],
            1,
            4,
            &(0..=100).step_by(2).collect::<Vec<i64>>(),
        );
        // Samples are no closer than this.
        check(1000, &[(10, 20)], 50, 1000, &[0, 50, 100]);
    }

    proptest! {
        /// Every instant of the range lies in one bucket, and no least or greatest value is lost.
        #[test]
        fn an_envelope_keeps_extremes(
            samples in prop::collection::vec((0i64..1000, -1e6f64..1e6), 1..200),
            buckets in 1usize..60, focus in prop::collection::vec((0i64..1000, 1i64..300), 0..4), fine in 1usize..90,
        ) {
            let focus: Vec<TimeRange> = focus.iter().map(|(at, long)| range(*at, at + long)).collect();
            let axis = Axis::new(range(0, 1000), buckets, &focus, Nanos(1), fine);
            prop_assert!(axis.edges().windows(2).all(|w| w[0] < w[1]));
            prop_assert!(axis.len() <= buckets + fine + 3 * focus.len() + 1);
            let mut envelope = Envelope::new(&axis);
            for (at, value) in &samples {
                let bucket = axis.bucket(*at).unwrap();
                prop_assert!(axis.edges()[bucket] <= *at && *at < axis.edges()[bucket + 1]);
                envelope.push(bucket, *value);
            }
            for bucket in 0..axis.len() {
                let inside: Vec<f64> = samples.iter().filter(|s| axis.bucket(s.0) == Some(bucket)).map(|s| s.1).collect();
                let expected = inside.iter().copied().map(|v| (v, v)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                prop_assert_eq!(envelope.get(bucket), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn a_cursor_finds_the_same_bucket(buckets in 1usize..9, at in prop::collection::vec(-20i64..130, 0..40)) {
            let axis = Axis::new(range(0, 100), buckets, &[range(30, 40)], Nanos(2), 3);
            let mut cursor = axis.cursor();
            for at in at {
                prop_assert_eq!(cursor.bucket(at), axis.bucket(at));
            }
        }
    }
}
