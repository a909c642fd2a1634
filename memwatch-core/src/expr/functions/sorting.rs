//! Functions that order the elements of an instant vector. Over a range the result is ordered by labels.

use std::cmp::Ordering;

use super::{Body, Call, Function, TEXT, VECTOR};
use crate::Result;
use crate::expr::AnnotationLevel;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("sort", &[VECTOR], VECTOR, Body::Rows(|e, c| by_value(e, c, |a, b| a.total_cmp(b))), "Ascending by value; instant queries only.").ordering(),
    Function::new("sort_desc", &[VECTOR], VECTOR, Body::Rows(|e, c| by_value(e, c, |a, b| b.total_cmp(a))), "Descending by value; instant queries only.").ordering(),
    Function::new("sort_by_label", &[VECTOR, TEXT], VECTOR, Body::Rows(|e, c| by_label(e, c, false)), "Ascending by the values of the given labels, digits compared as numbers; instant queries only.").optional(1).repeating().ordering(),
    Function::new("sort_by_label_desc", &[VECTOR, TEXT], VECTOR, Body::Rows(|e, c| by_label(e, c, true)), "Descending by the values of the given labels, digits compared as numbers; instant queries only.").optional(1).repeating().ordering(),
];

/// The rows to sort; `None` when there is more than one evaluation, which has no order.
fn sortable(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<(Vec<Row>, bool)> {
    let mut rows = evaluator.vector(&call.args[0], call.steps)?;
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    let instant = evaluator.instant;
    if !instant {
        let message =
            "sort is ineffective for range queries since results are always ordered by labels"
                .to_owned();
        evaluator.annotate(AnnotationLevel::Warning, call.args[0].span, message);
    }
    Ok((rows, instant && call.steps.count() == 1))
}

fn by_value(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    order: fn(&f64, &f64) -> Ordering,
) -> Result<Val> {
    let (mut rows, sort) = sortable(evaluator, call)?;
    if sort {
        // NaN comes last either way.
        rows.sort_by(|a, b| {
            let (a, b) = (a.values[0], b.values[0]);
            a.is_nan().cmp(&b.is_nan()).then_with(|| {
                if a == b {
                    Ordering::Equal
                } else {
                    order(&a, &b)
                }
            })
        });
    }
    Ok(Val::Vector(rows))
}

fn by_label(evaluator: &Evaluator<'_>, call: &Call<'_>, descending: bool) -> Result<Val> {
    let mut names = Vec::new();
    for arg in &call.args[1..] {
        names.push(evaluator.text(arg, call.steps)?);
    }
    let (mut rows, sort) = sortable(evaluator, call)?;
    if sort {
        rows.sort_by(|a, b| {
            let differing = names
                .iter()
                .map(|n| natural(a.labels.get(n), b.labels.get(n)));
            let order = differing
                .fold(Ordering::Equal, Ordering::then)
                .then_with(|| a.labels.cmp(&b.labels));
            if descending { order.reverse() } else { order }
        });
    }
    Ok(Val::Vector(rows))
}

/// Compares texts with the numbers in them as numbers: `cpu2` before `cpu10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        match (chunk(a_rest), chunk(b_rest)) {
            (None, None) => return a.cmp(b), // `01` and `1` are no different so far.
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((x, a_after)), Some((y, b_after))) => {
                let order = match (x.parse::<u64>(), y.parse::<u64>()) {
                    (Ok(x), Ok(y)) => x.cmp(&y),
                    _ => x.cmp(y),
                };
                if order.is_ne() {
                    return order;
                }
                (a_rest, b_rest) = (a_after, b_after);
            }
        }
    }
}

/// The digits, or the other characters, at the beginning, and the rest.
fn chunk(text: &str) -> Option<(&str, &str)> {
    let digits = text.chars().next()?.is_ascii_digit();
    let end = text.find(|c: char| c.is_ascii_digit() != digits);
    Some(text.split_at(end.unwrap_or(text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_are_numbers() {
        let mut all = [
            "cpu10",
            "cpu2",
            "cpu",
            "4.15.0-30",
            "4.15.0-156",
            "",
            "a1b2",
            "a1b10",
            "a01b3",
        ];
        all.sort_by(|a, b| natural(a, b));
        assert_eq!(
            all,
            [
                "",
                "4.15.0-30",
                "4.15.0-156",
                "a1b2",
                "a01b3",
                "a1b10",
                "cpu",
                "cpu2",
                "cpu10"
            ]
        );
    }
}
