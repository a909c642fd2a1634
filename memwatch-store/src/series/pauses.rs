//! Pauses as series: a classic histogram and the raw pauses, from `gc_pauses`.
//!
//! The histogram is cumulative from the start of each process, at every reading of the instance in `samples` (at the pauses themselves
//! when there is none). What was counted before a window is kept by hour, so that no answer depends on the window asked.
//! A pause that several origins saw counts once, as the best origin of its process saw it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use memwatch_core::record::{Identity, PauseOrigin};
use memwatch_core::{TimeRange, Timestamp, Window};
use rayon::prelude::*;

use super::frame::{Frame, Points, micros_of};
use super::names::Part;
use crate::buffer::buffer_schema;
use crate::manifest::Segment;
use crate::scan::widen;
use crate::schema::{Table, best_origin, parse_origin};
use crate::segment::{SegmentReader, TextColumn};
use crate::{Error, Instances, Result, Snapshot};

/// The upper bounds of the histogram's buckets in nanoseconds, with their labels: 1, 2, 5 of each decade from 1 µs to 10 s, and +Inf.
pub(super) const EDGES: [(i64, &str); 23] = [
    (1_000, "1e-06"),
    (2_000, "2e-06"),
    (5_000, "5e-06"),
    (10_000, "1e-05"),
    (20_000, "2e-05"),
    (50_000, "5e-05"),
    (100_000, "0.0001"),
    (200_000, "0.0002"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_000_000, "0.002"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (20_000_000, "0.02"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (200_000_000, "0.2"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_000_000_000, "2"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (i64::MAX, "+Inf"),
];

const HOUR_US: i64 = 3_600_000_000;

/// Ordinal of a process; `None` when the source does not say.
type Process = Option<i64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pause {
    at_us: i64,
    pause_ns: i64,
    process: Process,
    origin: PauseOrigin,
}

/// Instants, and for each part that was asked for the values at them.
type Columns = (Arc<[i64]>, Vec<Vec<f64>>);

/// What was counted of one process.
#[derive(Debug, Clone, Default)]
struct Totals {
    /// Pauses by the first edge that holds them.
    buckets: [u64; EDGES.len()],
    sum_ns: i128,
}

impl Totals {
    fn add(&mut self, pause_ns: i64) {
        self.buckets[EDGES.partition_point(|(edge, _)| *edge < pause_ns)] += 1;
        self.sum_ns += i128::from(pause_ns);
    }

    fn merge(&mut self, other: &Totals) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.sum_ns += other.sum_ns;
    }

    /// The value of a part; of the bucket with that edge.
    fn value(&self, part: Part, edge: usize) -> f64 {
        let upto = |edge: usize| self.buckets[..=edge].iter().sum::<u64>() as f64;
        match part {
            Part::Bucket => upto(edge),
            Part::Count => upto(EDGES.len() - 1),
            Part::Sum => self.sum_ns as f64 / 1e9,
        }
    }
}

/// What is known of all pauses of an instance.
pub(super) struct History {
    /// Which pauses count.
    best: HashMap<Process, PauseOrigin>,
    /// By hour since the epoch and process.
    hours: BTreeMap<i64, HashMap<Process, Totals>>,
    /// When which process was read, in order: first and last reading. Empty without readings; readings that do not say which process
    /// they are of count only when none does.
    timeline: Vec<Run>,
}

impl History {
    /// Reads all pauses of these instances once, and when which process was alive: segments side by side, sums only are kept.
    pub(super) fn read_all(
        snapshot: &Snapshot,
        of: &BTreeSet<Identity>,
    ) -> Result<HashMap<Identity, Arc<History>>> {
        let mut histories: HashMap<&Identity, History> = timelines(snapshot, of)?
            .into_iter()
            .map(|(of, timeline)| {
                let history = History {
                    best: HashMap::new(),
                    hours: BTreeMap::new(),
                    timeline,
                };
                (of, history)
            })
            .collect();
        let segments = snapshot.segments(Table::GcPauses);
        let counted: Result<Vec<Counted<'_>>> = segments
            .par_iter()
            .map(|segment| count(snapshot, segment, &histories))
            .collect();
        let mut by_instance: HashMap<&Identity, HashMap<(Process, PauseOrigin), Hours>> =
            HashMap::new();
        for ((of, process, origin, hour), totals) in counted?.into_iter().flatten() {
            let of_instance = by_instance.entry(of).or_default();
            let hours = of_instance.entry((process, origin)).or_default();
            hours.entry(hour).or_default().merge(&totals);
        }
        for (of, by_origin) in by_instance {
            if let Some(history) = histories.get_mut(of) {
                history.keep_best(by_origin);
            }
        }
        let histories = histories.into_iter();
        Ok(histories
            .map(|(of, history)| (of.clone(), Arc::new(history)))
            .collect())
    }

    fn keep_best(&mut self, mut by_origin: HashMap<(Process, PauseOrigin), Hours>) {
        let processes: HashSet<Process> = by_origin.keys().map(|(process, _)| *process).collect();
        for process in processes {
            let origins = by_origin
                .keys()
                .filter(|(p, _)| *p == process)
                .map(|(_, o)| *o);
            let Some(best) = best_origin(origins) else {
                continue;
            };
            self.best.insert(process, best);
            for (hour, totals) in by_origin.remove(&(process, best)).unwrap_or_default() {
                let by_process = self.hours.entry(hour).or_default();
                by_process.insert(process, totals);
            }
        }
    }

    /// Which process a pause belongs to, as the readings number them.
    fn process_of(&self, pause: &Pause) -> Process {
        match (pause.process, self.timeline.first()) {
            (process, None) => process,
            (Some(process), Some((_, _, Some(_)))) => Some(process),
            // Readings that never say which process they are of, or a pause that does not.
            _ => self.process_at(pause.at_us),
        }
    }

    /// The process that was read at that time or next.
    fn process_at(&self, at_us: i64) -> Process {
        let next = self
            .timeline
            .partition_point(|(_, until, _)| *until < at_us);
        let run = self.timeline.get(next).or(self.timeline.last());
        run.and_then(|(_, _, process)| *process)
    }

    /// The pauses that count and that ended in `[from_us, to_us]`, in order.
    fn pauses(
        &self,
        snapshot: &Snapshot,
        of: &Identity,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<Pause>> {
        let at = |us: i64| Timestamp(us.saturating_mul(1_000));
        let range = TimeRange {
            start: at(from_us),
            end: at(to_us.saturating_add(1)),
        };
        let mut found = Vec::new();
        let (mut process, mut best) = (None, self.best.get(&None));
        for pauses in batches(snapshot, of, range)? {
            for mut pause in pauses? {
                pause.process = self.process_of(&pause);
                if pause.process != process {
                    (process, best) = (pause.process, self.best.get(&pause.process));
                }
                if best == Some(&pause.origin) {
                    found.push(pause);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// One point a pause, at its end; of several in one microsecond each is one nanosecond after the one before.
    pub(super) fn raw(&self, snapshot: &Snapshot, of: &Identity, window: Window) -> Result<Points> {
        let (from_us, to_us) = micros_of(window);
        // A microsecond earlier, for the pauses that were moved into the window.
        let pauses = self.pauses(snapshot, of, from_us.saturating_sub(1), to_us)?;
        let mut last = i64::MIN;
        let points = pauses.iter().map(|pause| {
            last = pause
                .at_us
                .saturating_mul(1_000)
                .max(last.saturating_add(1));
            (last, pause.pause_ns as f64 / 1e9)
        });
        let (at_ns, values): (Vec<i64>, Vec<f64>) = points
            .filter(|(at, _)| window.after.0 < *at && *at <= window.until.0)
            .unzip();
        Ok((at_ns.into(), values.into()))
    }

    /// Parts of the histogram at each reading inside of the window: of `readings` when the instance has some.
    pub(super) fn histogram(
        &self,
        snapshot: &Snapshot,
        of: &Identity,
        window: Window,
        readings: Option<&Frame>,
        parts: &[(Part, usize)],
    ) -> Result<Columns> {
        let (from_us, to_us) = micros_of(window);
        let process = Table::Samples.def().index_of("process").unwrap_or_default();
        let readings: Option<(Arc<[i64]>, Vec<Process>)> = match readings {
            None => None,
            #[allow(clippy::cast_possible_truncation)] // Ordinals of restarts are small.
            Some(frame) => Some((
                Arc::clone(&frame.at_ns),
                frame
                    .column(process)?
                    .into_iter()
                    .map(|p| p.map(|p| p as i64))
                    .collect(),
            )),
        };
        let first_us = match &readings {
            Some((at_ns, _)) => match at_ns.first() {
                Some(at) => at.div_euclid(1_000),
                None => return Ok((Arc::from([]), vec![Vec::new(); parts.len()])),
            },
            None => from_us.max(
                self.hours
                    .keys()
                    .next()
                    .map_or(0, |h| h.saturating_mul(HOUR_US)),
            ),
        };
        let hour = first_us.div_euclid(HOUR_US);
        let mut totals: HashMap<Process, Totals> = HashMap::new();
        for by_process in self.hours.range(..hour).map(|(_, by_process)| by_process) {
            for (process, counted) in by_process {
                totals.entry(*process).or_default().merge(counted);
            }
        }
        let pauses = self.pauses(snapshot, of, hour.saturating_mul(HOUR_US), to_us)?;
        let mut pauses = pauses.into_iter().peekable();
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); parts.len()];
        // Without totals, what was written last.
        let mut write = |totals: Option<&Totals>| {
            for (column, (part, edge)) in columns.iter_mut().zip(parts) {
                let last = column.last().copied().unwrap_or_default();
                column.push(totals.map_or(last, |totals| totals.value(*part, *edge)));
            }
        };
        let none = Totals::default();
        let at_ns: Arc<[i64]> = match readings {
            Some((at_ns, processes)) => {
                let mut before = None;
                for (at, process) in at_ns.iter().zip(processes) {
                    while let Some(pause) = pauses.next_if(|p| p.at_us <= at.div_euclid(1_000)) {
                        totals.entry(pause.process).or_default().add(pause.pause_ns);
                        before = None;
                    }
                    // A reading that does not say is of the process that was read around it, not of a new one.
                    let process = process.or_else(|| self.process_at(at.div_euclid(1_000)));
                    // Most readings see no new pause.
                    let same = before == Some(process);
                    write((!same).then(|| totals.get(&process).unwrap_or(&none)));
                    before = Some(process);
                }
                at_ns
            }
            None => {
                let mut at_ns = Vec::new();
                while let Some(pause) = pauses.next() {
                    let counted = totals.entry(pause.process).or_default();
                    counted.add(pause.pause_ns);
                    // Several in one microsecond are one reading.
                    if pause.at_us >= from_us
                        && pauses.peek().is_none_or(|next| next.at_us != pause.at_us)
                    {
                        at_ns.push(pause.at_us.saturating_mul(1_000));
                        write(Some(counted));
                    }
                }
                at_ns.into()
            }
        };
        Ok((at_ns, columns))
    }
}

/// Sums by hour since the epoch.
type Hours = BTreeMap<i64, Totals>;

/// Sums of a segment by instance, process, origin and hour.
type Counted<'i> = HashMap<(&'i Identity, Process, PauseOrigin, i64), Totals>;

/// Counts the pauses of one segment.
fn count<'i>(
    snapshot: &Snapshot,
    segment: &Arc<Segment>,
    histories: &HashMap<&'i Identity, History>,
) -> Result<Counted<'i>> {
    let mut counted = Counted::new();
    let reader = SegmentReader::open(&snapshot.shared, segment)?;
    let schema = buffer_schema(Table::GcPauses);
    let places = PAUSE_COLUMNS.iter();
    let places = places.filter_map(|name| Table::GcPauses.def().index_of(name));
    let columns: Vec<usize> = places.collect();
    let in_order = Arc::new(schema.project(&columns)?);
    for (first, instance) in segment.instance_offsets() {
        let Some((of, history)) = histories.get_key_value(&instance.identity) else {
            continue;
        };
        let rows = first..first + usize::try_from(instance.rows).unwrap_or(0);
        for batch in reader.read(&schema, &columns, std::slice::from_ref(&rows))? {
            let pauses = decode(&widen(&batch?, &in_order)?)?;
            let place = |pause: &Pause| {
                let hour = pause.at_us.div_euclid(HOUR_US);
                (*of, history.process_of(pause), pause.origin, hour)
            };
            // Neighbors mostly count for the same.
            for same in pauses.chunk_by(|a, b| place(a) == place(b)) {
                let totals = counted.entry(place(&same[0])).or_default();
                same.iter().for_each(|pause| totals.add(pause.pause_ns));
            }
        }
    }
    Ok(counted)
}

const PAUSE_COLUMNS: [&str; 4] = ["ts", "pause_ns", "process", "origin"];

/// When which process was read: first and last reading.
type Run = (i64, i64, Process);

/// When which process of each instance was read.
fn timelines<'i>(
    snapshot: &Snapshot,
    of: &'i BTreeSet<Identity>,
) -> Result<HashMap<&'i Identity, Vec<Run>>> {
    let segments = snapshot.segments(Table::Samples);
    let found = segments
        .par_iter()
        .map(|segment| runs_of_segment(snapshot, segment, of))
        .collect::<Result<Vec<_>>>()?;
    let mut runs: HashMap<&Identity, Vec<Run>> = of.iter().map(|of| (of, Vec::new())).collect();
    for (of, of_segment) in found.into_iter().flatten() {
        runs.entry(of).or_default().extend(of_segment);
    }
    let timelines = runs.into_iter().map(|(of, runs)| (of, merged(runs)));
    Ok(timelines.collect())
}

