//! Prometheus' test-script language (`load`, `clear`, `eval`): reads a script, runs it and says what differs.
//!
//! Not part of the API: it is here so that tests and the `promql_cases` example share it.

mod compare;
mod expectation;
mod notation;
mod variants;

use std::collections::BTreeMap;

use self::compare::{check_annotations, compare, failed, shown};
use self::expectation::{Expectation, command, duration, expectation};
use self::notation::{Point, series, start_times};
use super::{EvalOptions, Evaluated, Expr, NameRemoval, evaluate, parse};
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

const NATIVE: &str = "native histograms";
const START_TIMES: &str = "start timestamps";

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
        let command = line.split_whitespace().next().unwrap_or("").to_lowercase();
        let command = command.as_str();
        if command != "clear" {
            while next < lines.len() && !lines[next].is_empty() {
                next += 1;
            }
        }
        let block = &lines[block_start..next];
        let outcome = match command {
            "clear" => {
                runner.series.clear();
                runner.unsupported.clear();
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
    /// Series that were loaded with something that we cannot hold, and what.
    unsupported: Vec<(Labels, &'static str)>,
    report: Report,
}

impl Runner {
    fn load(&mut self, line: &str, block: &[&str]) -> Result<(), String> {
        let (command, step) = line
            .split_once(char::is_whitespace)
            .ok_or("expected `load <step>`")?;
        let step = duration(step.trim())?;
        // A line for all series that follow, or for the next one.
        let (mut all_have_start, mut next_has_start) = (false, false);
        for line in block {
            if let Some(of) = start_times(line)? {
                *(if of.is_empty() {
                    &mut all_have_start
                } else {
                    &mut next_has_start
                }) = true;
                continue;
            }
            let (labels, points) = series(line)?;
            if std::mem::take(&mut next_has_start) || all_have_start {
                self.unsupported.push((labels.clone(), START_TIMES));
            }
            if points.contains(&Point::Native) {
                self.unsupported.push((labels.clone(), NATIVE));
            }
            if command == "load_with_nhcb" {
                let name = labels.name();
                let base = ["_bucket", "_count", "_sum"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix));
                if let Some(base) = base {
                    let made = labels.with("le", "").with(METRIC_NAME, base);
                    self.unsupported.push((made, NATIVE));
                }
            }
            let samples = self.series.entry(labels).or_default();
            for (i, point) in (0i64..).zip(points) {
                if let Point::Value(value) = point {
                    samples.insert(step.0.saturating_mul(i), value);
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
            let is_instant = line.split_whitespace().nth(1) == Some("instant");
            let expected = expectation(kind, is_instant, block)?;
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
        if failure.starts_with("unsupported feature: ") {
            return failure;
        }
        if expected.native {
            return format!("unsupported feature: {NATIVE}");
        }
        let Ok(expr) = parse(expression) else {
            return failure;
        };
        let steps = Steps::instant(Timestamp(0));
        let selectors = expr.selectors(steps, &EvalOptions::default());
        let lists: Vec<_> = selectors.iter().flat_map(|s| &s.alternatives).collect();
        let needed = self.unsupported.iter().find(|(labels, _)| {
            let selects = |list: &&Vec<_>| list.iter().all(|m: &crate::Matcher| m.matches(labels));
            lists.iter().any(selects)
        });
        match needed {
            Some((_, feature)) => format!("unsupported feature: {feature}"),
            None => failure,
        }
    }

    fn ask(&self, expr: &Expr, steps: Steps) -> crate::Result<Evaluated> {
        let options = EvalOptions {
            name_removal: NameRemoval::Delayed,
            values_max: 1_000_000,
            ..EvalOptions::default()
        };
        evaluate(expr, steps, &self.reader(), &options)
    }

    fn check(&self, expected: &Expectation, steps: Steps, expression: &str) -> Result<(), String> {
        let result = parse(expression)
            .map_err(crate::Error::from)
            .and_then(|expr| Ok((self.ask(&expr, steps)?, expr)));
        let (result, expr) = match result {
            Ok(found) => found,
            Err(error) => return failed(expected, &error),
        };
        if expected.fails {
            let found = shown(&result.value);
            return Err(format!("expected a failure, found\n{found}"));
        }
        check_annotations(expected, &result.annotations)?;
        compare(expected, &result.value)?;
        if expected.is_instant && expected.range.is_none() && expected.text.is_none() {
            self.check_variants(expected, steps.start, &expr)?;
        }
        Ok(())
    }

    /// What holds at an instant holds in a range too, and pinned to that time.
    fn check_variants(
        &self,
        expected: &Expectation,
        at: Timestamp,
        expr: &Expr,
    ) -> Result<(), String> {
        let ask = |expr: &Expr, steps: Steps| self.ask(expr, steps).map_err(|e| e.to_string());
        if !expected.ordered && !variants::sees_query(expr) {
            let range = ask(expr, variants::around(at)).map(|r| variants::middle(r.value));
            range
                .and_then(|value| compare(expected, &value))
                .map_err(|e| format!("within a range: {e}"))?;
        }
        if let Some(pinned) = variants::pinned(expr, at) {
            for other in variants::other_times(at) {
                ask(&pinned, Steps::instant(other))
                    .and_then(|result| compare(expected, &result.value))
                    .map_err(|e| format!("as `{pinned}` at {other}: {e}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsupported(script: &str) -> Vec<(String, usize)> {
        let report = run(script);
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        let all = report.total - report.passed;
        assert_eq!(all, report.unsupported.values().sum::<usize>());
        report.unsupported.into_iter().collect()
    }

    #[test]
    fn what_only_fails_for_want_of_a_feature_is_named() {
        let native = "load 1m\n  h {{schema:0 count:1}}x3\n  f 1 2 3\n\neval instant at 0 h\n  h {{count:1}}\n\neval instant at 0 f\n  f 1\n\neval instant at 0 h + 1\n  expect info\n";
        assert_eq!(unsupported(native), [("native histograms".to_owned(), 2)]);
        let custom = "load_with_nhcb 1m\n  h_bucket{le=\"1\"} 1\n  h_bucket{le=\"+Inf\"} 2\n  h_count 2\n\neval instant at 0 histogram_quantile(0.5, h)\n  {} 1\n\neval instant at 0 h_count\n  h_count 2\n";
        assert_eq!(unsupported(custom), [("native histograms".to_owned(), 1)]);
        let starts = "load 1m\n  a_total@st -30s _ -1m+30sx1 *\n  a_total 1 2 3 4 5\n  b_total 1 2 3 4 5\n\neval instant at 2m increase(a_total[2m])\n  {} 3\n\neval instant at 2m increase(b_total[2m])\n  {} 2\n\nload 1m\n  @st -1m\n  c_total 1 2 3\n\neval instant at 2m increase(c_total[2m])\n  {} 3\n";
        assert_eq!(unsupported(starts), [("start timestamps".to_owned(), 2)]);
        let refused = "load 1m\n  x 1\n\neval instant at 0 rate(x[1m+1m])\n\neval instant at 0 rate(x[1m] anchored)\n  {} 1\n";
        assert_eq!(
            unsupported(refused),
            [
                ("duration expressions".to_owned(), 1),
                ("range modifier `anchored`".to_owned(), 1)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |script: &str, expected: &str| {
            let report = run(&format!("load 1m\n  x 1 2 3\n\n{script}\n"));
            assert_eq!(report.passed, 0, "{script}");
            let found = report.failures.join("\n");
            assert!(found.contains(expected), "{script}: {found}");
        };
        check(
            "eval instant at 0 x\n  x 2",
            "expected\n  x 2\nfound\n  x 1",
        );
        check("eval instant at 0 x\n  y 1", "expected\n  y 1\nfound");
        check("eval instant at 0 x", "found\n  x 1");
        check(
            "eval instant at 0 x\n  x 1\n  y 2",
            "expected\n  x 1\n  y 2",
        );
        check("eval instant at 0 x\n  expect fail", "expected a failure");
        check(
            "eval instant at 0 x +\n  expect fail msg: something",
            "unexpected end of input",
        );
        check(
            "eval instant at 0 x\n  expect warn\n  x 1",
            "expected annotation Warn",
        );
        check(
            "eval instant at 2m rate(x[2m])\n  expect no_info\n  {} 1",
            "expected annotation NoInfo",
        );
        check(
            "eval instant at 2m rate(x[2m])\n  expect info msg: another\n  {} 1",
            "expected annotation Info another",
        );
        check(
            "eval instant at 0 x\n  expect info\n  expect no_info\n  x 1",
            "a message is expected, and that there is none",
        );
        check(
            "eval instant at 0 x\n  x 1 2",
            "an instant has one value; several need `expect range vector`",
        );
        check(
            "eval instant at 0 x\n  expect nonsense",
            "unknown expectation",
        );
        check(
            "eval sometimes at 0 x\n  x 1",
            "expected `instant` or `range`",
        );
        check(
            "eval_never instant at 0 x\n  x 1",
            "unknown command `eval_never`",
        );
        check(
            "evaluate instant at 0 x\n  x 1",
            "unknown command `evaluate`",
        );
        check("forget everything", "unknown command `forget`");
        check("load 1x\n  y 1", "expected a duration, found `1x`");
        check("load 1m\n  y 1 two", "expected values, found `two`");
        check(
            "load 1m\n  y@st soon\n  y 1",
            "expected a duration, found `soon`",
        );
        check(
            "eval instant at 0 \"a\"\n  expect string \"b\"",
            "expected\n  \"b\"\nfound\n  \"a\"",
        );
        check(
            "eval instant at 2m x[2m]\n  expect range vector from 0 to 2m step 1m\n  x 1 2 3",
            "found\n  x 2@60000000000 3@120000000000",
        );
        check("eval range from 0 to 1m step 1m x\n  x 1", "found\n  x 1 2");
    }
}
