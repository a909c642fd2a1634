//! Calls that fail because `strace` says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::Outcome;

/// System calls that fail with an error.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    calls: &'static str,
    pub(crate) error: &'static str,
    /// Whether a program may go on as if nothing had been: never after a sync.
    pub(crate) may_be_survived: bool,
}

const fn fault(name: &'static str, calls: &'static str, error: &'static str) -> Fault {
    Fault {
        name,
        calls,
        error,
        may_be_survived: true,
    }
}

const WRITE: &str = "write,pwrite64,ftruncate";
const NAMES: &str = "rename,link,linkat,unlink,unlinkat,mkdir,mkdirat";

pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        may_be_survived: false,
        ..fault("sync", "fsync,fdatasync", "EIO")
    },
    fault("write", WRITE, "EIO"),
    fault("write", WRITE, "ENOSPC"),
    fault("name", NAMES, "EIO"),
    fault("name", NAMES, "ENOSPC"),
    fault("read", "read,pread64", "EIO"),
    fault("open", "openat", "EMFILE"),
    fault("open", "openat", "EIO"),
    fault("list", "getdents64", "EIO"),
    fault("look", "statx", "EIO"),
    fault("lock", "flock", "ENOLCK"),
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Once,
    /// From that call on all fail.
    Since,
}

pub(crate) struct Injected {
    pub(crate) output: Output,
    /// Calls that failed and touch the store.
    pub(crate) hits: usize,
}

pub(crate) fn is_there() -> bool {
    let version = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The calls that touch the store: which of its thread each is, for `strace` counts by thread.
pub(crate) fn ordinals(command: &[String], folder: &Path, fault: &Fault) -> Outcome<BTreeSet<u64>> {
    let (_, log) = traced(command, fault, None)?;
    let folder = folder.to_string_lossy();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in calls(&log) {
        let thread = line.split_whitespace().next().unwrap_or_default();
        let count = counts.entry(thread).or_default();
        *count += 1;
        if line.contains(&*folder) {
            found.insert(*count);
        }
    }
    Ok(found)
}

/// Runs with the `nth` call of each thread failing.
pub(crate) fn inject(
    command: &[String],
    folder: &Path,
    fault: &Fault,
    nth: u64,
    mode: Mode,
) -> Outcome<Injected> {
    let since = match mode {
        Mode::Once => "",
        Mode::Since => "+",
    };
    let inject = format!("{}:error={}:when={nth}{since}", fault.calls, fault.error);
    let (output, log) = traced(command, fault, Some(&inject))?;
    let folder = folder.to_string_lossy();
    let injected = || log.lines().filter(|line| line.contains("(INJECTED)"));
    let hits = injected().filter(|line| line.contains(&*folder)).count();
    // A program that cannot say what happened is not asked.
    let mute = injected().any(|line| line.contains("(1<") || line.contains("(2<"));
    let hits = if mute { 0 } else { hits };
    Ok(Injected { output, hits })
}

/// Lines that begin a call.
fn calls(log: &str) -> impl Iterator<Item = &str> {
    log.lines()
        .filter(|line| line.contains('(') && !line.contains("<... "))
}

fn traced(command: &[String], fault: &Fault, inject: Option<&str>) -> Outcome<(Output, String)> {
    let log = tempfile::NamedTempFile::new()?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-qq", "-s", "0", "-e", "signal=none", "-o"]);
    strace.arg(log.path());
    strace.arg("-e").arg(format!("trace={}", fault.calls));
    if let Some(inject) = inject {
        strace.arg("-e").arg(format!("inject={inject}"));
    }
    let output = strace.args(command).stdin(Stdio::null()).output()?;
    let log = String::from_utf8_lossy(&std::fs::read(log.path())?).into_owned();
    Ok((output, log))
}
