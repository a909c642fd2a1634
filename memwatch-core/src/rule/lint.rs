//! What is allowed in a rule file and yet probably not meant.

mod labels;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::expr::{
    AtModifier, EvalOptions, Expr, Node, NodeKind, Span, TimeShift, Value, VectorSelector, evaluate,
};
use crate::incident::INCIDENT_KINDS;
use crate::labels::METRIC_NAME;
use crate::series::{MemorySeries, SeriesReader};
use crate::{Labels, MatchOp, Nanos, Result, Steps, TimeRange, Timestamp, Window};

use super::error::{Fault, Problem};
use super::model::{AlertingRule, Rule, RuleFile};
use super::template::{Data, Template};
use crate::suggest::closest;

/// Something doubtful in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What and where.
    pub problem: Problem,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The rule cannot do what it is for.
    Problem,
    /// The rule may do something else than meant.
    Hint,
}

/// What is known of the data that rules will read.
pub struct LintData<'r> {
    /// The data.
    pub reader: &'r dyn SeriesReader,
    /// From when to when it goes.
    pub range: TimeRange,
}

/// How much of the end of the data is looked at for sampling intervals.
const LOOK_AT: Nanos = Nanos(10 * Nanos::MINUTE.0);

/// Finds what is doubtful in a file; with `data`, also what does not fit it. In file order.
///
/// # Errors
/// When the data cannot be read.
pub fn lint(file: &RuleFile, data: Option<&LintData<'_>>) -> Result<Vec<Finding>> {
    let mut linter = Linter {
        file,
        data,
        names: match data {
            Some(data) => Some(data.reader.metric_names()?),
            None => None,
        },
        findings: Vec::new(),
    };
    // A file of routes only goes with another one of rules.
    let only_routes = file.groups.is_empty() && file.notifications.route.is_some();
    if !only_routes && file.groups.iter().all(|g| g.rules.is_empty()) {
        linter.report(Level::Problem, 0..0, String::new(), "no rules", None);
    }
    for group in &file.groups {
        for rule in &group.rules {
            linter.rule(rule)?;
        }
    }
    for doubt in file.notifications.doubts() {
        let at = file.text.find("repeat_interval").unwrap_or(0);
        let span = at..at + "repeat_interval".len();
        linter.report(Level::Hint, span, "route".to_owned(), &doubt, None);
    }
    let mut findings = linter.findings;
    findings.sort_by_key(|f| (f.problem.line, f.problem.column));
    findings.dedup();
    Ok(findings)
}

