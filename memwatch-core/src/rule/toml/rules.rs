//! Groups and their rules in TOML.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use crate::alert::Hold;
use crate::expr::{self, Expr, Span, ValueType};
use crate::rule::error::{Fault, shorten};
use crate::rule::model::{AlertingRule, Group, Position, RecordingRule, Rule, Scale, TuneRange};
use crate::rule::names::{is_label_name, is_metric_name};
use crate::rule::source_map::SourceMap;
use crate::rule::template::Template;
use crate::suggest::closest;
use crate::{Labels, Nanos};

use super::table::{Fields, Located, Source, number};

pub(super) fn group(source: &Source<'_>, mut fields: Fields<'_, '_>, index: usize) -> Group {
    let name = match fields.string("name", "a name") {
        Some((name, _)) => Arc::from(name),
        None => Arc::from(format!("group-{}", index + 1)),
    };
    fields.of = format!("group `{name}`");
    let mut group = Group::new(name);
    group.interval = fields.interval("interval");
    group.phase = fields.duration("phase");
    group.query_offset = fields.duration("query_offset").unwrap_or(Nanos(0));
    group.limit = fields.count("limit").filter(|limit| *limit > 0);
    let labels = templates(source, &mut fields, "labels");
    for rule in fields.tables("rule", |i| {
        format!("group `{}`, rule {}", group.name, i + 1)
    }) {
        group.rules.extend(self::rule(source, rule, &labels));
    }
    fields.finish();
    group
}

fn rule(
    source: &Source<'_>,
    mut fields: Fields<'_, '_>,
    group_labels: &[(Arc<str>, Template)],
) -> Option<Rule> {
    let position = Position {
        rule: fields.span.start,
        expr: None,
    };
    let alert = fields.string("alert", "a name");
    let record = fields.string("record", "the name of a series");
    match (&alert, &record) {
        (Some((alert, _)), None) => fields.of = format!("alert `{alert}`"),
        (None, Some((record, _))) => fields.of = format!("record `{record}`"),
        _ => {}
    }
    let params = params(&mut fields);
    let found = match (alert, record) {
        (Some((alert, span)), None) => {
            if alert.is_empty() {
                fields.fault(span, "alert", "a name", "nothing");
            }
            alerting(source, &mut fields, alert, params, position, group_labels).map(Rule::Alerting)
        }
        (None, Some((record, span))) => {
            if !is_metric_name(record) {
                fields.fault(
                    span,
                    "record",
                    "the name of a series",
                    &format!("`{record}`"),
                );
            }
            recording(source, &mut fields, record, params, position, group_labels)
                .map(Rule::Recording)
        }
        (Some(_), Some((_, span))) => {
            fields.other(
                span,
                "record",
                "a rule has either `alert` or `record`, not both",
            );
            return None;
        }
        (None, None) => {
            if fields.has("alert").is_none() && fields.has("record").is_none() {
                fields.missing("alert", "`alert` or `record` with a name");
            }
            // The other keys are still worth checking.
            alerting(source, &mut fields, "?", params, position, group_labels);
            None
        }
    };
    fields.finish();
    found
}

fn alerting(
    source: &Source<'_>,
    fields: &mut Fields<'_, '_>,
    name: &str,
    params: BTreeMap<String, f64>,
    mut position: Position,
    group_labels: &[(Arc<str>, Template)],
) -> Option<AlertingRule> {
    let expr = expression(source, fields, &params, &mut position);
    let hold = Hold {
        pending: fields.duration("for").unwrap_or(Nanos(0)),
        keep_firing: fields.duration("keep_firing_for").unwrap_or(Nanos(0)),
    };
    let own = templates(source, fields, "labels");
    let annotations = templates(source, fields, "annotations");
    let tune = tune(source, fields, &params);
    let detects = fields
        .strings("detects", "an array of incident kinds")
        .unwrap_or_default()
        .into_iter()
        .map(|(kind, _)| Arc::from(kind))
        .collect();
    let mut rule = AlertingRule::new(name, expr?);
    rule.hold = hold;
    rule.labels = merged(group_labels, own);
    rule.annotations = annotations;
    rule.params = params;
    rule.tune = tune;
    rule.detects = detects;
    rule.position = position;
    Some(rule)
}

