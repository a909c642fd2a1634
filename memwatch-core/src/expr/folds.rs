//! Folds over recorded series: what remembers the whole of a recording, from its beginning, whatever stretch of it is evaluated.
//!
//! A fold takes each sample of its series once, in the order of time. It lives in the [`super::Session`], so a replay reads on from stretch
//! to stretch; before the first stretch it reads what was recorded earlier, piece by piece, and keeps none of it. So its results
//! depend neither on where an evaluation begins nor on how it is cut.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::ast::{Node, NodeKind, Subquery, TimeShift, VectorSelector};
use super::eval::Evaluator;
use super::select::{Ranges, Samples};
use crate::labels::METRIC_NAME;
use crate::pace::next_length;
use crate::series::{Series, SeriesReader};
use crate::stats::baseline::{Baseline, BaselineOptions, Counts, Deviation, State};
use crate::{Labels, Matcher, Nanos, Result, Steps, Timestamp, Window};

/// The folds of a session, by what they fold and how.
#[derive(Debug, Default)]
pub(super) struct Folds {
    by_key: Mutex<HashMap<String, Arc<Mutex<Fold>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the evaluation anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Folds {
    /// The fold of that key, a new one if there is none.
    pub(super) fn of(&self, key: String) -> Arc<Mutex<Fold>> {
        Arc::clone(locked(&self.by_key).entry(key).or_default())
    }

    /// Results that nobody asked for in this round are forgotten: in the next everybody asks for later ones.
    pub(super) fn next_round(&self) {
        for fold in locked(&self.by_key).values() {
            let mut fold = locked(fold);
            if let Some(asked) = fold.asked_after.take() {
                fold.forget(asked);
            }
        }
    }

    /// What the folds of that key remember, series by series.
    pub(super) fn memories(&self, key: &str) -> Vec<Memory> {
        let fold = locked(&self.by_key).get(key).cloned();
        let Some(fold) = fold else {
            return Vec::new();
        };
        let fold = locked(&fold);
        let series = fold.series.iter().filter_map(|(labels, held)| {
            let (first, last) = held.baseline.span_ns()?;
            Some(Memory {
                labels: labels.clone(),
                first_at: Timestamp(first),
                last_at: Timestamp(last),
                scored_at: held.scored_at,
                counts: held.baseline.counts(),
            })
        });
        series.collect()
    }
}

/// What a fold has seen of one series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Memory {
    /// Of which series.
    pub labels: Labels,
    /// The first sample taken: how far back the memory reaches.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
    /// The first sample that was scored; `None` while it is warming up.
    pub scored_at: Option<Timestamp>,
    /// What was taken, what was set aside, and how much of it in the warm-up.
    pub counts: Counts,
}

/// A baseline of every series that a selector or subquery finds.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// Every sample up to and including this instant was taken.
    until: Option<i64>,
    series: BTreeMap<Labels, Held>,
    /// Results after this instant are kept.
    kept_after: i64,
    /// The earliest such instant that was asked for in this round.
    asked_after: Option<i64>,
    /// The newest value of what tells one process from the next, by metric and process.
    processes: HashMap<(&'static str, Labels), f64>,
}

/// What is held of one series.
#[derive(Debug)]
pub(super) struct Held {
    baseline: Baseline,
    /// The results kept: when, and the score; NaN where the sample was not scored.
    pub(super) at_ns: Vec<i64>,
    pub(super) scores: Vec<f64>,
    /// Those of them in which something was unusual.
    pub(super) unusual: Vec<(i64, Deviation)>,
    /// What told the process of the last sample from others.
    process: [Option<f64>; PROCESS_METRICS.len()],
    scored_at: Option<Timestamp>,
}

/// Series whose values change when a process restarts.
const PROCESS_METRICS: [&str; 2] = ["memwatch_process", "process_start_time_seconds"];

/// How long the first piece of history is.
const FIRST_PIECE: Nanos = Nanos(60 * Nanos::MINUTE.0);
/// About how many samples of history are held at once.
const PIECE_SAMPLES: usize = 1_000_000;

