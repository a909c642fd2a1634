//! Evaluates an expression over any length of time, a stretch after the other, so that memory does not grow with it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::eval::{check_size, evaluate_part, sorted};
use super::{
    AggregateOp, Annotation, Bits, EvalOptions, Evaluated, Expr, Matrix, NodeKind, Session,
    StepSeries, Value, ValueType, Values,
};
use crate::pace::next_length;
use crate::series::{Readings, Series, SeriesReader};
use crate::{Labels, Matcher, Nanos, Result, Steps, Timestamp, Window};

/// About how many samples and values of a stretch are held: 16 MB.
const HELD: usize = 1_000_000;

/// How long the first stretch is, before it is known how much there is.
const FIRST: Nanos = Nanos(5 * Nanos::MINUTE.0);

/// From so many times what an evaluation reads on, what lies between two evaluations is not read.
const APART: i64 = 8;

/// Evaluates an expression at every step of a range, a stretch of time after the other: with memory for the result and about a million
/// samples and values, however long the range is. What a single evaluation reads is held whole.
///
/// The result is that of [`super::evaluate`] to the last bit, in the order of labels. Annotations that depend on what there is may be more.
///
/// # Errors
/// As [`super::evaluate`], and when the expression is a text or has windows. Of stretches that fail the first one counts.
pub fn evaluate_range(
    expr: &Expr,
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
) -> Result<Evaluated> {
    in_stretches(expr, steps, reader, options, HELD)
}

fn in_stretches(
    expr: &Expr,
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
    most: usize,
) -> Result<Evaluated> {
    let count = steps.count();
    check_size(expr, 1, steps, options)?;
    let range = options.query_range.unwrap_or((steps.start, steps.end));
    let options = &EvalOptions {
        query_range: Some(range),
        ..options.clone()
    };
    let reader = Remembering::new(reader);
    let Extent { width, begins_anew } = Extent::of(expr, steps, options);
    let steps_in = |time: i64| {
        let steps = time / steps.step.0;
        usize::try_from(steps.saturating_add(1)).unwrap_or(usize::MAX)
    };
    let is_far_apart = begins_anew && steps.step.0 >= width.saturating_mul(APART);
    // What a stretch reads before its first evaluation is read again: no more than the stretch itself.
    let (fewest, mut length) = if is_far_apart {
        (1, 1)
    } else {
        (steps_in(width), steps_in(width.max(FIRST.0)))
    };
    let mut session = Session::new();
    session.expect(expr, steps);
    let mut joined = Joined::new(expr, steps);
    let mut first = 0;
    while first < count {
        let last = first.saturating_add(length).min(count) - 1;
        let part = Steps {
            start: steps.at(first),
            end: steps.at(last),
            step: steps.step,
        };
        let (found, cells) = evaluate_part(expr, part, &reader, options, &session)?;
        session.next_round();
        joined.add(first, found);
        if joined.limited {
            check_size(expr, joined.series.len().max(1), steps, options)?;
        }
        let held = reader.next_stretch() + cells;
        if !is_far_apart {
            let steps = i64::try_from(length).unwrap_or(i64::MAX);
            let wished = usize::try_from(next_length(steps, held, most)).unwrap_or(0);
            length = wished.max(fewest);
        }
        first = last + 1;
    }
    Ok(joined.finish())
}

/// How much of time one evaluation looks at.
struct Extent {
    /// The longest window of a selector, whose windows move with the evaluations.
    width: i64,
    /// Whether there is such a selector.
    begins_anew: bool,
}

impl Extent {
    fn of(expr: &Expr, steps: Steps, options: &EvalOptions) -> Extent {
        let at = |step: usize| expr.selectors(Steps::instant(steps.at(step)), options);
        let (first, last) = (at(0), at(steps.count().saturating_sub(1)));
        let moving = first.iter().zip(&last);
        let moving = moving.filter(|(a, b)| a.window != b.window);
        let widths = moving.map(|(a, _)| a.window.until.since(a.window.after).0);
        let width = widths.max();
        Extent {
            width: width.unwrap_or(0),
            begins_anew: width.is_some(),
        }
    }
}

