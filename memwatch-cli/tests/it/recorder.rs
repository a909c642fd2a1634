//! The Go recorder of docs/recorder, from a running Go program to rows.
//!
//! Needs a Go toolchain: `MEMWATCH_GO` names one, else `go` of the path is taken; without one the test says so and passes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

/// Seconds that the recorded program runs.
const SECONDS: i64 = 3;
/// Readings a second.
const READINGS: i64 = 5;

#[test]
#[allow(clippy::print_stderr)] // A skipped test says so.
fn a_recorded_go_program_becomes_rows() {
    let Some(go) = toolchain() else {
        eprintln!("skipped: no Go toolchain (set MEMWATCH_GO, or put `go` on the path)");
        return;
    };
    let home = tempfile::tempdir().expect("a temporary folder");
    let recording = home.path().join("recording");
    let store = home.path().join("data");
    let example = home.path().join("example");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recorder");

    run(Command::new(&go)
        .args(["build", "-o"])
        .arg(&example)
        .arg("./cmd/example")
        .current_dir(package)
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off"));
    run(Command::new(&example).arg("-dir").arg(&recording).args([
        "-for",
        &format!("{SECONDS}s"),
        "-metrics",
    ]));

    ingest(&recording, &store);
    let rows = rows(&store);
    // One reading at the start, one at the end, and those between; a busy machine may miss some.
    let samples = rows["samples"];
    assert!(
        (SECONDS * READINGS / 2..=SECONDS * READINGS + 2).contains(&samples),
        "{samples} samples in {SECONDS} s"
    );
    assert!(rows["metrics"] > 100, "{rows:?}");
    assert!(rows["cycles"] > 10, "the program makes garbage: {rows:?}");
    // Every pause of the process is there once.
    assert_eq!(rows["pauses"], rows["cycles"], "{rows:?}");
    assert_eq!(rows["pause_ns"], rows["pause_total_ns"], "{rows:?}");
    // One process, and what the runtime guarantees of each reading.
    assert_eq!(rows["processes"], 1, "{rows:?}");
    assert_eq!(rows["broken"], 0, "{rows:?}");

    ingest(&recording, &store);
    assert_eq!(self::rows(&store), rows, "the second ingest adds nothing");
}

/// The Go toolchain to use, if it runs.
fn toolchain() -> Option<OsString> {
    let go = std::env::var_os("MEMWATCH_GO").unwrap_or_else(|| "go".into());
    let version = Command::new(&go).arg("version").output().ok()?;
    version.status.success().then_some(go)
}

fn ingest(recording: &Path, store: &Path) {
    run(memwatch()
        .arg("ingest")
        .arg(recording)
        .arg("--data")
        .arg(store)
        .args(["--on-error", "fail"]));
}

/// Numbers of the store by name.
fn rows(store: &Path) -> BTreeMap<String, i64> {
    let sql = "
        SELECT 'samples' AS name, count(*) AS n FROM samples
        UNION ALL SELECT 'processes', count(DISTINCT process) FROM samples
        UNION ALL SELECT 'cycles', max(num_gc) FROM samples
        UNION ALL SELECT 'pause_total_ns', max(pause_total_ns) FROM samples
        UNION ALL SELECT 'broken', count(*) FROM samples
            WHERE heap_sys_bytes <> heap_inuse_bytes + heap_idle_bytes OR heap_objects <> mallocs_total - frees_total
            OR heap_released_bytes > heap_idle_bytes OR heap_alloc_bytes > heap_inuse_bytes
        UNION ALL SELECT 'pauses', count(*) FROM gc_pauses WHERE origin = 'memstats'
        UNION ALL SELECT 'pause_ns', sum(pause_ns) FROM gc_pauses WHERE origin = 'memstats'
        UNION ALL SELECT 'metrics', count(*) FROM metrics";
    let output = run(memwatch()
        .arg("query")
        .arg(sql)
        .arg("--data")
        .arg(store)
        .args(["--format", "csv"]));
    let text = String::from_utf8(output.stdout).expect("CSV is UTF-8");
    let rows: BTreeMap<String, i64> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (name, n) = line
                .split_once(',')
                .unwrap_or_else(|| panic!("two columns, found `{line}`"));
            (
                name.to_owned(),
                n.trim().parse().unwrap_or_else(|e| panic!("`{line}`: {e}")),
            )
        })
        .collect();
    assert_eq!(rows.len(), 8, "{text}");
    rows
}

fn memwatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memwatch"));
    command.env_remove("MEMWATCH_DATA");
    command
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