impl Fold {
    /// Takes every sample up to the last evaluation; afterwards the results of all windows of `ranges` are kept.
    ///
    /// `arg` is the range vector that `ranges` came from.
    pub(super) fn advance(
        &mut self,
        evaluator: &Evaluator<'_>,
        arg: &Node,
        ranges: &Ranges,
        options: &dyn Fn(&Labels) -> BaselineOptions,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (ranges.until_ns.first(), ranges.until_ns.last()) else {
            return Ok(());
        };
        let after = first.saturating_sub(ranges.width_ns);
        if self.until.is_some() && after < self.kept_after {
            // Asked about a time that has been forgotten: from the beginning.
            *self = Fold::default();
        }
        self.asked_after = Some(self.asked_after.map_or(after, |asked| asked.min(after)));
        self.read_history(evaluator, arg, after, options)?;
        let window = Window {
            after: Timestamp(self.until.unwrap_or(after).max(after)),
            until: Timestamp(*last),
        };
        if window.after < window.until {
            let processes = processes(evaluator.reader, arg, window, Reads::Again)?;
            self.take(&ranges.series, &processes, window, options);
        }
        Ok(())
    }

    /// Results up to that instant are no longer needed.
    fn forget(&mut self, until: i64) {
        self.kept_after = until;
        for held in self.series.values_mut() {
            held.forget(until);
        }
    }

    /// What is held of the series with these labels.
    pub(super) fn of(&self, labels: &Labels) -> Option<&Held> {
        self.series.get(labels)
    }

    /// Takes what was recorded up to `to` and has not been taken, and keeps no results.
    fn read_history(
        &mut self,
        evaluator: &Evaluator<'_>,
        arg: &Node,
        to: i64,
        options: &dyn Fn(&Labels) -> BaselineOptions,
    ) -> Result<()> {
        if self.until.is_some_and(|until| until >= to) {
            return Ok(());
        }
        self.forget(to);
        let begin = match (self.until, evaluator.reader.begins()?) {
            (Some(until), _) => until,
            (None, Some(begin)) => begin.0.saturating_sub(1),
            (None, None) => i64::MIN,
        };
        let once = Once(evaluator.reader);
        let mut after = begin;
        // From an unknown beginning everything is read at once.
        let mut length = if begin == i64::MIN {
            i64::MAX
        } else {
            FIRST_PIECE.0
        };
        while after < to {
            let until = after.saturating_add(length).min(to);
            let window = Window {
                after: Timestamp(after),
                until: Timestamp(until),
            };
            let piece = evaluator.aside(&once, Steps::instant(window.until));
            let past = in_window(arg, window);
            let ranges = piece.ranges(&past, piece.steps, 1)?;
            let processes = processes(evaluator.reader, arg, window, Reads::Once)?;
            self.take(&ranges.series, &processes, window, options);
            let held: usize = ranges.series.iter().map(|s| s.values().len()).sum();
            length = next_length(length, held, PIECE_SAMPLES).max(1);
            after = until;
        }
        Ok(())
    }

    /// Takes the samples inside of the window, which begins where the last one ended.
    fn take(
        &mut self,
        found: &[Samples],
        processes: &[(&'static str, Series)],
        window: Window,
        options: &dyn Fn(&Labels) -> BaselineOptions,
    ) {
        for series in found {
            if !self.series.contains_key(&series.labels) {
                let held = Held::new(options(&series.labels));
                self.series.insert(series.labels.clone(), held);
            }
        }
        let by_labels: HashMap<&Labels, &Samples> = found
            .iter()
            .map(|series| (&series.labels, series))
            .collect();
        let (known, kept_after) = (&self.processes, self.kept_after);
        let work = |(labels, held): (&Labels, &mut Held)| {
            let Some(samples) = by_labels.get(labels) else {
                return;
            };
            let who = process_of(labels);
            let processes = PROCESS_METRICS.map(|metric| Process {
                before: known.get(&(metric, who.clone())).copied(),
                series: processes
                    .iter()
                    .find(|(m, s)| *m == metric && process_of(&s.labels) == who)
                    .map(|(_, series)| series),
                next: 0,
            });
            held.take(samples, processes, window, kept_after);
        };
        let samples: usize = found.iter().map(|s| s.values().len()).sum();
        if samples >= 20_000 && self.series.len() > 1 {
            self.series.par_iter_mut().for_each(work);
        } else {
            self.series.iter_mut().for_each(work);
        }
        for (metric, series) in processes {
            let inside = series.at_ns.partition_point(|at| *at <= window.until.0);
            if let Some(last) = inside.checked_sub(1) {
                let key = (*metric, process_of(&series.labels));
                self.processes.insert(key, series.values[last]);
            }
        }
        self.until = Some(window.until.0);
    }
}

/// What tells a process from the next, on its way through time.
struct Process<'a> {
    /// What was read before the window.
    before: Option<f64>,
    series: Option<&'a Series>,
    next: usize,
}

impl Process<'_> {
    /// The newest value at that time; times ascend from call to call.
    fn at(&mut self, at_ns: i64) -> Option<f64> {
        if let Some(series) = self.series {
            while series.at_ns.get(self.next).is_some_and(|at| *at <= at_ns) {
                self.before = Some(series.values[self.next]);
                self.next += 1;
            }
        }
        self.before
    }
}

