//! Which rules read what others give, and the order of evaluation that follows.

use std::collections::HashMap;

use crate::expr::{AtModifier, Expr, Node, NodeKind, VectorSelector};
use crate::labels::METRIC_NAME;
use crate::rule::{Rule, RuleFile};
use crate::{MatchOp, Matcher};

/// Name of the series that say which alerts are pending or firing.
pub(super) const ALERTS: &str = "ALERTS";
/// Name of the series that say since when.
pub(super) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// A rule by its group and place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RuleId {
    pub(super) group: usize,
    pub(super) rule: usize,
}

/// Groups that are evaluated together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// In file order.
    pub(super) groups: Vec<usize>,
    /// Whether each evaluation must be finished before the next: a rule reads what a later rule, or itself, gave before.
    pub(super) stepwise: bool,
}

/// The order of evaluation of a rule file.
#[derive(Debug)]
pub(super) struct Plan {
    /// Each reads only what itself and earlier parts give.
    pub(super) parts: Vec<Part>,
    /// For each group and rule: whether some rule reads what it gives.
    pub(super) is_read: Vec<Vec<bool>>,
    /// For each group and rule its wave: rules of one wave do not read each other, and what they read comes from earlier waves.
    pub(super) waves: Vec<Vec<usize>>,
}

/// Every selector of an expression.
pub(super) fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    let mut found = Vec::new();
    expr.root().walk(&mut |node| match &node.kind {
        NodeKind::Selector(selector) | NodeKind::Range { selector, .. } => found.push(selector),
        _ => {}
    });
    found
}

/// Whether `@ start()` or `@ end()` stands in it: as a rule each evaluation is a query of its own, so these are the evaluation's time.
pub(super) fn needs_instants(expr: &Expr) -> bool {
    let mut found = false;
    expr.root().walk(&mut |node: &Node| {
        let when = match &node.kind {
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => &s.when,
            NodeKind::Subquery(s) => &s.when,
            _ => return,
        };
        found |= matches!(when.at, Some(AtModifier::Start | AtModifier::End));
    });
    found
}

/// Whether it reads which alerts are pending or firing.
pub(crate) fn reads_alerts(expr: &Expr) -> bool {
    selectors(expr).iter().any(|s| {
        s.alternatives.iter().any(|list| {
            let names = list.iter().filter(|m| m.name() == METRIC_NAME);
            let mut names = names.peekable();
            names.peek().is_some()
                && names.all(|m| m.accepts(ALERTS) || m.accepts(ALERTS_FOR_STATE))
        })
    })
}

/// Whether the series that `rule` gives could satisfy the selector.
pub(crate) fn could_read(selector: &VectorSelector, rule: &Rule) -> bool {
    let accepted = |list: &[Matcher], names: &[&str], known: &[(&str, Option<&str>)]| {
        list.iter().all(|matcher| {
            if matcher.name() == METRIC_NAME {
                return names.iter().any(|name| matcher.accepts(name));
            }
            known
                .iter()
                .find(|(name, _)| *name == matcher.name())
                .is_none_or(|(_, value)| value.is_none_or(|value| matcher.accepts(value)))
        })
    };
    selector.alternatives.iter().any(|list| match rule {
        Rule::Recording(rule) => {
            let known: Vec<_> = rule.labels.iter().map(|(n, v)| (n, Some(v))).collect();
            accepted(list, &[&rule.record], &known)
        }
        Rule::Alerting(rule) => {
            let mut known: Vec<_> = rule
                .labels
                .iter()
                .map(|(name, template)| (&**name, template.constant()))
                .collect();
            known.push(("alertname", Some(&rule.name)));
            accepted(list, &[ALERTS, ALERTS_FOR_STATE], &known)
        }
    })
}

