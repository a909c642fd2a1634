//! Aggregations: groups are settled once per series, then each group runs over its rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::ast::{Aggregate, AggregateOp, Grouping};
use super::eval::Evaluator;
use super::functions::warn_of_quantiles;
use super::hash::hash;
use super::print::{decimal, general};
use super::rows::{self, Row, Val};
use super::{Bits, Span};
use crate::labels::METRIC_NAME;
use crate::stats::moments::Moments;
use crate::stats::quantile::{order, quantile};
use crate::stats::sum::{Mean, Sum};
use crate::{Labels, Result, Steps};

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, span: Span, a: &Aggregate, steps: Steps) -> Result<Val> {
        let mut input = self.vector(&a.expr, steps)?;
        // In the order of labels, so that sums and choices among equals do not depend on anything else.
        input.sort_by(|x, y| x.labels.cmp(&y.labels));
        if let (AggregateOp::CountValues, Some(param)) = (a.op, &a.param) {
            let label = self.text(param, steps)?;
            if label.is_empty() {
                return Err(self.fail(param.span, format!("invalid label name {label:?}")));
            }
            let mut counted = Counted {
                label: &label,
                grouping: a.grouping.as_ref(),
                steps: steps.count(),
                rows: BTreeMap::new(),
            };
            for row in &input {
                counted.add(row);
                self.check_values(counted.rows.len(), steps, span)?;
            }
            let rows = counted.rows.into_values().collect();
            return Ok(Val::Vector(self.joined(rows, span)?));
        }
        let param = match &a.param {
            Some(param) => self.scalar(param, steps)?,
            None => Vec::new(),
        };
        if let (AggregateOp::Quantile, Some(node)) = (a.op, &a.param)
            && !input.is_empty()
        {
            warn_of_quantiles(self, node.span, &param);
        }
        self.check_param(a, &param)?;
        let work = input.len() * steps.count();
        let groups = group_by(a.grouping.as_ref(), input);
        let rows = rows::map(&groups, work, |(labels, rows)| match a.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
                chosen(a.op, &param, rows)
            }
            AggregateOp::LimitRatio => sampled(&param, rows),
            _ => vec![folded(a.op, &param, labels, rows, steps.count())],
        });
        let mut rows: Vec<Row> = rows.into_iter().flatten().collect();
        rows.retain(|row| row.present.any());
        if steps.count() == 1
            && matches!(a.op, AggregateOp::Topk | AggregateOp::Bottomk)
            && a.grouping.is_none()
        {
            rows.sort_by(|x, y| best_first(a.op, x.values[0], y.values[0]));
        }
        Ok(Val::Vector(self.joined(rows, span)?))
    }

    fn check_param(&self, a: &Aggregate, param: &[f64]) -> Result<()> {
        let Some(node) = &a.param else {
            return Ok(());
        };
        let what = match a.op {
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => "Parameter",
            AggregateOp::LimitRatio => "Ratio",
            _ => return Ok(()),
        };
        if param.iter().any(|v| v.is_nan()) {
            return Err(self.fail(node.span, format!("{what} value is NaN")));
        }
        if what == "Parameter" {
            if let Some(v) = param.iter().find(|v| **v >= 9_223_372_036_854_775_807.0) {
                return Err(self.fail(
                    node.span,
                    format!("Scalar value {} overflows int64", general(*v)),
                ));
            }
            if let Some(v) = param.iter().find(|v| **v <= -9_223_372_036_854_775_808.0) {
                return Err(self.fail(
                    node.span,
                    format!("Scalar value {} underflows int64", general(*v)),
                ));
            }
        } else if let Some(v) = param.iter().find(|v| v.abs() > 1.0) {
            let capped = v.signum();
            self.annotate(
                super::AnnotationLevel::Warning,
                node.span,
                format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    general(*v),
                    general(capped)
                ),
            );
        }
        Ok(())
    }
}

/// Rows by group, groups in the order of their labels.
fn group_by(grouping: Option<&Grouping>, rows: Vec<Row>) -> Vec<(Labels, Vec<Row>)> {
    let mut groups = super::functions::grouped(rows, |labels| group_labels(grouping, labels));
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups
}

/// The labels of the group that a series belongs to.
fn group_labels(grouping: Option<&Grouping>, labels: &Labels) -> Labels {
    match grouping {
        None => Labels::default(),
        Some(Grouping::Only(names)) => labels.filter(|n| listed(names, n)),
        Some(Grouping::Except(names)) => labels.filter(|n| n != METRIC_NAME && !listed(names, n)),
    }
}

fn listed(names: &[Arc<str>], name: &str) -> bool {
    names.iter().any(|listed| &**listed == name)
}

