//! Labels and values that the data does not have.

use std::collections::BTreeSet;

use super::{LOOK_AT, Level, Linter, metric_name};
use crate::expr::{Aggregate, Grouping, Node, NodeKind, Span, VectorSelector};
use crate::labels::METRIC_NAME;
use crate::rule::model::Rule;
use crate::suggest::closest;
use crate::{Labels, MatchOp, Matcher, Result, Timestamp, Window};

impl Linter<'_> {
    /// Matchers of labels that no series of the metric has, or of values that none of them has.
    pub(super) fn unknown_labels(
        &mut self,
        rule: &Rule,
        node: &Node,
        selector: &VectorSelector,
        key: &str,
    ) -> Result<()> {
        let Some(name) = metric_name(selector) else {
            return Ok(());
        };
        let series = self.series_of(name)?;
        if series.is_empty() {
            return Ok(());
        }
        let known = label_names(&series);
        for matcher in selector.alternatives.iter().flatten() {
            let label = matcher.name();
            if label == METRIC_NAME {
                continue;
            }
            let span = self.bytes(rule, place(rule, node, label));
            if !known.contains(label) {
                let (level, what) = if matcher.accepts("") {
                    (Level::Hint, "this keeps all of them")
                } else {
                    (Level::Problem, "this keeps none of them")
                };
                let message = format!("no series of `{name}` has a label `{label}`: {what}");
                let help = did_you_mean(label, known.iter().copied());
                self.report(level, span, key.to_owned(), message, help);
            } else if matcher.op() == MatchOp::Equal
                && !series
                    .iter()
                    .any(|labels| matcher.accepts(labels.get(label)))
            {
                let values: BTreeSet<&str> = series.iter().map(|l| l.get(label)).collect();
                let value = matcher.value();
                let message = format!("no series of `{name}` has {label}={value:?}");
                let help = did_you_mean(value, values.into_iter().filter(|v| !v.is_empty()));
                self.report(Level::Hint, span, key.to_owned(), message, help);
            }
        }
        Ok(())
    }

    /// Labels in `by (…)` that nothing below can have.
    pub(super) fn unknown_groups(
        &mut self,
        rule: &Rule,
        node: &Node,
        aggregate: &Aggregate,
        key: &str,
    ) -> Result<()> {
        let Some(Grouping::Only(names)) = &aggregate.grouping else {
            return Ok(());
        };
        let mut selectors: Vec<&VectorSelector> = Vec::new();
        let mut makes_labels = false;
        aggregate.expr.walk(&mut |node| match &node.kind {
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => selectors.push(s),
            NodeKind::Call { function, .. } => {
                makes_labels |= function.name.starts_with("label_")
                    || ["info", "histogram_quantiles", "quantiles_over_time"]
                        .contains(&function.name);
            }
            NodeKind::Aggregate(a) => makes_labels |= a.op.as_str() == "count_values",
            _ => {}
        });
        if makes_labels || selectors.is_empty() {
            return Ok(());
        }
        let mut all: Vec<Labels> = Vec::new();
        for selector in selectors {
            let series = match metric_name(selector) {
                Some(name) => self.series_of(name)?,
                None => Vec::new(),
            };
            if series.is_empty() {
                return Ok(()); // What a rule makes, or what is not known: it may have any label.
            }
            all.extend(series);
        }
        let known = label_names(&all);
        for name in names.iter().filter(|name| !known.contains(&***name)) {
            let span = self.bytes(rule, place(rule, node, name));
            let message = format!("nothing below has a label `{name}`: it groups by nothing");
            let help = did_you_mean(name, known.iter().copied());
            self.report(Level::Hint, span, key.to_owned(), message, help);
        }
        Ok(())
    }

    /// The label sets that a metric has at the end of the data.
    fn series_of(&self, name: &str) -> Result<Vec<Labels>> {
        let Some(data) = self.data else {
            return Ok(Vec::new());
        };
        let until = Timestamp(data.range.end.0.saturating_sub(1));
        let window = Window {
            after: until.minus(LOOK_AT),
            until,
        };
        let found = data
            .reader
            .select(&[Matcher::equal(METRIC_NAME, name)], window)?;
        Ok(found.into_iter().map(|series| series.labels).collect())
    }
}