impl Plan {
    pub(super) fn new(file: &RuleFile) -> Plan {
        let count = file.groups.len();
        let mut is_read: Vec<Vec<bool>> = file
            .groups
            .iter()
            .map(|g| vec![false; g.rules.len()])
            .collect();
        let producers = Producers::of(file);
        // reads[a][b]: a rule of group a reads what a rule of group b gives.
        let mut reads = vec![vec![false; count]; count];
        let mut looks_back = vec![false; count];
        let mut sources: Vec<Vec<Vec<RuleId>>> = Vec::with_capacity(count);
        for (a, group) in file.groups.iter().enumerate() {
            let mut of_group = Vec::with_capacity(group.rules.len());
            for (i, rule) in group.rules.iter().enumerate() {
                let mut of_rule = Vec::new();
                for selector in selectors(rule.expr()) {
                    for id in producers.of_selector(selector) {
                        let RuleId { group: b, rule: j } = id;
                        is_read[b][j] = true;
                        reads[a][b] |= a != b;
                        looks_back[a] |= a == b && j >= i;
                        of_rule.push(id);
                    }
                }
                of_group.push(of_rule);
            }
            sources.push(of_group);
        }
        // Reachability, so that groups that read each other fall into one part.
        let mut reach = reads.clone();
        for via in 0..count {
            let beyond = reach[via].clone();
            for from in reach.iter_mut().filter(|from| from[via]) {
                for (known, more) in from.iter_mut().zip(&beyond) {
                    *known |= more;
                }
            }
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut done = vec![false; count];
        while let Some(next) = (0..count).find(|&g| {
            // The first group all of whose sources are done, but for those that read it too.
            !done[g] && (0..count).all(|s| done[s] || !reach[g][s] || reach[s][g])
        }) {
            let groups: Vec<usize> = (0..count)
                .filter(|&g| g == next || (reach[g][next] && reach[next][g]))
                .collect();
            for &group in &groups {
                done[group] = true;
            }
            let stepwise = groups.len() > 1 || looks_back[next];
            parts.push(Part { groups, stepwise });
        }
        let waves = waves(&parts, &sources);
        Plan {
            parts,
            is_read,
            waves,
        }
    }

    /// Whether each evaluation of a group must be finished before the next.
    pub(super) fn is_stepwise(&self, group: usize) -> bool {
        let mut stepwise = self.parts.iter().filter(|part| part.stepwise);
        stepwise.any(|part| part.groups.contains(&group))
    }

    /// The rules of a wave whose evaluations do not wait for each other.
    pub(super) fn in_step_with(&self, wave: usize) -> impl Iterator<Item = RuleId> + '_ {
        let groups = self.waves.iter().enumerate();
        let groups = groups.filter(|(group, _)| !self.is_stepwise(*group));
        groups.flat_map(move |(group, waves)| {
            let rules = waves.iter().enumerate().filter(move |(_, w)| **w == wave);
            rules.map(move |(rule, _)| RuleId { group, rule })
        })
    }

    /// How many waves there are.
    pub(super) fn wave_count(&self) -> usize {
        let all = self.waves.iter().flatten();
        all.max().map_or(0, |last| last + 1)
    }
}

/// The wave of each rule: one after all that it reads, and the same for rules that are evaluated step by step together.
fn waves(parts: &[Part], sources: &[Vec<Vec<RuleId>>]) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = sources.iter().map(|g| vec![0; g.len()]).collect();
    for part in parts {
        let mut latest = 0;
        for &group in &part.groups {
            for (rule, sources) in sources[group].iter().enumerate() {
                let others = sources
                    .iter()
                    .filter(|s| !part.stepwise || !part.groups.contains(&s.group));
                let after = others.map(|s| waves[s.group][s.rule] + 1).max();
                waves[group][rule] = after.unwrap_or(0);
                latest = latest.max(waves[group][rule]);
            }
        }
        if part.stepwise {
            for &group in &part.groups {
                waves[group].fill(latest);
            }
        }
    }
    waves
}

/// The rules of a file by the names of the series that they give: so that a thousand rules are not compared with a thousand.
struct Producers<'f> {
    file: &'f RuleFile,
    by_name: HashMap<&'f str, Vec<RuleId>>,
    all: Vec<RuleId>,
}