/// Results of stretches, put together.
struct Joined {
    kind: ValueType,
    /// Whether how many series there are does not follow from the data alone.
    limited: bool,
    steps: Steps,
    places: HashMap<Labels, usize>,
    series: Vec<(Labels, Vec<f64>, Bits)>,
    scalar: Vec<f64>,
    annotations: Vec<Annotation>,
}

impl Joined {
    fn new(expr: &Expr, steps: Steps) -> Joined {
        let mut limited = false;
        expr.root().walk(&mut |node| {
            limited |= matches!(&node.kind, NodeKind::Aggregate(a) if a.op == AggregateOp::CountValues);
        });
        Joined {
            kind: expr.value_type(),
            limited,
            steps,
            places: HashMap::new(),
            series: Vec::new(),
            scalar: Vec::new(),
            annotations: Vec::new(),
        }
    }

    /// Adds the result of the evaluations from `first` on.
    fn add(&mut self, first: usize, found: Evaluated) {
        let count = self.steps.count();
        self.annotations.extend(found.annotations);
        self.annotations = sorted(std::mem::take(&mut self.annotations));
        match found.value {
            Value::Vector(matrix) => {
                for StepSeries {
                    labels,
                    values,
                    present,
                } in matrix.series
                {
                    let place = *self.places.entry(labels.clone()).or_insert_with(|| {
                        let row = (labels, vec![0.0; count], Bits::none(count));
                        self.series.push(row);
                        self.series.len() - 1
                    });
                    let (_, all, there) = &mut self.series[place];
                    for step in present.iter() {
                        all[first + step] = values[step];
                        there.set(first + step);
                    }
                }
            }
            Value::Scalar(values) => self.scalar.extend(values),
            Value::Text(_) | Value::Range(_) => debug_assert!(false, "refused in a range"),
        }
    }

    fn finish(self) -> Evaluated {
        let value = match self.kind {
            ValueType::Scalar => Value::Scalar(self.scalar),
            _ => {
                let series = self.series.into_iter();
                let series = series.map(|(labels, values, present)| StepSeries {
                    labels,
                    values: Values::from(values),
                    present,
                });
                let mut series: Vec<StepSeries> = series.collect();
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                Value::Vector(Matrix {
                    steps: self.steps,
                    series,
                })
            }
        };
        Evaluated {
            value,
            annotations: self.annotations,
        }
    }
}

/// A reader that counts the samples it gives, and remembers those that are asked for in one stretch after the other (`@ end()`).
struct Remembering<'r> {
    base: &'r dyn SeriesReader,
    samples: AtomicUsize,
    questions: Mutex<Questions>,
}

type Question = (String, Window);

#[derive(Default)]
struct Questions {
    /// Of the stretch before, and of this one.
    before: HashSet<Question>,
    now: HashSet<Question>,
    answered: HashMap<Question, Vec<Series>>,
}

impl<'r> Remembering<'r> {
    fn new(base: &'r dyn SeriesReader) -> Self {
        Remembering {
            base,
            samples: AtomicUsize::new(0),
            questions: Mutex::default(),
        }
    }

    /// The next stretch begins; how many samples were read in this one.
    fn next_stretch(&self) -> usize {
        let mut questions = self.questions();
        questions.before = std::mem::take(&mut questions.now);
        self.samples.swap(0, Ordering::Relaxed)
    }

