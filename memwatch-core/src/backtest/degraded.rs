//! A recording as it would have been with fewer samples: scraped more seldom, or with losses.

use std::collections::HashMap;
use std::sync::Arc;

use crate::seeded::mix;
use crate::series::{Readings, Series, SeriesReader};
use crate::{Matcher, Nanos, Result, Timestamp, Window};

use super::sightings::{Who, who};

/// Series whose every point is an event of its own rather than a reading: a coarser sampling loses none of them, because the process
/// hands on what happened since the last reading. (Cumulative series keep what happened in their next value.)
const EVENTS: &[&str] = &["gc_pause_seconds", "go_gc_pause_seconds"];

/// Fewer samples of what lies below. What is left does not depend on the windows in which it is read.
pub(super) struct Degraded<'r> {
    pub(super) base: &'r dyn SeriesReader,
    /// One sample for each stretch of this length, the last in it: what a scrape at its end finds.
    pub(super) thin: Option<Nanos>,
    /// Share of the samples that are lost. A loss takes everything that a process said at that moment.
    pub(super) drop: f64,
    pub(super) seed: u64,
}

impl Degraded<'_> {
    /// The end of the stretch that holds a moment: stretches are `(k − 1, k]` times their length.
    fn end(at: i64, length: Nanos) -> i64 {
        let before = at.saturating_sub(1).div_euclid(length.0);
        before.saturating_add(1).saturating_mul(length.0)
    }

    /// Whether a sample is the last of its stretch is seen at the stretch's end.
    fn seen_until(&self, window: Window) -> Timestamp {
        self.thin.map_or(window.until, |length| {
            Timestamp(Self::end(window.until.0, length))
        })
    }

    fn is_lost(&self, of: u64, at: i64) -> bool {
        let chance = mix(mix(of ^ self.seed) ^ at.cast_unsigned());
        // The upper 53 bits, as a share.
        ((chance >> 11) as f64) < self.drop * (1u64 << 53) as f64
    }

    /// Which samples stay.
    fn kept(&self, at_ns: &[i64], of: u64) -> Vec<usize> {
        let last = |i: usize| {
            self.thin.is_none_or(|length| {
                let next = at_ns.get(i + 1);
                next.is_none_or(|next| Self::end(*next, length) > Self::end(at_ns[i], length))
            })
        };
        (0..at_ns.len())
            .filter(|i| last(*i) && !(self.drop > 0.0 && self.is_lost(of, at_ns[*i])))
            .collect()
    }
}

/// Indices of the samples that stay, and their times.
type Kept = (Vec<usize>, Arc<[i64]>);

/// A number for a process.
fn number((service, instance): &Who) -> u64 {
    let bytes = service.bytes().chain([0xff]).chain(instance.bytes());
    bytes.fold(0, |hash, byte| mix(hash ^ u64::from(byte)).wrapping_add(1))
}

