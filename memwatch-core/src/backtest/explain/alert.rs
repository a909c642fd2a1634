//! Why an alert fired: its inputs, the parts of its condition, and what happened when.

use std::sync::Arc;

use crate::backtest::outcome::{Ended, Outcome};
use crate::backtest::{Backtest, replay};
use crate::expr::{
    BinaryOp, Expr, Node, NodeKind, StepSeries, Surprise, ValueType, explain_baselines,
};
use crate::labels::METRIC_NAME;
use crate::rule::Rule;
use crate::series::{SeriesReader, is_stale};
use crate::{Labels, Nanos, Result, Steps, TimeRange, Timestamp, Window};

use super::approach::{Scene, share};
use super::given::Given;

/// Samples of an input that are shown.
const SAMPLES: usize = 6;

/// Why an alert fired.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AlertStory {
    /// Index in [`Outcome::alerts`].
    pub alert: usize,
    /// What happened to it and when: `pending`, `firing`, `resolved`, `cleared`, or `open` at the last evaluation.
    pub transitions: Vec<(Timestamp, &'static str)>,
    /// For how long its condition had to hold.
    pub needed: Nanos,
    /// The parts of its condition, from the whole inwards.
    pub parts: Vec<PartStory>,
    /// What its baselines found unusual: of each the most surprising sample in its window.
    pub baselines: Vec<BaselineStory>,
    /// The series that its condition reads, with their samples before it fired.
    pub inputs: Vec<InputStory>,
}

/// A baseline that found something unusual.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BaselineStory {
    /// The recording rule in which it stands; `None` when in the alert's own condition.
    pub recorded_by: Option<Arc<str>>,
    /// The sample, the feature that won, and the numbers behind its score.
    pub surprise: Surprise,
}

/// A part of the condition.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PartStory {
    /// As PromQL.
    pub text: String,
    /// How deep in the expression it stands; 0 is the whole.
    pub depth: usize,
    /// Its value when the alert became pending; `None` when it had none for these labels.
    pub at_pending: Option<f64>,
    /// Its value when the alert fired.
    pub at_firing: Option<f64>,
    /// Of a comparison, both sides when the alert fired.
    pub compared: Option<(f64, f64)>,
    /// Of a comparison, how far the left side is over the limit (under it, for `<`): 1 is at the limit, 2 twice as far.
    pub margin: Option<f64>,
}

/// A series that was read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InputStory {
    /// The selector that found it.
    pub selector: String,
    /// The series.
    pub labels: Labels,
    /// How many samples lie in what the condition reads when the alert fired.
    pub samples: u64,
    /// The last of them.
    pub last: Vec<(Timestamp, f64)>,
}

impl Backtest<'_> {
    /// Why an alert of an outcome of this backtest fired.
    ///
    /// # Errors
    /// When the data cannot be read.
    ///
    /// # Panics
    /// When the outcome has no such alert.
    pub fn explain_alert(
        &self,
        reader: &dyn SeriesReader,
        outcome: &Outcome,
        alert: usize,
    ) -> Result<AlertStory> {
        let found = &outcome.alerts[alert];
        let flat = replay::flat(self.rules);
        let (_, group, rule) = &flat[found.rule];
        let expr = rule.expr();
        let offset = group.query_offset;
        let (pending, firing) = (found.pending_at.minus(offset), found.fired_at.minus(offset));
        let range = TimeRange {
            start: pending,
            end: Timestamp(firing.0.saturating_add(1)),
        };
        let options = self.options();
        let given = Given::new(&self.recording(&options), expr, range, reader)?;
        let whose = |labels: &Labels| agrees(labels, &found.labels);
        let at = |at: Timestamp| Scene {
            expr,
            steps: Steps::instant(at),
            reader: &given,
            options: &options,
            whose: &whose,
        };
        let (then, now) = (at(pending), at(firing));
        let mut parts = Vec::new();
        describe(expr.root(), 0, &then, &now, &mut parts)?;
        let mut baselines = Vec::new();
        let mut explain = |by: Option<&Arc<str>>, expr: &Expr, at: Timestamp| -> Result<bool> {
            let found = explain_baselines(expr, at, &given, &options)?;
            let mine = found.into_iter().filter(|s| whose(&s.labels));
            let before = baselines.len();
            baselines.extend(mine.map(|surprise| BaselineStory {
                recorded_by: by.cloned(),
                surprise,
            }));
            Ok(baselines.len() > before)
        };
        // By the time that it fires, what made it pending may have left the window.
        if !explain(None, expr, firing)? && pending < firing {
            explain(None, expr, pending)?;
        }
        for (name, expr, at) in &given.rules {
            explain(Some(name), expr, *at)?;
        }
        let mut inputs = Vec::new();
        for selector in expr.selectors(Steps::instant(firing), &options) {
            for matchers in &selector.alternatives {
                for series in
                    crate::series::SeriesReader::select(&given, matchers, selector.window)?
                {
                    if whose(&series.labels) {
                        inputs.push(input(matchers, &series, selector.window));
                    }
                }
            }
        }
        inputs.sort_by(|a, b| (&a.selector, &a.labels).cmp(&(&b.selector, &b.labels)));
        inputs.dedup_by(|a, b| a.selector == b.selector && a.labels == b.labels);
        let mut transitions = vec![(found.pending_at, "pending"), (found.fired_at, "firing")];
        transitions.push(match found.ended {
            Ended::Resolved(at) => (at, "resolved"),
            Ended::Cleared(at) => (at, "cleared"),
            Ended::Open => (outcome.range.end, "open"),
        });
        Ok(AlertStory {
            alert,
            transitions,
            needed: match rule {
                Rule::Alerting(rule) => rule.hold.pending,
                Rule::Recording(_) => Nanos(0),
            },
            parts,
            baselines,
            inputs,
        })
    }
}

