//! The recording together with what recording rules gave, for a stretch of time.

use std::sync::Arc;

use crate::backtest::plan::{could_read, selectors};
use crate::backtest::replay::group_steps;
use crate::expr::{EvalOptions, Expr, Value, evaluate, remembers};
use crate::labels::METRIC_NAME;
use crate::rule::{Rule, RuleFile};
use crate::series::{MemorySeries, Series, SeriesReader, stale_nan};
use crate::{Labels, Matcher, Nanos, Result, Steps, TimeRange, Timestamp, Window};

/// The recording rules of a backtest, and how they are evaluated.
#[derive(Clone, Copy)]
pub(crate) struct Recording<'r> {
    /// The file.
    pub(crate) rules: &'r RuleFile,
    /// Interval of groups that give none.
    pub(crate) interval: Nanos,
    /// Phase of groups that give none.
    pub(crate) phase: Nanos,
    /// As the backtest has them.
    pub(crate) options: &'r EvalOptions,
    /// When the backtest begins, and what its rules record.
    pub(crate) begins: Option<Timestamp>,
}

/// Gives the recording, and series of recording rules.
pub(crate) struct Given<'r> {
    base: &'r dyn SeriesReader,
    recorded: MemorySeries,
    /// The recording rules that are read: name, expression, and the evaluation whose result is current at the end of the range.
    pub(super) rules: Vec<(Arc<str>, Expr, Timestamp)>,
}

impl<'r> Given<'r> {
    /// Evaluates the recording rules that `expr` reads, directly or not, as far back as it looks from `range`. A rule reads what rules before it
    /// in the file gave.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub(crate) fn new(
        from: &Recording<'_>,
        expr: &Expr,
        range: TimeRange,
        base: &'r dyn SeriesReader,
    ) -> Result<Given<'r>> {
        let mut given = Given {
            base,
            recorded: MemorySeries::default(),
            rules: Vec::new(),
        };
        let options = from.options;
        let recording: Vec<_> = from
            .rules
            .groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
            .filter_map(|(group, rule)| match rule {
                Rule::Recording(recording) => Some((group, rule, recording)),
                Rule::Alerting(_) => None,
            })
            .collect();
        // What is read by what is needed, from the last rule to the first.
        let mut needed = vec![false; recording.len()];
        let mut readers: Vec<&Expr> = vec![expr];
        let mut reach = expr.history(options);
        for (i, (_, rule, recording)) in recording.iter().enumerate().rev() {
            let read = |reader: &&Expr| selectors(reader).iter().any(|s| could_read(s, rule));
            if readers.iter().any(read) {
                needed[i] = true;
                readers.push(&recording.expr);
                let more = recording.expr.history(options);
                reach = Nanos(reach.0.saturating_add(more.0));
            }
        }
        let mut wide = TimeRange {
            start: range.start.minus(reach),
            end: range.end,
        };
        // What a baseline remembers of a recorded series goes back to its beginning, which is that of the backtest.
        if let Some(begin) = from.begins
            && readers.iter().any(|reader| remembers(reader.root()))
        {
            wide.start = begin;
        }
        for (i, (group, _, rule)) in recording.iter().enumerate() {
            let steps = group_steps(group, from.interval, from.phase, wide);
            let Some(steps) = steps.filter(|_| needed[i]) else {
                continue;
            };
            let steps = Steps {
                start: steps.start.minus(group.query_offset),
                end: steps.end.minus(group.query_offset),
                step: steps.step,
            };
            let last = steps.at(steps.count() - 1);
            given
                .rules
                .push((rule.record.clone(), rule.expr.clone(), last));
            // An evaluation that fails gave nothing; the backtest tells of it.
            let Ok(evaluated) = evaluate(&rule.expr, steps, &given, options) else {
                continue;
            };
            let Value::Vector(matrix) = evaluated.value else {
                continue;
            };
            for series in matrix.series {
                let mut labels: Labels = series.labels.with(METRIC_NAME, &rule.record);
                for (name, value) in rule.labels.iter() {
                    labels = labels.with(name, value);
                }
                let (mut at_ns, mut values) = (Vec::new(), Vec::new());
                let mut before = false;
                for (step, at) in steps.iter().enumerate() {
                    let value = series.get(step);
                    if let Some(value) = value.or_else(|| before.then(stale_nan)) {
                        at_ns.push(at.0);
                        values.push(value);
                    }
                    before = value.is_some();
                }
                given.recorded.series.push(Series {
                    labels,
                    at_ns: at_ns.into(),
                    values: values.into(),
                });
            }
        }
        Ok(given)
    }
}

impl SeriesReader for Given<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let recorded = self.recorded.select(matchers, window)?;
        let mut found = self.base.select(matchers, window)?;
        if !recorded.is_empty() {
            found.retain(|s| recorded.iter().all(|r| r.labels != s.labels));
            found.extend(recorded);
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        Ok(found)
    }

    fn begins(&self) -> Result<Option<Timestamp>> {
        self.base.begins()
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.base.metric_names()
    }
}
