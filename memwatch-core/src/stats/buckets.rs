//! Classic histograms: cumulative counts up to upper bounds. The rules are those of Prometheus.

/// Relative difference of two counts that is taken for rounding and ignored.
const ROUNDING: f64 = 1e-12;

/// One bucket of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Its upper bound, inclusive (`le`).
    pub upper: f64,
    /// How many observations were at most that.
    pub count: f64,
}

/// Sorts by bound, adds up buckets of one bound, and makes the counts ascend.
///
/// Says whether a count was really smaller than the one before, beyond rounding. `None` when the last bound is not +Inf.
pub fn prepare(buckets: &mut Vec<Bucket>) -> Option<bool> {
    merge(buckets)?;
    Some(make_monotonic(buckets))
}

fn merge(buckets: &mut Vec<Bucket>) -> Option<()> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|later, kept| {
        let same = later.upper == kept.upper;
        if same {
            kept.count += later.count;
        }
        same
    });
    Some(())
}

fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    for i in 1..buckets.len() {
        let (before, this) = (buckets[i - 1].count, buckets[i].count);
        if this == before {
            continue;
        }
        if nearly_equal(before, this) {
            buckets[i].count = before;
        } else if this < before {
            buckets[i].count = before;
            forced = true;
        }
    }
    forced
}

fn nearly_equal(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        difference < ROUNDING * f64::MIN_POSITIVE
    } else {
        difference / sum.min(f64::MAX) < ROUNDING
    }
}

/// The `q`-quantile of [`prepare`]d buckets, linear within the bucket that holds it; 0 is the lower bound of the first unless its
/// upper bound is not positive.
///
/// NaN for a NaN `q`, fewer than two buckets or no observations; −Inf below 0, +Inf above 1. In the last bucket its lower bound.
///
/// ```
/// # use memwatch_core::stats::buckets::{Bucket, quantile};
/// let buckets = [(1.0, 5.0), (2.0, 10.0), (f64::INFINITY, 10.0)].map(|(upper, count)| Bucket { upper, count });
/// assert_eq!(quantile(0.75, &buckets), 1.5);
/// ```
#[must_use]
pub fn quantile(q: f64, buckets: &[Bucket]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let [finite @ .., last] = buckets else {
        return f64::NAN;
    };
    if finite.is_empty() || last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = q * last.count;
    let found = finite.partition_point(|b| b.count < rank);
    if found == finite.len() {
        return finite[found - 1].upper;
    }
    let bucket = finite[found];
    if found == 0 && bucket.upper <= 0.0 {
        return bucket.upper;
    }
    let before = if found == 0 {
        Bucket {
            upper: 0.0,
            count: 0.0,
        }
    } else {
        finite[found - 1]
    };
    before.upper
        + (bucket.upper - before.upper) * ((rank - before.count) / (bucket.count - before.count))
}

/// The share of observations between `lower` and `upper`, linear within buckets.
///
/// Sorts and merges the buckets; their counts are used as they are. NaN for a NaN bound, no observations, or when the last bound is
/// not +Inf.
#[must_use]
pub fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if merge(buckets).is_none() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    let total = buckets.last().map_or(0.0, |b| b.count);
    if total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank(upper, buckets, total) - rank(lower, buckets, total)) / total
}

/// How many observations were below `value`.
fn rank(value: f64, buckets: &[Bucket], total: f64) -> f64 {
    let mut below = 0.0;
    for (i, bucket) in buckets.iter().enumerate() {
        let start = match i {
            0 if bucket.upper > 0.0 => 0.0,
            0 => f64::NEG_INFINITY,
            i => buckets[i - 1].upper,
        };
        if start >= value {
            return below;
        }
        if bucket.upper > value {
            let inside = bucket.count - below;
            // Within a bucket without an end nothing can be interpolated: all of it counts as on the bounded side.
            return if start == f64::NEG_INFINITY {
                bucket.count
            } else if bucket.upper == f64::INFINITY {
                below
            } else {
                below + inside * (value - start) / (bucket.upper - start)
            }
            .min(total);
        }
        below = bucket.count;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|(upper, count)| Bucket {
                upper: *upper,
                count: *count,
            })
            .collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles() {
        let check = |q, pairs: &[(f64, f64)], expected: f64| {
            let mut b = buckets(pairs);
            let found = prepare(&mut b).map_or(f64::NAN, |_| quantile(q, &b));
            assert!(
                found == expected || found.is_nan() && expected.is_nan(),
                "{q} of {pairs:?}: {found}"
            );
        };
        let simple: &[(f64, f64)] = &[(2.0, 10.0), (INF, 10.0), (1.0, 5.0)];
        check(0.0, simple, 0.0);
        check(0.5, simple, 1.0);
        check(0.75, simple, 1.5);
        check(1.0, simple, 2.0);
        check(-0.1, simple, -INF);
        check(1.1, simple, INF);
        check(f64::NAN, simple, f64::NAN);
        check(0.5, &[(1.0, 5.0)], f64::NAN); // No bucket of everything.
        check(0.5, &[(INF, 5.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (INF, 0.0)], f64::NAN);
        check(0.9, &[(1.0, 5.0), (INF, 10.0)], 1.0); // In the last bucket.
        check(0.5, &[(-1.0, 6.0), (INF, 10.0)], -1.0); // The first without a lower bound.
        check(0.5, &[(1.0, 2.0), (1.0, 3.0), (INF, 10.0)], 1.0); // One bound twice.
        check(0.5, &[(1.0, 10.0), (2.0, 8.0), (INF, 10.0)], 0.5); // Falling counts.
    }

    #[test]
    fn only_real_falls_are_told() {
        assert_eq!(
            prepare(&mut buckets(&[(1.0, 10.0), (INF, 8.0)])),
            Some(true)
        );
        assert_eq!(
            prepare(&mut buckets(&[(1.0, 1.0 + 1e-15), (INF, 1.0)])),
            Some(false)
        );
        assert_eq!(prepare(&mut buckets(&[(1.0, 10.0)])), None);
        assert_eq!(prepare(&mut Vec::new()), None);
    }

    #[test]
    fn fractions() {
        let share =
            |lower, upper, pairs: &[(f64, f64)]| fraction(lower, upper, &mut buckets(pairs));
        let simple: &[(f64, f64)] = &[(1.0, 5.0), (2.0, 10.0), (INF, 20.0)];
        assert_eq!(share(0.0, 1.0, simple), 0.25);
        assert_eq!(share(0.5, 1.5, simple), 0.25);
        assert_eq!(share(-INF, INF, simple), 1.0);
        assert_eq!(share(2.0, INF, simple), 0.5);
        assert_eq!(share(2.0, 1.0, simple), 0.0);
        assert!(share(f64::NAN, 1.0, simple).is_nan());
        assert!(share(0.0, 1.0, &[(1.0, 5.0)]).is_nan());
    }
}
