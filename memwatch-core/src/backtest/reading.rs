//! What rules read: the recording, each sample of it once, and what other rules gave.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::series::{Series, SeriesReader};
use crate::{Labels, Matcher, Nanos, Result, Timestamp, Window};

use super::sightings::Sightings;

/// Gives rules the recording and the series of other rules.
///
/// A selector's samples are kept from one stretch of time to the next, as far back as rules looked, so that nothing is read twice. Series
/// may come with more samples than the window asked for: whoever evaluates looks only inside of it.
pub(super) struct Reading<'r> {
    base: &'r dyn SeriesReader,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    recorded: BTreeMap<Labels, Recorded>,
    sightings: Sightings,
    /// Beginning of the stretch of time that is evaluated.
    now: Timestamp,
}

/// What one selector found.
struct Entry {
    window: Window,
    series: Vec<Series>,
    /// How far before the stretch somebody looked; `None` when nobody asked in this stretch.
    reach: Option<Nanos>,
}

/// A series that a rule gives.
#[derive(Default)]
struct Recorded {
    at_ns: Vec<i64>,
    values: Vec<f64>,
}

/// The name of a selector among the entries.
pub(super) fn key(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    texts.join(",")
}

impl<'r> Reading<'r> {
    pub(super) fn new(base: &'r dyn SeriesReader) -> Self {
        Reading {
            base,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the backtest anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_sightings(self) -> Sightings {
        self.state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .sightings
    }

    /// How many samples are held.
    pub(super) fn held(&self) -> usize {
        let state = self.lock();
        let read: usize = state
            .entries
            .values()
            .flat_map(|e| &e.series)
            .map(|s| s.at_ns.len())
            .sum();
        read + state
            .recorded
            .values()
            .map(|r| r.at_ns.len())
            .sum::<usize>()
    }

    /// A rule gave values, the staleness marker among them where its series ended. Times of one series ascend, also from call to call.
    pub(super) fn record(
        &self,
        labels: &Labels,
        samples: impl IntoIterator<Item = (Timestamp, f64)>,
    ) {
        let mut state = self.lock();
        if !state.recorded.contains_key(labels) {
            state.recorded.insert(labels.clone(), Recorded::default());
        }
        if let Some(series) = state.recorded.get_mut(labels) {
            for (at, value) in samples {
                series.at_ns.push(at.0);
                series.values.push(value);
            }
        }
    }

    /// Goes on to the stretch that begins at `now`: forgets what nobody can reach from there. `reach`: how far back any rule looks.
    pub(super) fn advance(&self, now: Timestamp, reach: Nanos) {
        let mut state = self.lock();
        state.now = now;
        state.entries.retain(|_, entry| match entry.reach.take() {
            Some(reach) => {
                entry.forget(now.minus(reach));
                true
            }
            None => false,
        });
        let oldest = now.minus(reach).0;
        state.recorded.retain(|_, series| {
            let gone = series.at_ns.partition_point(|at| *at <= oldest);
            // Moved only when much is gone, so that a value is moved a few times at most.
            if gone > series.at_ns.len() / 2 {
                series.at_ns.drain(..gone);
                series.values.drain(..gone);
            }
            !series.at_ns.is_empty()
        });
    }

    fn recording(
        &self,
        state: &mut State,
        matchers: &[Matcher],
        window: Window,
    ) -> Result<Vec<Series>> {
        let key = key(matchers);
        let now = state.now;
        let reach = now.since(window.after);
        let entry = match state.entries.get_mut(&key) {
            None => {
                let series = self.base.select(matchers, window)?;
                state.sightings.asked(&key);
                state.sightings.found(&key, &series);
                state.entries.entry(key).or_insert(Entry {
                    window,
                    series,
                    reach: None,
                })
            }
            Some(entry) => {
                let apart = window.until < entry.window.after || window.after > entry.window.until;
                if apart {
                    // Elsewhere in time (`@`): read for this once.
                    return self.base.select(matchers, window);
                }
                if window.after < entry.window.after {
                    let whole = Window {
                        after: window.after,
                        until: window.until.max(entry.window.until),
                    };
                    entry.series = self.base.select(matchers, whole)?;
                    entry.window = whole;
                    state.sightings.found(&key, &entry.series);
                } else if window.until > entry.window.until {
                    let rest = Window {
                        after: entry.window.until,
                        until: window.until,
                    };
                    let new = self.base.select(matchers, rest)?;
                    state.sightings.found(&key, &new);
                    entry.append(new);
                    entry.window.until = window.until;
                }
                entry
            }
        };
        entry.reach = Some(entry.reach.map_or(reach, |r| r.max(reach)));
        Ok(entry
            .series
            .iter()
            .filter(|s| {
                let from = s.at_ns.partition_point(|at| *at <= window.after.0);
                s.at_ns.get(from).is_some_and(|at| *at <= window.until.0)
            })
            .cloned()
            .collect())
    }
}

impl SeriesReader for Reading<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let mut state = self.lock();
        let mut found = self.recording(&mut state, matchers, window)?;
        let mut recorded = false;
        for (labels, series) in &state.recorded {
            if !matchers.iter().all(|m| m.matches(labels)) {
                continue;
            }
            let from = series.at_ns.partition_point(|at| *at <= window.after.0);
            let to = series.at_ns.partition_point(|at| *at <= window.until.0);
            if from >= to {
                continue;
            }
            // What a rule gives replaces a recorded series of the same name and labels.
            found.retain(|s| s.labels != *labels);
            found.push(Series {
                labels: labels.clone(),
                at_ns: series.at_ns[from..to].into(),
                values: series.values[from..to].into(),
            });
            recorded = true;
        }
        if recorded {
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(found)
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.base.metric_names()
    }

    fn begins(&self) -> Result<Option<Timestamp>> {
        self.base.begins()
    }

    /// The recording alone: what rules give begins with the replay.
    fn select_once(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        self.base.select_once(matchers, window)
    }
}

impl Entry {
    /// Adds later samples. Series of one process share one array of times before and after.
    fn append(&mut self, new: Vec<Series>) {
        let mut joined: HashMap<(*const i64, *const i64), Arc<[i64]>> = HashMap::new();
        let mut old: BTreeMap<Labels, Series> = std::mem::take(&mut self.series)
            .into_iter()
            .map(|s| (s.labels.clone(), s))
            .collect();
        for series in new {
            let Some(known) = old.get_mut(&series.labels) else {
                old.insert(series.labels.clone(), series);
                continue;
            };
            let times = (known.at_ns.as_ptr(), series.at_ns.as_ptr());
            let at_ns = joined
                .entry(times)
                .or_insert_with(|| known.at_ns.iter().chain(&*series.at_ns).copied().collect());
            known.values = known
                .values
                .iter()
                .chain(&*series.values)
                .copied()
                .collect();
            known.at_ns = at_ns.clone();
        }
        self.series = old.into_values().collect();
    }

