//! Functions of one value.

use super::{Body, Call, Function, SCALAR, VECTOR};
use crate::Result;
use crate::expr::eval::Evaluator;
use crate::expr::rows::Val;

const fn element(name: &'static str, f: fn(f64) -> f64, about: &'static str) -> Function {
    Function::new(name, &[VECTOR], VECTOR, Body::Element(f), about)
}

pub(super) static FUNCTIONS: &[Function] = &[
    element("abs", f64::abs, "Absolute value."),
    element("ceil", f64::ceil, "Rounded up to a whole number."),
    element("floor", f64::floor, "Rounded down to a whole number."),
    element("sqrt", f64::sqrt, "Square root."),
    element("exp", f64::exp, "e to the power of the value."),
    element("ln", f64::ln, "Natural logarithm."),
    element("log2", f64::log2, "Binary logarithm."),
    element("log10", f64::log10, "Decimal logarithm."),
    element(
        "sgn",
        |v| {
            if v == 0.0 || v.is_nan() {
                v
            } else {
                v.signum()
            }
        },
        "−1, 0 or 1: the sign.",
    ),
    element("sin", f64::sin, "Sine of radians."),
    element("cos", f64::cos, "Cosine of radians."),
    element("tan", f64::tan, "Tangent of radians."),
    element("asin", f64::asin, "Inverse sine, in radians."),
    element("acos", f64::acos, "Inverse cosine, in radians."),
    element("atan", f64::atan, "Inverse tangent, in radians."),
    element("sinh", f64::sinh, "Hyperbolic sine."),
    element("cosh", f64::cosh, "Hyperbolic cosine."),
    element("tanh", f64::tanh, "Hyperbolic tangent."),
    element("asinh", f64::asinh, "Inverse hyperbolic sine."),
    element("acosh", f64::acosh, "Inverse hyperbolic cosine."),
    element("atanh", f64::atanh, "Inverse hyperbolic tangent."),
    element(
        "deg",
        |v| v * 180.0 / std::f64::consts::PI,
        "Radians to degrees.",
    ),
    element(
        "rad",
        |v| v * std::f64::consts::PI / 180.0,
        "Degrees to radians.",
    ),
    Function::new(
        "round",
        &[VECTOR, SCALAR],
        VECTOR,
        Body::Rows(round),
        "Rounded to the nearest multiple of the second argument (1), halves up.",
    )
    .optional(1),
    Function::new(
        "clamp",
        &[VECTOR, SCALAR, SCALAR],
        VECTOR,
        Body::Rows(clamp),
        "Values below the second argument raised to it, above the third lowered to it; nothing if the second is greater than the third.",
    ),
    Function::new(
        "clamp_min",
        &[VECTOR, SCALAR],
        VECTOR,
        Body::Rows(|e, c| with_params(e, c, |v, p| max(p[0], v))),
        "Values below the second argument raised to it.",
    ),
    Function::new(
        "clamp_max",
        &[VECTOR, SCALAR],
        VECTOR,
        Body::Rows(|e, c| with_params(e, c, |v, p| min(p[0], v))),
        "Values above the second argument lowered to it.",
    ),
];

/// The greater, as Go has it: NaN if one is, unless the other is as great as can be.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The lesser, as Go has it: NaN if one is, unless the other is as small as can be.
pub(super) fn min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

fn with_params(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    f: impl Fn(f64, &[f64]) -> f64,
) -> Result<Val> {
    let mut rows = evaluator.vector(&call.args[0], call.steps)?;
    let mut params = Vec::new();
    for arg in &call.args[1..] {
        params.push(evaluator.scalar(arg, call.steps)?);
    }
    let mut at_step = vec![0.0; params.len()];
    for row in &mut rows {
        for step in 0..row.values.len() {
            for (slot, values) in at_step.iter_mut().zip(&params) {
                *slot = values[step];
            }
            row.values[step] = f(row.values[step], &at_step);
        }
    }
    Ok(Val::Vector(evaluator.unnamed(rows, call.span)?))
}

fn round(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    with_params(evaluator, call, |value, params| {
        // As Prometheus: dividing by the inverse is exact for tenths and hundredths.
        let inverse = 1.0 / params.first().copied().unwrap_or(1.0);
        (value * inverse + 0.5).floor() / inverse
    })
}

fn clamp(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let low = evaluator.scalar(&call.args[1], call.steps)?;
    let high = evaluator.scalar(&call.args[2], call.steps)?;
    let mut result = with_params(evaluator, call, |value, p| max(p[0], min(p[1], value)))?;
    if let Val::Vector(rows) = &mut result {
        for row in rows.iter_mut() {
            for step in 0..low.len() {
                if high[step] < low[step] {
                    row.present.clear(step);
                }
            }
        }
        rows.retain(|row| row.present.any());
    }
    Ok(result)
}
