//! What could not be evaluated, and why: a rule that says nothing because its input is missing did not say "all is well".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expr::{BinaryOp, Expr, Node, NodeKind, TimeShift, VectorSelector};
use crate::labels::METRIC_NAME;
use crate::rule::{Rule, RuleFile};
use crate::{Matcher, Nanos, Steps, TimeRange, Timestamp};

use super::plan::{ALERTS, ALERTS_FOR_STATE, RuleId, could_read};
use super::reading::key;
use super::sightings::{Sightings, Spans, Who};

/// Something that could not be evaluated.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Hole {
    /// Index in [`super::Outcome::rules`] of the rule concerned; `None` for all rules.
    pub rule: Option<usize>,
    /// The service concerned; `None` for all.
    pub service: Option<Arc<str>>,
    /// The instance concerned; `None` for all of the service.
    pub instance: Option<Arc<str>>,
    /// Why.
    pub reason: HoleReason,
    /// When, if not all the time.
    pub range: Option<TimeRange>,
    /// How many evaluations of the rule; 0 where that is not counted.
    pub evaluations: u64,
}

/// Why something could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoleReason {
    /// These selectors find nothing in the recording of the service.
    NotRecorded(Vec<Arc<str>>),
    /// All that it reads is there, but never at once: the recording is too short for its windows and offsets.
    NeverTogether,
    /// The process was not recorded for a while.
    Gap,
    /// A baseline had not seen enough yet.
    WarmingUp,
    /// Evaluations failed; what the first said.
    Failed(String),
}

/// What must be there for an expression to say something.
#[derive(Debug, Clone)]
enum Needs {
    /// Nothing: constants, and what asks for absence.
    Nothing,
    /// Something that this selector finds, this much before the evaluation.
    Found {
        key: String,
        shown: Arc<str>,
        matchers: Vec<Matcher>,
        shift: Nanos,
        reach: Nanos,
    },
    All(Vec<Needs>),
    Any(Vec<Needs>),
}

impl Needs {
    fn of(file: &RuleFile, expr: &Expr, path: &mut Vec<RuleId>) -> Needs {
        Self::of_node(file, expr.root(), Nanos(0), Nanos(0), path)
    }

    fn of_node(
        file: &RuleFile,
        node: &Node,
        shift: Nanos,
        reach: Nanos,
        path: &mut Vec<RuleId>,
    ) -> Needs {
        let below =
            |node: &Node, path: &mut Vec<RuleId>| Self::of_node(file, node, shift, reach, path);
        match &node.kind {
            NodeKind::Selector(selector) => Self::selector(file, selector, shift, reach, path),
            NodeKind::Range { selector, range } => {
                Self::selector(file, selector, shift, plus(reach, *range), path)
            }
            NodeKind::Subquery(subquery) => {
                if subquery.when.at.is_some() {
                    return Needs::Nothing;
                }
                let shift = plus(shift, subquery.when.offset);
                Self::of_node(
                    file,
                    &subquery.expr,
                    shift,
                    plus(reach, subquery.range),
                    path,
                )
            }
            NodeKind::Binary(binary) => {
                let left = below(&binary.lhs, path);
                match binary.op {
                    BinaryOp::Unless => left,
                    BinaryOp::Or => Needs::Any(vec![left, below(&binary.rhs, path)]),
                    _ => Needs::All(vec![left, below(&binary.rhs, path)]),
                }
            }
            NodeKind::Call { function, args } => match function.name {
                "absent" | "absent_over_time" => Needs::Nothing,
                _ => Needs::All(args.iter().map(|arg| below(arg, path)).collect()),
            },
            _ => Needs::All(node.children().map(|child| below(child, path)).collect()),
        }
    }