fn recording(
    source: &Source<'_>,
    fields: &mut Fields<'_, '_>,
    record: &str,
    params: BTreeMap<String, f64>,
    mut position: Position,
    group_labels: &[(Arc<str>, Template)],
) -> Option<RecordingRule> {
    let expr = expression(source, fields, &params, &mut position);
    let labels = merged(group_labels, templates(source, fields, "labels"));
    tune(source, fields, &params);
    for key in ["for", "keep_firing_for", "annotations", "detects"] {
        if let Some(span) = fields.has(key) {
            fields.other(span, key, "only rules with `alert` have it");
        }
    }
    let mut rule = RecordingRule::new(record, expr?);
    // Labels of recording rules are not templates: what looks like one is text.
    rule.labels = labels
        .iter()
        .map(|(name, template)| (name.clone(), Arc::from(template.text())))
        .collect::<Labels>();
    rule.params = params;
    rule.position = position;
    Some(rule)
}

fn merged(
    group: &[(Arc<str>, Template)],
    own: Vec<(Arc<str>, Template)>,
) -> Vec<(Arc<str>, Template)> {
    let mut all: BTreeMap<Arc<str>, Template> = group.iter().cloned().collect();
    all.extend(own);
    all.into_iter().collect()
}

fn expression(
    source: &Source<'_>,
    fields: &mut Fields<'_, '_>,
    params: &BTreeMap<String, f64>,
    position: &mut Position,
) -> Option<Expr> {
    if fields.has("expr").is_none() {
        fields.missing("expr", "a PromQL expression");
        return None;
    }
    let (text, span) = fields.string("expr", "a PromQL expression in a string")?;
    position.expr = source
        .content_start(&span, text)
        .map(|start| SourceMap::verbatim(start, text));
    let whole = Span {
        start: 0,
        end: text.len(),
    };
    let within = |part: Span| match &position.expr {
        Some(source) => source.bytes(part),
        None => span.clone(),
    };
    let key = format!("{}: `expr`", fields.of);
    match expr::parse_with(text, params) {
        Ok(expr) if matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) => {
            Some(expr)
        }
        Ok(expr) => {
            let fault = Fault::Value {
                expected: "an instant vector or a scalar".to_owned(),
                found: format!("a {}", expr.value_type()),
            };
            source.report(within(whole), key, fault, None);
            None
        }
        Err(error) => {
            let place = within(error.span.unwrap_or(whole));
            let fault = Fault::Other(error.message);
            source.report(place, key, fault, error.help);
            None
        }
    }
}

fn params(fields: &mut Fields<'_, '_>) -> BTreeMap<String, f64> {
    let mut params = BTreeMap::new();
    for ((name, span), value) in fields.entries("params", "a table of names and numbers") {
        match number(value.get_ref()) {
            Some(number) if is_label_name(name) => {
                params.insert(name.to_owned(), number);
            }
            Some(_) => fields.fault(
                span,
                "params",
                "a name of letters and digits",
                &format!("`{name}`"),
            ),
            None => fields.wrong(&format!("params.{name}"), value, "a number"),
        }
    }
    params
}

