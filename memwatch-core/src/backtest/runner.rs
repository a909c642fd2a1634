//! One rule on its way through time: what it asks, gives and tells.

mod alerting;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::alert::RuleState;
use crate::expr::{
    BinaryOp, Bits, EvalOptions, Expr, Matrix, Node, NodeKind, Session, StepSeries, Value,
    evaluate, evaluate_with, remembers,
};
use crate::labels::METRIC_NAME;
use crate::rule::{Group, Rule};
use crate::series::stale_nan;
use crate::{Error, Labels, Nanos, Result, Steps, TimeRange, Timestamp};

use super::outcome::Alert;
use super::plan::needs_instants;
use super::reading::{Question, Reading};
use super::replay::within;

/// What a rule did over the whole replay.
pub(super) struct RuleRun {
    /// All evaluations; `None` when none falls into the range.
    pub(super) steps: Option<Steps>,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// Runs of evaluations that gave something.
    pub(super) gave: Vec<(u64, u64)>,
    pub(super) only_pending: u64,
    pub(super) warnings: BTreeSet<String>,
    pub(super) alerts: Vec<Alert>,
    /// For each alert, when the same labels became pending anew while the evaluator still told that it was resolved.
    pub(super) pending_again: Vec<Option<Timestamp>>,
    /// Runs of evaluations that failed, first and last.
    pub(super) failed: Vec<(Timestamp, Timestamp)>,
}

/// One rule on its way through time.
pub(super) struct Runner<'f> {
    id: usize,
    group: &'f Group,
    rule: &'f Rule,
    steps: Option<Steps>,
    instants: bool,
    remembers: bool,
    /// Whether some rule reads what this one gives.
    is_read: bool,
    state: RuleState,
    /// For each of the state's alerts, what is known since it became pending.
    stories: Vec<Story>,
    /// Series given at the last evaluation that did not fail.
    given: HashSet<Labels>,
    least: bool,
    /// What it gave since [`Runner::give`] was called: series with their samples.
    gives: Vec<(Labels, Vec<(Timestamp, f64)>)>,
    run: RuleRun,
}

/// What an evaluation needs.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) options: &'c EvalOptions,
    pub(super) reading: &'c Reading<'c>,
    /// What this rule shares with others.
    pub(super) session: Option<&'c Session>,
}

#[derive(Clone, Copy, Default)]
struct Story {
    pending_at: Timestamp,
    peak: f64,
    /// Index in the run's alerts, once fired.
    alert: Option<usize>,
    /// The same of the alert before, once resolved.
    resolved: Option<usize>,
}

/// The results of some evaluations in a row.
enum Piece {
    Matrix(Matrix),
    /// This evaluation failed.
    Failed(String),
}

