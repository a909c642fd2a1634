//! The store as series, for expressions.
//!
//! Three kinds of tables answer: the columns of `samples` under the names of `names.rs`, `gc_pauses` as a histogram and as raw
//! pauses, and `metrics` under the names that were recorded. Where a recorded and a derived series have the same name and labels the
//! recorded one wins, for all of time. Every series has the labels `job` (the service), `service` and `instance`.

mod blocks;
mod frame;
mod names;
mod pauses;
mod readings;
mod recorded;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use memwatch_core::labels::METRIC_NAME;
use memwatch_core::record::Identity;
use memwatch_core::series::{Readings, Series, SeriesReader};
use memwatch_core::{Labels, MatchOp, Matcher, Timestamp, Window};
use rayon::prelude::*;

use self::blocks::{Blocks, Stretch};
use self::frame::{Frame, Points, micros_of};
use self::names::{
    NAMES, Name, PAUSE_HISTOGRAMS, PAUSE_SECONDS, Part, RECORDED_PAUSE_HISTOGRAMS, pause_part,
};
use self::pauses::{EDGES, History};
use self::recorded::Catalog;
use crate::cache::{Lru, locked};
use crate::manifest::Segment;
use crate::schema::Table;
use crate::segment::SegmentReader;
use crate::{Result, Snapshot};

/// Instants of instances kept for the next selector: those of one chunk of a backtest.
const FRAME_BYTES: usize = 8 << 20;

/// Series over a snapshot. What was read is kept, within bounds, for the next selector.
///
/// A selector without a name gives each quantity once, under its main names; one with a regular expression over the name also looks at
/// the short names.
pub struct StoreSeries {
    snapshot: Snapshot,
    /// The instances of `samples` and of `gc_pauses`.
    sampled: BTreeSet<Identity>,
    paused: BTreeSet<Identity>,
    catalog: OnceLock<Catalog>,
    frames: Mutex<Lru<(Identity, Window), Arc<Frame>>>,
    /// Of every instance with pauses.
    histories: OnceLock<HashMap<Identity, Arc<History>>>,
}

impl StoreSeries {
    pub(crate) fn new(snapshot: Snapshot) -> StoreSeries {
        let instances = |table: Table| {
            let segments = snapshot.segments(table).iter();
            segments
                .flat_map(|s| &s.instances)
                .map(|i| i.identity.clone())
                .collect()
        };
        StoreSeries {
            sampled: instances(Table::Samples),
            paused: instances(Table::GcPauses),
            snapshot,
            catalog: OnceLock::new(),
            frames: Mutex::new(Lru::new(FRAME_BYTES)),
            histories: OnceLock::new(),
        }
    }

    fn catalog(&self) -> Result<&Catalog> {
        if let Some(catalog) = self.catalog.get() {
            return Ok(catalog);
        }
        let catalog = Catalog::read(&self.snapshot)?;
        Ok(self.catalog.get_or_init(|| catalog))
    }

    /// What is known of all pauses of an instance; `None` when it has none.
    fn history(&self, of: &Identity) -> Result<Option<Arc<History>>> {
        let histories = match self.histories.get() {
            Some(histories) => histories,
            None => {
                let histories = History::read_all(&self.snapshot, &self.paused)?;
                self.histories.get_or_init(|| histories)
            }
        };
        Ok(histories.get(of).map(Arc::clone))
    }

