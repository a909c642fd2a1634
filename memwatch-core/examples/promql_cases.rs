//! Runs every test script (`*.test`, Prometheus' language) of a folder against our evaluator.
//!
//! `cargo run --release -p memwatch-core --example promql_cases -- DIR`
//!
//! Prints a line for each file, then `passed N of M, unsupported K` with the features that are missing; anything else that does not
//! give what the script expects is printed with expected and found, and the exit code is 1.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // It reads files, which the library does not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use memwatch_core::expr::script::{Report, run};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: promql_cases DIR");
        return ExitCode::from(2);
    };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::from(2);
        }
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    let mut all = Report::default();
    let mut features: BTreeMap<String, usize> = BTreeMap::new();
    for file in &files {
        let script = match std::fs::read_to_string(file) {
            Ok(script) => script,
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                return ExitCode::from(2);
            }
        };
        let report = run(&script);
        let unsupported: usize = report.unsupported.values().sum();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{name}: passed {} of {}, unsupported {unsupported}",
            report.passed, report.total
        );
        for failure in &report.failures {
            println!("{name}: {failure}");
        }
        all.total += report.total;
        all.passed += report.passed;
        all.failures.extend(report.failures);
        for (feature, count) in report.unsupported {
            *features.entry(feature).or_default() += count;
        }
    }
    let unsupported: usize = features.values().sum();
    println!(
        "passed {} of {}, unsupported {unsupported}",
        all.passed, all.total
    );
    for (feature, count) in &features {
        println!("  unsupported: {feature}: {count}");
    }
    if files.is_empty() {
        eprintln!("{}: no *.test file", folder.display());
        return ExitCode::from(2);
    }
    if all.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