struct Linter<'l> {
    file: &'l RuleFile,
    data: Option<&'l LintData<'l>>,
    names: Option<Vec<Arc<str>>>,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn report(
        &mut self,
        level: Level,
        span: Range<usize>,
        key: String,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let fault = Fault::Other(message.into());
        let mut problem = Problem::at(&self.file.name, &self.file.text, span, key, fault);
        problem.help = help;
        self.findings.push(Finding { level, problem });
    }

    /// The bytes of the file where a node of a rule's expression stands; the rule itself when the expression is not there as it is.
    fn span(&self, rule: &Rule, node: &Node) -> Range<usize> {
        self.bytes(rule, node.span)
    }

    /// The same of any part of the expression.
    fn bytes(&self, rule: &Rule, span: Span) -> Range<usize> {
        let position = rule.position();
        match &position.expr {
            Some(source) => source.bytes(span),
            None => position.rule..position.rule,
        }
    }

    fn rule(&mut self, rule: &Rule) -> Result<()> {
        let key = match rule {
            Rule::Alerting(rule) => format!("alert `{}`", rule.name),
            Rule::Recording(rule) => format!("record `{}`", rule.record),
        };
        let mut nodes = Vec::new();
        rule.expr().root().walk(&mut |node| nodes.push(node));
        for node in nodes {
            self.node(rule, node, &key)?;
        }
        if let Rule::Alerting(alerting) = rule {
            self.can_fire(rule, alerting, &key);
            self.templates(rule, alerting, &key);
            self.kinds(rule, alerting, &key);
        }
        Ok(())
    }

    fn node(&mut self, rule: &Rule, node: &Node, key: &str) -> Result<()> {
        let when = match &node.kind {
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => s.when,
            NodeKind::Subquery(s) => s.when,
            _ => TimeShift::default(),
        };
        let span = self.span(rule, node);
        if when.offset < Nanos(0) {
            let message = "a negative offset reads what comes after the evaluation, which a live \
                           evaluation does not have";
            self.report(Level::Problem, span.clone(), key.to_owned(), message, None);
        }
        if matches!(when.at, Some(AtModifier::Time(_))) {
            let message = "a fixed time after `@`: every evaluation looks at the same data";
            self.report(Level::Hint, span.clone(), key.to_owned(), message, None);
        }
        let (selector, range) = match &node.kind {
            NodeKind::Selector(selector) => (selector, None),
            NodeKind::Range { selector, range } => (selector, Some(*range)),
            NodeKind::Aggregate(aggregate) => {
                return self.unknown_groups(rule, node, aggregate, key);
            }
            _ => return Ok(()),
        };
        self.missing_quantile(selector, &span, key);
        if self.unknown_metric(selector, &span, key) {
            return Ok(());
        }
        self.unknown_labels(rule, node, selector, key)?;
        if let (Some(range), Some(data), None) = (range, self.data, when.at)
            && let Some(interval) = sampling_interval(data, selector)?
            && range.0 < interval.0.saturating_mul(2)
        {
            let message =
                format!("a window of {range} is shorter than two sampling intervals of {interval}");
            let help = format!("use at least {}", Nanos(interval.0.saturating_mul(4)));
            self.report(Level::Problem, span, key.to_owned(), message, Some(help));
        }
        Ok(())
    }

    /// Whether the selector names a metric that neither the data nor a rule has.
    fn unknown_metric(
        &mut self,
        selector: &VectorSelector,
        span: &Range<usize>,
        key: &str,
    ) -> bool {
        let Some(names) = &self.names else {
            return false;
        };
        let Some(name) = metric_name(selector) else {
            return false;
        };
        let recorded: BTreeSet<&str> = self
            .file
            .groups
            .iter()
            .flat_map(|g| &g.rules)
            .filter_map(|r| match r {
                Rule::Recording(r) => Some(&*r.record),
                Rule::Alerting(_) => None,
            })
            .chain(["ALERTS", "ALERTS_FOR_STATE"])
            .collect();
        if recorded.contains(name) || names.iter().any(|n| **n == *name) {
            return false;
        }
        let candidates = names.iter().map(AsRef::as_ref).chain(recorded);
        let help = closest(name, candidates).map(|near| format!("did you mean `{near}`?"));
        let message = format!("the data has no series `{name}`");
        self.report(Level::Problem, span.clone(), key.to_owned(), message, help);
        true
    }

    /// client_golang's `go_gc_duration_seconds` has the quantiles 0, 0.25, 0.5, 0.75 and 1 only: panels and rules for 0.99 stay empty.
    fn missing_quantile(&mut self, selector: &VectorSelector, span: &Range<usize>, key: &str) {
        if selector.name.as_deref() != Some("go_gc_duration_seconds") {
            return;
        }
        let known = ["0", "0.25", "0.5", "0.75", "1"];
        let asked = selector.alternatives.iter().flatten();
        let wrong = asked
            .filter(|m| m.name() == "quantile" && m.op() == MatchOp::Equal)
            .find(|m| !known.contains(&m.value()));
        if let Some(matcher) = wrong {
            let message = format!(
                "`go_gc_duration_seconds` has no quantile {}: only {}",
                matcher.value(),
                known.join(", ")
            );
            let help = "`quantile_over_time(0.99, gc_pause_seconds[1h])` is exact".to_owned();
            self.report(
                Level::Problem,
                span.clone(),
                key.to_owned(),
                message,
                Some(help),
            );
        }
    }

    fn can_fire(&mut self, rule: &Rule, alerting: &AlertingRule, key: &str) {
        let root = alerting.expr.root();
        let constants: Vec<&Node> = constant_operands(root);
        for node in constants {
            if gives_nothing(&alerting.expr, node) {
                let message = "this gives nothing, whatever the data: the rule can never fire";
                let span = self.span(rule, node);
                self.report(Level::Problem, span, key.to_owned(), message, None);
                return;
            }
        }
        let message = match &root.without_parens().kind {
            NodeKind::Binary(b) if b.op.is_comparison() && b.returns_bool => {
                "with `bool` every element stays, as 0 or 1: an alert fires for each, always"
            }
            _ if !filters(root) => {
                "nothing in it drops elements: an alert fires for each as long as it exists"
            }
            _ => return,
        };
        let span = self.span(rule, root);
        self.report(Level::Hint, span, key.to_owned(), message, None);
    }

    fn templates(&mut self, rule: &Rule, alerting: &AlertingRule, key: &str) {
        let at = rule.position().rule;
        for (name, template) in &alerting.labels {
            if template.depends_on_value() {
                let message = format!(
                    "label `{name}` changes with the value: each new value is a new alert, and \
                     `for` begins anew"
                );
                self.report(Level::Hint, at..at, key.to_owned(), message, None);
            }
        }
        let nothing = Labels::default();
        let data = Data::new(&nothing, 1.5);
        let of = |kind: &'static str| {
            move |(name, t): &'_ (Arc<str>, Template)| (kind, name.clone(), t.clone())
        };
        let labels = alerting.labels.iter().map(of("labels"));
        let annotations = alerting.annotations.iter().map(of("annotations"));
        for (kind, name, template) in labels.chain(annotations) {
            // With labels that are empty only failures that do not depend on them count.
            let Err(error) = template.expand(&data) else {
                continue;
            };
            if !error.message.contains("found \"\"") {
                let message = format!("`{kind}.{name}` cannot be expanded: {error}");
                self.report(Level::Problem, at..at, key.to_owned(), message, None);
            }
        }
    }

    fn kinds(&mut self, rule: &Rule, alerting: &AlertingRule, key: &str) {
        let at = rule.position().rule;
        for kind in &alerting.detects {
            let known = || INCIDENT_KINDS.iter().map(|(name, _)| *name);
            if known().any(|name| *name == **kind) {
                continue;
            }
            // Users may have kinds of their own; only what looks like a slip is worth a word.
            if let Some(near) = closest(kind, known()) {
                let message = format!("`detects` names an unknown kind `{kind}`");
                let help = Some(format!("did you mean `{near}`?"));
                self.report(Level::Hint, at..at, key.to_owned(), message, help);
            }
        }
    }
}