/// Whether a series could belong to the alert: no label of both differs.
fn agrees(series: &Labels, alert: &Labels) -> bool {
    series
        .iter()
        .filter(|(name, _)| *name != METRIC_NAME)
        .all(|(name, value)| alert.get(name).is_empty() || alert.get(name) == value)
}

/// Goes through the parts that have values worth showing: whatever is compared or combined, down to functions and selectors.
fn describe(
    node: &Node,
    depth: usize,
    then: &Scene<'_>,
    now: &Scene<'_>,
    parts: &mut Vec<PartStory>,
) -> Result<()> {
    let node = node.without_parens();
    if node.value_type() != ValueType::Vector || matches!(node.kind, NodeKind::Number(_)) {
        return Ok(());
    }
    let value = |all: &[StepSeries]| all.iter().find_map(|s| s.get(0));
    let (mut compared, mut margin) = (None, None);
    if let NodeKind::Binary(binary) = &node.kind
        && binary.op.is_comparison()
        && !binary.returns_bool
    {
        let sides = (
            value(&now.values(&binary.lhs)?),
            value(&now.values(&binary.rhs)?),
        );
        if let (Some(left), Some(right)) = sides {
            compared = Some((left, right));
            margin = over(binary.op, left, right);
        }
    }
    parts.push(PartStory {
        text: node.to_string(),
        depth,
        at_pending: value(&then.values(node)?),
        at_firing: value(&now.values(node)?),
        compared,
        margin,
    });
    if let NodeKind::Binary(binary) = &node.kind {
        describe(&binary.lhs, depth + 1, then, now, parts)?;
        describe(&binary.rhs, depth + 1, then, now, parts)?;
    }
    Ok(())
}

/// How far over the limit; below 1 where the comparison did not hold. `None` where a ratio means nothing.
fn over(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    let (more, less) = match op {
        BinaryOp::Gt | BinaryOp::Ge => (left, right),
        BinaryOp::Lt | BinaryOp::Le => (right, left),
        _ => return None,
    };
    if more > 0.0 && less > 0.0 {
        return Some(more / less);
    }
    (share(op, left, right) < 1.0).then(|| share(op, left, right))
}

fn input(
    matchers: &[crate::Matcher],
    series: &crate::series::Series,
    window: Window,
) -> InputStory {
    let from = series.at_ns.partition_point(|at| *at <= window.after.0);
    let to = series
        .at_ns
        .partition_point(|at| *at <= window.until.0)
        .max(from);
    let shown = from.max(to.saturating_sub(SAMPLES));
    InputStory {
        selector: matchers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
        labels: series.labels.clone(),
        samples: (to - from) as u64,
        last: (shown..to)
            .map(|i| (Timestamp(series.at_ns[i]), series.values[i]))
            .filter(|(_, value)| !is_stale(*value))
            .collect(),
    }
}
