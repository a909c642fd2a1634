//! Scalars, times, and whether something is there at all.

use super::elementwise::{max, min};
use super::over_time::{labels_of_absent, where_absent};
use super::{Body, Call, Function, SCALAR, VECTOR};
use crate::expr::Bits;
use crate::expr::ast::NodeKind;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{Row, Val};
use crate::expr::select::{Pick, seconds};
use crate::{Labels, Result, Timestamp};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("scalar", &[VECTOR], SCALAR, Body::Rows(scalar), "The value of a vector with one element; NaN of any other."),
    Function::new("vector", &[SCALAR], VECTOR, Body::Rows(vector), "A vector with one element without labels."),
    Function::new("time", &[], SCALAR, Body::Rows(|_, c| Ok(Val::Scalar(c.steps.iter().map(|t| seconds(t.0)).collect()))), "Time of the evaluation, in seconds since the epoch.").seeing_time(),
    Function::new("timestamp", &[VECTOR], VECTOR, Body::Rows(timestamp), "When each sample was read, in seconds since the epoch; of anything computed the time of the evaluation.").seeing_time(),
    Function::new("pi", &[], SCALAR, Body::Rows(|_, c| constant(c, std::f64::consts::PI)), "π."),
    Function::new("start", &[], SCALAR, Body::Rows(|e, c| constant(c, seconds(e.query_range.0.0))), "Time of the query's first evaluation, in seconds since the epoch."),
    Function::new("end", &[], SCALAR, Body::Rows(|e, c| constant(c, seconds(e.query_range.1.0))), "Time of the query's last evaluation, in seconds since the epoch."),
    Function::new("range", &[], SCALAR, Body::Rows(range), "Seconds between the query's first and last evaluation."),
    Function::new("step", &[], SCALAR, Body::Rows(step), "Seconds between two evaluations of the query; 0 for an instant."),
    Function::new("min_of", &[SCALAR, SCALAR], SCALAR, Body::Rows(|e, c| of_two(e, c, min)), "The lesser of two scalars."),
    Function::new("max_of", &[SCALAR, SCALAR], SCALAR, Body::Rows(|e, c| of_two(e, c, max)), "The greater of two scalars."),
    Function::new("absent", &[VECTOR], VECTOR, Body::Rows(absent), "1 if the vector has no element, with the labels that the selector says; else nothing."),
];

#[allow(clippy::unnecessary_wraps)] // It is the body of functions that may fail.
fn constant(call: &Call<'_>, value: f64) -> Result<Val> {
    Ok(Val::Scalar(vec![value; call.steps.count()]))
}

fn range(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let (start, end) = evaluator.query_range;
    constant(call, end.since(start).as_seconds())
}

fn step(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let (start, end): (Timestamp, Timestamp) = evaluator.query_range;
    let step = if start == end {
        0.0
    } else {
        evaluator.steps.step.as_seconds()
    };
    constant(call, step)
}

fn of_two(evaluator: &Evaluator<'_>, call: &Call<'_>, f: fn(f64, f64) -> f64) -> Result<Val> {
    let a = evaluator.scalar(&call.args[0], call.steps)?;
    let b = evaluator.scalar(&call.args[1], call.steps)?;
    Ok(Val::Scalar(
        a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect(),
    ))
}

fn scalar(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let rows = evaluator.vector(&call.args[0], call.steps)?;
    let mut values = vec![f64::NAN; call.steps.count()];
    let (mut seen, mut several) = (Bits::none(values.len()), Bits::none(values.len()));
    for row in &rows {
        for step in row.present.iter() {
            if seen.get(step) {
                several.set(step);
            }
            seen.set(step);
            values[step] = row.values[step];
        }
    }
    several.iter().for_each(|step| values[step] = f64::NAN);
    Ok(Val::Scalar(values))
}

fn vector(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let values = evaluator.scalar(&call.args[0], call.steps)?;
    Ok(Val::Vector(vec![Row {
        labels: Labels::default(),
        drop_name: false,
        present: Bits::all(values.len()),
        values: values.into(),
    }]))
}

fn timestamp(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let rows = match &call.args[0].without_parens().kind {
        NodeKind::Selector(selector) => evaluator.instant(selector, call.steps, Pick::Time)?,
        _ => {
            let mut rows = evaluator.vector(&call.args[0], call.steps)?;
            for row in &mut rows {
                for (value, at) in row.values.iter_mut().zip(call.steps.iter()) {
                    *value = seconds(at.0);
                }
            }
            rows
        }
    };
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}

fn absent(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let mut present = Bits::none(call.steps.count());
    for row in evaluator.vector(&call.args[0], call.steps)? {
        present.or(&row.present);
    }
    let labels = match &call.args[0].without_parens().kind {
        NodeKind::Selector(selector) => labels_of_absent(selector),
        _ => Labels::default(),
    };
    Ok(Val::Vector(where_absent(labels, &present)))
}