/// The runs of each instance in a segment. Row groups of one process only, which are nearly all, say so in their statistics.
fn runs_of_segment<'i>(
    snapshot: &Snapshot,
    segment: &Arc<Segment>,
    of: &'i BTreeSet<Identity>,
) -> Result<Vec<(&'i Identity, Vec<Run>)>> {
    let reader = SegmentReader::open(&snapshot.shared, segment)?;
    let schema = Table::Samples.schema();
    let Some(process) = Table::Samples.def().index_of("process") else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (first, instance) in segment.instance_offsets() {
        let Some(of) = of.get(&instance.identity) else {
            continue;
        };
        let rows = first..first + usize::try_from(instance.rows).unwrap_or(0);
        let mut runs: Vec<Run> = Vec::new();
        if let Some(constant) = reader.constant(process, &rows) {
            runs.push((instance.min_us, instance.max_us, Some(constant)));
        } else {
            for batch in reader.read(&schema, &[0, process], std::slice::from_ref(&rows))? {
                let batch = batch?;
                add_runs(&mut runs, &batch)?;
            }
        }
        found.push((of, runs));
    }
    Ok(found)
}

fn add_runs(runs: &mut Vec<Run>, batch: &RecordBatch) -> Result<()> {
    let ts = batch.column(0);
    let Some(ts) = ts.as_primitive_opt::<TimestampMicrosecondType>() else {
        return Err(wrong_types());
    };
    // A segment of a table without the column: no reading says which process it is of.
    let process: Vec<Process> = match batch.columns().get(1) {
        Some(process) => match process.as_primitive_opt::<Int64Type>() {
            Some(process) => process.iter().collect(),
            None => return Err(wrong_types()),
        },
        None => vec![None; ts.len()],
    };
    for (at, process) in ts.values().iter().zip(process) {
        match runs.last_mut() {
            Some(last) if last.2 == process && last.1 <= *at => last.1 = *at,
            _ => runs.push((*at, *at, process)),
        }
    }
    Ok(())
}