    /// The readings of some instances inside of a window, with some columns of them decoded: the missing blocks on as many threads as there
    /// are.
    fn frames(
        &self,
        of: &[&Identity],
        window: Window,
        columns: &[usize],
    ) -> Result<(Vec<Arc<Frame>>, Blocks)> {
        let known: Vec<Option<Arc<Frame>>> = {
            let mut frames = locked(&self.frames);
            of.iter()
                .map(|of| frames.get(&((*of).clone(), window)))
                .collect()
        };
        let missing: Vec<&Identity> = of
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(of, _)| *of)
            .collect();
        let found = self.stretches(&missing, window)?;
        let mut wanted: Vec<Stretch> = found.concat();
        wanted.extend(known.iter().flatten().flat_map(|f| &f.parts).cloned());
        let mut columns = columns.to_vec();
        if !missing.is_empty() {
            columns.push(0);
        }
        let blocks = Blocks::load(&wanted, &columns)?;
        let process = Table::Samples.def().index_of("process");
        let made: Result<Vec<Arc<Frame>>> = found
            .into_par_iter()
            .map(|stretches| Ok(Arc::new(Frame::new(stretches, window, process, &blocks)?)))
            .collect();
        let made = made?;
        let mut frames = locked(&self.frames);
        for (of, frame) in missing.iter().zip(&made) {
            let bytes = frame.bytes() + 128;
            frames.put(((*of).clone(), window), Arc::clone(frame), bytes);
        }
        let mut made = made.into_iter();
        let all = known
            .into_iter()
            .filter_map(|known| known.or_else(|| made.next()));
        Ok((all.collect(), blocks))
    }

    /// Where the rows of some instances lie that may be inside of a window.
    fn stretches(&self, of: &[&Identity], window: Window) -> Result<Vec<Vec<Stretch>>> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let (from_us, to_us) = micros_of(window);
        let places: HashMap<&Identity, usize> = of.iter().copied().zip(0..).collect();
        let segments: Vec<&Arc<Segment>> = self
            .snapshot
            .segments(Table::Samples)
            .iter()
            .filter(|s| s.min_us <= to_us && from_us <= s.max_us)
            .collect();
        // Of each segment: which of the instances, and which rows.
        let found: Result<Vec<Vec<(usize, Stretch)>>> = segments
            .par_iter()
            .map(|segment| {
                let mut rows = Vec::new();
                let wanted = segment.instance_offsets().filter_map(|(first, rows)| {
                    let touches = rows.min_us <= to_us && from_us <= rows.max_us;
                    let place = places.get(&rows.identity).filter(|_| touches)?;
                    let count = usize::try_from(rows.rows).unwrap_or(0);
                    Some((*place, rows, first..first + count))
                });
                let wanted: Vec<_> = wanted.collect();
                if wanted.is_empty() {
                    return Ok(rows);
                }
                let reader = Arc::new(SegmentReader::open(&self.snapshot.shared, segment)?);
                for (place, known, all) in wanted {
                    let whole = from_us <= known.min_us && known.max_us <= to_us;
                    let inside = match whole {
                        true => all,
                        false => reader.rows_between(&all, from_us, to_us),
                    };
                    if !inside.is_empty() {
                        let reader = Arc::clone(&reader);
                        rows.push((
                            place,
                            Stretch {
                                reader,
                                rows: inside,
                            },
                        ));
                    }
                }
                Ok(rows)
            })
            .collect();
        let mut all = vec![Vec::new(); of.len()];
        for (place, stretch) in found?.into_iter().flatten() {
            all[place].push(stretch);
        }
        Ok(all)
    }

    fn select_named(
        &self,
        name: &str,
        matchers: &[Matcher],
        window: Window,
    ) -> Result<Vec<Series>> {
        let catalog = self.catalog()?;
        let mut found = Vec::new();
        // Which instances have a series of this name, without labels of its own, from a source that goes before.
        let mut taken: BTreeSet<Identity> = BTreeSet::new();
        let mut recorded = |metric: &str,
                            factor: f64,
                            taken: &mut BTreeSet<Identity>,
                            but: &BTreeSet<Identity>| {
            let mut now: BTreeSet<Identity> = BTreeSet::new();
            for series in catalog.named(metric) {
                let plain = label_set(metric, &series.identity, None);
                if series.labels == plain {
                    now.insert(series.identity.clone());
                }
            }
            let wanted =
                |s: &recorded::Recorded| !taken.contains(&s.identity) && !but.contains(&s.identity);
            found.extend(catalog.select(metric, name, factor, matchers, window, wanted)?);
            taken.extend(now);
            Ok::<_, crate::Error>(())
        };
        let nobody = BTreeSet::new();
        recorded(name, 1.0, &mut taken, &nobody)?;
        if let Some(entry) = names::find(name) {
            for other in entry.names.iter().filter(|n| **n != name) {
                recorded(other, 1.0, &mut taken, &nobody)?;
            }
            let mut stands_in = taken.clone();
            for (other, factor) in entry.same_as {
                recorded(other, *factor, &mut stands_in, &self.sampled)?;
            }
            self.derive(entry, name, &taken, matchers, window, &mut found)?;
        }
        if let Some((base, part)) = pause_part(name) {
            self.pause_histogram(base, part, matchers, window, &mut found)?;
        }
        if name == PAUSE_SECONDS {
            for of in self.paused.iter().filter(|of| !taken.contains(*of)) {
                let labels = label_set(name, of, None);
                if matchers.iter().all(|m| m.matches(&labels))
                    && let Some(history) = self.history(of)?
                {
                    let (at_ns, values) = history.raw(&self.snapshot, of, window)?;
                    found.push(Series {
                        labels,
                        at_ns,
                        values,
                    });
                }
            }
        }
        Ok(found)
    }

    /// A quantity from the columns of `samples`.
    fn derive(
        &self,
        entry: &Name,
        name: &str,
        taken: &BTreeSet<Identity>,
        matchers: &[Matcher],
        window: Window,
        found: &mut Vec<Series>,
    ) -> Result<()> {
        let def = Table::Samples.def();
        let columns: Vec<usize> = entry
            .columns
            .iter()
            .filter_map(|c| def.index_of(c))
            .collect();
        let candidates = self.sampled.iter().filter(|of| !taken.contains(*of));
        let asked = candidates.map(|of| (of, label_set(name, of, None)));
        let asked: Vec<(&Identity, Labels)> = asked
            .filter(|(_, labels)| matchers.iter().all(|m| m.matches(labels)))
            .collect();
        let of: Vec<&Identity> = asked.iter().map(|(of, _)| *of).collect();
        let (frames, blocks) = self.frames(&of, window, &columns)?;
        let points: Vec<Points> = frames
            .par_iter()
            .map(|frame| frame.points(&columns, entry.scale, 1.0, &blocks))
            .collect();
        let series = asked.into_iter().zip(points);
        found.extend(series.map(|((_, labels), (at_ns, values))| Series {
            labels,
            at_ns,
            values,
        }));
        Ok(())
    }

    /// A part of the histogram of pauses. A recorded histogram is taken whole or not at all: edges of two would not fit together.
    fn pause_histogram(
        &self,
        base: &str,
        part: Part,
        matchers: &[Matcher],
        window: Window,
        found: &mut Vec<Series>,
    ) -> Result<()> {
        let catalog = self.catalog()?;
        let has_recorded = |base: &str| -> BTreeSet<Identity> {
            let parts = Part::ALL
                .into_iter()
                .map(|part| format!("{base}{}", part.suffix()));
            parts
                .flat_map(|name| catalog.named(&name))
                .map(|s| s.identity.clone())
                .collect()
        };
        let name = format!("{base}{}", part.suffix());
        let taken = has_recorded(base);
        let mut wanted: Vec<(&Identity, Vec<(usize, Labels)>)> = Vec::new();
        for of in self.paused.iter().filter(|of| !taken.contains(*of)) {
            let labels = label_set(&name, of, None);
            let candidates: Vec<(usize, Labels)> = match part {
                Part::Bucket => (0..EDGES.len())
                    .map(|e| (e, labels.with("le", EDGES[e].1)))
                    .collect(),
                Part::Count | Part::Sum => vec![(0, labels)],
            };
            let asked: Vec<(usize, Labels)> = candidates
                .into_iter()
                .filter(|(_, labels)| matchers.iter().all(|m| m.matches(labels)))
                .collect();
            if asked.is_empty() {
                continue;
            }
            wanted.push((of, asked));
        }
        let sampled = wanted.iter().map(|(of, _)| *of);
        let sampled: Vec<&Identity> = sampled.filter(|of| self.sampled.contains(*of)).collect();
        // All instances' readings at once: their pages overlap.
        let (readings, _) = self.frames(&sampled, window, &[])?;
        let readings: HashMap<&Identity, Arc<Frame>> = sampled.into_iter().zip(readings).collect();
        if let Some((of, _)) = wanted.first() {
            self.history(of)?; // Read once, before several threads ask.
        }
        let made: Result<Vec<Vec<Series>>> = wanted
            .into_par_iter()
            .map(|(of, asked)| {
                let Some(history) = self.history(of)? else {
                    return Ok(Vec::new());
                };
                let parts: Vec<(Part, usize)> =
                    asked.iter().map(|(edge, _)| (part, *edge)).collect();
                let readings = readings.get(of).map(AsRef::as_ref);
                let (at_ns, columns) =
                    history.histogram(&self.snapshot, of, window, readings, &parts)?;
                let series = asked.into_iter().zip(columns);
                let series = series.map(|((_, labels), values)| Series {
                    labels,
                    at_ns: Arc::clone(&at_ns),
                    values: values.into(),
                });
                Ok(series.collect())
            })
            .collect();
        found.extend(made?.into_iter().flatten());
        if base == PAUSE_HISTOGRAMS[0] {
            let mut answered: BTreeSet<Identity> = taken.union(&self.paused).cloned().collect();
            for other in RECORDED_PAUSE_HISTOGRAMS {
                let recorded = format!("{other}{}", part.suffix());
                let wanted = |s: &recorded::Recorded| !answered.contains(&s.identity);
                found.extend(catalog.select(&recorded, &name, 1.0, matchers, window, wanted)?);
                answered.extend(has_recorded(other));
            }
        }
        Ok(())
    }

    /// All names that answer, each with whether it is a main name (and not another word for one).
    fn names(&self) -> Result<BTreeMap<Arc<str>, bool>> {
        let catalog = self.catalog()?;
        let mut all: BTreeMap<Arc<str>, bool> = catalog
            .by_name
            .keys()
            .map(|name| (Arc::clone(name), true))
            .collect();
        let mut add = |name: &str, main: bool| {
            let is_main = all.entry(name.into()).or_insert(main);
            *is_main |= main;
        };
        for entry in NAMES {
            let answers = entry
                .names
                .iter()
                .chain(entry.same_as.iter().map(|(name, _)| name));
            if !self.sampled.is_empty() {
                entry.names.iter().for_each(|name| add(name, true));
                entry.aliases.iter().for_each(|name| add(name, false));
            } else if answers
                .into_iter()
                .any(|name| !catalog.named(name).is_empty())
            {
                entry
                    .names
                    .iter()
                    .chain(entry.aliases)
                    .for_each(|name| add(name, false));
            }
        }
        let histogram = |base: &str| Part::ALL.map(|part| format!("{base}{}", part.suffix()));
        if !self.paused.is_empty() {
            add(PAUSE_SECONDS, true);
            histogram(PAUSE_HISTOGRAMS[0])
                .iter()
                .for_each(|name| add(name, true));
            histogram(PAUSE_HISTOGRAMS[1])
                .iter()
                .for_each(|name| add(name, false));
        } else if RECORDED_PAUSE_HISTOGRAMS.iter().any(|base| {
            histogram(base)
                .iter()
                .any(|name| !catalog.named(name).is_empty())
        }) {
            histogram(PAUSE_HISTOGRAMS[0])
                .iter()
                .for_each(|name| add(name, false));
        }
        Ok(all)
    }

    fn try_select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let (by_name, others): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|m| m.name() == METRIC_NAME);
        let others: Vec<Matcher> = others.into_iter().cloned().collect();
        let accepted = |name: &str| by_name.iter().all(|m| m.accepts(name));
        let equal = by_name.iter().find(|m| m.op() == MatchOp::Equal);
        let names: Vec<Arc<str>> = match equal {
            Some(matcher) => vec![matcher.value().into()],
            None => {
                let also_short = by_name.iter().any(|m| m.op() == MatchOp::Regex);
                let all = self.names()?.into_iter();
                all.filter(|(_, main)| *main || also_short)
                    .map(|(name, _)| name)
                    .collect()
            }
        };
        let mut found = Vec::new();
        for name in names.iter().filter(|name| accepted(name)) {
            found.extend(self.select_named(name, &others, window)?);
        }
        found.retain(|series| !series.at_ns.is_empty());
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