/// One row for the group.
fn folded(op: AggregateOp, param: &[f64], labels: &Labels, rows: &[Row], steps: usize) -> Row {
    let mut present = Bits::none(steps);
    rows.iter().for_each(|row| present.or(&row.present));
    let values = match op {
        AggregateOp::Sum => fold(rows, steps, Sum::default(), |s, v| s.add(v), |s| s.total()),
        AggregateOp::Avg => fold(rows, steps, Mean::default(), |m, v| m.add(v), |m| m.value()),
        AggregateOp::Count => fold(rows, steps, 0.0, |n, _| *n += 1.0, |n| *n),
        AggregateOp::Min => fold(
            rows,
            steps,
            f64::NAN,
            |m, v| {
                if v < *m || m.is_nan() {
                    *m = v
                }
            },
            |m| *m,
        ),
        AggregateOp::Max => fold(
            rows,
            steps,
            f64::NAN,
            |m, v| {
                if v > *m || m.is_nan() {
                    *m = v
                }
            },
            |m| *m,
        ),
        AggregateOp::Group => vec![1.0; steps],
        AggregateOp::Stddev | AggregateOp::Stdvar => {
            let root = op == AggregateOp::Stddev;
            fold(
                rows,
                steps,
                Moments::default(),
                |m, v| *m = m.merge(Moments::of(v)),
                |m| {
                    if root {
                        m.variance().sqrt()
                    } else {
                        m.variance()
                    }
                },
            )
        }
        AggregateOp::Quantile => {
            let mut sorted = Vec::with_capacity(rows.len());
            (0..steps)
                .map(|step| {
                    sorted.clear();
                    sorted.extend(
                        rows.iter()
                            .filter(|row| row.present.get(step))
                            .map(|row| row.values[step]),
                    );
                    sorted.sort_by(|a, b| order(*a, *b));
                    quantile(param[step], &sorted)
                })
                .collect()
        }
        AggregateOp::Topk
        | AggregateOp::Bottomk
        | AggregateOp::Limitk
        | AggregateOp::LimitRatio
        | AggregateOp::CountValues => unreachable!("these keep or make several elements"),
    };
    Row {
        labels: labels.clone(),
        drop_name: rows.iter().all(|row| row.drop_name),
        values: values.into(),
        present,
    }
}

/// Folds the rows one after the other into a state for each evaluation.
fn fold<S: Clone>(
    rows: &[Row],
    steps: usize,
    start: S,
    mut add: impl FnMut(&mut S, f64),
    end: impl Fn(&S) -> f64,
) -> Vec<f64> {
    let mut states = vec![start; steps];
    for row in rows {
        for step in row.present.iter() {
            add(&mut states[step], row.values[step]);
        }
    }
    states.iter().map(end).collect()
}

fn best_first(op: AggregateOp, a: f64, b: f64) -> std::cmp::Ordering {
    let value = if op == AggregateOp::Topk {
        order(b, a)
    } else {
        order(a, b)
    };
    a.is_nan().cmp(&b.is_nan()).then(value)
}

/// `topk`, `bottomk` and `limitk`: the chosen elements, best first; among equals, and for `limitk`, the first by labels.
fn chosen(op: AggregateOp, param: &[f64], rows: &[Row]) -> Vec<Row> {
    let mut kept: Vec<Row> = rows.to_vec();
    let mut here: Vec<(f64, usize)> = Vec::with_capacity(rows.len());
    for (step, k) in param.iter().enumerate() {
        here.clear();
        here.extend(
            rows.iter()
                .enumerate()
                .filter(|(_, row)| row.present.get(step))
                .map(|(i, row)| (row.values[step], i)),
        );
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Checked; below 1 nothing is kept.
        let k = (k.max(0.0) as usize).min(here.len());
        if op != AggregateOp::Limitk {
            here.sort_by(|a, b| best_first(op, a.0, b.0).then(a.1.cmp(&b.1)));
        }
        for (_, i) in &here[k..] {
            kept[*i].present.clear(step);
        }
    }
    if param.len() == 1 && op != AggregateOp::Limitk {
        kept.retain(|row| row.present.any());
        kept.sort_by(|a, b| best_first(op, a.values[0], b.values[0]));
    }
    kept
}

/// `limit_ratio`: an element is kept by where the hash of its labels lies between 0 and 1; a negative ratio keeps the others.
/// As in Prometheus, so that both keep the same ones.
fn sampled(param: &[f64], rows: &[Row]) -> Vec<Row> {
    let mut kept = rows.to_vec();
    for row in &mut kept {
        let place = hash(&row.labels) as f64 / u64::MAX as f64;
        for (step, ratio) in param.iter().enumerate() {
            let inside = if *ratio >= 0.0 {
                place < *ratio
            } else {
                place >= 1.0 + ratio
            };
            if !inside {
                row.present.clear(step);
            }
        }
    }
    kept
}

/// `count_values`: a row for each value that occurs in a group.
///
/// The label with the value is there before the groups are made, so `without` it takes it away again, and one that is there is replaced.
struct Counted<'a> {
    label: &'a str,
    grouping: Option<&'a Grouping>,
    steps: usize,
    rows: BTreeMap<Labels, Row>,
}

impl Counted<'_> {
    fn add(&mut self, row: &Row) {
        let mut of_value: HashMap<u64, Labels> = HashMap::new();
        for step in row.present.iter() {
            let value = row.values[step];
            let labels = of_value
                .entry(value.to_bits())
                .or_insert_with(|| self.labels(row, &decimal(value)));
            let steps = self.steps;
            let counted = match self.rows.get_mut(labels) {
                Some(counted) => counted,
                None => self
                    .rows
                    .entry(labels.clone())
                    .or_insert_with_key(|labels| Row::empty(labels.clone(), steps)),
            };
            let before = if counted.present.get(step) {
                counted.values[step]
            } else {
                0.0
            };
            counted.set(step, before + 1.0);
        }
    }

    fn labels(&self, row: &Row, value: &str) -> Labels {
        let with_value = row.labels.with(self.label, value);
        match self.grouping {
            None => with_value.filter(|name| name == self.label),
            Some(Grouping::Only(names)) => {
                with_value.filter(|name| name == self.label || listed(names, name))
            }
            Some(except) => group_labels(Some(except), &with_value),
        }
    }
}