    /// Drops samples up to and including `oldest`, once they are the greater part.
    fn forget(&mut self, oldest: Timestamp) {
        if oldest <= self.window.after {
            return;
        }
        let mut cut: HashMap<*const i64, Arc<[i64]>> = HashMap::new();
        self.window.after = oldest.min(self.window.until);
        for series in &mut self.series {
            let gone = series.at_ns.partition_point(|at| *at <= oldest.0);
            if gone == 0 {
                continue;
            }
            let at_ns = cut
                .entry(series.at_ns.as_ptr())
                .or_insert_with(|| series.at_ns[gone..].into());
            series.values = series.values[gone..].into();
            series.at_ns = at_ns.clone();
        }
        self.series.retain(|s| !s.at_ns.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{MemorySeries, stale_nan};
    use proptest::prelude::*;

    fn window(after: i64, until: i64) -> Window {
        Window {
            after: Timestamp(after),
            until: Timestamp(until),
        }
    }

    fn inside(series: Vec<Series>, window: Window) -> Vec<(Labels, Vec<i64>)> {
        series
            .into_iter()
            .map(|s| {
                let at = s.at_ns.iter().copied();
                let inside = at.filter(|at| *at > window.after.0 && *at <= window.until.0);
                (s.labels.clone(), inside.collect())
            })
            .collect()
    }

    proptest! {
        /// Whatever is asked in whatever order: inside of the window it is what the base gives.
        #[test]
        fn gives_what_the_base_gives(
            times in prop::collection::vec(prop::collection::btree_set(0i64..100, 0..40), 3),
            asked in prop::collection::vec((0i64..100, 0i64..60, 0usize..2), 1..20),
        ) {
            let series = times.iter().enumerate().map(|(i, at)| Series {
                labels: [("__name__", "x"), ("i", ["a", "b", "c"][i])].into_iter().collect(),
                at_ns: at.iter().copied().collect(),
                values: at.iter().map(|at| *at as f64).collect(),
            });
            let base = MemorySeries { series: series.collect() };
            let reading = Reading::new(&base);
            let mut now = 0;
            for (start, length, which) in asked {
                now = now.max(start);
                reading.advance(Timestamp(now), Nanos(50));
                let matchers = [Matcher::equal("__name__", "x"), Matcher::equal("i", ["a", "b"][which])];
                for matchers in [&matchers[..1], &matchers[..]] {
                    let asked = window(now - 20, now + length);
                    let got = inside(reading.select(matchers, asked).unwrap(), asked);
                    let expected = inside(base.select(matchers, asked).unwrap(), asked);
                    prop_assert_eq!(got, expected);
                }
            }
        }
    }

    #[test]
    fn what_rules_give_is_read_with_the_recording() {
        let base = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "x"), ("i", "b")].into_iter().collect(),
                at_ns: [1, 2, 3].into(),
                values: [1.0, 2.0, 3.0].into(),
            }],
        };
        let reading = Reading::new(&base);
        let of_rule: Labels = [("__name__", "x"), ("i", "a")].into_iter().collect();
        reading.record(&of_rule, [(Timestamp(2), 9.0)]);
        reading.record(&of_rule, [(Timestamp(4), stale_nan())]);
        let found = reading
            .select(&[Matcher::equal("__name__", "x")], window(0, 4))
            .unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].labels, of_rule);
        assert!(crate::series::is_stale(found[0].values[1]));
        let clash: Labels = [("__name__", "x"), ("i", "b")].into_iter().collect();
        reading.record(&clash, [(Timestamp(3), 7.0)]);
        let found = reading
            .select(&[Matcher::equal("i", "b")], window(0, 4))
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(&*found[0].values, [7.0]);
    }
}