fn label_names(series: &[Labels]) -> BTreeSet<&str> {
    series
        .iter()
        .flat_map(|labels| labels.iter().map(|(name, _)| name))
        .collect()
}

fn did_you_mean<'c>(word: &str, known: impl Iterator<Item = &'c str>) -> Option<String> {
    closest(word, known).map(|near| format!("did you mean `{near}`?"))
}

/// Where a word stands in a node; the node itself where it is written otherwise (in quotes, for example).
fn place(rule: &Rule, node: &Node, word: &str) -> Span {
    let text = rule.expr().text();
    let inside = &text[node.span.start..node.span.end];
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |at: &usize| {
        !inside[..*at].ends_with(is_word) && !inside[at + word.len()..].starts_with(is_word)
    };
    // Behind the metric's name, which may be the same word.
    let from = inside.find(['{', '(']).unwrap_or(0);
    let mut found = inside[from..].match_indices(word).map(|(at, _)| from + at);
    match found.find(alone) {
        Some(at) => Span {
            start: node.span.start + at,
            end: node.span.start + at + word.len(),
        },
        None => node.span,
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{LintData, RuleFile, lint};
    use crate::series::{MemorySeries, Series};
    use crate::{TimeRange, Timestamp};

    /// Level, column, message and help of each finding; the data has one process and one metric of it.
    fn check(expr: &str, expected: &[&str]) {
        let text =
            format!("[[group]]\nname = \"g\"\n[[group.rule]]\nrecord = \"r:x\"\nexpr = '{expr}'\n");
        let file = RuleFile::from_toml("r.toml", &text).unwrap();
        let reader = MemorySeries {
            series: vec![Series {
                labels: [
                    ("__name__", "heap_inuse_bytes"),
                    ("job", "api"),
                    ("instance", "api-0"),
                ]
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
        let found: Vec<String> = lint(&file, Some(&data))
            .unwrap()
            .into_iter()
            .map(|f| {
                let text = f.problem.to_string();
                let message = text.lines().next().unwrap_or_default();
                let message = message.split(": ").skip(2).collect::<Vec<_>>().join(": ");
                let help = f.problem.help.unwrap_or_default();
                // The expression begins in column 9.
                let column = f.problem.column - 9;
                format!("{:?} {column} {message} | {help}", f.level)
            })
            .collect();
        assert_eq!(found, expected, "{expr}");
    }

    #[test]
    fn labels_and_values_that_are_not_there_are_told() {
        check(r#"heap_inuse_bytes{job="api"}"#, &[]);
        check(r#"sum by (job) (heap_inuse_bytes)"#, &[]);
        check(
            r#"heap_inuse_bytes{jop="api"}"#,
            &[
                "Problem 17 no series of `heap_inuse_bytes` has a label `jop`: this keeps none of them | did you mean `job`?",
            ],
        );
        check(
            r#"heap_inuse_bytes{jop!="api"}"#,
            &[
                "Hint 17 no series of `heap_inuse_bytes` has a label `jop`: this keeps all of them | did you mean `job`?",
            ],
        );
        check(
            r#"rate(heap_inuse_bytes{instance=~".+", pod=~"a.*"}[1m])"#,
            &[
                "Problem 38 no series of `heap_inuse_bytes` has a label `pod`: this keeps none of them | ",
            ],
        );
        check(
            r#"heap_inuse_bytes{instance="api-1"}"#,
            &[
                r#"Hint 17 no series of `heap_inuse_bytes` has instance="api-1" | did you mean `api-0`?"#,
            ],
        );
        check(
            r#"sum by (job, instanse) (heap_inuse_bytes)"#,
            &[
                "Hint 13 nothing below has a label `instanse`: it groups by nothing | did you mean `instance`?",
            ],
        );
        // What is made on the way, or comes from another rule, may have any label.
        check(
            r#"sum by (x) (label_replace(heap_inuse_bytes, "x", "1", "", ""))"#,
            &[],
        );
        check(r#"sum by (x) (r:x)"#, &[]);
    }
}