/// The metric that a selector names.
fn metric_name(selector: &VectorSelector) -> Option<&str> {
    selector.name.as_deref().or_else(|| {
        selector
            .alternatives
            .first()?
            .iter()
            .find_map(|m| (m.name() == METRIC_NAME && m.op() == MatchOp::Equal).then(|| m.value()))
    })
}

/// The median distance of the samples that a selector finds at the end of the data.
fn sampling_interval(data: &LintData<'_>, selector: &VectorSelector) -> Result<Option<Nanos>> {
    let until = Timestamp(data.range.end.0.saturating_sub(1)).minus(selector.when.offset);
    let window = Window {
        after: until.minus(LOOK_AT),
        until,
    };
    let mut distances = Vec::new();
    for matchers in &selector.alternatives {
        // One series is enough: those of one selector are sampled together.
        let found = data.reader.select(matchers, window)?;
        if let Some(series) = found.iter().max_by_key(|s| s.at_ns.len()) {
            distances.extend(series.at_ns.windows(2).map(|w| w[1] - w[0]));
        }
    }
    distances.sort_unstable();
    Ok(distances.get(distances.len() / 2).copied().map(Nanos))
}

/// The operands without selectors that decide whether there is a result: the whole, or a side of `and`.
fn constant_operands(root: &Node) -> Vec<&Node> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        let mut reads = false;
        node.walk(&mut |n| {
            reads |= matches!(n.kind, NodeKind::Selector(_) | NodeKind::Range { .. });
        });
        if !reads {
            found.push(node);
            continue;
        }
        if let NodeKind::Binary(b) = &node.without_parens().kind
            && b.op == crate::expr::BinaryOp::And
        {
            open.extend([&b.rhs, &b.lhs]);
        }
    }
    found
}

