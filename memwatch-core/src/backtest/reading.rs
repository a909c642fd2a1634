//! What rules read: the recording, each sample of it once, and what other rules gave.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rayon::prelude::*;

use crate::labels::METRIC_NAME;
use crate::series::{Series, SeriesReader};
use crate::{Labels, MatchOp, Matcher, Nanos, Result, Timestamp, Window};

use super::sightings::{Recent, Sightings};

/// Gives rules the recording and the series of other rules.
///
/// Before a stretch of time is evaluated, [`Reading::prefetch`] reads what rules are going to ask, all selectors at once; what was read of
/// the stretch before is kept as far back as they look, so that nothing is read twice. Series may come with more samples than the
/// window asked for: whoever evaluates looks only inside of it.
pub(super) struct Reading<'r> {
    base: &'r dyn SeriesReader,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// What was read at fixed times (`@`): once for the whole replay.
    fixed: HashMap<(String, Window), Vec<Series>>,
    /// By name, then by labels.
    recorded: BTreeMap<Arc<str>, BTreeMap<Labels, Recorded>>,
}

/// What a selector is going to be asked.
pub(super) struct Question {
    pub(super) matchers: Vec<Matcher>,
    pub(super) window: Window,
    /// At a fixed time, whichever stretch is evaluated.
    pub(super) fixed: bool,
}

/// What one selector found.
#[derive(Default)]
struct Entry {
    window: Option<Window>,
    series: Vec<Series>,
}

/// What was read of a stretch before it is evaluated.
pub(super) struct Ahead {
    reads: Vec<Reads>,
    found: Vec<Vec<Series>>,
    fixed: Vec<(String, Question)>,
    found_at_fixed: Vec<Vec<Series>>,
}

/// What was read of a stretch, by selector, until somebody has noted what is seen in it.
#[derive(Default)]
pub(super) struct Unseen(Vec<(String, Vec<Series>)>);

impl Unseen {
    pub(super) fn note(&self, sightings: &mut Sightings) {
        let mut recent = Recent::default();
        for (key, found) in &self.0 {
            sightings.asked(key);
            sightings.found(key, found, &mut recent);
        }
    }
}

/// What is to be read for one selector.
struct Reads {
    key: String,
    matchers: Vec<Matcher>,
    wished: Window,
    missing: Option<Window>,
    /// Whether it goes on from what is known.
    goes_on: bool,
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

/// Up to this part of what is wished is read again: that costs less than to move all of the rest behind what is known.
const REREAD: i64 = 8;

/// Instants before and after, and how many of those before are dropped: series of one process share them.
type Join = (*const i64, usize, *const i64);

impl<'r> Reading<'r> {
    pub(super) fn new(base: &'r dyn SeriesReader) -> Self {
        Reading {
            base,
            state: RwLock::default(),
        }
    }

    // A panic elsewhere ends the backtest anyway.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many values are held; instants that several series share count once.
    pub(super) fn held(&self) -> usize {
        let state = self.read();
        let mut instants: HashMap<*const i64, usize> = HashMap::new();
        let mut values = 0;
        for series in state.entries.values().flat_map(|e| &e.series) {
            values += series.values.len();
            instants.insert(series.at_ns.as_ptr(), series.at_ns.len());
        }
        let recorded = state.recorded.values().flat_map(BTreeMap::values);
        values
            + instants.values().sum::<usize>()
            + 2 * recorded.map(|r| r.at_ns.len()).sum::<usize>()
    }

    /// A rule gave values, the staleness marker among them where its series ended. Times of one series ascend, also from call to call.
    pub(super) fn record(
        &self,
        labels: &Labels,
        samples: impl IntoIterator<Item = (Timestamp, f64)>,
    ) {
        let mut state = self.write();
        if !state.recorded.contains_key(labels.name()) {
            let name = Arc::from(labels.name());
            state.recorded.insert(name, BTreeMap::new());
        }
        let Some(named) = state.recorded.get_mut(labels.name()) else {
            return;
        };
        if !named.contains_key(labels) {
            named.insert(labels.clone(), Recorded::default());
        }
        if let Some(series) = named.get_mut(labels) {
            for (at, value) in samples {
                series.at_ns.push(at.0);
                series.values.push(value);
            }
        }
    }

    /// Goes on to the stretch that begins at `now`: forgets what rules gave and nobody can reach from there. `reach`: how far back any
    /// rule looks.
    pub(super) fn advance(&self, now: Timestamp, reach: Nanos) {
        let oldest = now.minus(reach).0;
        let mut state = self.write();
        state.recorded.retain(|_, named| {
            named.retain(|_, series| {
                let gone = series.at_ns.partition_point(|at| *at <= oldest);
                // Moved only when much is gone, so that a value is moved a few times at most.
                if gone > series.at_ns.len() / 2 {
                    series.at_ns.drain(..gone);
                    series.values.drain(..gone);
                }
                !series.at_ns.is_empty()
            });
            !named.is_empty()
        });
    }