    fn questions(&self) -> std::sync::MutexGuard<'_, Questions> {
        // A panic elsewhere leaves them whole.
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeriesReader for Remembering<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let question = (texts.join(","), window);
        if let Some(known) = self.questions().answered.get(&question) {
            return Ok(known.clone());
        }
        let found = self.base.select(matchers, window)?;
        let mut questions = self.questions();
        if questions.before.contains(&question) {
            // Its window does not move.
            questions.answered.insert(question, found.clone());
            return Ok(found);
        }
        questions.now.insert(question);
        let samples = found.iter().map(|series| series.values.len()).sum();
        self.samples.fetch_add(samples, Ordering::Relaxed);
        Ok(found)
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.base.metric_names()
    }

    fn begins(&self) -> Result<Option<Timestamp>> {
        self.base.begins()
    }

    fn readings(&self, window: Window) -> Result<Option<Vec<Readings>>> {
        self.base.readings(window)
    }

    /// Not counted: who asks for samples once reads them in pieces.
    fn select_once(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        self.base.select_once(matchers, window)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expr::{evaluate, parse};
    use crate::series::MemorySeries;

    const SECOND: i64 = 1_000_000_000;

    /// Two instances of a counter and a gauge; the second begins later, and has a gap.
    fn recording(values: &[u32]) -> MemorySeries {
        let one = |name: &str, i: usize| {
            let at = values.iter().enumerate().map(|(k, _)| k as i64 * SECOND);
            let at = at.filter(|at| i == 0 || (20..40).contains(&(at / SECOND % 100)));
            let at: Vec<i64> = at.collect();
            let value = |at: &i64| {
                let k = usize::try_from(at / SECOND).unwrap();
                match name {
                    "n_total" => values[..=k].iter().map(|v| f64::from(v % 7)).sum(),
                    _ => f64::from(values[k]),
                }
            };
            Series {
                labels: [("__name__", name), ("i", ["a", "b"][i])]
                    .into_iter()
                    .collect(),
                values: at.iter().map(value).collect(),
                at_ns: at.into(),
            }
        };
        let series = [("n_total", 0), ("n_total", 1), ("x", 0), ("x", 1)];
        MemorySeries {
            series: series.map(|(name, i)| one(name, i)).into(),
        }
    }

    const EXPRESSIONS: [&str; 28] = [
        "x offset -9s",
        "x @ 100",
        "rate(n_total[10s] offset -10s)",
        "x - sum_over_time(x[30s] @ end())",
        "x",
        "x > 50",
        "rate(n_total[10s])",
        "sum by (i) (rate(n_total[10s])) / on (i) x",
        "max_over_time(rate(n_total[5s])[20s:3s])",
        "x offset 7s",
        "x - x @ 30",
        "x - x @ start()",
        "x - x @ end()",
        "sum_over_time(x[10s] @ end())",
        "topk(1, x)",
        "sort_desc(x)",
        "count_values(\"v\", x > 90)",
        "quantile(0.5, x)",
        "absent(x{i=\"b\"})",
        "absent_over_time(x{i=\"b\"}[10s])",
        "label_replace(x, \"j\", \"$1\", \"i\", \"(.*)\")",
        "scalar(x{i=\"a\"})",
        "time()",
        "x and on (i) n_total % 2 == 0",
        "growth(n_total[10s])",
        "baseline_deviation(x[10s])",
        "limitk(1, x)",
        "nothing",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
        /// However much a stretch holds: the result is that of all evaluations at once, to the last bit.
        #[test]
        fn stretches_change_nothing(
            values in prop::collection::vec(0u32..100, 1..900),
            start in 0i64..50, end in 0i64..1000, step in prop_oneof![4 => 1i64..20, 1 => 200i64..400],
            most in 1usize..4000, which in 0..EXPRESSIONS.len(),
        ) {
            let reader = recording(&values);
            let options = EvalOptions { lookback: Nanos(20 * SECOND), ..EvalOptions::default() };
            let steps = Steps { start: Timestamp(start * SECOND), end: Timestamp((start + end) * SECOND), step: Nanos(step * SECOND) };
            let expr = parse(EXPRESSIONS[which]).unwrap();
            prop_assume!(steps.count() > 1);
            let whole = evaluate(&expr, steps, &reader, &options).unwrap();
            let parts = in_stretches(&expr, steps, &reader, &options, most).unwrap();
            prop_assert_eq!(said(&parts), said(&whole));
        }
    }

    /// All of a result, series in the order of labels, numbers by their bits.
    fn said(evaluated: &Evaluated) -> String {
        let bits = |values: &mut dyn Iterator<Item = (usize, f64)>| -> Vec<(usize, u64)> {
            values.map(|(i, v)| (i, v.to_bits())).collect()
        };
        let value = match &evaluated.value {
            Value::Vector(matrix) => {
                let series = matrix.series.iter();
                let mut all: Vec<_> = series
                    .map(|s| (s.labels.clone(), bits(&mut s.iter())))
                    .collect();
                all.sort();
                format!("{:?} {all:?}", matrix.steps)
            }
            Value::Scalar(values) => {
                format!("{:?}", bits(&mut values.iter().copied().enumerate()))
            }
            other => format!("{other:?}"),
        };
        format!("{value} {:?}", evaluated.annotations)
    }

    /// Counts what it gives, and how much of it at once.
    struct Watched {
        base: MemorySeries,
        all: AtomicUsize,
        most: AtomicUsize,
    }

    impl SeriesReader for Watched {
        fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
            let found = self.base.select(matchers, window)?;
            let samples: usize = found.iter().map(|s| s.values.len()).sum();
            self.all.fetch_add(samples, Ordering::Relaxed);
            self.most.fetch_max(samples, Ordering::Relaxed);
            Ok(found)
        }

        fn metric_names(&self) -> Result<Vec<Arc<str>>> {
            self.base.metric_names()
        }
    }

    #[test]
    fn little_is_held_and_little_is_read_twice() {
        let watched = |text: &str, step: i64| {
            let reader = Watched {
                base: recording(&[1; 20_000]),
                all: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            };
            let steps = Steps {
                start: Timestamp(0),
                end: Timestamp(20_000 * SECOND),
                step: Nanos(step * SECOND),
            };
            let expr = parse(text).unwrap();
            let options = EvalOptions::default();
            in_stretches(&expr, steps, &reader, &options, 2_000).unwrap();
            (reader.all.into_inner(), reader.most.into_inner())
        };
        // 20,000 samples, 2,000 results of as many evaluations.
        let (all, most) = watched("sum_over_time(x{i=\"a\"}[1m])", 10);
        assert!(all < 24_000 && most < 4_000, "{all} {most}");
        // A window far longer than what should be held.
        let (all, most) = watched("sum_over_time(x{i=\"a\"}[1h])", 10);
        assert!(all < 45_000 && most < 7_500, "{all} {most}");
        // Evaluations that are far apart read nothing in between.
        let (all, most) = watched("sum_over_time(x{i=\"a\"}[1m])", 1_000);
        assert!(all <= 21 * 61 && most <= 61, "{all} {most}");
        // A window that lies after the evaluation, and one that does not move.
        let (all, most) = watched("sum_over_time(x{i=\"a\"}[1m] offset -1m)", 10);
        assert!(all < 24_000 && most < 4_000, "{all} {most}");
        let (all, _) = watched("sum_over_time(x{i=\"a\"}[5000s] @ end())", 10);
        assert!(all <= 3 * 5_000, "{all}");
        let (all, _) = watched("x{i=\"a\"} - sum_over_time(x{i=\"a\"}[5000s] @ end())", 10);
        assert!(all < 60_000, "{all}");
        // Steps between one and eight windows apart, of which a stretch holds more than one.
        let (all, most) = watched("sum_over_time(x{i=\"a\"}[7s])", 20);
        assert!(all < 20_500 && most > 1_000, "{all} {most}");
        // What a subquery makes counts.
        let (_, most) = watched("sum_over_time(x{i=\"a\"}[1m:100ms])", 60);
        assert!(most < 1_000, "{most}");
    }

    #[test]
    fn no_more_values_than_are_allowed() {
        let reader = recording(&(0..300).collect::<Vec<u32>>());
        let steps = |step| Steps {
            start: Timestamp(0),
            end: Timestamp(300 * SECOND),
            step: Nanos(step),
        };
        let options = EvalOptions {
            values_max: 1_000,
            ..EvalOptions::default()
        };
        let told = |text: &str, step: i64| {
            let expr = parse(text).unwrap();
            let found = in_stretches(&expr, steps(step), &reader, &options, 50);
            found.map_err(|error| error.to_string())
        };
        assert!(told("x", SECOND).is_ok());
        let error = told("time()", SECOND / 100).unwrap_err();
        assert!(
            error.contains("30001 evaluations at once; at most 1000 values"),
            "{error}"
        );
        assert!(told("time()", 1).is_err());
        let error = told("count_values(\"v\", x)", SECOND).unwrap_err();
        assert!(
            error.contains("series at once; at most 1000 values"),
            "{error}"
        );
        let error = told("\"text\"", SECOND).unwrap_err();
        assert!(
            error.contains("must be Scalar or instant Vector"),
            "{error}"
        );
    }
}
