//! What can be set about a rule, and every way of setting it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::Nanos;
use crate::expr::{BinaryOp, Expr, Node, NodeKind, Number};
use crate::rule::AlertingRule;

/// Something about a rule that can be set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// A parameter of its expression.
    Param(Arc<str>),
    /// `for`
    For,
    /// `keep_firing_for`
    KeepFiringFor,
}

impl Knob {
    /// The name that stands for it among a rule's ranges.
    #[must_use]
    pub fn parse(name: &str) -> Knob {
        match name {
            "for" => Knob::For,
            "keep_firing_for" => Knob::KeepFiringFor,
            name => Knob::Param(name.into()),
        }
    }

    /// Whether its values are seconds.
    #[must_use]
    pub fn is_duration(&self) -> bool {
        !matches!(self, Knob::Param(_))
    }

    /// What the rule file says; `None` when the rule has no such parameter.
    #[must_use]
    pub fn of(&self, rule: &AlertingRule) -> Option<f64> {
        match self {
            Knob::Param(name) => rule.params.get(&**name).copied(),
            Knob::For => Some(rule.hold.pending.as_seconds()),
            Knob::KeepFiringFor => Some(rule.hold.keep_firing.as_seconds()),
        }
    }
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Knob::Param(name) => name,
            Knob::For => "for",
            Knob::KeepFiringFor => "keep_firing_for",
        })
    }
}

/// One way of setting a rule: a value for each of its knobs, in their order; durations in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The values.
    pub values: Vec<f64>,
    /// How many differ from the file's; 0 is the file's own setting.
    pub changed: usize,
}

/// The knobs of a rule and all settings to try; the file's own is the first.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    pub(super) knobs: Vec<Knob>,
    /// Whether a higher value makes the rule fire less.
    stricter_up: Vec<bool>,
    pub(super) settings: Vec<Setting>,
}

impl Grid {
    /// Every combination; `None` when they are more than `most`. A range need not hold the file's value: it is tried anyway.
    pub(super) fn new(
        rule: &AlertingRule,
        ranges: &BTreeMap<Knob, Vec<f64>>,
        most: usize,
    ) -> Option<Grid> {
        let mut knobs = Vec::new();
        let mut defaults = Vec::new();
        let mut choices: Vec<Vec<f64>> = Vec::new();
        for (knob, values) in ranges {
            let Some(default) = knob.of(rule) else {
                continue;
            };
            let mut values = values.clone();
            values.push(default);
            values.sort_by(f64::total_cmp);
            values.dedup();
            knobs.push(knob.clone());
            defaults.push(default);
            choices.push(values);
        }
        let combinations = choices
            .iter()
            .try_fold(1usize, |n, values| n.checked_mul(values.len()))?;
        if combinations > most {
            return None;
        }
        let mut settings = vec![Setting {
            values: defaults.clone(),
            changed: 0,
        }];
        for mut number in 0..combinations {
            let mut values = vec![0.0; choices.len()];
            for (value, choices) in values.iter_mut().zip(&choices).rev() {
                *value = choices[number % choices.len()];
                number /= choices.len();
            }
            let changed = values.iter().zip(&defaults).filter(|(a, b)| a != b).count();
            if changed > 0 {
                settings.push(Setting { values, changed });
            }
        }
        let stricter_up = knobs.iter().map(|k| stricter_up(rule, k)).collect();
        Some(Grid {
            knobs,
            stricter_up,
            settings,
        })
    }

    /// The rule with a setting.
    pub(super) fn set(&self, rule: &AlertingRule, setting: &Setting) -> AlertingRule {
        let mut rule = rule.clone();
        for (knob, value) in self.knobs.iter().zip(&setting.values) {
            match knob {
                Knob::Param(name) => {
                    rule.params.insert(name.to_string(), *value);
                }
                Knob::For => rule.hold.pending = seconds(*value),
                Knob::KeepFiringFor => rule.hold.keep_firing = seconds(*value),
            }
        }
        rule.expr = rule.expr.with_params(&rule.params);
        rule
    }