impl Held {
    fn new(options: BaselineOptions) -> Held {
        Held {
            baseline: Baseline::new(options),
            at_ns: Vec::new(),
            scores: Vec::new(),
            unusual: Vec::new(),
            process: [None; PROCESS_METRICS.len()],
            scored_at: None,
        }
    }

    fn take(
        &mut self,
        samples: &Samples,
        mut processes: [Process<'_>; PROCESS_METRICS.len()],
        window: Window,
        kept_after: i64,
    ) {
        let from = samples.at_ns().partition_point(|at| *at <= window.after.0);
        for (at, value) in samples.at_ns()[from..]
            .iter()
            .zip(&samples.values()[from..])
        {
            if *at > window.until.0 {
                break;
            }
            let mut restarted = false;
            for (known, process) in self.process.iter_mut().zip(&mut processes) {
                let now = process.at(*at);
                restarted |= known.is_some() && now.is_some() && *known != now;
                *known = now.or(*known);
            }
            if restarted {
                self.baseline.restart();
            }
            let deviation = self.baseline.push(*at, *value);
            if deviation.state == State::Scored {
                self.scored_at.get_or_insert(Timestamp(*at));
            }
            if *at > kept_after && deviation.state != State::Skipped {
                self.at_ns.push(*at);
                self.scores.push(match deviation.state {
                    State::Scored => deviation.score,
                    State::Warming | State::Skipped => f64::NAN,
                });
                if deviation.surprise > 0.0 {
                    self.unusual.push((*at, deviation));
                }
            }
        }
    }

    fn forget(&mut self, until: i64) {
        let gone = self.at_ns.partition_point(|at| *at <= until);
        self.at_ns.drain(..gone);
        self.scores.drain(..gone);
        let gone = self.unusual.partition_point(|(at, _)| *at <= until);
        self.unusual.drain(..gone);
    }
}

/// The same range vector over another window, seen from the window's end.
fn in_window(arg: &Node, window: Window) -> Node {
    let range = window.until.since(window.after);
    let kind = match &arg.without_parens().kind {
        NodeKind::Range { selector, .. } => NodeKind::Range {
            selector: VectorSelector {
                when: TimeShift::default(),
                ..selector.clone()
            },
            range,
        },
        NodeKind::Subquery(subquery) => NodeKind::Subquery(Subquery {
            range,
            when: TimeShift::default(),
            ..subquery.clone()
        }),
        _ => unreachable!("checked: only selectors and subqueries are range vectors"),
    };
    Node {
        kind,
        span: arg.span,
        depth: arg.depth,
    }
}

/// Whether somebody will ask for the same samples again.
#[derive(Clone, Copy)]
enum Reads {
    Once,
    Again,
}

/// The series that tell the processes from one another whose series a selector finds; none of a subquery.
fn processes(
    reader: &dyn SeriesReader,
    arg: &Node,
    window: Window,
    reads: Reads,
) -> Result<Vec<(&'static str, Series)>> {
    let NodeKind::Range { selector, .. } = &arg.without_parens().kind else {
        return Ok(Vec::new());
    };
    let mut found: Vec<(&'static str, Series)> = Vec::new();
    for metric in PROCESS_METRICS {
        for matchers in &selector.alternatives {
            let of_process = matchers.iter().filter(|m| IDENTITY.contains(&m.name()));
            let mut matchers: Vec<Matcher> = of_process.cloned().collect();
            matchers.push(Matcher::equal(METRIC_NAME, metric));
            let series = match reads {
                Reads::Once => reader.select_once(&matchers, window)?,
                Reads::Again => reader.select(&matchers, window)?,
            };
            for series in series {
                let known = |(m, s): &(&str, Series)| *m == metric && s.labels == series.labels;
                if !found.iter().any(known) {
                    found.push((metric, series));
                }
            }
        }
    }
    Ok(found)
}

/// Labels that say which process a series is of.
const IDENTITY: [&str; 3] = ["service", "job", "instance"];

fn process_of(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTITY.contains(&name))
}

/// Reads what nobody will ask for again.
struct Once<'a>(&'a dyn SeriesReader);