    /// Reads what is going to be asked in the stretch that begins, as far as it is not known, and forgets everything else.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub(super) fn prefetch(&self, questions: Vec<Question>) -> Result<Unseen> {
        Ok(self.turn_to(self.read_ahead(questions)?))
    }

    /// Reads what is going to be asked in a stretch that is not yet evaluated, as far as it is not known; changes nothing, so that another
    /// thread may evaluate the stretch before it.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub(super) fn read_ahead(&self, questions: Vec<Question>) -> Result<Ahead> {
        let mut reads: Vec<Reads> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut fixed = Vec::new();
        let mut asked = HashSet::new();
        for question in questions {
            let key = key(&question.matchers);
            if question.fixed {
                let place = (key, question.window);
                if !self.read().fixed.contains_key(&place) && asked.insert(place.clone()) {
                    fixed.push((place.0, question));
                }
            } else if let Some(place) = places.get(&key) {
                reads[*place].wished = hull(reads[*place].wished, question.window);
            } else {
                places.insert(key.clone(), reads.len());
                reads.push(Reads {
                    key,
                    matchers: question.matchers,
                    wished: question.window,
                    missing: None,
                    goes_on: false,
                });
            }
        }
        {
            let state = self.read();
            for read in &mut reads {
                let known = state.entries.get(&read.key).and_then(|entry| entry.window);
                read.look_what_is_missing(known);
            }
        }
        // No lock is held while something is read: its threads take up other work while they wait.
        let wanted = reads.iter().map(|read| (&read.matchers, read.missing));
        let found = self.read_all(wanted)?;
        let at_fixed = fixed.iter().map(|(_, q)| (&q.matchers, Some(q.window)));
        let found_at_fixed = self.read_all(at_fixed)?;
        Ok(Ahead {
            reads,
            found,
            fixed,
            found_at_fixed,
        })
    }

    /// From now on the stretch that was read ahead is answered, and only that. Gives what was read for it.
    pub(super) fn turn_to(&self, ahead: Ahead) -> Unseen {
        let Ahead {
            reads,
            found,
            fixed,
            found_at_fixed,
        } = ahead;
        let mut state = self.write();
        let mut known = std::mem::take(&mut state.entries);
        let keys = reads.iter().map(|read| &read.key);
        let keys = keys.chain(fixed.iter().map(|(key, _)| key)).cloned();
        let all = found.iter().chain(&found_at_fixed).cloned();
        let unseen = Unseen(keys.zip(all).collect());
        let known: Vec<Entry> = reads
            .iter()
            .map(|read| known.remove(&read.key).filter(|_| read.goes_on))
            .map(Option::unwrap_or_default)
            .collect();
        state.entries = joined(reads, known, found);
        let places = fixed.into_iter().map(|(key, q)| (key, q.window));
        state.fixed.extend(places.zip(found_at_fixed));
        unseen
    }

    fn read_all<'q>(
        &self,
        wanted: impl Iterator<Item = (&'q Vec<Matcher>, Option<Window>)>,
    ) -> Result<Vec<Vec<Series>>> {
        let wanted: Vec<_> = wanted.collect();
        wanted
            .par_iter()
            .map(|(matchers, window)| match window {
                Some(window) => self.base.select(matchers, *window),
                None => Ok(Vec::new()),
            })
            .collect()
    }

    /// What the recording has.
    fn recording(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let key = key(matchers);
        {
            let state = self.read();
            if let Some(entry) = state.entries.get(&key)
                && entry.window.is_some_and(|w| covers(w, window))
            {
                return Ok(inside(&entry.series, window));
            }
            if let Some(series) = state.fixed.get(&(key, window)) {
                return Ok(series.clone());
            }
        }
        self.base.select(matchers, window)
    }
}

fn covers(known: Window, asked: Window) -> bool {
    known.after <= asked.after && asked.until <= known.until
}

fn hull(a: Window, b: Window) -> Window {
    Window {
        after: a.after.min(b.after),
        until: a.until.max(b.until),
    }
}

/// The series with a sample in the window.
fn inside(series: &[Series], window: Window) -> Vec<Series> {
    let touches = |s: &&Series| {
        let from = s.at_ns.partition_point(|at| *at <= window.after.0);
        s.at_ns.get(from).is_some_and(|at| *at <= window.until.0)
    };
    series.iter().filter(touches).cloned().collect()
}

