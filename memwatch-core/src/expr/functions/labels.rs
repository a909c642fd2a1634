//! Functions that write labels.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Body, Call, Function, TEXT, VECTOR};
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};
use crate::labels::{METRIC_NAME, anchored_regex};
use crate::{Labels, Result};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("label_replace", &[VECTOR, TEXT, TEXT, TEXT, TEXT], VECTOR, Body::Rows(label_replace), "`label_replace(v, target, replacement, source, regex)`: where the whole value of the label `source` matches, sets the label `target` to `replacement`, in which `$1` is the first group."),
    Function::new("label_join", &[VECTOR, TEXT, TEXT, TEXT], VECTOR, Body::Rows(label_join), "`label_join(v, target, separator, source, …)`: sets the label `target` to the values of the others, joined.").optional(1).repeating(),
];

/// Sets a label in every row to what `value` makes of its labels; `None` leaves them.
fn set_label(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    target: &str,
    value: impl Fn(&Labels) -> Option<String>,
) -> Result<Val> {
    let mut rows = evaluator.vector(&call.args[0], call.steps)?;
    for row in &mut rows {
        if let Some(value) = value(&row.labels) {
            row.labels = row.labels.with(target, &value);
            if target == METRIC_NAME {
                row.drop_name = false;
            }
        }
    }
    Ok(Val::Vector(evaluator.joined(rows, call.span)?))
}

fn label_replace(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let mut texts: Vec<Arc<str>> = Vec::with_capacity(4);
    for arg in &call.args[1..] {
        texts.push(evaluator.text(arg, call.steps)?);
    }
    let [target, replacement, source, pattern] = texts.as_slice() else {
        unreachable!("checked: four texts");
    };
    if target.is_empty() {
        return Err(evaluator.fail(
            call.args[1].span,
            format!("invalid label name {target:?} in label_replace()"),
        ));
    }
    let regex = anchored_regex(pattern).map_err(|_| {
        evaluator.fail(
            call.args[4].span,
            format!("invalid regular expression in label_replace(): {pattern}"),
        )
    })?;
    set_label(evaluator, call, target, |labels| {
        let captures = regex.captures(labels.get(source))?;
        let mut value = String::new();
        captures.expand(replacement, &mut value);
        Some(value)
    })
}

fn label_join(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let target = evaluator.text(&call.args[1], call.steps)?;
    let separator = evaluator.text(&call.args[2], call.steps)?;
    if target.is_empty() {
        return Err(evaluator.fail(
            call.args[1].span,
            format!("invalid label name {target:?} in label_join()"),
        ));
    }
    let mut sources = Vec::new();
    for arg in &call.args[3..] {
        let source = evaluator.text(arg, call.steps)?;
        if source.is_empty() {
            return Err(evaluator.fail(
                arg.span,
                format!("invalid source label name {source:?} in label_join()"),
            ));
        }
        sources.push(source);
    }
    set_label(evaluator, call, &target, |labels| {
        let values: Vec<&str> = sources.iter().map(|s| labels.get(s)).collect();
        Some(values.join(&separator))
    })
}

/// Rows grouped by a label set made of theirs, in the order in which the groups are met.
pub(in crate::expr) fn grouped(
    rows: Vec<Row>,
    key: impl Fn(&Labels) -> Labels,
) -> Vec<(Labels, Vec<Row>)> {
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<Row>)> = Vec::new();
    for row in rows {
        let key = key(&row.labels);
        let group = *index.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(row);
    }
    groups
}