impl<'f> Runner<'f> {
    pub(super) fn new(
        group: &'f Group,
        rule: &'f Rule,
        id: usize,
        steps: Option<Steps>,
        is_read: bool,
    ) -> Runner<'f> {
        let (labels, hold) = match rule {
            Rule::Alerting(rule) => (rule.labels.clone(), rule.hold),
            Rule::Recording(_) => (Vec::new(), crate::alert::Hold::default()),
        };
        Runner {
            id,
            group,
            rule,
            steps,
            instants: needs_instants(rule.expr()),
            remembers: remembers(rule.expr().root()),
            is_read,
            state: RuleState::new(rule.name().clone(), labels, hold, group.limit),
            stories: Vec::new(),
            given: HashSet::new(),
            least: keeps_small_values(rule.expr().root()),
            gives: Vec::new(),
            run: RuleRun {
                steps,
                errors: 0,
                first_error: None,
                gave: Vec::new(),
                only_pending: 0,
                warnings: BTreeSet::new(),
                alerts: Vec::new(),
                pending_again: Vec::new(),
                failed: Vec::new(),
            },
        }
    }

    pub(super) fn steps(&self) -> Option<Steps> {
        self.steps
    }

    pub(super) fn expr(&self) -> &Expr {
        self.rule.expr()
    }

    /// Whether its evaluation advances what the session remembers.
    pub(super) fn remembers(&self) -> bool {
        self.remembers
    }

    /// The times that evaluations at `steps` look at.
    pub(super) fn looks_at(&self, steps: Steps) -> Steps {
        let offset = self.group.query_offset;
        Steps {
            start: steps.start.minus(offset),
            end: steps.end.minus(offset),
            step: steps.step,
        }
    }

    /// All times that it looks at, if several evaluations are one.
    pub(super) fn cadence(&self) -> Option<Steps> {
        let steps = self.steps.filter(|_| !self.instants)?;
        Some(self.looks_at(steps))
    }

    /// How far before an evaluation it looks.
    pub(super) fn reach(&self, options: &EvalOptions) -> Nanos {
        let history = self.expr().history(options).0;
        Nanos(history.saturating_add(self.group.query_offset.0))
    }

    /// What it is going to ask in a stretch of time.
    pub(super) fn questions(&self, chunk: TimeRange, options: &EvalOptions) -> Vec<Question> {
        let Some(steps) = within(self.steps, chunk).map(|steps| self.looks_at(steps)) else {
            return Vec::new();
        };
        let last = Steps::instant(steps.at(steps.count() - 1));
        // With `@ start()` each evaluation is a query of its own: what lies between the first and the last is asked too.
        let parts = match self.instants {
            true => vec![Steps::instant(steps.start), last],
            false => vec![steps],
        };
        let selectors = parts
            .into_iter()
            .flat_map(|s| self.expr().selectors(s, options));
        let questions = selectors.flat_map(|selector| {
            let (window, fixed) = (selector.window, selector.fixed);
            let each = selector.alternatives.into_iter();
            each.map(move |matchers| Question {
                matchers,
                window,
                fixed,
            })
        });
        questions.collect()
    }

    /// Evaluates `steps` and advances to their end; gives how many values were held. What it gives others waits for [`Runner::give`].
    pub(super) fn run(&mut self, steps: Option<Steps>, context: &Context<'_>) -> Result<usize> {
        let Some(steps) = steps else {
            return Ok(0);
        };
        let at = self.looks_at(steps);
        let mut pieces = Vec::new();
        if self.instants {
            for at in at.iter() {
                self.pieces(Steps::instant(at), context, &mut pieces)?;
            }
        } else {
            self.pieces(at, context, &mut pieces)?;
        }
        let mut cells = 0;
        let mut evaluation = 0;
        for piece in pieces {
            match piece {
                Piece::Matrix(matrix) => {
                    evaluation += matrix.steps.count();
                    cells += matrix.series.len() * matrix.steps.count();
                    match self.rule {
                        Rule::Alerting(_) => self.alert(&matrix),
                        Rule::Recording(_) => self.record(&matrix),
                    }
                }
                Piece::Failed(message) => {
                    self.fail(message, steps.at(evaluation));
                    evaluation += 1;
                }
            }
        }
        Ok(cells)
    }

    /// Gives others what it gave.
    pub(super) fn give(&mut self, reading: &Reading<'_>) {
        for (labels, samples) in self.gives.drain(..) {
            reading.record(&labels, samples);
        }
    }

    fn fail(&mut self, message: String, at: Timestamp) {
        self.run.errors += 1;
        self.run.first_error.get_or_insert(message);
        let step = self.steps.map_or(Nanos(0), |steps| steps.step);
        match self.run.failed.last_mut() {
            Some((_, last)) if at.since(*last) <= step => *last = at,
            _ => self.run.failed.push((at, at)),
        }
    }

    /// Evaluates; where an evaluation fails, finds out which by halves.
    fn pieces(&mut self, steps: Steps, context: &Context<'_>, into: &mut Vec<Piece>) -> Result<()> {
        let count = steps.count();
        let (expr, options, reading) = (self.rule.expr(), context.options, context.reading);
        let evaluated = match context.session {
            Some(session) => evaluate_with(expr, steps, reading, options, session),
            None => evaluate(expr, steps, reading, options),
        };
        match evaluated {
            Ok(evaluated) => {
                for annotation in evaluated.annotations {
                    self.run.warnings.insert(annotation.to_string());
                }
                into.push(Piece::Matrix(match evaluated.value {
                    Value::Vector(mut matrix) => {
                        matrix.steps = steps;
                        matrix
                    }
                    // A scalar is an element without labels, as Prometheus has it.
                    Value::Scalar(values) => Matrix {
                        steps,
                        series: vec![StepSeries {
                            labels: Labels::default(),
                            present: Bits::all(values.len()),
                            values: values.into(),
                        }],
                    },
                    Value::Text(_) | Value::Range(_) => {
                        into.push(Piece::Failed(
                            "the result is neither an instant vector nor a scalar".to_owned(),
                        ));
                        return Ok(());
                    }
                }));
                Ok(())
            }
            Err(Error::Expr(error)) if count <= 1 => {
                into.push(Piece::Failed(error.message));
                Ok(())
            }
            Err(Error::Expr(_)) => {
                let middle = steps.at(count / 2);
                let first = Steps {
                    end: middle.minus(steps.step),
                    ..steps
                };
                let second = Steps {
                    start: middle,
                    ..steps
                };
                let alone = Context {
                    session: None,
                    ..*context
                };
                self.pieces(first, &alone, into)?;
                self.pieces(second, &alone, into)
            }
            Err(other) => Err(other),
        }
    }

    /// Notes and says which evaluations gave something.
    fn note_given(&mut self, matrix: &Matrix) -> Bits {
        let offset = self.group.query_offset;
        let mut any = Bits::none(matrix.steps.count());
        for series in &matrix.series {
            any.or(&series.present);
        }
        let Some(all) = self.steps else { return any };
        let at = matrix.steps.start.plus(offset);
        let before = u64::try_from(at.since(all.start).0 / all.step.0).unwrap_or(0);
        for (first, last) in any.runs() {
            let (first, last) = (before + first as u64, before + last as u64);
            match self.run.gave.last_mut() {
                Some(known) if known.1 + 1 >= first => known.1 = known.1.max(last),
                _ => self.run.gave.push((first, last)),
            }
        }
        any
    }

    fn record(&mut self, matrix: &Matrix) {
        let Rule::Recording(rule) = self.rule else {
            return;
        };
        self.note_given(matrix);
        let labels: Vec<Labels> = matrix
            .series
            .iter()
            .map(|s| {
                let own = s.labels.iter().filter(|(n, _)| *n != METRIC_NAME);
                let own = own.map(|(n, v)| (Arc::from(n), Arc::from(v)));
                let added = rule
                    .labels
                    .iter()
                    .map(|(n, v)| (Arc::from(n), Arc::from(v)));
                own.chain(added)
                    .chain([(Arc::from(METRIC_NAME), rule.record.clone())])
                    .collect()
            })
            .collect();
        let clashes = labels.iter().collect::<HashSet<_>>().len() < labels.len();
        let failed = if clashes || self.group.limit.is_some() {
            self.failed_records(matrix, &labels)
        } else {
            Bits::none(matrix.steps.count())
        };
        if !self.is_read {
            return;
        }
        // A failed evaluation gives nothing and ends nothing. Of the others, one that lacks what the one before gave ends it.
        let counted: Vec<usize> = (0..matrix.steps.count())
            .filter(|i| !failed.get(*i))
            .collect();
        let Some(first) = counted.first() else { return };
        let mut gone: HashSet<Labels> = std::mem::take(&mut self.given);
        let mut by_labels: BTreeMap<&Labels, Vec<&StepSeries>> = BTreeMap::new();
        for (labels, series) in labels.iter().zip(&matrix.series) {
            by_labels.entry(labels).or_default().push(series);
        }
        for (labels, all) in by_labels {
            let mut before = gone.remove(labels);
            let mut samples = Vec::new();
            for &i in &counted {
                // Series that become one have their values at different evaluations: others failed.
                let value = all.iter().find_map(|series| series.get(i));
                if let Some(value) = value.or_else(|| before.then(stale_nan)) {
                    samples.push((matrix.steps.at(i), value));
                }
                before = value.is_some();
            }
            if before {
                self.given.insert(labels.clone());
            }
            self.gives.push((labels.clone(), samples));
        }
        for labels in &gone {
            let ended = vec![(matrix.steps.at(*first), stale_nan())];
            self.gives.push((labels.clone(), ended));
        }
    }

    /// The evaluations of a recording rule at which two series would become one, or there are too many.
    fn failed_records(&mut self, matrix: &Matrix, labels: &[Labels]) -> Bits {
        let mut failed = Bits::none(matrix.steps.count());
        for i in 0..matrix.steps.count() {
            let present = || (0..labels.len()).filter(|s| matrix.series[*s].present.get(i));
            let count = present().count();
            let distinct = present().map(|s| &labels[s]).collect::<HashSet<_>>().len();
            let message = match self.group.limit {
                _ if distinct < count => {
                    "two elements have the same labels after the rule's labels are applied"
                        .to_owned()
                }
                Some(limit) if count > limit => {
                    format!("{count} series exceed the group's limit of {limit}")
                }
                _ => continue,
            };
            failed.set(i);
            self.fail(message, matrix.steps.at(i).plus(self.group.query_offset));
        }
        failed
    }

    pub(super) fn finish(self) -> RuleRun {
        self.run
    }
}

/// Whether the values that an expression keeps are small ones: it compares with `<`, so its peak is the least.
fn keeps_small_values(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Paren(inner) => keeps_small_values(inner),
        NodeKind::Binary(b) if b.op.is_set() => keeps_small_values(&b.lhs),
        NodeKind::Binary(b) => {
            let scalar = |n: &Node| n.value_type() == crate::expr::ValueType::Scalar;
            match b.op {
                BinaryOp::Lt | BinaryOp::Le => !scalar(&b.lhs),
                BinaryOp::Gt | BinaryOp::Ge => scalar(&b.lhs),
                _ => false,
            }
        }
        _ => false,
    }
}