/// Runs of all segments, in order; of one process right after each other in one.
fn merged(mut runs: Vec<Run>) -> Vec<Run> {
    if runs.iter().any(|(_, _, process)| process.is_some()) {
        runs.retain(|(_, _, process)| process.is_some());
    }
    // Segments may lie in any order of time, and overlap.
    runs.sort_unstable();
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        match merged.last_mut() {
            Some(last) if last.2 == run.2 => last.1 = last.1.max(run.1),
            _ => merged.push(run),
        }
    }
    merged.sort_unstable_by_key(|(first, last, process)| (*last, *first, *process));
    merged
}

/// The pauses of an instance inside of a range, whatever saw them.
fn batches(
    snapshot: &Snapshot,
    of: &Identity,
    range: TimeRange,
) -> Result<impl Iterator<Item = Result<Vec<Pause>>> + use<>> {
    let only = Instances::Only([of.clone()].into());
    let scan = snapshot.scan(Table::GcPauses, Some(&PAUSE_COLUMNS), range, &only)?;
    Ok(scan.map(|batch| decode(&batch?)))
}

fn decode(batch: &RecordBatch) -> Result<Vec<Pause>> {
    let (Some(ts), Some(pause_ns), Some(process), Some(origin)) = (
        batch
            .column(0)
            .as_primitive_opt::<TimestampMicrosecondType>(),
        batch.column(1).as_primitive_opt::<Int64Type>(),
        batch.column(2).as_primitive_opt::<Int64Type>(),
        TextColumn::new(batch.column(3).as_ref()),
    ) else {
        return Err(wrong_types());
    };
    let mut pauses = Vec::with_capacity(batch.num_rows());
    let mut parsed = None;
    for row in 0..batch.num_rows() {
        if row == 0 || !origin.same(row - 1, row) {
            parsed = parse_origin(origin.value(row));
        }
        // An origin that a later version may add is not counted: it would be unknown how good it is.
        let Some(origin) = parsed else {
            continue;
        };
        pauses.push(Pause {
            at_us: ts.value(row),
            pause_ns: pause_ns.value(row),
            process: process.is_valid(row).then(|| process.value(row)),
            origin,
        });
    }
    Ok(pauses)
}

fn wrong_types() -> Error {
    let found = "others".to_owned();
    Error::Value {
        field: "gc_pauses",
        expected: "the types of the table's columns",
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_ascend_and_their_labels_say_them() {
        for (ns, label) in EDGES {
            let seconds: f64 = label.parse().unwrap();
            assert!(
                (seconds.is_infinite() && ns == i64::MAX) || ns as f64 / 1e9 == seconds,
                "{label}"
            );
        }
        assert!(EDGES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_pause_counts_from_its_edge_on() {
        let mut totals = Totals::default();
        for ns in [-5, 0, 1_000, 1_001, 20_000_000_000] {
            totals.add(ns);
        }
        let counts: Vec<f64> = [0, 1, 21, 22]
            .iter()
            .map(|e| totals.value(Part::Bucket, *e))
            .collect();
        assert_eq!(counts, [3.0, 4.0, 4.0, 5.0]);
        assert_eq!(totals.value(Part::Count, 0), 5.0);
    }
}
