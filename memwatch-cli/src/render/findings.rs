//! What `check` finds.

use std::io::Write;
use std::path::Path;

use memwatch_core::rule::{Fault, Finding, Level, Problem};
use serde::Serialize;

use super::{Output, clean, json};

/// For people: each finding with its line, then how many.
pub fn text(
    out: &mut Output,
    path: &Path,
    rules: Option<(usize, usize)>,
    findings: &[Finding],
) -> anyhow::Result<()> {
    for finding in findings {
        let level = match finding.level {
            Level::Problem => "problem",
            Level::Hint => "hint",
        };
        writeln!(
            out,
            "{level}: {}\n",
            clean(&finding.problem.to_string(), true)
        )?;
    }
    let problems = findings
        .iter()
        .filter(|f| f.level == Level::Problem)
        .count();
    let hints = findings.len() - problems;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let held = match rules {
        Some((groups, rules)) => {
            format!("{} in {}, ", count(rules, "rule"), count(groups, "group"))
        }
        None => String::new(),
    };
    writeln!(
        out,
        "{}: {held}{}, {}",
        clean(&path.to_string_lossy(), false),
        count(problems, "problem"),
        count(hints, "hint"),
    )?;
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    file: String,
    groups: Option<usize>,
    rules: Option<usize>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    level: &'static str,
    line: usize,
    column: usize,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a str>,
    help: Option<&'a str>,
}

/// For programs.
pub fn json(
    out: &mut Output,
    path: &Path,
    rules: Option<(usize, usize)>,
    findings: &[Finding],
) -> anyhow::Result<()> {
    let findings = findings.iter().map(|f| one(f.level, &f.problem)).collect();
    json::document(
        out,
        &Document {
            schema: "memwatch.check/1",
            file: path.to_string_lossy().into_owned(),
            groups: rules.map(|r| r.0),
            rules: rules.map(|r| r.1),
            findings,
        },
    )
}

fn one(level: Level, problem: &Problem) -> FindingJson<'_> {
    let (message, expected, found) = match &problem.fault {
        Fault::Other(message) => (Some(message.as_str()), None, None),
        Fault::Value { expected, found } => (None, Some(expected.as_str()), Some(found.as_str())),
    };
    FindingJson {
        level: match level {
            Level::Problem => "problem",
            Level::Hint => "hint",
        },
        line: problem.line,
        column: problem.column,
        key: &problem.key,
        message,
        expected,
        found,
        help: problem.help.as_deref(),
    }
}