impl SeriesReader for StoreSeries {
    fn select(&self, matchers: &[Matcher], window: Window) -> memwatch_core::Result<Vec<Series>> {
        Ok(self.try_select(matchers, window)?)
    }

    fn metric_names(&self) -> memwatch_core::Result<Vec<Arc<str>>> {
        Ok(self.names()?.into_keys().collect())
    }

    fn readings(&self, window: Window) -> memwatch_core::Result<Option<Vec<Readings>>> {
        Ok(Some(self.read_times(window)?))
    }

    fn begins(&self) -> memwatch_core::Result<Option<Timestamp>> {
        Ok(self.snapshot.info().series_range().map(|range| range.start))
    }
}

/// The labels of a series: its own, its name and whose it is.
fn label_set(name: &str, of: &Identity, own: Option<&Labels>) -> Labels {
    let own = own
        .into_iter()
        .flat_map(Labels::iter)
        .map(|(n, v)| (Arc::from(n), Arc::from(v)));
    let whose = [
        (Arc::from(METRIC_NAME), Arc::from(name)),
        (Arc::from("job"), Arc::clone(&of.service)),
        (Arc::from("service"), Arc::clone(&of.service)),
        (Arc::from("instance"), Arc::clone(&of.instance)),
    ];
    own.chain(whose).collect::<Labels>()
}
