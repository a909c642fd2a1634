//! Prometheus' test-script language (`load`, `clear`, `eval`): reads a script, runs it and says what differs.
//!
//! Not part of the API: it is here so that tests and the `promql_cases` example share it.

mod expectation;
mod notation;

use std::collections::BTreeMap;
use std::fmt::Write;

use self::expectation::{Expect, Expectation, Match, command, duration, expectation};
use self::notation::{Point, series};
use super::{
    Annotation, AnnotationLevel, EvalOptions, NameRemoval, Value, evaluate, parse, print::number,
};
use crate::labels::METRIC_NAME;
use crate::series::{MemorySeries, Series};
use crate::{Labels, Steps, Timestamp};

/// What came of a script.
#[derive(Debug, Default)]
pub struct Report {
    /// How many `eval` commands there are.
    pub total: usize,
    /// How many gave what was expected.
    pub passed: usize,
    /// How many need a feature that we do not have, by feature.
    pub unsupported: BTreeMap<String, usize>,
    /// Line, expression, expected and found of every other.
    pub failures: Vec<String>,
}

/// Relative difference of values that count as equal, as in Prometheus' own runner.
const TOLERANCE: f64 = 1e-6;

const NATIVE: &str = "native histograms";

/// Runs a script.
#[must_use]
pub fn run(script: &str) -> Report {
    let lines: Vec<&str> = script
        .lines()
        .map(str::trim)
        .map(|l| if l.starts_with('#') { "" } else { l })
        .collect();
    let mut runner = Runner::default();
    let mut next = 0;
    while next < lines.len() {
        let line = lines[next];
        let number = next + 1;
        next += 1;
        if line.is_empty() {
            continue;
        }
        let block_start = next;
        let command = line.split_whitespace().next().unwrap_or("");
        if command != "clear" {
            while next < lines.len() && !lines[next].is_empty() {
                next += 1;
            }
        }
        let block = &lines[block_start..next];
        let outcome = match command {
            "clear" => {
                runner.series.clear();
                runner.native.clear();
                Ok(())
            }
            "load" | "load_with_nhcb" => runner.load(line, block),
            _ if command.starts_with("eval") => {
                runner.eval(line, block, number);
                Ok(())
            }
            _ => Err(format!("unknown command `{command}`")),
        };
        if let Err(message) = outcome {
            runner
                .report
                .failures
                .push(format!("line {number}: {message}"));
        }
    }
    runner.report
}

#[derive(Default)]
struct Runner {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// Series with samples that we cannot hold.
    native: Vec<Labels>,
    report: Report,
}

impl Runner {
    fn load(&mut self, line: &str, block: &[&str]) -> Result<(), String> {
        let (command, step) = line
            .split_once(char::is_whitespace)
            .ok_or("expected `load <step>`")?;
        let step = duration(step.trim())?;
        for line in block {
            let (labels, points) = series(line)?;
            if points.contains(&Point::Native) {
                self.native.push(labels.clone());
            }
            if command == "load_with_nhcb" && !labels.get("le").is_empty() {
                let base = labels
                    .name()
                    .strip_suffix("_bucket")
                    .unwrap_or_default()
                    .to_owned();
                self.native
                    .push(labels.with("le", "").with(METRIC_NAME, &base));
            }
            let samples = self.series.entry(labels).or_default();
            for (i, point) in (0i64..).zip(points) {
                if let Point::Value(value) = point {
                    samples.insert(i * step.0, value);
                }
            }
        }
        Ok(())
    }

    fn reader(&self) -> MemorySeries {
        let series = self.series.iter().map(|(labels, samples)| Series {
            labels: labels.clone(),
            at_ns: samples.keys().copied().collect(),
            values: samples.values().copied().collect(),
        });
        MemorySeries {
            series: series.collect(),
        }
    }

    fn eval(&mut self, line: &str, block: &[&str], number: usize) {
        self.report.total += 1;
        let outcome = command(line).and_then(|(kind, steps, expression)| {
            let expected = expectation(kind, block)?;
            self.check(&expected, steps, expression)
                .map_err(|failure| self.excuse(&expected, expression, failure))
        });
        match outcome {
            Ok(()) => self.report.passed += 1,
            Err(failure) => match failure.strip_prefix("unsupported feature: ") {
                Some(feature) => {
                    let feature = feature
                        .lines()
                        .next()
                        .unwrap_or("")
                        .split(" (")
                        .next()
                        .unwrap_or("");
                    *self
                        .report
                        .unsupported
                        .entry(feature.to_owned())
                        .or_default() += 1;
                }
                None => self
                    .report
                    .failures
                    .push(format!("line {number}: {line}\n{failure}")),
            },
        }
    }

    /// A failure that is only due to series that we cannot hold counts as unsupported.
    fn excuse(&self, expected: &Expectation, expression: &str, failure: String) -> String {
        let native = format!("unsupported feature: {NATIVE}");
        if expected.native {
            return native;
        }
        let Ok(expr) = parse(expression) else {
            return failure;
        };
        let steps = Steps::instant(Timestamp(0));
        let selects_native =
            expr.selectors(steps, &EvalOptions::default())
                .iter()
                .any(|selector| {
                    selector.alternatives.iter().any(|matchers| {
                        self.native
                            .iter()
                            .any(|labels| matchers.iter().all(|m| m.matches(labels)))
                    })
                });
        if selects_native { native } else { failure }
    }

    fn check(&self, expected: &Expectation, steps: Steps, expression: &str) -> Result<(), String> {
        let options = EvalOptions {
            name_removal: NameRemoval::Delayed,
            ..EvalOptions::default()
        };
        let result = parse(expression)
            .map_err(crate::Error::from)
            .and_then(|expr| evaluate(&expr, steps, &self.reader(), &options));
        let result = match result {
            Ok(result) if expected.fails => {
                return Err(format!(
                    "expected a failure, found\n{}",
                    shown(&result.value)
                ));
            }
            Ok(result) => result,
            Err(error) => return failed(expected, &error),
        };
        check_annotations(expected, &result.annotations)?;
        let equal = match (&result.value, expected) {
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
                        let at =
                            |t: Timestamp| s.at_ns.binary_search(&t.0).ok().map(|i| s.values[i]);
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
            shown(&result.value)
        ))
    }
}

fn failed(expected: &Expectation, error: &crate::Error) -> Result<(), String> {
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

fn check_annotations(expected: &Expectation, found: &[Annotation]) -> Result<(), String> {
    for (what, wanted) in &expected.messages {
        let level = match what {
            Expect::Warn | Expect::NoWarn => AnnotationLevel::Warning,
            Expect::Info | Expect::NoInfo => AnnotationLevel::Info,
            Expect::Fail => continue,
        };
        let unwanted = matches!(what, Expect::NoWarn | Expect::NoInfo);
        let hit = found
            .iter()
            .any(|a| a.level == level && wanted.accepts(&a.to_string()));
        if hit == unwanted {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let wanted = match wanted {
                Match::Anything => "",
                Match::Text(text) | Match::Regex(text) => text,
            };
            return Err(format!(
                "expected annotation {what:?} {wanted}, found {found:?}"
            ));
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

fn shown(value: &Value) -> String {
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