fn tune(
    source: &Source<'_>,
    fields: &mut Fields<'_, '_>,
    params: &BTreeMap<String, f64>,
) -> BTreeMap<String, TuneRange> {
    let mut ranges = BTreeMap::new();
    for ((name, span), value) in fields.entries("tune", "a table of parameters and ranges") {
        if matches!(name, "for" | "keep_firing_for") {
            let of = format!("{}: `tune.{name}`", fields.of);
            match durations(source, value, of) {
                Some(range) => {
                    ranges.insert(name.to_owned(), range);
                }
                None => fields.wrong(
                    &format!("tune.{name}"),
                    value,
                    "an array of durations like [\"5s\", \"1m\"] or a range like { from = \"5s\", to = \"1m\", steps = 5 }",
                ),
            }
            continue;
        }
        if !params.contains_key(name) {
            let help = closest(name, params.keys().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            let fault = Fault::Other(format!("`params` has no `{name}`"));
            source.report(span, format!("{}: `tune`", fields.of), fault, help);
        }
        let of = format!("{}: `tune.{name}`", fields.of);
        match value.get_ref() {
            DeValue::Table(table) => {
                let entry = Fields::new(source, table, of, value.span());
                ranges.extend(range(entry).map(|range| (name.to_owned(), range)));
            }
            DeValue::Array(_) => match array(value) {
                Some(values) if !values.is_empty() => {
                    ranges.insert(name.to_owned(), TuneRange::Values(values));
                }
                _ => fields.wrong(&format!("tune.{name}"), value, "an array of numbers"),
            },
            _ => fields.wrong(
                &format!("tune.{name}"),
                value,
                "a range like { from = 1, to = 10, steps = 10 } or an array of numbers",
            ),
        }
    }
    ranges
}

/// The values of `for` or `keep_firing_for` that are tried, in seconds.
fn durations(source: &Source<'_>, value: &Spanned<DeValue<'_>>, of: String) -> Option<TuneRange> {
    match value.get_ref() {
        DeValue::Array(array) => {
            let seconds = |v: &Spanned<DeValue<'_>>| {
                let text = v.get_ref().as_str()?;
                Nanos::parse(text).map(Nanos::as_seconds)
            };
            let values: Option<Vec<f64>> = array.iter().map(seconds).collect();
            values.filter(|v| !v.is_empty()).map(TuneRange::Values)
        }
        DeValue::Table(table) => {
            let mut fields = Fields::new(source, table, of, value.span());
            let (from, to) = (fields.duration("from")?, fields.duration("to")?);
            let steps = fields.count("steps").unwrap_or(5);
            fields.finish();
            (from < to && steps >= 2).then(|| TuneRange::Steps {
                from: from.as_seconds(),
                to: to.as_seconds(),
                steps,
                scale: Scale::Linear,
            })
        }
        _ => None,
    }
}

fn array(value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
    let array = value.get_ref().as_array()?;
    array.iter().map(|v| number(v.get_ref())).collect()
}

fn range(mut fields: Fields<'_, '_>) -> Option<TuneRange> {
    let values = fields.numbers("values");
    let (from, to) = (fields.number("from"), fields.number("to"));
    let steps = fields.count("steps").unwrap_or(10);
    let scale = match fields.string("scale", "\"linear\" or \"log\"") {
        None | Some(("linear", _)) => Scale::Linear,
        Some(("log", _)) => Scale::Log,
        Some((other, span)) => {
            fields.fault(
                span,
                "scale",
                "\"linear\" or \"log\"",
                &format!("`{other}`"),
            );
            Scale::Linear
        }
    };
    let span = fields.span.clone();
    let found = match (values, from, to) {
        (Some(values), None, None) if !values.is_empty() => Some(TuneRange::Values(values)),
        (None, Some(from), Some(to)) if from < to && steps >= 2 => {
            if scale == Scale::Log && from <= 0.0 {
                fields.other(span, "from", "a logarithmic range is above 0");
            }
            Some(TuneRange::Steps {
                from,
                to,
                steps,
                scale,
            })
        }
        (None, Some(_), Some(_)) => {
            fields.other(span, "to", "expected `from` < `to` and at least 2 `steps`");
            None
        }
        _ => {
            fields.other(span, "from", "expected either `from` and `to`, or `values`");
            None
        }
    };
    fields.finish();
    found
}

/// Labels or annotations.
pub(super) fn templates(
    source: &Source<'_>,
    fields: &mut Fields<'_, '_>,
    key: &'static str,
) -> Vec<(Arc<str>, Template)> {
    let mut found: Vec<(Arc<str>, Template)> = Vec::new();
    for ((name, name_span), value) in fields.entries(key, "a table of names and texts") {
        if !is_label_name(name) || name == "__name__" {
            fields.fault(
                name_span,
                key,
                "a label name (letters, digits, `_`)",
                &format!("`{name}`"),
            );
            continue;
        }
        let DeValue::String(text) = value.get_ref() else {
            fields.wrong(&format!("{key}.{name}"), value, "a string");
            continue;
        };
        match Template::parse(text) {
            Ok(template) => found.push((name.into(), template)),
            Err(error) => {
                let span = match source.content_start(&value.span(), text) {
                    Some(start) => start + error.offset..start + error.offset + 1,
                    None => value.span(),
                };
                let found: Located<String> = (shorten(&error.message), span);
                fields.other(found.1, &format!("{key}.{name}"), error.message);
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