    fn selector(
        file: &RuleFile,
        selector: &VectorSelector,
        shift: Nanos,
        reach: Nanos,
        path: &mut Vec<RuleId>,
    ) -> Needs {
        let TimeShift { offset, at } = selector.when;
        if at.is_some() {
            return Needs::Nothing; // A fixed time: the same at each evaluation.
        }
        let shift = plus(shift, offset);
        let mut any = Vec::new();
        for (group, g) in file.groups.iter().enumerate() {
            for (rule, producer) in g.rules.iter().enumerate() {
                let id = RuleId { group, rule };
                if !could_read(selector, producer) {
                    continue;
                }
                match producer {
                    Rule::Recording(recording) if !path.contains(&id) => {
                        // It says something when the rule that gives it does.
                        path.push(id);
                        let root = recording.expr.root();
                        any.push(Self::of_node(file, root, shift, reach, path));
                        path.pop();
                    }
                    _ => any.push(Needs::Nothing),
                }
            }
        }
        for matchers in &selector.alternatives {
            let name = selector.name.as_deref().unwrap_or("");
            if name == ALERTS || name == ALERTS_FOR_STATE {
                continue;
            }
            any.push(Needs::Found {
                key: key(matchers),
                shown: shown(matchers).into(),
                matchers: matchers.clone(),
                shift,
                reach,
            });
        }
        match any.len() {
            0 => Needs::Nothing,
            1 => any.remove(0),
            _ => Needs::Any(any),
        }
    }

    /// When it is there, for the processes that `whose` accepts.
    fn met(&self, seen: &Seen<'_>, whose: &dyn Fn(&Who) -> bool) -> Spans {
        match self {
            Needs::Nothing => Spans::all(),
            Needs::Found {
                key, shift, reach, ..
            } => {
                let mut found = Spans::default();
                for (who, first) in seen.sightings.of(key) {
                    if whose(who)
                        && let Some(alive) = seen.alive.get(who)
                    {
                        found = found.or(&alive.from(first));
                    }
                }
                found.moved(*shift, *reach)
            }
            Needs::All(all) => all.iter().fold(Spans::all(), |met, needs| {
                if met.is_empty() {
                    met
                } else {
                    met.and(&needs.met(seen, whose))
                }
            }),
            Needs::Any(any) => any.iter().fold(Spans::default(), |met, needs| {
                met.or(&needs.met(seen, whose))
            }),
        }
    }

    /// The selectors that find nothing for these processes, as far as they matter.
    fn missing(
        &self,
        seen: &Seen<'_>,
        whose: &dyn Fn(&Who) -> bool,
        into: &mut BTreeSet<Arc<str>>,
    ) {
        match self {
            Needs::Nothing => {}
            Needs::Found { key, shown, .. } => {
                if !seen.sightings.of(key).any(|(who, _)| whose(who)) {
                    into.insert(shown.clone());
                }
            }
            Needs::All(all) => all.iter().for_each(|n| n.missing(seen, whose, into)),
            Needs::Any(any) => {
                if any.iter().all(|n| n.met(seen, whose).is_empty()) {
                    any.iter().for_each(|n| n.missing(seen, whose, into));
                }
            }
        }
    }

    /// Whether a process could be meant at all: its labels satisfy the matchers on them.
    fn may_mean(&self, who: &Who) -> bool {
        match self {
            Needs::Nothing => true,
            Needs::Found { matchers, .. } => matchers.iter().all(|m| match m.name() {
                "service" | "job" => m.accepts(&who.0),
                "instance" => m.accepts(&who.1),
                _ => true,
            }),
            Needs::All(all) => all.iter().all(|n| n.may_mean(who)),
            Needs::Any(any) => any.iter().any(|n| n.may_mean(who)),
        }
    }
}

fn plus(a: Nanos, b: Nanos) -> Nanos {
    Nanos(a.0.saturating_add(b.0))
}

/// A selector as users write it.
fn shown(matchers: &[Matcher]) -> String {
    let mut name = "";
    let mut others = Vec::new();
    for matcher in matchers {
        if matcher.name() == METRIC_NAME && matcher.op() == crate::MatchOp::Equal {
            name = matcher.value();
        } else {
            others.push(matcher.to_string());
        }
    }
    if others.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", others.join(", "))
    }
}

struct Seen<'s> {
    sightings: &'s Sightings,
    alive: &'s BTreeMap<Who, Spans>,
}

/// For one rule: its evaluations, and those at which it gave something (runs of indices, ascending).
pub(super) struct Evaluated<'e> {
    pub(super) rule: &'e Rule,
    pub(super) steps: Option<Steps>,
    pub(super) offset: Nanos,
    pub(super) runs: &'e [(u64, u64)],
}

/// What the coverage of a run is.
pub(super) struct Coverage {
    /// For each rule: how many evaluations could say nothing.
    pub(super) unknown: Vec<u64>,
    /// For each rule: from when on it could say something about a process, where it could.
    pub(super) ready: Vec<BTreeMap<Who, i64>>,
    pub(super) holes: Vec<Hole>,
}

