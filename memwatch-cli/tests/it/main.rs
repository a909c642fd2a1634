//! The program from outside: what it prints, where, and with which exit code.

#![allow(clippy::print_stderr)] // A test that is skipped says so.

pub(crate) mod backtest;
mod check;
mod corpus;
mod diff;
mod explain;
mod export;
mod info;
mod ingest;
mod notifications;
#[cfg(feature = "s3")]
mod object_storage;
mod query;
mod recorder;
mod recording;
mod report;
mod scores;
mod tune;
mod upkeep;

use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the program gave.
pub(crate) struct Run {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// Runs `memwatch` with these arguments in `folder`.
pub(crate) fn memwatch(folder: &Path, args: &[&str]) -> Run {
    memwatch_reading(folder, args, b"")
}

/// The same with something on standard input.
pub(crate) fn memwatch_reading(folder: &Path, args: &[&str], stdin: &[u8]) -> Run {
    memwatch_with(folder, args, stdin, &[])
}

/// The same with variables of the environment.
pub(crate) fn memwatch_with(
    folder: &Path,
    args: &[&str],
    stdin: &[u8],
    variables: &[(&str, &str)],
) -> Run {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_memwatch"))
        .args(args)
        .current_dir(folder)
        .env_remove("MEMWATCH_DATA")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Run {
    /// Fails the test unless the run ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Run {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }
}
