//! JUnit XML, as CI systems read it: a test case for each incident, rule and limit. No times and no host, so that the same inputs give
//! the same bytes.

use std::fmt::Write as _;

use memwatch_core::backtest::{Outcome, Score, addresses};

use super::backtest::{Shown, lasted};
use super::clean;
use super::diff::Compared;
use crate::commands::budget::Budget;

enum Result {
    Passed,
    /// What is wrong.
    Failed(String),
    /// Why nothing can be said.
    Skipped(String),
}

struct Case {
    name: String,
    result: Result,
    /// More to read.
    told: String,
}

struct Suite {
    name: &'static str,
    cases: Vec<Case>,
}

/// A backtest: an incident fails when it was missed, a rule when it was wrong or could not be evaluated, a limit when it is broken.
pub fn of_backtest(shown: &Shown<'_>, given: &[Budget]) -> String {
    let outcome = shown.outcome;
    let mut suites = vec![
        Suite {
            name: "incidents",
            cases: incidents(outcome, None),
        },
        Suite {
            name: "rules",
            cases: rules(outcome, |_| None),
        },
    ];
    if !given.is_empty() {
        suites.push(limits(given));
    }
    document(&suites)
}

/// A comparison: an incident fails when the old rules caught it and the new ones do not, a rule when it is wrong more often than before.
pub fn of_diff(shown: &Compared<'_>) -> String {
    let before = |name: &str| {
        let pair = shown.diff.rules.iter().find(|p| *p.name == *name)?;
        false_alerts(shown.old, pair.old?)
    };
    let suites = [
        Suite {
            name: "incidents",
            cases: incidents(shown.new, Some(shown.old)),
        },
        Suite {
            name: "rules",
            cases: rules(shown.new, before),
        },
        limits(shown.budgets),
    ];
    document(&suites)
}

fn incidents(outcome: &Outcome, old: Option<&Outcome>) -> Vec<Case> {
    let Some(scored) = &outcome.score else {
        return Vec::new();
    };
    let names = addresses(outcome);
    scored
        .incidents
        .iter()
        .zip(names)
        .enumerate()
        .map(|(i, (found, name))| {
            let caught_before = old
                .and_then(|o| o.score.as_ref())
                .and_then(|s| s.incidents.get(i))
                .map(|o| !o.detected_by.is_empty());
            let by: Vec<String> = found
                .detected_by
                .iter()
                .map(|d| format!("{} after {}", outcome.rules[d.rule].name, lasted(d.delay)))
                .collect();
            let range = found.incident.range;
            let told = format!(
                "{} to {}\n{}",
                range.start, range.end, found.incident.detail
            );
            let result = match (by.is_empty(), caught_before) {
                (false, _) => Result::Passed,
                (true, Some(false)) => Result::Skipped("missed, as before".to_owned()),
                (true, Some(true)) => Result::Failed("missed; the old rules caught it".to_owned()),
                (true, None) => Result::Failed("missed".to_owned()),
            };
            let told = match by.is_empty() {
                true => told,
                false => format!("{told}\ncaught by {}", by.join(", ")),
            };
            Case { name, result, told }
        })
        .collect()
}

fn false_alerts(outcome: &Outcome, rule: usize) -> Option<u64> {
    let scored = outcome.score.as_ref()?;
    let found = scored.rules.iter().find(|(i, _)| *i == rule)?;
    Some(found.1.false_alerts)
}

