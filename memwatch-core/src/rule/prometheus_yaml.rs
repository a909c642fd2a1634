//! Rule files as Prometheus reads them: YAML with groups of recording and alerting rules.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::alert::{Hold, Notifications};
use crate::expr::{self, Expr, ValueType};
use crate::{Labels, Nanos};

use super::error::{Fault, Problem, RuleError, shorten};
use super::model::{AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Settings};
use super::names::{is_label_name, is_metric_name};
use super::template::Template;

type Text = Spanned<String>;

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
    let mut reader = Reader {
        file: file.into(),
        text,
        problems: Vec::new(),
    };
    // The default budget of the parser bounds depth (64), size and the blow-up by aliases.
    let options = serde_saphyr::options! { with_snippet: false };
    let mut groups = Vec::new();
    match serde_saphyr::from_str_with_options::<FileYaml>(text, options) {
        Ok(parsed) => {
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
        Err(error) => {
            let span = error.location().map_or(0..0, |at| reader.span_at(&at));
            let message = error.to_string();
            // The parser repeats the place in front of or behind its message; ours stands in front already.
            let first = message.lines().next().unwrap_or("not YAML");
            let said = first.split(" at line ").next().unwrap_or(first);
            let said = said.strip_prefix("error: ").unwrap_or(said);
            reader.problems.push(Problem::at(
                &reader.file,
                text,
                span,
                String::new(),
                Fault::Other(said.to_owned()),
            ));
        }
    }
    if !reader.problems.is_empty() {
        reader.problems.sort_by_key(|p| (p.line, p.column));
        return Err(RuleError {
            problems: reader.problems,
        });
    }
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

struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The bytes at which a location begins, up to the end of its line.
    fn span_at(&self, at: &serde_saphyr::Location) -> Range<usize> {
        let line = usize::try_from(at.line().max(1) - 1).unwrap_or(0);
        let column = usize::try_from(at.column().max(1) - 1).unwrap_or(0);
        let line_start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = &self.text[line_start..];
        let start = line_start + rest.chars().take(column).map(char::len_utf8).sum::<usize>();
        let end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |i| start + i);
        start..end
    }

    /// Where a text stands: its content where the file holds it as it is, else its beginning.
    fn span(&self, value: &Text) -> (Range<usize>, bool) {
        let begin = self.span_at(&value.referenced);
        let rest = &self.text[begin.start..];
        match rest.find(value.value.trim_end_matches('\n')) {
            // Quotes at most stand before it; further away it is another text.
            Some(i) if i <= 1 => {
                let start = begin.start + i;
                (start..start + value.value.trim_end().len(), true)
            }
            _ => (begin, false),
        }
    }

    fn report(&mut self, at: &Text, key: String, fault: Fault) {
        let (span, _) = self.span(at);
        let problem = Problem::at(&self.file, self.text, span, key, fault);
        self.problems.push(problem);
    }

    fn wrong(&mut self, at: &Text, key: String, expected: &str) {
        let fault = Fault::Value {
            expected: expected.to_owned(),
            found: format!("`{}`", shorten(&at.value)),
        };
        self.report(at, key, fault);
    }

    fn duration(&mut self, value: Option<&Text>, key: impl Fn() -> String) -> Option<Nanos> {
        let value = value?;
        let found = Nanos::parse(&value.value);
        if found.is_none() {
            self.wrong(value, key(), "a duration like 30s or 5m");
        }
        found
    }

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
                self.problems.push(Problem::at(
                    &self.file,
                    self.text,
                    at,
                    group.to_owned(),
                    fault,
                ));
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
        let mut problem = Problem::at(&self.file, self.text, place, key, fault);
        problem.help = help;
        self.problems.push(problem);
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
