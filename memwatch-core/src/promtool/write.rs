//! The two files of a case: the rules as Prometheus reads them, and the test.

use std::fmt::Write as _;

use crate::Nanos;
use crate::rule::{Group, Rule};

use super::case::Case;
use super::grid::Grid;
use super::notation::{quoted, values};

/// A rule group as Prometheus reads it. Its expressions hold no parameters any more.
pub(super) fn rules(group: &Group, interval: Nanos, head: &[String]) -> String {
    let mut out = comment(head);
    let _ = write!(
        out,
        "groups:\n  - name: {}\n    interval: {interval}\n",
        quoted(&group.name)
    );
    if let Some(limit) = group.limit {
        let _ = writeln!(out, "    limit: {limit}");
    }
    out.push_str("    rules:\n");
    for rule in &group.rules {
        match rule {
            Rule::Recording(rule) => {
                let _ = writeln!(out, "      - record: {}", quoted(&rule.record));
                let _ = writeln!(out, "        expr: {}", quoted(&rule.expr.to_string()));
                let labels = rule.labels.iter();
                map(&mut out, "labels", labels.map(|(n, v)| (n, v.to_owned())));
            }
            Rule::Alerting(rule) => {
                let _ = writeln!(out, "      - alert: {}", quoted(&rule.name));
                let _ = writeln!(out, "        expr: {}", quoted(&rule.expr.to_string()));
                for (key, hold) in [
                    ("for", rule.hold.pending),
                    ("keep_firing_for", rule.hold.keep_firing),
                ] {
                    if hold.0 > 0 {
                        let _ = writeln!(out, "        {key}: {hold}");
                    }
                }
                let labels = rule.labels.iter();
                map(
                    &mut out,
                    "labels",
                    labels.map(|(n, t)| (&**n, t.text().to_owned())),
                );
                let texts = rule.annotations.iter();
                map(
                    &mut out,
                    "annotations",
                    texts.map(|(n, t)| (&**n, t.text().to_owned())),
                );
            }
        }
    }
    out
}

fn map<'a>(out: &mut String, key: &str, pairs: impl Iterator<Item = (&'a str, String)>) {
    let mut pairs = pairs.peekable();
    if pairs.peek().is_some() {
        let _ = writeln!(out, "        {key}:");
    }
    for (name, text) in pairs {
        let _ = writeln!(out, "          {}: {}", quoted(name), quoted(&text));
    }
}

fn comment(lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines {
        // A line break inside of a name must not end the comment.
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(out, "# {line}");
    }
    out
}

/// The test. `rules_file` is the name of the file that holds [`rules`].
pub(super) fn test(case: &Case, grid: &Grid, interval: Nanos, rules_file: &str) -> String {
    let mut out = comment(&case.head);
    let _ = write!(
        out,
        "rule_files:\n  - {}\nevaluation_interval: {interval}\ntests:\n  - name: {}\n    interval: {}\n    input_series:\n",
        quoted(rules_file),
        quoted(&case.title),
        Nanos(grid.width.0 / 2),
    );
    for placed in &case.placed {
        let _ = writeln!(
            out,
            "      - series: {}",
            quoted(&placed.labels.to_string())
        );
        let _ = writeln!(out, "        values: {}", quoted(&values(&placed.cells)));
    }
    out.push_str("    alert_rule_test:\n");
    for check in &case.checks {
        let _ = writeln!(out, "      - eval_time: {}", check.at);
        let _ = writeln!(out, "        alertname: {}", quoted(&check.alert));
        if check.expected.is_empty() {
            out.push_str("        exp_alerts: []\n");
            continue;
        }
        out.push_str("        exp_alerts:\n");
        for alert in &check.expected {
            let mut lead = "          - ";
            // Without the name, which promtool adds.
            let labels = alert.labels.iter().filter(|(n, _)| *n != "alertname");
            let labels: Vec<String> = labels
                .map(|(n, v)| format!("{}: {}", quoted(n), quoted(v)))
                .collect();
            let _ = writeln!(out, "{lead}exp_labels: {{{}}}", labels.join(", "));
            lead = "            ";
            let texts: Vec<String> = alert
                .annotations
                .iter()
                .map(|(n, t)| format!("{}: {}", quoted(n), quoted(t)))
                .collect();
            let _ = writeln!(out, "{lead}exp_annotations: {{{}}}", texts.join(", "));
        }
    }
    out
}
