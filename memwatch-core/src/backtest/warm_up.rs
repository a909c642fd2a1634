//! How much the baselines of rules had seen: while one warms up it says nothing, which is not "all is well".

use crate::expr::{BinaryOp, EvalOptions, Memory, Node, NodeKind, Session, baseline_memories};
use crate::rule::Rule;
use crate::{Labels, Nanos, Steps, TimeRange, Timestamp};

use super::coverage::{Hole, HoleReason};
use super::sightings::who;

/// What a baseline of a rule had to go by for one series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BaselineMemory {
    /// Index in [`super::Outcome::rules`] of the rule.
    pub rule: usize,
    /// The series.
    pub labels: Labels,
    /// How much of it was recorded before the evaluated range: the memory to begin with.
    pub history: Nanos,
    /// The first sample that was scored, if any was.
    pub scored_at: Option<Timestamp>,
    /// Samples taken, the history among them.
    pub samples: u64,
    /// Of these, in the warm-up.
    pub warming: u64,
}

/// What the baselines of one rule had to go by, from the first evaluation on.
pub(super) struct Warmth {
    memories: Vec<Memory>,
    /// Whether the rule says nothing without them.
    needed: bool,
}

impl Warmth {
    pub(super) fn of(rule: &Rule, options: &EvalOptions, session: &Session) -> Warmth {
        Warmth {
            memories: baseline_memories(rule.expr(), options, session),
            needed: needs_baseline(rule.expr().root()),
        }
    }

    pub(super) fn memories(&self, rule: usize, range: TimeRange) -> Vec<BaselineMemory> {
        let of = |memory: &Memory| BaselineMemory {
            rule,
            labels: memory.labels.clone(),
            history: Nanos(range.start.since(memory.first_at).0.max(0)),
            scored_at: memory.scored_at,
            samples: memory.counts.taken,
            warming: memory.counts.warming,
        };
        self.memories.iter().map(of).collect()
    }

    /// For each series that was warming up, when; and how many evaluations could say nothing at all for that reason.
    pub(super) fn holes(
        &self,
        rule: usize,
        steps: Option<Steps>,
        offset: Nanos,
        range: TimeRange,
    ) -> (u64, Vec<Hole>) {
        let Some(steps) = steps.filter(|_| self.needed && !self.memories.is_empty()) else {
            return (0, Vec::new());
        };
        let warm_at = |memory: &Memory| memory.scored_at.map_or(range.end, |at| at.plus(offset));
        let mut holes = Vec::new();
        for memory in &self.memories {
            let start = memory.first_at.plus(offset).max(range.start);
            let end = warm_at(memory).min(range.end);
            if start >= end {
                continue;
            }
            let (service, instance) = who(&memory.labels);
            holes.push(Hole {
                rule: Some(rule),
                service: Some(service).filter(|s| !s.is_empty()),
                instance: Some(instance).filter(|i| !i.is_empty()),
                reason: HoleReason::WarmingUp,
                range: Some(TimeRange { start, end }),
                evaluations: steps_between(steps, start, end),
            });
        }
        let first = self.memories.iter().map(warm_at).min();
        let blind = first.map_or(0, |first| steps_between(steps, range.start, first));
        (blind, holes)
    }
}

/// How many steps lie in `[start, end)`.
fn steps_between(steps: Steps, start: Timestamp, end: Timestamp) -> u64 {
    let inside = steps.iter().filter(|at| start <= *at && *at < end);
    inside.count() as u64
}

/// Whether a part of an expression says nothing where its baseline says nothing.
fn needs_baseline(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Call { function, .. } if function.name == "baseline_deviation" => true,
        NodeKind::Binary(binary) => {
            let (left, right) = (needs_baseline(&binary.lhs), needs_baseline(&binary.rhs));
            match binary.op {
                BinaryOp::Or => left && right,
                BinaryOp::Unless => left,
                _ => left || right,
            }
        }
        NodeKind::Call { function, .. } if function.name.starts_with("absent") => false,
        _ => node.children().any(needs_baseline),
    }
}

#[cfg(test)]
mod tests {
    use crate::TimeRange;
    use crate::backtest::{Backtest, HoleReason};
    use crate::expr::parse;
    use crate::rule::RuleFile;
    use crate::series::{MemorySeries, Series};
    use crate::{Nanos, Timestamp};

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn what_cannot_say_anything_without_a_baseline() {
        for (text, needed) in [
            ("baseline_deviation(x[10s]) > 3", true),
            ("x > 3 and baseline_deviation(x[10s]) > 3", true),
            ("x > 3 or baseline_deviation(x[10s]) > 3", false),
            ("x > 3 unless baseline_deviation(x[10s]) > 3", false),
            ("absent(baseline_deviation(x[10s]))", false),
            ("sum(x)", false),
        ] {
            let expr = parse(text).unwrap();
            assert_eq!(super::needs_baseline(expr.root()), needed, "{text}");
        }
    }

    #[test]
    fn a_warm_up_is_unknown_and_history_ends_it() {
        let recording = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "x"), ("service", "api"), ("instance", "1")]
                    .into_iter()
                    .collect(),
                at_ns: (0..1000).map(|i| i * SECOND).collect(),
                values: (0..1000).map(|i| f64::from(i % 7)).collect(),
            }],
        };
        let rules = RuleFile::from_toml(
            "rules.toml",
            "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"New\"\nexpr = 'baseline_deviation(x[10s]) > 3.2'\n",
        )
        .unwrap();
        for (start, unknown, history) in [(0, 300, 0), (200, 100, 200), (500, 0, 500)] {
            let range = TimeRange {
                start: Timestamp(start * SECOND),
                end: Timestamp(1000 * SECOND),
            };
            let outcome = Backtest::new(&rules).range(range).run(&recording).unwrap();
            assert_eq!(outcome.rules[0].unknown, unknown, "from {start}");
            let warming = outcome
                .coverage
                .iter()
                .find(|h| h.reason == HoleReason::WarmingUp);
            assert_eq!(warming.map_or(0, |h| h.evaluations), unknown);
            assert_eq!(outcome.baselines.len(), 1);
            let memory = &outcome.baselines[0];
            assert_eq!(memory.history, Nanos(history * SECOND));
            assert_eq!((memory.samples, memory.warming), (999, 300));
        }
    }
}