/// `allowed` says how many false alerts a rule had before; without it, none is right.
fn rules(outcome: &Outcome, allowed: impl Fn(&str) -> Option<u64>) -> Vec<Case> {
    let alerting = outcome.rules.iter().enumerate().filter(|(_, r)| r.alerting);
    alerting
        .map(|(index, rule)| {
            let score: Option<&Score> = outcome
                .score
                .as_ref()
                .and_then(|s| s.rules.iter().find(|(i, _)| *i == index))
                .map(|(_, score)| score);
            let wrong = score.map_or(0, |s| s.false_alerts);
            let before = allowed(&rule.name);
            let result = if rule.evaluations <= rule.unknown + rule.errors {
                let why = rule.first_error.clone();
                match why {
                    Some(error) => Result::Failed(format!("cannot be evaluated: {error}")),
                    None => Result::Skipped("never evaluated: what it reads was not recorded".to_owned()),
                }
            } else if rule.errors > 0 {
                Result::Failed(format!("{} of {} evaluations failed", rule.errors, rule.evaluations))
            } else if wrong > before.unwrap_or(0) {
                let before = before.map_or(String::new(), |b| format!(", {b} before"));
                Result::Failed(format!("{wrong} false alerts{before}"))
            } else {
                Result::Passed
            };
            let mut told = format!("{} alerts", rule.alerts);
            if let Some(score) = score {
                let _ = write!(
                    told,
                    ": {} right, {} again in the same incident, {} false; {} of {} incidents caught",
                    score.true_alerts, score.duplicates, score.false_alerts, score.hit, score.incidents
                );
            }
            if rule.unknown > 0 {
                let _ = write!(told, "\n{} of {} evaluations unknown", rule.unknown, rule.evaluations);
            }
            Case {
                name: format!("{}/{}", rule.group, rule.name),
                result,
                told,
            }
        })
        .collect()
}

fn limits(budgets: &[Budget]) -> Suite {
    let cases = budgets.iter().map(|budget| Case {
        name: budget.name.to_owned(),
        result: match budget.holds {
            true => Result::Passed,
            false => Result::Failed(budget.words.clone()),
        },
        told: budget.words.clone(),
    });
    Suite {
        name: "limits",
        cases: cases.collect(),
    }
}

fn document(suites: &[Suite]) -> String {
    let count =
        |cases: &[Case], is: fn(&Result) -> bool| cases.iter().filter(|c| is(&c.result)).count();
    let failed: fn(&Result) -> bool = |r| matches!(r, Result::Failed(_));
    let skipped: fn(&Result) -> bool = |r| matches!(r, Result::Skipped(_));
    let total = |is: fn(&Result) -> bool| suites.iter().map(|s| count(&s.cases, is)).sum::<usize>();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"memwatch\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
        suites.iter().map(|s| s.cases.len()).sum::<usize>(),
        total(failed),
        total(skipped),
    );
    for suite in suites {
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
            suite.name,
            suite.cases.len(),
            count(&suite.cases, failed),
            count(&suite.cases, skipped),
        );
        for case in &suite.cases {
            let _ = writeln!(
                out,
                "    <testcase classname=\"memwatch.{}\" name=\"{}\">",
                suite.name,
                escape(&case.name)
            );
            match &case.result {
                Result::Passed => {}
                Result::Failed(why) => {
                    let _ = writeln!(
                        out,
                        "      <failure message=\"{}\">{}</failure>",
                        escape(why),
                        escape(&case.told)
                    );
                }
                Result::Skipped(why) => {
                    let _ = writeln!(out, "      <skipped message=\"{}\"/>", escape(why));
                }
            }
            if !matches!(case.result, Result::Failed(_)) && !case.told.is_empty() {
                let _ = writeln!(out, "      <system-out>{}</system-out>", escape(&case.told));
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text for XML 1.0, which has no control characters at all.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in clean(text, true).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_counts_and_escapes() {
        let case = |name: &str, result: Result| Case {
            name: name.to_owned(),
            result,
            told: "a\u{1b}[31m ]]> b".to_owned(),
        };
        let suites = [Suite {
            name: "incidents",
            cases: vec![
                case("<x>&\"y\"", Result::Passed),
                case("f", Result::Failed("why \"so\"".to_owned())),
                case("s", Result::Skipped("no".to_owned())),
            ],
        }];
        let xml = document(&suites);
        for expected in [
            "<testsuites name=\"memwatch\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">",
            "name=\"&lt;x&gt;&amp;&quot;y&quot;\"",
            "<failure message=\"why &quot;so&quot;\">a\u{fffd}[31m ]]&gt; b</failure>",
            "<skipped message=\"no\"/>",
        ] {
            assert!(xml.contains(expected), "{expected}\n{xml}");
        }
    }
}
