//! `memwatch ingest`.

use std::fs;

use crate::{memwatch, memwatch_reading, recording};

#[test]
fn a_folder_is_reported_input_by_input() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    let run = memwatch(root.path(), &["ingest", "api"]).ended(0);
    let line = |name: &str| {
        let line = run.out.lines().find(|l| l.contains(name));
        line.unwrap_or_else(|| panic!("{name} in\n{}", run.out))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(
        line("samples.ndjson").contains("samples 7.5 kB 25 0 0"),
        "{}",
        line("samples.ndjson")
    );
    assert!(line("stderr.log").contains("gctrace"), "{}", run.out);
    assert!(
        run.out
            .contains("skipped:\n  api/README.md: no format that memwatch knows")
    );
    assert_eq!(run.err, "", "nothing to say, and no bar without a terminal");

    let again = memwatch(root.path(), &["ingest", "api", "--data", "data"]).ended(0);
    assert!(again.out.contains("taken before"), "{}", again.out);
    assert!(!again.out.contains("new rows"), "{}", again.out);
}

#[test]
fn the_report_is_json_for_programs() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    let run = memwatch(root.path(), &["ingest", "api", "--report", "json"]).ended(0);
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["schema"], "memwatch.ingest/1");
    assert_eq!(report["tables"][0]["name"], "samples");
    assert_eq!(report["tables"][0]["rows"], recording::READINGS);
    assert_eq!(report["inputs"].as_array().unwrap().len(), 3);
}

#[test]
fn bad_lines_are_shown_with_their_place() {
    let root = tempfile::tempdir().unwrap();
    let mut text = recording::samples();
    text.push_str("{\"type\":\"sample\",\"ts\":1795410200562606739,\"service\":\"api\",\"instance\":\"api-0\",\"proc\":1,\"memstats\":{\"HeapAlloc\":\"\\u001b[31mmany\"}}\n");
    fs::write(root.path().join("s.ndjson"), text).unwrap();
    let run = memwatch(root.path(), &["ingest", "s.ndjson"]).ended(0);
    let line = run
        .out
        .lines()
        .find(|l| l.contains("s.ndjson:27: "))
        .unwrap_or_else(|| panic!("{}", run.out));
    assert!(
        line.contains("field `") && line.contains("expected") && line.contains("found"),
        "{line}"
    );
    assert!(!run.out.contains('\u{1b}'), "no escapes from data");

    let strict = memwatch(
        root.path(),
        &[
            "ingest",
            "s.ndjson",
            "--data",
            "strict",
            "--on-error",
            "fail",
        ],
    )
    .ended(2);
    assert!(
        strict.err.contains("failed: s.ndjson: line 27: field"),
        "{}",
        strict.err
    );
    let info = memwatch(root.path(), &["info", "strict"]).ended(0);
    assert!(info.out.contains("no rows yet"), "{}", info.out);
}

#[test]
fn standard_input_is_an_input() {
    let root = tempfile::tempdir().unwrap();
    let args = [
        "ingest",
        "-",
        "--format",
        "gctrace",
        "--service",
        "api",
        "--instance",
        "api-7",
        "--start",
        "2026-11-23T05:03:09Z",
    ];
    let run = memwatch_reading(root.path(), &args, recording::GCTRACE.as_bytes()).ended(0);
    assert!(run.out.contains("gc_cycles 2"), "{}", run.out);
    let query = memwatch(
        root.path(),
        &[
            "query",
            "SELECT min(ts), max(instance) FROM gc_cycles",
            "--format",
            "ndjson",
        ],
    )
    .ended(0);
    assert!(
        query.out.contains("2026-11-23T05:03:09.071000Z"),
        "{}",
        query.out
    );
    assert!(query.out.contains("api-7"), "{}", query.out);
}

#[test]
fn failures_exit_with_2_and_words() {
    let root = tempfile::tempdir().unwrap();
    let here = root.path();
    fs::write(here.join("empty.log"), "").unwrap();
    fs::create_dir(here.join("nothing")).unwrap();
    fs::write(here.join("noise.bin"), [0u8, 1, 2, 255]).unwrap();
    for (args, words) in [
        (
            &["ingest", "missing.log"][..],
            "missing.log: no such file or folder",
        ),
        (&["ingest", "*.gz"], "*.gz: no file matches this pattern"),
        (&["ingest", "nothing"], "nothing: no files in this folder"),
        (&["ingest", "empty.log"], "empty.log: empty"),
        (
            &["ingest", "noise.bin"],
            "noise.bin: no format that memwatch knows",
        ),
        (
            &["ingest", "empty.log", "--format", "yaml"],
            "expected auto or one of",
        ),
        (
            &["ingest", "empty.log", "--at", "soon"],
            "expected a time like",
        ),
        (&["ingest"], "required"),
    ] {
        let run = memwatch(here, args).ended(2);
        assert!(run.err.contains(words), "{args:?}: {}", run.err);
    }
    // A store is not overwritten by another thing's name.
    fs::create_dir(here.join("other")).unwrap();
    fs::write(here.join("other/file"), "x").unwrap();
    recording::write(here);
    let run = memwatch(here, &["ingest", "api", "--data", "other"]).ended(2);
    assert!(run.err.contains("expected a memwatch store"), "{}", run.err);
}
