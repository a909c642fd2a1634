//! Floors: what a process keeps after it has cleaned up.

use crate::Window;

/// Floors of equal buckets of a window. Buckets without one are left out; times are real ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Floors {
    pub(super) at_ns: Vec<i64>,
    pub(super) values: Vec<f64>,
    pub(super) bucket_ns: f64,
    /// How long the window is that they were looked for in.
    pub(super) window_ns: f64,
}

impl Floors {
    /// The means per bucket of a series that is a floor already: `/gc/heap/live:bytes`, live after the last mark.
    ///
    /// A mean and not the least one: how many marks fall into a bucket varies with the load, and the least of many is lower.
    /// `at_ns` ascends, values as long; what is not finite is left out.
    ///
    /// # Panics
    /// When the lengths differ or there are no buckets.
    #[must_use]
    pub fn of_live_heap(at_ns: &[i64], live: &[f64], window: Window, buckets: usize) -> Floors {
        per_bucket(at_ns, live, window, buckets, |bucket| {
            let (count, at, sum) = bucket.iter().fold((0.0, 0.0, 0.0), |(n, at, sum), (t, v)| {
                (n + 1.0, at + (*t - bucket[0].0) as f64, sum + v)
            });
            #[allow(clippy::cast_possible_truncation)] // Between instants that are i64.
            let mean_at = bucket[0].0 + (at / count) as i64;
            (mean_at, sum / count)
        })
    }

    /// The least heap in use between two collections, then as [`of_live_heap`](Floors::of_live_heap).
    ///
    /// `collections[i]` is the GC count (`NumGC`) read together with `in_use[i]`. The stretches before the first and after the last
    /// change of the count are cut off somewhere and left out.
    ///
    /// # Panics
    /// When the lengths differ or there are no buckets.
    #[must_use]
    pub fn between_collections(
        at_ns: &[i64],
        in_use: &[f64],
        collections: &[f64],
        window: Window,
        buckets: usize,
    ) -> Floors {
        assert!(
            at_ns.len() == in_use.len() && at_ns.len() == collections.len(),
            "one value per timestamp"
        );
        let (mut at, mut least): (Vec<i64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut current: Option<(i64, f64)> = None;
        let mut count: Option<f64> = None;
        for i in 0..at_ns.len() {
            if !in_use[i].is_finite() || !collections[i].is_finite() || !inside(window, at_ns[i]) {
                continue;
            }
            if count.is_some_and(|count| count != collections[i]) {
                if let Some((t, v)) = current.take() {
                    at.push(t);
                    least.push(v);
                }
                current = Some((at_ns[i], in_use[i]));
            } else if let Some(held) = current.as_mut().filter(|held| in_use[i] < held.1) {
                *held = (at_ns[i], in_use[i]);
            }
            count = Some(collections[i]);
        }
        Floors::of_live_heap(&at, &least, window, buckets)
    }

    /// The least value per bucket: for goroutines, RSS, stacks, and for heaps of which nothing else is known.
    ///
    /// # Panics
    /// When the lengths differ or there are no buckets.
    #[must_use]
    pub fn least_per_bucket(
        at_ns: &[i64],
        values: &[f64],
        window: Window,
        buckets: usize,
    ) -> Floors {
        per_bucket(at_ns, values, window, buckets, |bucket| {
            bucket.iter().copied().fold(
                bucket[0],
                |least, sample| {
                    if sample.1 < least.1 { sample } else { least }
                },
            )
        })
    }

    /// How many buckets have a floor.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at_ns.len()
    }

    /// Whether no bucket has a floor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at_ns.is_empty()
    }

    /// When each floor was read, ascending.
    #[must_use]
    pub fn at_ns(&self) -> &[i64] {
        &self.at_ns
    }

    /// The floors.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

fn inside(window: Window, at_ns: i64) -> bool {
    window.after.0 < at_ns && at_ns <= window.until.0
}

fn per_bucket(
    at_ns: &[i64],
    values: &[f64],
    window: Window,
    buckets: usize,
    floor: impl Fn(&[(i64, f64)]) -> (i64, f64),
) -> Floors {
    assert_eq!(at_ns.len(), values.len(), "one value per timestamp");
    assert!(buckets > 0, "at least one bucket");
    let span_ns = window.until.0.saturating_sub(window.after.0).max(1);
    let bucket_of = |at: i64| {
        // Open on the left like the window, so that the last instant falls into the last bucket.
        let into = i128::from(at - window.after.0 - 1) * buckets as i128;
        into / i128::from(span_ns)
    };
    let mut floors = Floors {
        bucket_ns: span_ns as f64 / buckets as f64,
        window_ns: span_ns as f64,
        ..Floors::default()
    };
    let mut bucket: Vec<(i64, f64)> = Vec::new();
    let mut close = |bucket: &mut Vec<(i64, f64)>| {
        if !bucket.is_empty() {
            let (at, value) = floor(bucket);
            floors.at_ns.push(at);
            floors.values.push(value);
            bucket.clear();
        }
    };
    for (at, value) in at_ns.iter().zip(values) {
        if !value.is_finite() || !inside(window, *at) {
            continue;
        }
        if bucket
            .last()
            .is_some_and(|(last, _)| bucket_of(*last) != bucket_of(*at))
        {
            close(&mut bucket);
        }
        bucket.push((*at, *value));
    }
    close(&mut bucket);
    floors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn window(after: i64, until: i64) -> Window {
        Window {
            after: Timestamp(after),
            until: Timestamp(until),
        }
    }

    #[test]
    fn buckets_are_open_on_the_left() {
        let at: Vec<i64> = (0..=10).collect();
        let values: Vec<f64> = at.iter().map(|t| 100.0 - *t as f64).collect();
        let floors = Floors::least_per_bucket(&at, &values, window(0, 10), 5);
        assert_eq!(floors.at_ns(), [2, 4, 6, 8, 10]);
        assert_eq!(floors.values(), [98.0, 96.0, 94.0, 92.0, 90.0]);
        assert_eq!(
            Floors::of_live_heap(&at, &values, window(0, 10), 5).values(),
            [98.5, 96.5, 94.5, 92.5, 90.5]
        );
    }

    #[test]
    fn empty_buckets_stay_empty() {
        let floors =
            Floors::least_per_bucket(&[1, 2, 9, 11], &[1.0, f64::NAN, 3.0, 4.0], window(0, 10), 5);
        assert_eq!(
            (floors.at_ns(), floors.values()),
            (&[1, 9][..], &[1.0, 3.0][..])
        );
        assert!(Floors::least_per_bucket(&[], &[], window(0, 10), 5).is_empty());
    }

    #[test]
    fn least_between_two_collections() {
        //          cut off   | one        | two       | cut off
        let count = [1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 4.0];
        let heap = [1.0, 2.0, 30.0, 10.0, 50.0, 20.0, 60.0, 5.0];
        let at: Vec<i64> = (1..=8).collect();
        let floors = Floors::between_collections(&at, &heap, &count, window(0, 8), 8);
        assert_eq!(
            (floors.at_ns(), floors.values()),
            (&[4, 6][..], &[10.0, 20.0][..])
        );
    }
}
