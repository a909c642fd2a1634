//! Rule files as Prometheus reads them: YAML with groups of recording and alerting rules.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::alert::{Hold, Notifications};
use crate::expr::{self, Expr, ValueType};
use crate::{Labels, Nanos};

use super::error::{Fault, RuleError};
use super::model::{AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Settings};
use super::names::{is_label_name, is_metric_name};
use super::template::Template;
use super::yaml::{Reader, Text};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    #[serde(default)]
    groups: Option<Vec<GroupYaml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupYaml {
    name: Text,
    interval: Option<Text>,
    query_offset: Option<Text>,
    limit: Option<usize>,
    #[serde(default)]
    labels: Option<BTreeMap<String, Text>>,
    #[serde(default)]
    rules: Option<Vec<Spanned<RuleYaml>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleYaml {
    record: Option<Text>,
    alert: Option<Text>,
    expr: Text,
    r#for: Option<Text>,
    keep_firing_for: Option<Text>,
    labels: Option<BTreeMap<String, Text>>,
    annotations: Option<BTreeMap<String, Text>>,
}

/// Reads a rule file; `file` is its name for messages. Groups that give no interval are evaluated each minute, Prometheus' default.
pub(super) fn read(file: &str, text: &str) -> Result<RuleFile, RuleError> {
    let mut reader = Reader::new(file, text);
    let mut groups = Vec::new();
    if let Some(parsed) = reader.parse::<FileYaml>() {
        let mut names = HashSet::new();
        for group in parsed.groups.unwrap_or_default() {
            if !names.insert(group.name.value.clone()) {
                let fault =
                    Fault::Other(format!("a second group is called `{}`", group.name.value));
                reader.report(&group.name, "group".to_owned(), fault);
            }
            groups.push(reader.group(group));
        }
    }
    reader.finish()?;
    Ok(RuleFile {
        name: file.into(),
        text: text.into(),
        settings: Settings {
            interval: Nanos::MINUTE,
            ..Settings::default()
        },
        groups,
        notifications: Notifications::default(),
    })
}

impl Reader<'_> {
    fn group(&mut self, yaml: GroupYaml) -> Group {
        let mut group = Group::new(yaml.name.value.as_str());
        let of = format!("group `{}`", yaml.name.value);
        group.interval = self
            .duration(yaml.interval.as_ref(), || format!("{of}: `interval`"))
            .filter(|d| d.0 > 0);
        group.query_offset = self
            .duration(yaml.query_offset.as_ref(), || {
                format!("{of}: `query_offset`")
            })
            .unwrap_or(Nanos(0));
        group.limit = yaml.limit.filter(|limit| *limit > 0);
        let labels = yaml.labels.unwrap_or_default();
        for rule in yaml.rules.unwrap_or_default() {
            group.rules.extend(self.rule(rule, &labels, &of));
        }
        group
    }

    fn rule(
        &mut self,
        yaml: Spanned<RuleYaml>,
        group_labels: &BTreeMap<String, Text>,
        group: &str,
    ) -> Option<Rule> {
        let at = self.span_at(&yaml.referenced);
        let start = at.start;
        let rule = yaml.value;
        let of = match (&rule.alert, &rule.record) {
            (Some(alert), None) => format!("alert `{}`", alert.value),
            (None, Some(record)) => format!("record `{}`", record.value),
            (alert, _) => {
                let found = if alert.is_some() { "both" } else { "neither" };
                let fault = Fault::Value {
                    expected: "either `alert` or `record`".to_owned(),
                    found: found.to_owned(),
                };
                self.report_at(at, group.to_owned(), fault, None);
                return None;
            }
        };
        let (expr, offset) = self.expression(&rule.expr, &of);
        let position = Position {
            rule: start,
            expr: offset,
        };
        let mut labels = group_labels.clone();
        labels.extend(rule.labels.clone().unwrap_or_default());
        if let Some(record) = &rule.record {
            if !is_metric_name(&record.value) {
                self.wrong(record, format!("{of}: `record`"), "the name of a series");
            }
            let only_alerts = [
                ("for", &rule.r#for),
                ("keep_firing_for", &rule.keep_firing_for),
            ];
            for (key, value) in only_alerts {
                if let Some(value) = value {
                    let fault = Fault::Other("only rules with `alert` have it".to_owned());
                    self.report(value, format!("{of}: `{key}`"), fault);
                }
            }
            if let Some(value) = rule.annotations.as_ref().and_then(|a| a.values().next()) {
                let fault = Fault::Other("only rules with `alert` have it".to_owned());
                self.report(value, format!("{of}: `annotations`"), fault);
            }
            let mut found = RecordingRule::new(record.value.as_str(), expr?);
            found.labels = labels
                .iter()
                .map(|(name, value)| (name.as_str(), value.value.as_str()))
                .collect::<Labels>();
            found.position = position;
            return Some(Rule::Recording(found));
        }
        let hold = Hold {
            pending: self
                .duration(rule.r#for.as_ref(), || format!("{of}: `for`"))
                .unwrap_or(Nanos(0)),
            keep_firing: self
                .duration(rule.keep_firing_for.as_ref(), || {
                    format!("{of}: `keep_firing_for`")
                })
                .unwrap_or(Nanos(0)),
        };
        let labels = self.templates(&labels, "labels", &of);
        let annotations = self.templates(&rule.annotations.unwrap_or_default(), "annotations", &of);
        let name = rule.alert.map(|a| a.value).unwrap_or_default();
        let mut found = AlertingRule::new(name, expr?);
        found.hold = hold;
        found.labels = labels;
        found.annotations = annotations;
        found.position = position;
        Some(Rule::Alerting(found))
    }

    fn expression(&mut self, text: &Text, of: &str) -> (Option<Expr>, Option<usize>) {
        let (span, exact) = self.span(text);
        let start = exact.then_some(span.start);
        let key = format!("{of}: `expr`");
        let (place, fault, help) = match expr::parse(&text.value) {
            Ok(expr) if matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) => {
                return (Some(expr), start);
            }
            Ok(expr) => {
                let fault = Fault::Value {
                    expected: "an instant vector or a scalar".to_owned(),
                    found: format!("a {}", expr.value_type()),
                };
                (span, fault, None)
            }
            Err(error) => {
                let place = match (error.span, start) {
                    (Some(s), Some(start)) => start + s.start..start + s.end,
                    _ => span,
                };
                (place, Fault::Other(error.message), error.help)
            }
        };
        self.report_at(place, key, fault, help);
        (None, start)
    }

    fn templates(
        &mut self,
        texts: &BTreeMap<String, Text>,
        key: &str,
        of: &str,
    ) -> Vec<(Arc<str>, Template)> {
        let mut found = Vec::new();
        for (name, text) in texts {
            let key = format!("{of}: `{key}.{name}`");
            if !is_label_name(name) || name == "__name__" {
                let fault = Fault::Value {
                    expected: "a label name (letters, digits, `_`)".to_owned(),
                    found: format!("`{name}`"),
                };
                self.report(text, key, fault);
                continue;
            }
            match Template::parse(&text.value) {
                Ok(template) => found.push((Arc::from(name.as_str()), template)),
                Err(error) => self.report(text, key, Fault::Other(error.message)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
groups:
- name: go
  interval: 15s
  query_offset: 1m
  limit: 10
  labels:
    team: runtime
  rules:
  - record: job:allocs:rate1m
    expr: sum by (job) (rate(go_memstats_mallocs_total[1m]))
    labels: {kind: derived}
  - alert: HeapHigh
    expr: |
      go_memstats_heap_inuse_bytes
        > 1e9
    for: 10m
    keep_firing_for: 5m
    labels:
      severity: page
      team: '{{ $labels.team }}'
    annotations:
      summary: "{{ $labels.instance }} uses {{ $value | humanize1024 }}B"
  - alert: Constant
    expr: 1
"#;

    #[test]
    fn a_whole_file_loads() {
        let file = read("rules.yml", WHOLE).unwrap_or_else(|e| panic!("{e}"));
        let group = &file.groups[0];
        assert_eq!(group.interval, Some(Nanos(15 * Nanos::SECOND.0)));
        assert_eq!((group.query_offset, group.limit), (Nanos::MINUTE, Some(10)));
        let Rule::Recording(recording) = &group.rules[0] else {
            panic!("a recording rule");
        };
        assert_eq!(
            recording.labels.canonical(),
            "kind=\"derived\",team=\"runtime\""
        );
        let start = recording.position.expr.unwrap();
        assert!(WHOLE[start..].starts_with("sum by (job)"));
        let alert = group.rules[1].alerting().unwrap();
        assert_eq!(alert.hold.pending, Nanos(10 * Nanos::MINUTE.0));
        assert_eq!(alert.hold.keep_firing, Nanos(5 * Nanos::MINUTE.0));
        let labels: Vec<_> = alert.labels.iter().map(|(n, t)| (&**n, t.text())).collect();
        assert_eq!(
            labels,
            [("severity", "page"), ("team", "{{ $labels.team }}")]
        );
    }

    #[test]
    fn complaints_have_their_place() {
        let rule = |lines: &str| format!("groups:\n- name: g\n  rules:\n  - alert: A\n{lines}");
        let cases = [
            (
                rule("    expr: rat(up[1m])\n"),
                "r.yml:5:11: alert `A`: `expr`: unknown function",
            ),
            (
                rule("    expr: up\n    for: soon\n"),
                "r.yml:6:10: alert `A`: `for`: expected a duration like 30s or 5m, found `soon`",
            ),
            (rule("    expr: up\n    fro: 5m\n"), "r.yml:6:5: "),
            (rule("    for: 5m\n"), "r.yml:5:5: missing field `expr`"),
            (
                rule("    record: x\n    expr: up\n"),
                "expected either `alert` or `record`, found both",
            ),
            (
                rule("    expr: up\n    annotations: {s: '{{ query \"x\" }}'}\n"),
                "r.yml:6:23: alert `A`: `annotations.s`: the function `query` is not supported",
            ),
            ("groups: 3\n".into(), "r.yml:1:9: "),
            (
                "groups:\n- name: g\n- name: g\n".into(),
                "r.yml:3:9: group: a second group is called `g`",
            ),
            ("groups: [\n".into(), "r.yml:"),
        ];
        for (text, expected) in cases {
            let error = read("r.yml", &text).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{text}\n--- expected\n{expected}\n--- found\n{error}"
            );
        }
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(10_000);
        let mut aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (from, to) in ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"]
            .iter()
            .map(|p| p.split_at(1))
        {
            aliases += &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", "));
        }
        for text in [
            format!("groups: {deep}"),
            aliases,
            "groups: &x [*x]".to_owned(),
        ] {
            assert!(read("r.yml", &text).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(cut in 0usize..800, flip in 0usize..800, with in proptest::char::any()) {
            let mut text: String = WHOLE.chars().take(cut).collect();
            let at = flip % (text.chars().count() + 1);
            let byte = text.char_indices().nth(at).map_or(text.len(), |c| c.0);
            text.insert(byte, with);
            let _ = read("r.yml", &text);
        }
    }
}
