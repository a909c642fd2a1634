//! What rules compare: for each rule that matters to a service, the signal that decides and its threshold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::backtest::{Given, Outcome, Recording, could_read, owner};
use crate::expr::{EvalOptions, Expr, Matrix, NodeKind, Value, evaluate, remembers};
use crate::rule::{Group, Rule, RuleFile};
use crate::series::SeriesReader;
use crate::{Labels, Nanos, Steps, TimeRange, Timestamp};

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
/// `only`: whether there is but one service, so that what has no label of a service is its. What a rule reads of recording rules before it in
/// the file is evaluated once more. A rule without a comparison, one that reads `ALERTS` or what later rules record, and one that cannot
/// be evaluated has no panel.
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
        let Some(decides) = deciding(rule.expr()) else {
            continue;
        };
        let reads = Reads::of(index, &flat);
        if reads == Reads::NotDrawn {
            continue;
        }
        let of_rule = &outcome.rules[index];
        let Some(steps) = Steps::aligned(outcome.range, of_rule.interval, of_rule.phase) else {
            continue;
        };
        let mine: Vec<(usize, &Viewer<'_>)> = viewers
            .iter()
            .enumerate()
            .filter(|(_, v)| v.rules.contains(&index))
            .collect();
        let recording = Recording {
            rules: file,
            interval: outcome.settings.interval,
            phase: outcome.settings.phase,
            options,
            begins: Some(outcome.range.start),
        };
        let mut drawing = Drawing {
            reader,
            recording,
            reads,
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

/// What a rule reads beside the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Nothing.
    Recording,
    /// What recording rules before it in the file give.
    Rules,
    /// What is not evaluated once more: alerts, what later rules gave one evaluation earlier, and what a baseline remembers of recorded series,
    /// which begins anew with each piece.
    NotDrawn,
}

impl Reads {
    fn of(index: usize, all: &[(&Group, &Rule)]) -> Reads {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![index]);
        let mut baselines = false;
        while let Some(reader) = waiting.pop() {
            let expr = all[reader].1.expr();
            baselines |= remembers(expr.root());
            let mut sources = Vec::new();
            expr.root().walk(&mut |node| {
                if let NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } = &node.kind {
                    let could = all.iter().enumerate().filter(|(_, r)| could_read(s, r.1));
                    sources.extend(could.map(|(source, _)| source));
                }
            });
            for source in sources {
                if source >= reader || all[source].1.alerting().is_some() {
                    return Reads::NotDrawn;
                }
                if seen.insert(source) {
                    waiting.push(source);
                }
            }
        }
        match (seen.is_empty(), baselines) {
            (true, _) => Reads::Recording,
            (false, false) => Reads::Rules,
            (false, true) => Reads::NotDrawn,
        }
    }
}

struct Drawing<'a> {
    reader: &'a dyn SeriesReader,
    recording: Recording<'a>,
    reads: Reads,
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
            let given;
            let reader: &dyn SeriesReader = match self.reads {
                Reads::Rules => {
                    let range = TimeRange {
                        start: part.start,
                        end: part.end.plus(Nanos(1)),
                    };
                    given = Given::new(&self.recording, expr, range, self.reader).ok()?;
                    &given
                }
                _ => self.reader,
            };
            match evaluate(expr, part, reader, self.recording.options)
                .ok()?
                .value
            {
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