impl SeriesReader for Once<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        self.0.select_once(matchers, window)
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.0.metric_names()
    }

    fn begins(&self) -> Result<Option<Timestamp>> {
        self.0.begins()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{
        EvalOptions, Session, Value, baseline_memories, evaluate, evaluate_with, explain_baselines,
        parse,
    };
    use crate::series::MemorySeries;
    use crate::stats::baseline::Feature;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    /// `(seconds since the last, value, whether the process restarted before it)`
    type Samples = Vec<(i64, f64, bool)>;

    fn recording(all: &[Samples]) -> MemorySeries {
        let mut series = Vec::new();
        for (i, samples) in all.iter().enumerate() {
            let (mut at, mut process) = (0, 0.0);
            let (mut at_ns, mut values, mut processes) = (Vec::new(), Vec::new(), Vec::new());
            for (step, value, restarted) in samples {
                at += step * SECOND;
                process += f64::from(u8::from(*restarted));
                at_ns.push(at);
                values.push(*value);
                processes.push(process);
            }
            let instance = ["a", "b"][i];
            for (name, values) in [("x", values), ("memwatch_process", processes)] {
                series.push(Series {
                    labels: [("__name__", name), ("instance", instance)]
                        .into_iter()
                        .collect(),
                    at_ns: at_ns.as_slice().into(),
                    values: values.into(),
                });
            }
        }
        MemorySeries { series }
    }

    fn samples() -> impl Strategy<Value = Samples> {
        let value = prop_oneof![
            12 => (0_i32..12).prop_map(|v| 100.0 + f64::from(v)),
            1 => (0_i32..400).prop_map(f64::from),
            1 => Just(f64::NAN),
        ];
        let step = prop_oneof![20 => Just(1_i64), 1 => Just(9)];
        let sample = (step, value, prop::bool::weighted(0.01));
        prop::collection::vec(sample, 100..300)
    }

    fn steps(start_s: i64, end_s: i64, step_s: i64) -> Steps {
        Steps {
            start: Timestamp(start_s * SECOND),
            end: Timestamp(end_s * SECOND),
            step: Nanos(step_s * SECOND),
        }
    }

    /// What is there at each step: time, labels, bits of the value.
    fn results(value: Value) -> Vec<(i64, Labels, u64)> {
        let Value::Vector(matrix) = value else {
            panic!("not a vector");
        };
        let mut found = Vec::new();
        for series in &matrix.series {
            for (step, value) in series.iter() {
                found.push((
                    matrix.steps.at(step).0,
                    series.labels.clone(),
                    value.to_bits(),
                ));
            }
        }
        found.sort();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However an evaluation is cut, wherever it begins, whatever else is asked: each step has the same result.
        #[test]
        fn results_depend_on_the_recording_alone(
            all in prop::collection::vec(samples(), 2),
            start in 30_i64..120, cuts in prop::collection::vec(1_i64..60, 1..6), counter in any::<bool>(), later in 0_i64..80,
        ) {
            let reader = recording(&all);
            let options = EvalOptions::default();
            let kind = if counter { "counter" } else { "gauge" };
            let settings = format!(r#""warm_up_samples = 50", "warm_up = 10s", "kind = {kind}""#);
            for text in [
                format!("baseline_deviation(x[7s], {settings})"),
                format!("baseline_deviation(avg_over_time(x[5s])[20s:3s], {settings})"),
                format!("baseline_deviation(x[7s] offset 13s, {settings}, \"per_process = yes\")"),
            ] {
                let expr = parse(&text).unwrap();
                let end = 420;
                let whole = results(evaluate(&expr, steps(start, end, 1), &reader, &options).unwrap().value);

                let session = Session::new();
                let (mut from, mut pieces) = (start, Vec::new());
                for length in cuts.iter().cycle() {
                    if from > end {
                        break;
                    }
                    let to = (from + length - 1).min(end);
                    session.next_round();
                    let evaluated = evaluate_with(&expr, steps(from, to, 1), &reader, &options, &session).unwrap();
                    pieces.extend(results(evaluated.value));
                    // Somebody else, who looks at other times.
                    evaluate_with(&expr, steps((from - 5).max(start), to, 4), &reader, &options, &session).unwrap();
                    from = to + 1;
                }
                pieces.sort();
                prop_assert_eq!(&pieces, &whole);

                let rest = results(evaluate(&expr, steps(start + later, end, 1), &reader, &options).unwrap().value);
                let from = (start + later) * SECOND;
                let expected: Vec<_> = whole.iter().filter(|(at, ..)| *at >= from).cloned().collect();
                prop_assert_eq!(rest, expected);
            }
        }
    }

    fn quiet_then(spike: f64) -> MemorySeries {
        let mut samples: Samples = (0..600)
            .map(|i| (1, 100.0 + ((i * 7919) % 11) as f64, false))
            .collect();
        samples[499].1 = spike;
        recording(&[samples])
    }

    #[test]
    fn what_is_remembered_and_why_a_sample_is_surprising() {
        let reader = quiet_then(500.0);
        let options = EvalOptions::default();
        let expr = parse(r#"baseline_deviation(x[30s], "direction = up") > 3.2"#).unwrap();
        let session = Session::new();
        // The range begins at 400 s; the memory reaches back to the first sample.
        let evaluated =
            evaluate_with(&expr, steps(400, 600, 1), &reader, &options, &session).unwrap();
        let found = results(evaluated.value);
        assert_eq!(found.first().map(|f| f.0), Some(500 * SECOND));
        assert_eq!(found.len(), 30, "shown for 30 s");
        let memories = baseline_memories(&expr, &options, &session);
        assert_eq!(memories.len(), 1);
        assert_eq!(memories[0].first_at, Timestamp(SECOND));
        assert_eq!(
            memories[0].scored_at,
            Some(Timestamp(301 * SECOND)),
            "after five minutes"
        );
        assert_eq!(memories[0].counts.warming, 300);

        let why = explain_baselines(&expr, Timestamp(510 * SECOND), &reader, &options).unwrap();
        assert_eq!(why.len(), 1);
        assert_eq!(why[0].at, Timestamp(500 * SECOND));
        let cause = why[0].deviation.cause.unwrap();
        assert_eq!(
            (cause.feature, cause.value, cause.nearest),
            (Feature::Value, 500.0, 110.0)
        );
        assert_eq!(why[0].deviation.score.to_bits(), found[0].2);
        let nothing = explain_baselines(&expr, Timestamp(490 * SECOND), &reader, &options).unwrap();
        assert_eq!(nothing, []);
    }

    #[test]
    fn history_is_read_in_pieces_and_not_kept() {
        /// Counts what is asked for the first time and once.
        struct Counting(MemorySeries, Mutex<(usize, usize)>);
        impl SeriesReader for Counting {
            fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
                locked(&self.1).0 += 1;
                self.0.select(matchers, window)
            }
            fn metric_names(&self) -> Result<Vec<Arc<str>>> {
                self.0.metric_names()
            }
            fn begins(&self) -> Result<Option<Timestamp>> {
                self.0.begins()
            }
            fn select_once(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
                locked(&self.1).1 += 1;
                assert!(window.until.since(window.after) <= Nanos(4 * FIRST_PIECE.0));
                self.0.select(matchers, window)
            }
        }
        let samples: Samples = (0..400).map(|i| (60, f64::from(i % 9), false)).collect();
        let reader = Counting(recording(&[samples]), Mutex::default());
        let expr = parse("baseline_deviation(x[10m])").unwrap();
        let session = Session::new();
        let at = |s: i64| {
            evaluate_with(
                &expr,
                steps(s, s, 1),
                &reader,
                &EvalOptions::default(),
                &session,
            )
        };
        at(23_000).unwrap();
        let (again, once) = *locked(&reader.1);
        assert_eq!(again, 3, "the window, and twice what tells processes apart");
        // One hour and then four: 22,400 s are three pieces.
        assert_eq!(once, 3 * 3);
        session.next_round();
        at(23_060).unwrap();
        assert_eq!(
            *locked(&reader.1),
            (again + 3, once),
            "the past is not read again"
        );
    }
}
