//! What rules compare: for each rule that matters to a service, the signal that decides and its threshold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::backtest::{Outcome, could_read, owner};
use crate::expr::{EvalOptions, Expr, Matrix, NodeKind, Value, evaluate};
use crate::rule::{Group, Rule, RuleFile};
use crate::series::SeriesReader;
use crate::{Labels, Nanos, Steps, Timestamp};

use super::axis::{Axis, Envelope};
use super::deciding::{Deciding, deciding};
use super::page::{Line, Panel, Role, Unit};

/// Evaluations that are held at once for each series.
const STEPS_AT_ONCE: usize = 3_600;

/// A service that wants to see some rules.
pub(super) struct Viewer<'a> {
    pub(super) service: &'a str,
    pub(super) axis: &'a Axis,
    /// Indices into [`Outcome::rules`], in the order in which they are shown.
    pub(super) rules: Vec<usize>,
    /// As which line an instance is drawn.
    pub(super) slot: &'a dyn Fn(&str) -> Arc<str>,
}

/// For each viewer, the panels of its rules.
///
/// `only`: whether there is but one service, so that what has no label of a service is its. A rule without a comparison, one that reads what other rules record, and one that cannot be evaluated has no panel.
pub(super) fn read(
    file: &RuleFile,
    outcome: &Outcome,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
    viewers: &[Viewer<'_>],
    only: bool,
) -> Vec<Vec<Panel>> {
    let flat: Vec<(&Group, &Rule)> = file
        .groups
        .iter()
        .flat_map(|g| g.rules.iter().map(move |r| (g, r)))
        .collect();
    let wanted: BTreeSet<usize> = viewers.iter().flat_map(|v| v.rules.clone()).collect();
    let mut found: BTreeMap<(usize, usize), Panel> = BTreeMap::new();
    for index in wanted {
        let Some(&(group, rule)) = flat.get(index) else {
            continue;
        };
        let Some(decides) = deciding(rule.expr()).filter(|_| !reads_rules(rule, &flat)) else {
            continue;
        };
        let of_rule = &outcome.rules[index];
        let Some(steps) = Steps::aligned(outcome.range, of_rule.interval, of_rule.phase) else {
            continue;
        };
        let mine: Vec<(usize, &Viewer<'_>)> = viewers
            .iter()
            .enumerate()
            .filter(|(_, v)| v.rules.contains(&index))
            .collect();
        let mut drawing = Drawing {
            reader,
            options,
            offset: group.query_offset,
            viewers: &mine,
            only,
            lines: BTreeMap::new(),
        };
        let drawn = drawing.draw(steps, &decides.signal, Role::Value).is_some()
            && drawing
                .draw(steps, &decides.threshold, Role::Reference)
                .is_some();
        if !drawn {
            continue;
        }
        for ((viewer, role, of), envelope) in drawing.lines {
            if envelope.bounds().is_none() {
                continue;
            }
            let panel = found
                .entry((viewer, index))
                .or_insert_with(|| panel(index, rule, &decides));
            panel.lines.push(Line {
                name: match role {
                    Role::Value => "value",
                    Role::Reference => "threshold",
                }
                .to_owned(),
                of,
                role,
                envelope,
            });
        }
    }
    viewers
        .iter()
        .enumerate()
        .map(|(v, viewer)| {
            let panels = viewer.rules.iter().filter_map(|r| found.remove(&(v, *r)));
            // A threshold alone says nothing.
            panels
                .filter(|p| p.lines.iter().any(|l| l.role == Role::Value))
                .collect()
        })
        .collect()
}

fn panel(index: usize, rule: &Rule, decides: &Deciding) -> Panel {
    let params = match rule {
        Rule::Alerting(rule) => &rule.params,
        Rule::Recording(rule) => &rule.params,
    };
    let mut about = format!("{} {} {}", decides.signal, decides.op, decides.threshold);
    // The longest names first, so that `$factor` does not spoil `$factor2`.
    let mut names: Vec<(&String, &f64)> = params.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in names {
        about = about.replace(&format!("${name}"), &value.to_string());
    }
    Panel {
        title: rule.name().to_string(),
        about,
        unit: Unit::Plain,
        rule: Some(index),
        lines: Vec::new(),
    }
}

/// Whether a rule reads what a rule of the file gives: that is not in the recording.
fn reads_rules(rule: &Rule, all: &[(&Group, &Rule)]) -> bool {
    let mut found = false;
    rule.expr().root().walk(&mut |node| {
        if let NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } = &node.kind {
            found |= all.iter().any(|(_, other)| could_read(s, other));
        }
    });
    found
}

struct Drawing<'a> {
    reader: &'a dyn SeriesReader,
    options: &'a EvalOptions,
    offset: Nanos,
    viewers: &'a [(usize, &'a Viewer<'a>)],
    /// Whether there is but one service: what has no label of a service is its.
    only: bool,
    lines: BTreeMap<(usize, Role, Arc<str>), Envelope>,
}

impl Drawing<'_> {
    /// `None` when it cannot be evaluated.
    fn draw(&mut self, steps: Steps, expr: &Expr, role: Role) -> Option<()> {
        let count = steps.count();
        let mut done = 0;
        while done < count {
            let last = (done + STEPS_AT_ONCE).min(count) - 1;
            let part = Steps {
                start: steps.at(done).minus(self.offset),
                end: steps.at(last).minus(self.offset),
                step: steps.step,
            };
            match evaluate(expr, part, self.reader, self.options).ok()?.value {
                Value::Vector(matrix) => self.vector(&matrix, role),
                Value::Scalar(values) => {
                    for (i, value) in values.iter().enumerate() {
                        for v in 0..self.viewers.len() {
                            self.put(v, role, "".into(), part.at(i), *value);
                        }
                    }
                }
                Value::Text(_) | Value::Range(_) => return None,
            }
            done = last + 1;
        }
        Some(())
    }

    fn vector(&mut self, matrix: &Matrix, role: Role) {
        for row in &matrix.series {
            for v in 0..self.viewers.len() {
                if let Some(of) = self.line_of(v, &row.labels) {
                    for (i, value) in row.iter() {
                        self.put(v, role, of.clone(), matrix.steps.at(i), value);
                    }
                }
            }
        }
    }

    /// As which line a viewer sees a series.
    fn line_of(&self, viewer: usize, labels: &Labels) -> Option<Arc<str>> {
        let (_, viewer) = self.viewers[viewer];
        let (service, instance) = owner(labels);
        let mine = *service == *viewer.service || (service.is_empty() && self.only);
        mine.then(|| match &*instance {
            "" => Arc::from(""),
            instance => (viewer.slot)(instance),
        })
    }

    fn put(&mut self, viewer: usize, role: Role, of: Arc<str>, at: Timestamp, value: f64) {
        let (index, viewer) = self.viewers[viewer];
        if let Some(bucket) = viewer.axis.bucket(at.plus(self.offset).0) {
            self.lines
                .entry((index, role, of))
                .or_insert_with(|| Envelope::new(viewer.axis))
                .push(bucket, value);
        }
    }
}