impl<'f> Producers<'f> {
    fn of(file: &'f RuleFile) -> Producers<'f> {
        let mut by_name: HashMap<&str, Vec<RuleId>> = HashMap::new();
        let mut all = Vec::new();
        for (group, g) in file.groups.iter().enumerate() {
            for (rule, producer) in g.rules.iter().enumerate() {
                let id = RuleId { group, rule };
                let names: &[&str] = match producer {
                    Rule::Recording(rule) => &[&rule.record],
                    Rule::Alerting(_) => &[ALERTS, ALERTS_FOR_STATE],
                };
                for name in names {
                    by_name.entry(name).or_default().push(id);
                }
                all.push(id);
            }
        }
        Producers { file, by_name, all }
    }

    /// The rules that give series which could satisfy a selector, in the order of the file.
    fn of_selector(&self, selector: &VectorSelector) -> Vec<RuleId> {
        let mut candidates: Vec<RuleId> = Vec::new();
        for matchers in &selector.alternatives {
            let name = matchers
                .iter()
                .find(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal);
            match name {
                Some(name) => {
                    candidates.extend(self.by_name.get(name.value()).into_iter().flatten())
                }
                None => candidates.extend(&self.all),
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|id| could_read(selector, &self.file.groups[id.group].rules[id.rule]));
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan::new(&RuleFile::from_toml("t.toml", text).unwrap())
    }

    fn group(name: &str, rules: &[(&str, &str)]) -> String {
        let mut text = format!("[[group]]\nname = \"{name}\"\n");
        for (rule, expr) in rules {
            let key = if rule.starts_with(char::is_uppercase) {
                "alert"
            } else {
                "record"
            };
            text += &format!("[[group.rule]]\n{key} = \"{rule}\"\nexpr = '''{expr}'''\n");
        }
        text
    }

    #[test]
    fn groups_come_after_what_they_read() {
        let text = group("alerts", &[("High", "a:rate > 1")])
            + &group(
                "records",
                &[("a:rate", "rate(a[1m])"), ("b:rate", "rate(b[1m])")],
            )
            + &group("other", &[("Low", "up == 0")]);
        let plan = plan(&text);
        let order: Vec<_> = plan
            .parts
            .iter()
            .map(|p| (p.groups.clone(), p.stepwise))
            .collect();
        assert_eq!(
            order,
            [(vec![1], false), (vec![0], false), (vec![2], false)]
        );
        assert_eq!(plan.is_read[1], [true, false]);
        assert_eq!(plan.waves, [vec![1], vec![0, 0], vec![0]]);
    }

    #[test]
    fn what_looks_back_is_evaluated_step_by_step() {
        let stepwise = |text: &str| {
            plan(text)
                .parts
                .iter()
                .map(|p| p.stepwise)
                .collect::<Vec<_>>()
        };
        // A later rule, itself, and its own alerts.
        assert_eq!(stepwise(&group("g", &[("x", "y"), ("y", "up")])), [true]);
        assert_eq!(stepwise(&group("g", &[("x", "x + 1 or up")])), [true]);
        assert_eq!(
            stepwise(&group(
                "g",
                &[("High", "up unless ALERTS{alertname=\"High\"}")]
            )),
            [true]
        );
        assert_eq!(
            stepwise(&group(
                "g",
                &[
                    ("High", "up"),
                    ("Many", "count(ALERTS{alertname=\"High\"}) > 2")
                ]
            )),
            [false]
        );
        assert_eq!(
            stepwise(&group(
                "g",
                &[("High", "up"), ("Many", "count(ALERTS) > 2")]
            )),
            [true]
        );
        // Two groups that read each other are one part.
        let text = group("a", &[("x", "y")]) + &group("b", &[("y", "x")]);
        assert_eq!(
            plan(&text).parts,
            [Part {
                groups: vec![0, 1],
                stepwise: true
            }]
        );
    }

    #[test]
    fn a_wave_comes_after_what_it_reads() {
        let chain = [
            ("a", "up"),
            ("b", "a + 1"),
            ("High", "b > 1"),
            ("Low", "up < 1"),
        ];
        let text = group("first", &chain) + &group("second", &[("x", "x or b"), ("y", "up")]);
        let plan = plan(&(text + &group("third", &[("c", "y + x")])));
        // What looks at itself is one wave as a whole.
        assert_eq!(plan.waves, [vec![0, 1, 2, 0], vec![2, 2], vec![3]]);
        assert_eq!(plan.wave_count(), 4);
    }

    #[test]
    fn known_labels_decide_what_can_be_read() {
        let text = group("g", &[("x", "up")]) + "labels = { kind = \"a\" }\n";
        let file = RuleFile::from_toml("t.toml", &text).unwrap();
        let reads = |expr: &str| {
            let expr = crate::expr::parse(expr).unwrap();
            selectors(&expr)
                .iter()
                .any(|s| could_read(s, &file.groups[0].rules[0]))
        };
        assert!(reads("x"));
        assert!(reads("x{kind=\"a\"}"));
        assert!(!reads("x{kind=\"b\"}"));
        assert!(reads("{__name__=~\"x|y\", job=\"z\"}"));
        assert!(!reads("y"));
    }
}
