//! Whether what was found is what a script expects.

use std::fmt::Write;

use super::expectation::{Expect, Expectation, Match};
use super::notation::Point;
use crate::expr::print::number;
use crate::expr::{Annotation, AnnotationLevel, Value};
use crate::{Labels, Timestamp};

/// Relative difference of values that count as equal, as in Prometheus' own runner.
const TOLERANCE: f64 = 1e-6;

/// Whether a value is the expected one.
pub(super) fn compare(expected: &Expectation, value: &Value) -> Result<(), String> {
    let equal = match (value, expected) {
        (
            Value::Text(text),
            Expectation {
                text: Some(wanted), ..
            },
        ) => text == wanted,
        (
            Value::Scalar(values),
            Expectation {
                scalar: Some(wanted),
                ..
            },
        ) => values.iter().all(|v| nearly(*v, *wanted)),
        (Value::Scalar(values), _) => {
            expected.series.len() == 1
                && expected.series[0].labels.is_empty()
                && same(&expected.series[0].points, values.iter().map(|v| Some(*v)))
        }
        (
            Value::Vector(matrix),
            Expectation {
                text: None,
                scalar: None,
                ..
            },
        ) => {
            let rows: Vec<(&Labels, Vec<Option<f64>>)> = matrix
                .series
                .iter()
                .map(|s| (&s.labels, (0..s.values.len()).map(|i| s.get(i)).collect()))
                .collect();
            same_series(expected, &rows)
        }
        (
            Value::Range(series),
            Expectation {
                range: Some(steps), ..
            },
        ) => {
            let rows: Vec<(&Labels, Vec<Option<f64>>)> = series
                .iter()
                .map(|s| {
                    let at = |t: Timestamp| s.at_ns.binary_search(&t.0).ok().map(|i| s.values[i]);
                    (&s.labels, steps.iter().map(at).collect())
                })
                .collect();
            same_series(expected, &rows)
        }
        _ => false,
    };
    if equal {
        return Ok(());
    }
    Err(format!(
        "expected\n{}found\n{}",
        wanted(expected),
        shown(value)
    ))
}

/// An error, unless it is the expected one.
pub(super) fn failed(expected: &Expectation, error: &crate::Error) -> Result<(), String> {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or("");
    let fits = expected
        .messages
        .iter()
        .all(|(what, m)| *what != Expect::Fail || m.accepts(first));
    if expected.fails && fits {
        Ok(())
    } else {
        Err(text)
    }
}

/// Every expected message is among those found and, where a level is spoken of at all, every message of it was expected.
pub(super) fn check_annotations(
    expected: &Expectation,
    found: &[Annotation],
) -> Result<(), String> {
    let levels = [
        (AnnotationLevel::Warning, Expect::Warn, Expect::NoWarn),
        (AnnotationLevel::Info, Expect::Info, Expect::NoInfo),
    ];
    for (level, some, none) in levels {
        let of_level = found.iter().filter(|a| a.level == level);
        let found: Vec<String> = of_level.map(ToString::to_string).collect();
        let wanted = |what: Expect| expected.messages.iter().filter(move |(w, _)| *w == what);
        let complain = |what: Expect, m: &Match| {
            let found: Vec<&String> = found.iter().collect();
            Err(format!("expected annotation {what:?} {m}, found {found:?}"))
        };
        for (_, m) in wanted(some) {
            if !found.iter().any(|text| m.accepts(text)) {
                return complain(some, m);
            }
        }
        if let Some((_, m)) = wanted(none).next()
            && !found.is_empty()
        {
            return complain(none, m);
        }
        let expected_all = found
            .iter()
            .all(|text| wanted(some).any(|(_, m)| m.accepts(text)));
        if let Some((_, m)) = wanted(some).next()
            && !expected_all
        {
            return complain(some, m);
        }
    }
    Ok(())
}

fn same(expected: &[Point], found: impl ExactSizeIterator<Item = Option<f64>>) -> bool {
    let mut points = expected.iter().copied();
    found.len() >= expected.len()
        && found.into_iter().all(
            |value| match (points.next().unwrap_or(Point::Missing), value) {
                (Point::Value(wanted), Some(value)) => nearly(value, wanted),
                (Point::Missing, None) => true,
                _ => false,
            },
        )
}

fn same_series(expected: &Expectation, rows: &[(&Labels, Vec<Option<f64>>)]) -> bool {
    rows.len() == expected.series.len()
        && expected.series.iter().enumerate().all(|(i, wanted)| {
            let row = if expected.ordered {
                rows.get(i).filter(|(labels, _)| **labels == wanted.labels)
            } else {
                rows.iter().find(|(labels, _)| **labels == wanted.labels)
            };
            row.is_some_and(|(_, values)| same(&wanted.points, values.iter().copied()))
        })
}

fn nearly(a: f64, b: f64) -> bool {
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn wanted(expected: &Expectation) -> String {
    let mut text = String::new();
    if let Some(value) = expected.scalar {
        let _ = writeln!(text, "  {}", number(value));
    }
    if let Some(value) = &expected.text {
        let _ = writeln!(text, "  {value:?}");
    }
    for s in &expected.series {
        let points: Vec<String> = s
            .points
            .iter()
            .map(|p| match p {
                Point::Value(v) => number(*v),
                Point::Missing => "_".to_owned(),
                Point::Native => "{{}}".to_owned(),
            })
            .collect();
        let _ = writeln!(text, "  {} {}", s.labels, points.join(" "));
    }
    text
}

/// A value as scripts write it.
pub(super) fn shown(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Scalar(values) => {
            let values: Vec<String> = values.iter().map(|v| number(*v)).collect();
            let _ = writeln!(text, "  {}", values.join(" "));
        }
        Value::Text(value) => {
            let _ = writeln!(text, "  {value:?}");
        }
        Value::Vector(matrix) => {
            for s in &matrix.series {
                let values: Vec<String> = (0..s.values.len())
                    .map(|i| s.get(i).map_or("_".to_owned(), number))
                    .collect();
                let _ = writeln!(text, "  {} {}", s.labels, values.join(" "));
            }
        }
        Value::Range(series) => {
            for s in series {
                let values: Vec<String> = s
                    .at_ns
                    .iter()
                    .zip(s.values.iter())
                    .map(|(t, v)| format!("{}@{t}", number(*v)))
                    .collect();
                let _ = writeln!(text, "  {} {}", s.labels, values.join(" "));
            }
        }
    }
    text
}