    /// Compares settings by how strict they are: greater fires less, first knob first.
    pub(super) fn strictness(&self, setting: &Setting) -> Vec<f64> {
        setting
            .values
            .iter()
            .zip(&self.stricter_up)
            .map(|(value, up)| if *up { *value } else { -value })
            .collect()
    }
}

fn seconds(value: f64) -> Nanos {
    #[allow(clippy::cast_possible_truncation)] // Saturates; a length of time.
    let ns = (value * 1e9).round() as i64;
    Nanos(ns)
}

/// Whether the rule fires less when the knob's value rises: yes for limits that must be exceeded and for `for`.
fn stricter_up(rule: &AlertingRule, knob: &Knob) -> bool {
    match knob {
        Knob::For => true,
        // Of longer alerts there are fewer.
        Knob::KeepFiringFor => true,
        Knob::Param(name) => param_is_stricter_up(&rule.expr, name),
    }
}

/// Looks for the comparison in which the parameter stands, and on which side.
fn param_is_stricter_up(expr: &Expr, name: &str) -> bool {
    let mut up = true;
    expr.root().walk(&mut |node: &Node| {
        if let NodeKind::Binary(binary) = &node.kind {
            let (left, right) = (holds(&binary.lhs, name), holds(&binary.rhs, name));
            match binary.op {
                BinaryOp::Gt | BinaryOp::Ge if left != right => up = right,
                BinaryOp::Lt | BinaryOp::Le if left != right => up = left,
                _ => {}
            }
        }
    });
    up
}

fn holds(node: &Node, name: &str) -> bool {
    let mut found = false;
    node.walk(&mut |node| {
        found |= matches!(
            &node.kind,
            NodeKind::Number(Number { param: Some(param), .. }) if **param == *name
        );
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::parse_with;

    fn rule() -> AlertingRule {
        let params: BTreeMap<String, f64> =
            [("limit".to_owned(), 5.0), ("low".to_owned(), 1.0)].into();
        let expr = parse_with("a > $limit and b < 2 * $low", &params).unwrap();
        let mut rule = AlertingRule::new("A", expr);
        rule.params = params;
        rule.hold.pending = Nanos(10 * Nanos::SECOND.0);
        rule
    }

    #[test]
    fn every_combination_once_and_the_files_own_first() {
        let ranges: BTreeMap<Knob, Vec<f64>> = [
            (Knob::parse("limit"), vec![4.0, 5.0, 6.0]),
            (Knob::parse("for"), vec![0.0, 30.0]),
            (Knob::parse("unknown"), vec![1.0]),
        ]
        .into();
        let grid = Grid::new(&rule(), &ranges, 100).unwrap();
        assert_eq!(grid.knobs, [Knob::parse("limit"), Knob::For]);
        assert_eq!(grid.settings.len(), 9);
        assert_eq!(grid.settings[0].values, [5.0, 10.0]);
        let counts: Vec<usize> = (0..3)
            .map(|n| grid.settings.iter().filter(|s| s.changed == n).count())
            .collect();
        assert_eq!(counts, [1, 4, 4]);
        assert!(Grid::new(&rule(), &ranges, 8).is_none());
        let set = grid.set(
            &rule(),
            &Setting {
                values: vec![6.0, 30.0],
                changed: 2,
            },
        );
        assert_eq!(
            (set.expr.params()["limit"], set.hold.pending.as_seconds()),
            (6.0, 30.0)
        );
    }

    #[test]
    fn which_way_is_stricter_stands_in_the_comparison() {
        let rule = rule();
        assert!(stricter_up(&rule, &Knob::parse("limit")));
        assert!(!stricter_up(&rule, &Knob::parse("low")));
        assert!(stricter_up(&rule, &Knob::For));
    }
}
