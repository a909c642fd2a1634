//! When a series has ended although nobody wrote a staleness marker.
//!
//! Prometheus writes a marker when a scrape fails, so that a vanished series ends at once and not five minutes later. Recordings
//! carry no markers. [`markers`] says where they would stand.

use crate::Nanos;

use super::StaleAfter;

/// How many sampling intervals of silence end a series.
const MISSED: i64 = 3;
/// Of how many gaps before a sample the median is its sampling interval.
const GAPS: usize = 9;

/// A place where a series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Index of the sample after which the series ends.
    pub after: usize,
    /// From when on it has ended; before the next sample, if there is one.
    pub at_ns: i64,
}

/// Where a series with samples at `at_ns` (ascending) ends and no next sample comes in time.
///
/// - [`StaleAfter::Lookback`]: nowhere; the lookback alone ends it.
/// - [`StaleAfter::After`]: that long after a sample.
/// - [`StaleAfter::Auto`]: three sampling intervals after a sample. The sampling interval at a sample is the median of the up to nine
///   gaps right before it, as far as they lie within `lookback` of it; of an even number the greater of the two in the middle, so that
///   a series is not ended on thin evidence. Without such a gap it does not end here.
///
/// What stands at a sample depends on samples no earlier than `lookback` before it, so an evaluation that reads twice the lookback
/// sees the same markers wherever it begins.
#[must_use]
pub fn markers(at_ns: &[i64], lookback: Nanos, policy: StaleAfter) -> Vec<Marker> {
    match policy {
        StaleAfter::Lookback => Vec::new(),
        StaleAfter::After(silence) => ended(at_ns, lookback, |_| Some(silence.0)),
        StaleAfter::Auto => {
            // Most samples are followed by another within three of the shortest gaps: no median needed.
            let shortest = at_ns.windows(2).map(|w| w[1] - w[0]).min().unwrap_or(0);
            ended(at_ns, lookback, |i| {
                let next = at_ns.get(i + 1).map_or(i64::MAX, |next| next - at_ns[i]);
                if next <= shortest.saturating_mul(MISSED) {
                    return None;
                }
                interval(at_ns, i, lookback).map(|interval| interval.saturating_mul(MISSED))
            })
        }
    }
}

fn ended(at_ns: &[i64], lookback: Nanos, silence: impl Fn(usize) -> Option<i64>) -> Vec<Marker> {
    let mut found = Vec::new();
    for (i, at) in at_ns.iter().enumerate() {
        let Some(silence) = silence(i).filter(|ns| *ns < lookback.0) else {
            continue;
        };
        let end = at.saturating_add(silence);
        if at_ns.get(i + 1).is_none_or(|next| *next > end) {
            found.push(Marker {
                after: i,
                at_ns: end,
            });
        }
    }
    found
}

/// The sampling interval at sample `i`.
fn interval(at_ns: &[i64], i: usize, lookback: Nanos) -> Option<i64> {
    let oldest = at_ns[i].saturating_sub(lookback.0);
    let mut gaps = [0; GAPS];
    let mut count = 0;
    for pair in at_ns[..=i].windows(2).rev().take(GAPS) {
        if pair[0] <= oldest {
            break;
        }
        gaps[count] = pair[1] - pair[0];
        count += 1;
    }
    gaps[..count].sort_unstable();
    gaps[..count].get(count / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `times` in seconds; the result as `index@seconds`.
    fn check(times: &[i64], lookback_s: i64, policy: StaleAfter, expected: &str) {
        let at_ns: Vec<i64> = times.iter().map(|t| t * 1_000_000_000).collect();
        let found: Vec<String> = markers(&at_ns, Nanos(lookback_s * 1_000_000_000), policy)
            .iter()
            .map(|m| format!("{}@{}", m.after, m.at_ns / 1_000_000_000))
            .collect();
        assert_eq!(found.join(" "), expected, "{times:?} {policy:?}");
    }

    #[test]
    fn series_end_after_three_of_their_own_intervals() {
        let auto = StaleAfter::Auto;
        check(&[], 300, auto, "");
        check(&[0], 300, auto, ""); // Nothing is known of one sample.
        check(&[0, 10], 300, auto, "1@40");
        check(&[0, 10, 20, 50, 60], 300, auto, "4@90"); // Exactly three intervals: still alive.
        check(&[0, 10, 20, 51, 61], 300, auto, "2@50 4@91");
        check(&[0, 10, 20, 30, 100, 110], 300, auto, "3@60 5@140"); // The gap is outvoted.
        check(&[0, 10, 80], 300, auto, "1@40 2@290"); // Of two gaps the greater.
        check(&[0, 200, 400, 600], 300, auto, ""); // Three intervals are beyond the lookback.
        check(&[0, 10, 20, 1000], 300, auto, "2@50"); // After a long absence nothing is known.
        check(&[0, 60, 120], 100, auto, ""); // 3 × 60 > 100
        check(&[0, 30, 130, 131], 100, auto, "1@120 3@134"); // At 131 the gap that began at 30 does not lie within.
    }

    #[test]
    fn a_given_time_or_the_lookback_alone() {
        let after = |s: i64| StaleAfter::After(Nanos(s * 1_000_000_000));
        check(&[0, 10, 31], 300, after(20), "1@30 2@51");
        check(&[0, 10, 30], 300, after(20), "2@50");
        check(&[0, 10], 300, after(300), ""); // The lookback ends it anyway.
        check(&[0, 10, 500], 300, StaleAfter::Lookback, "");
    }

    proptest! {
        #[test]
        fn markers_do_not_depend_on_where_reading_begins(
            gaps in prop::collection::vec(prop_oneof![4 => 1i64..15, 1 => 1i64..400], 1..80), from in 0usize..80, lookback in 20i64..300,
        ) {
            let at: Vec<i64> = gaps.iter().scan(0, |t, g| { *t += g; Some(*t) }).collect();
            let all = markers(&at, Nanos(lookback), StaleAfter::Auto);
            let from = from.min(at.len() - 1);
            // What an evaluation at `at[from]` reads.
            let read = at.partition_point(|t| *t <= at[from] - 2 * lookback);
            let some = markers(&at[read..], Nanos(lookback), StaleAfter::Auto);
            let visible = |m: &Marker| at[m.after] > at[from] - lookback;
            let expected: Vec<Marker> = all.iter().copied().filter(visible).collect();
            let found: Vec<Marker> = some.iter().map(|m| Marker { after: m.after + read, ..*m }).filter(visible).collect();
            prop_assert_eq!(expected, found);
        }
    }
}