/// Says which evaluations could say nothing, and why.
pub(super) fn coverage(
    file: &RuleFile,
    range: TimeRange,
    rules: &[Evaluated<'_>],
    sightings: &Sightings,
    alive: &BTreeMap<Who, Spans>,
) -> Coverage {
    let seen = Seen { sightings, alive };
    let mut services: BTreeMap<Arc<str>, Vec<&Who>> = BTreeMap::new();
    for who in alive.keys() {
        services.entry(who.0.clone()).or_default().push(who);
    }
    let mut found = Coverage {
        unknown: Vec::new(),
        ready: Vec::new(),
        holes: Vec::new(),
    };
    for (index, evaluated) in rules.iter().enumerate() {
        let needs = Needs::of(file, evaluated.rule.expr(), &mut Vec::new());
        let met = needs
            .met(&seen, &|_| true)
            .moved(evaluated.offset, Nanos(0));
        let (unknown, evaluations) = match evaluated.steps {
            Some(steps) => (unknown(steps, &met, evaluated.runs), steps.count() as u64),
            None => (0, 0),
        };
        found.unknown.push(unknown);
        let ready = |who: &Who| {
            let met = needs.met(&seen, &|other| other == who);
            let first = met
                .moved(evaluated.offset, Nanos(0))
                .0
                .first()
                .map(|s| s.0)?;
            Some((who.clone(), first))
        };
        found.ready.push(alive.keys().filter_map(ready).collect());
        let hole = |service: Option<&Arc<str>>, whose: &dyn Fn(&Who) -> bool| {
            let mut missing = BTreeSet::new();
            needs.missing(&seen, whose, &mut missing);
            Hole {
                rule: Some(index),
                service: service.cloned(),
                instance: None,
                reason: if missing.is_empty() {
                    HoleReason::NeverTogether
                } else {
                    HoleReason::NotRecorded(missing.into_iter().collect())
                },
                range: None,
                evaluations,
            }
        };
        if met.is_empty() {
            found.holes.push(hole(None, &|_| true));
            continue;
        }
        for (service, processes) in &services {
            if service.is_empty() || !processes.iter().any(|who| needs.may_mean(who)) {
                continue;
            }
            let whose = |who: &Who| who.0 == *service;
            // A rule over several services at once (`on ()`) may say something although this one lacks a part.
            if needs.met(&seen, &whose).is_empty() {
                found.holes.push(hole(Some(service), &whose));
            }
        }
    }
    for (who, spans) in alive {
        for (start, end) in spans.gaps() {
            let (start, end) = (start.max(range.start.0), end.min(range.end.0));
            if start < end {
                found.holes.push(Hole {
                    rule: None,
                    service: Some(who.0.clone()),
                    instance: Some(who.1.clone()),
                    reason: HoleReason::Gap,
                    range: Some(TimeRange {
                        start: Timestamp(start),
                        end: Timestamp(end),
                    }),
                    evaluations: 0,
                });
            }
        }
    }
    found
}

/// How many steps lie outside of `met` and gave nothing.
fn unknown(steps: Steps, met: &Spans, runs: &[(u64, u64)]) -> u64 {
    let mut count = 0;
    let (mut span, mut run) = (0, 0);
    for (i, at) in steps.iter().enumerate() {
        while met.0.get(span).is_some_and(|s| s.1 < at.0) {
            span += 1;
        }
        let i = i as u64;
        while runs.get(run).is_some_and(|r| r.1 < i) {
            run += 1;
        }
        let could = met.0.get(span).is_some_and(|s| s.0 <= at.0);
        let gave = runs.get(run).is_some_and(|r| r.0 <= i);
        count += u64::from(!could && !gave);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_outside_of_what_is_there_are_unknown() {
        let steps = Steps {
            start: Timestamp(0),
            end: Timestamp(90),
            step: Nanos(10),
        };
        let met = Spans(vec![(15, 30), (50, 55)]);
        // Outside: 0, 10, 40, 60, 70, 80, 90; of these 4 and 7 to 8 gave something.
        assert_eq!(unknown(steps, &met, &[(4, 4), (7, 8)]), 4);
        assert_eq!(unknown(steps, &Spans::all(), &[]), 0);
        assert_eq!(unknown(steps, &Spans::default(), &[]), 10);
    }
}