impl SeriesReader for Degraded<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let until = self.seen_until(window).0;
        let wide = Window {
            after: window.after,
            until: Timestamp(until),
        };
        let mut found = self.base.select(matchers, wide)?;
        // Series of one process share their times, before and after.
        let mut times: HashMap<(usize, usize, u64), Kept> = HashMap::new();
        for series in &mut found {
            if EVENTS.contains(&series.labels.name()) {
                continue;
            }
            let of = number(&who(&series.labels));
            let inside = series.at_ns.partition_point(|at| *at <= until);
            let key = (series.at_ns.as_ptr().addr(), series.at_ns.len(), of);
            let (kept, at_ns) = times.entry(key).or_insert_with(|| {
                let kept = self.kept(&series.at_ns[..inside], of);
                let at_ns = kept.iter().map(|i| series.at_ns[*i]).collect();
                (kept, at_ns)
            });
            series.values = kept.iter().map(|i| series.values[*i]).collect();
            series.at_ns = at_ns.clone();
        }
        for series in &mut found {
            let inside = series.at_ns.partition_point(|at| *at <= window.until.0);
            if inside < series.at_ns.len() {
                series.at_ns = series.at_ns[..inside].into();
                series.values = series.values[..inside].into();
            }
        }
        found.retain(|s| !s.at_ns.is_empty());
        Ok(found)
    }

    fn readings(&self, window: Window) -> Result<Option<Vec<Readings>>> {
        let wide = Window {
            after: window.after,
            until: self.seen_until(window),
        };
        let Some(mut found) = self.base.readings(wide)? else {
            return Ok(None);
        };
        for readings in &mut found {
            let of = number(&(readings.of.service.clone(), readings.of.instance.clone()));
            let inside = |until: Timestamp| readings.at_ns.partition_point(|at| *at <= until.0);
            let at_ns = &readings.at_ns[..inside(wide.until)];
            let kept = self.kept(at_ns, of).into_iter().map(|i| at_ns[i]);
            readings.at_ns = kept.filter(|at| *at <= window.until.0).collect();
        }
        Ok(Some(found))
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.base.metric_names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::MemorySeries;
    use proptest::prelude::*;

    fn base(times: &[i64]) -> MemorySeries {
        let series = |name: &str| Series {
            labels: [("__name__", name), ("service", "a")].into_iter().collect(),
            at_ns: times.into(),
            values: times.iter().map(|at| *at as f64).collect(),
        };
        MemorySeries {
            series: vec![series("gc_pause_seconds"), series("x")],
        }
    }

    fn times(reader: &dyn SeriesReader, after: i64, until: i64) -> Vec<Vec<i64>> {
        let window = Window {
            after: Timestamp(after),
            until: Timestamp(until),
        };
        ["x", "gc_pause_seconds"]
            .map(|name| {
                let found = reader
                    .select(&[Matcher::equal("__name__", name)], window)
                    .unwrap();
                let at = found.iter().flat_map(|s| s.at_ns.to_vec());
                at.filter(|at| *at > after && *at <= until).collect()
            })
            .into()
    }

    #[test]
    fn the_last_of_each_stretch_stays_and_events_do_too() {
        let base = base(&[1, 5, 10, 11, 19, 25, 40, 41]);
        let thinned = Degraded {
            base: &base,
            thin: Some(Nanos(10)),
            drop: 0.0,
            seed: 0,
        };
        assert_eq!(times(&thinned, 0, 100)[0], [10, 19, 25, 40, 41]);
        assert_eq!(times(&thinned, 0, 100)[1].len(), 8);
        // 11 is not the last of its stretch although it is the last of the window.
        assert_eq!(times(&thinned, 0, 12)[0], [10]);
    }

    #[test]
    fn losses_are_about_as_many_as_asked_and_differ_by_seed() {
        let base = base(&(0..10_000).collect::<Vec<i64>>());
        let kept = |drop: f64, seed: u64| {
            let reader = Degraded {
                base: &base,
                thin: None,
                drop,
                seed,
            };
            times(&reader, -1, 10_000)[0].clone()
        };
        assert_eq!(kept(0.0, 1).len(), 10_000);
        assert!(kept(1.0, 1).is_empty());
        assert!((8_800..9_200).contains(&kept(0.1, 1).len()));
        assert_eq!(kept(0.1, 1), kept(0.1, 1));
        assert_ne!(kept(0.1, 1), kept(0.1, 2));
    }

    proptest! {
        /// However it is read, the same samples are left.
        #[test]
        fn windows_change_nothing(
            at in prop::collection::btree_set(0i64..200, 0..80),
            cuts in prop::collection::btree_set(0i64..200, 0..10),
            thin in prop::option::of(1i64..30),
        ) {
            let base = base(&at.into_iter().collect::<Vec<i64>>());
            let reader = Degraded { base: &base, thin: thin.map(Nanos), drop: 0.2, seed: 3 };
            let whole = times(&reader, -1, 200);
            let edges: Vec<i64> = [-1].into_iter().chain(cuts).chain([200]).collect();
            let mut pieces = vec![Vec::new(), Vec::new()];
            for edge in edges.windows(2) {
                for (all, some) in pieces.iter_mut().zip(times(&reader, edge[0], edge[1])) {
                    all.extend(some);
                }
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