impl Reads {
    /// Decides which part of what is wished has to be read, and whether what is known is of use.
    fn look_what_is_missing(&mut self, known: Option<Window>) {
        self.missing = Some(self.wished);
        if let Some(known) = known
            && known.after <= self.wished.after
            && self.wished.after <= known.until
            && known.until.since(self.wished.after).0
                > self.wished.until.since(self.wished.after).0 / REREAD
        {
            self.goes_on = true;
            self.missing = (known.until < self.wished.until).then_some(Window {
                after: known.until,
                until: self.wished.until,
            });
            self.wished.until = self.wished.until.max(known.until);
        }
    }
}

/// What is known and still needed, and what was read, in one: each sample is copied once.
fn joined(reads: Vec<Reads>, known: Vec<Entry>, found: Vec<Vec<Series>>) -> HashMap<String, Entry> {
    let mut instants: HashMap<Join, Arc<[i64]>> = HashMap::new();
    let mut gone: HashMap<(*const i64, i64), usize> = HashMap::new();
    /// A series that is known, and how many of its first samples are no longer needed.
    type Kept = Option<(Series, usize)>;
    type Both = (Labels, Kept, Option<Series>, Arc<[i64]>);
    let mut plans: Vec<(String, Window, Vec<Both>)> = Vec::with_capacity(reads.len());
    for ((read, known), found) in reads.into_iter().zip(known).zip(found) {
        let mut both: BTreeMap<Labels, (Kept, Option<Series>)> = BTreeMap::new();
        let after = read.wished.after.0;
        for series in known.series {
            let dropped = *gone
                .entry((series.at_ns.as_ptr(), after))
                .or_insert_with(|| series.at_ns.partition_point(|at| *at <= after));
            if dropped < series.at_ns.len() {
                let labels = series.labels.clone();
                both.entry(labels).or_default().0 = Some((series, dropped));
            }
        }
        for series in found {
            let labels = series.labels.clone();
            both.entry(labels).or_default().1 = Some(series);
        }
        let both = both.into_iter().filter_map(|(labels, (old, new))| {
            let at_ns = match (&old, &new) {
                (None, None) => return None,
                (None, Some(new)) => Arc::clone(&new.at_ns),
                (Some((old, dropped)), new) => {
                    let later: &[i64] = new.as_ref().map_or(&[], |new| &new.at_ns);
                    let key = (old.at_ns.as_ptr(), *dropped, later.as_ptr());
                    let join = || old.at_ns[*dropped..].iter().chain(later).copied().collect();
                    Arc::clone(instants.entry(key).or_insert_with(join))
                }
            };
            Some((labels, old, new, at_ns))
        });
        plans.push((read.key, read.wished, both.collect()));
    }
    let entries = plans.into_par_iter().map(|(key, window, both)| {
        let series = both
            .into_iter()
            .map(|(labels, old, new, at_ns)| Series {
                labels,
                at_ns,
                values: match (old, new) {
                    (None, Some(new)) => new.values,
                    (old, new) => {
                        let earlier: &[f64] = old.as_ref().map_or(&[], |(s, n)| &s.values[*n..]);
                        let later: &[f64] = new.as_ref().map_or(&[], |new| &new.values);
                        earlier.iter().chain(later).copied().collect()
                    }
                },
            })
            .collect();
        let window = Some(window);
        (key, Entry { window, series })
    });
    entries.collect()
}

impl SeriesReader for Reading<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let mut found = self.recording(matchers, window)?;
        let state = self.read();
        let name = matchers
            .iter()
            .find(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal);
        let named: Vec<&BTreeMap<Labels, Recorded>> = match name {
            Some(name) => state.recorded.get(name.value()).into_iter().collect(),
            None => state.recorded.values().collect(),
        };
        let mut given: Vec<Series> = Vec::new();
        for (labels, series) in named.into_iter().flatten() {
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
            let at_ns = &series.at_ns[from..to];
            given.push(Series {
                labels: labels.clone(),
                // Series of one rule mostly have the same instants.
                at_ns: match given.last() {
                    Some(last) if *last.at_ns == *at_ns => Arc::clone(&last.at_ns),
                    _ => at_ns.into(),
                },
                values: series.values[from..to].into(),
            });
        }
        if !given.is_empty() {
            found.append(&mut given);
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
            asked in prop::collection::vec((0i64..100, 0i64..60, 0usize..4), 1..20),
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
                let matchers = [Matcher::equal("__name__", "x"), Matcher::equal("i", ["a", "b"][which % 2])];
                let questions = [&matchers[..1], &matchers[..]].into_iter().enumerate();
                let questions = questions.map(|(i, matchers)| Question {
                    matchers: matchers.to_vec(),
                    // Windows of several rules, some of them where nobody asked before.
                    window: window(now - 20 - 10 * i as i64, now + length * (which as i64 + 1) / 3),
                    fixed: which == 1 && i == 1,
                });
                reading.advance(Timestamp(now), Nanos(50));
                let _ = reading.prefetch(questions.collect()).unwrap();
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
