//! Rule files as Prometheus reads them: YAML with groups of recording and alerting rules.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::alert::{Hold, Notifications};
use crate::expr::{self, Expr, ValueType};
use crate::{Labels, Nanos};

use super::error::{Fault, Problem, RuleError};
use super::model::{AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Settings};
use super::names::{is_label_name, is_metric_name};
use super::source_map::SourceMap;
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
    if let Some(line) = of_alertmanager(text) {
        return Err(RuleError {
            problems: vec![Problem {
                file: file.into(),
                line,
                column: 1,
                key: String::new(),
                fault: Fault::Value {
                    expected: "groups of rules".to_owned(),
                    found: "Alertmanager's configuration".to_owned(),
                },
                help: Some("it says whom alerts are told, and goes beside the rules: `--alertmanager FILE`".to_owned()),
                // It holds secrets: complaints show no lines of it.
                excerpt: None,
            }],
        });
    }
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
        let (expr, source) = self.expression(&rule.expr, &of);
        let position = Position {
            rule: start,
            expr: source,
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

    fn expression(&mut self, text: &Text, of: &str) -> (Option<Expr>, Option<SourceMap>) {
        let source = self.source(text);
        let key = format!("{of}: `expr`");
        let (place, fault, help) = match expr::parse(&text.value) {
            Ok(expr) if matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) => {
                return (Some(expr), source);
            }
            Ok(expr) => {
                let fault = Fault::Value {
                    expected: "an instant vector or a scalar".to_owned(),
                    found: format!("a {}", expr.value_type()),
                };
                (self.span(text), fault, None)
            }
            Err(error) => {
                let place = match (error.span, &source) {
                    (Some(part), Some(source)) => source.bytes(part),
                    _ => self.span(text),
                };
                (place, Fault::Other(error.message), error.help)
            }
        };
        self.report_at(place, key, fault, help);
        (None, source)
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

/// The line on which something begins that only Alertmanager's configuration has, when it has no rules.
fn of_alertmanager(text: &str) -> Option<usize> {
    let begins = |key: &str| text.lines().position(|line| line.starts_with(key));
    match begins("groups:") {
        Some(_) => None,
        None => begins("route:").or(begins("receivers:")).map(|i| i + 1),
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
        let start = recording.position.expr.as_ref().unwrap().whole().start;
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

    /// Each case is the value of `expr`, in which `«` and `»` stand around what the caret is under.
    #[test]
    fn faults_in_scalars_have_their_own_place() {
        let cases = [
            ("literal", "|\n      up\n      + «rat»(up[1m])\n"),
            (
                "literal, its first line",
                "|\n      «rat»(up[1m])\n        > 1\n",
            ),
            (
                "literal, stripped",
                "|-\n      up\n\n\n      + «rat»(up[1m])\n",
            ),
            (
                "literal, kept, with a comment",
                "|+ # why\n      up\n        + «rat»(up[1m])\n\n",
            ),
            (
                "literal, blank lines first",
                "|\n\n  \n      up\n      + «rat»(up[1m])\n",
            ),
            (
                "literal, told how far indented",
                "|2\n        up\n       + «rat»(up[1m])\n",
            ),
            (
                "literal, indented far",
                "|\n                up\n                + «rat»(up[1m])\n",
            ),
            ("literal, no line end", "|\n      up\n      + «rat»(up[1m])"),
            (
                "literal, with CRLF",
                "|\r\n      up\r\n      + «rat»(up[1m])\r\n",
            ),
            (
                "literal, with tabs",
                "|\n      up\n      \t+ «rat»(up[1m])\n",
            ),
            (
                "literal, after é",
                "|\n      up{a=\"é\"}\n      + up{a=\"é\"} + «rat»(up[1m])\n",
            ),
            (
                "literal, like another part",
                "|\n      rate(up[1m])\n      + «rat»(up[1m])\n",
            ),
            ("literal, at its end", "|\n      up\n      + sum(up«»\n\n"),
            (
                "literal, tagged",
                "!!str |\n      up\n      + «rat»(up[1m])\n",
            ),
            (
                "literal, anchored",
                "&a |\n      up\n      + «rat»(up[1m])\n",
            ),
            ("folded", ">\n      up\n      + «rat»(up[1m])\n"),
            (
                "folded, stripped",
                ">-\n      up\n      + up\n      + «rat»(up[1m])\n",
            ),
            (
                "folded, blank lines",
                ">\n      up\n\n      + up\n\n\n      + «rat»(up[1m])\n",
            ),
            (
                "folded, deeper lines",
                ">\n      up\n        + up\n          + «rat»(up[1m])\n      + up\n",
            ),
            (
                "folded, after deeper lines",
                ">\n      up\n        + up\n\n          + up\n      + «rat»(up[1m])\n",
            ),
            (
                "folded, white space at ends",
                ">\n      up  \n      + up \n      \n      + «rat»(up[1m])\n",
            ),
            (
                "folded, a line of white space",
                ">\n      up\n         \n      + «rat»(up[1m])\n",
            ),
            (
                "folded, with CRLF",
                ">\r\n      up\r\n\r\n      + «rat»(up[1m])\r\n",
            ),
            ("single quotes", "'up{a=\"b\"} + «rat»(up[1m])'\n"),
            (
                "single quotes, doubled",
                "'up{a=''b'',c=''''} + «rat»(up[1m])'\n",
            ),
            (
                "single quotes, lines",
                "'up\n      + up{a=''b''}\n\n      + «rat»(up[1m])'\n",
            ),
            ("double quotes", "\"up + «rat»(up[1m])\"\n"),
            (
                "double quotes, escapes",
                r#""up{a=\"\u00e9\x41\U0001F600\\n\"}\n\t+ «rat»(up[1m])""#,
            ),
            (
                "double quotes, lines",
                "\"up\n      + up  \n\n      + «rat»(up[1m])\"\n",
            ),
            (
                "double quotes, line goes on",
                "\"up \\\n      + up\\\n      \\ + «rat»(up[1m])\"\n",
            ),
            (
                "double quotes, folds and escapes",
                "\"up\n\n\n      \\n\\n+ «rat»(up[1m])\"\n",
            ),
            (
                "double quotes, an escape at fault",
                r#""up + «\x72at»(up[1m])""#,
            ),
            ("plain", "up + «rat»(up[1m])\n"),
            ("plain, on the next line", "\n      up + «rat»(up[1m])\n"),
            (
                "plain, lines",
                "up\n      + up\n\n        + «rat»(up[1m])\n",
            ),
            ("plain, with a comment behind", "up + «rat»(up[1m]) # why\n"),
        ];
        let mut wrong = Vec::new();
        for (name, marked) in cases {
            let head = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: ";
            let (before, rest) = marked.split_once('«').unwrap();
            let (fault, after) = rest.split_once('»').unwrap();
            let text = format!("{head}{before}{fault}{after}");
            let at = head.len() + before.len();
            let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1);
            let line = text[..at].matches('\n').count() + 1;
            let column = text[line_start..at].chars().count() + 1;
            let error = read("r.yml", &text).map(|_| ()).unwrap_err();
            let problem = &error.problems[0];
            let carets = problem.excerpt.as_ref().map(|(_, width)| *width);
            let found = (problem.line, problem.column, carets);
            if found != (line, column, Some(fault.chars().count())) {
                wrong.push(format!("{name}: expected {line}:{column}\n{error}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn doubts_about_parts_of_scalars_have_their_own_place() {
        let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: >\n      up == 0\n      and heap @ 5 > 1\n";
        let findings = super::super::lint(&read("r.yml", text).unwrap(), None).unwrap();
        let places: Vec<_> = findings
            .iter()
            .map(|f| (f.problem.line, f.problem.column))
            .collect();
        assert_eq!(places, [(7, 11)]);
    }

    #[test]
    fn alertmanagers_configuration_is_known_and_not_shown() {
        let text =
            "global:\n  slack_api_url: https://canary\nroute: {receiver: a, group_wait: canary}\n";
        let said = read("am.yml", text).unwrap_err().to_string();
        assert_eq!(
            said,
            "am.yml:3:1: expected groups of rules, found Alertmanager's configuration\n  help: it says whom alerts are told, and \
             goes beside the rules: `--alertmanager FILE`"
        );
        assert!(
            read("r.yml", "route: x\ngroups: []\n").is_err_and(|e| e.to_string().contains("route"))
        );
    }

    #[test]
    fn behind_an_alias_the_alias_is_shown() {
        let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: &a |\n      up\n      + rat(up)\n  - alert: B\n    expr: *a\n";
        let error = read("r.yml", text).map(|_| ()).unwrap_err();
        let places: Vec<_> = error.problems.iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(places, [(7, 9), (9, 11)]);
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