/// Whether a part without selectors has an empty result, at several times of day and week.
fn gives_nothing(expr: &Expr, node: &Node) -> bool {
    let part = expr.part(node);
    let options = EvalOptions {
        values_max: 1_000_000,
        ..EvalOptions::default()
    };
    // Every hour of eight days: a part may look at the clock.
    let start = Timestamp(1_767_225_600_000_000_000);
    let steps = Steps {
        start,
        end: start.plus(Nanos(8 * 24 * Nanos::HOUR.0)),
        step: Nanos(Nanos::HOUR.0 + 7 * Nanos::MINUTE.0),
    };
    match evaluate(&part, steps, &MemorySeries::default(), &options) {
        Ok(result) => matches!(result.value, Value::Vector(m) if m.series.is_empty()),
        Err(_) => false,
    }
}

/// Whether something in it drops elements.
fn filters(root: &Node) -> bool {
    let mut found = false;
    root.walk(&mut |node| {
        found |= match &node.kind {
            NodeKind::Binary(b) => (b.op.is_comparison() && !b.returns_bool) || b.op.is_set(),
            NodeKind::Call { function, .. } => function.name.starts_with("absent"),
            NodeKind::Aggregate(a) => {
                matches!(a.op.as_str(), "topk" | "bottomk" | "limitk" | "limit_ratio")
            }
            // What another rule gives may be filtered there.
            NodeKind::Selector(s) => s
                .name
                .as_deref()
                .is_some_and(|n| n.contains(':') || n == "ALERTS"),
            _ => false,
        };
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Series;

    fn findings(text: &str, with_data: bool) -> Vec<String> {
        let file = RuleFile::from_toml("r.toml", text).unwrap();
        let reader = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "heap_inuse_bytes"), ("job", "x")]
                    .into_iter()
                    .collect(),
                at_ns: (0..600).map(|i| i * 1_000_000_000).collect(),
                values: (0..600).map(f64::from).collect(),
            }],
        };
        let data = LintData {
            reader: &reader,
            range: TimeRange {
                start: Timestamp(0),
                end: Timestamp(600_000_000_000),
            },
        };
        lint(&file, with_data.then_some(&data))
            .unwrap()
            .into_iter()
            .map(|f| {
                format!(
                    "{:?} {}",
                    f.level,
                    f.problem.to_string().lines().next().unwrap()
                )
            })
            .collect()
    }

    fn alert(expr: &str) -> String {
        format!("[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = '''{expr}'''\n")
    }

    #[test]
    fn doubtful_expressions_are_found() {
        let cases = [
            ("heap_inuse_bytes > 1", ""),
            ("heap_inuse > 1", "the data has no series `heap_inuse`"),
            (
                "rate(heap_inuse_bytes[1s]) > 1",
                "shorter than two sampling intervals of 1s",
            ),
            ("rate(heap_inuse_bytes[4s]) > 1", ""),
            ("heap_inuse_bytes", "nothing in it drops elements"),
            (
                "heap_inuse_bytes > bool 1",
                "with `bool` every element stays",
            ),
            ("vector(1) > 2", "can never fire"),
            ("heap_inuse_bytes > 1 and vector(0) > 1", "can never fire"),
            ("heap_inuse_bytes > 1 and on() hour() > 8", ""),
            ("heap_inuse_bytes offset -5m > 1", "a negative offset"),
            (
                "go_gc_duration_seconds{quantile=\"0.99\"} > 1",
                "has no quantile 0.99",
            ),
        ];
        for (expr, expected) in cases {
            let found = findings(&alert(expr), true).join("\n");
            if expected.is_empty() {
                assert_eq!(found, "", "{expr}");
            } else {
                assert!(found.contains(expected), "{expr}: {found}");
            }
        }
        // Without data nothing is said about it.
        assert_eq!(findings(&alert("nothing > 1"), false), [""; 0]);
    }

    #[test]
    fn doubtful_texts_and_kinds_are_found() {
        let text = alert("heap_inuse_bytes > 1")
            + "labels = { v = '{{ $value }}' }\n\
               annotations = { s = '{{ if gt $value 1 }}x{{ end }}', ok = '{{ humanize $labels.x }}' }\n\
               detects = ['heap_laek', 'my_own']\n";
        let found = findings(&text, false);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(
            found
                .iter()
                .any(|f| f.contains("label `v` changes with the value"))
        );
        assert!(found.iter().any(|f| f.contains("incompatible types")));
        assert!(found.iter().any(|f| f.contains("`heap_laek`")));
    }
}
