//! `memwatch check` and `memwatch backtest`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::memwatch;

const START: i64 = 1_795_410_189_000_000_000;

/// Two services for a minute, a reading each second: the heap of `api` is large from 20 to 39 s, that of `web` never.
fn write_recordings(root: &Path) {
    for service in ["api", "web"] {
        let folder = root.join("rec").join(service);
        fs::create_dir_all(&folder).unwrap();
        let mut text = format!(
            "{{\"type\":\"meta\",\"format\":\"memwatch-samples/1\",\"ts\":{START},\"service\":\"{service}\",\"instance\":\"{service}-0\",\"proc\":1}}\n"
        );
        for i in 0..60 {
            let large = service == "api" && (20..40).contains(&i);
            let heap = if large { 900_000_000 } else { 8_000_000 + i };
            writeln!(
                text,
                "{{\"type\":\"sample\",\"ts\":{},\"service\":\"{service}\",\"instance\":\"{service}-0\",\"version\":\"v1\",\
                 \"go\":\"go1.27.3\",\"proc\":1,\"uptime_ns\":{},\"goroutines\":9,\"gogc\":100,\
                 \"memstats\":{{\"HeapInuse\":{heap},\"NumGC\":0}},\"pauses\":[],\"pauses_dropped\":0}}",
                START + i * 1_000_000_000,
                (i + 1) * 1_000_000_000,
            )
            .unwrap();
        }
        fs::write(folder.join("samples.ndjson"), text).unwrap();
        let incident = if service == "api" {
            format!(
                "{{\"id\":1,\"kind\":\"heap_step\",\"start\":\"\",\"start_unix_ns\":{},\"end_unix_ns\":{},\"detail\":\"large\"}}",
                START + 18_000_000_000i64,
                START + 40_000_000_000i64
            )
            .replace("\"start\":\"\",", "")
        } else {
            String::new()
        };
        let labels = format!(
            "{{\"format\":\"memwatch-labels/1\",\"service\":\"{service}\",\"instance\":\"{service}-0\",\
             \"incidents\":[{incident}],\"benign\":[],\"unlabelled\":[]}}"
        );
        fs::write(folder.join("labels.json"), labels).unwrap();
    }
}

pub(crate) const RULES: &str = r#"
[settings]
interval = "1s"

[[group]]
name = "heap"

[[group.rule]]
record = "service:heap"
expr = 'sum by (service, instance) (go_memstats_heap_inuse_bytes)'

[[group.rule]]
alert = "HeapLarge"
expr = 'service:heap > $limit'
for = "3s"
params = { limit = 500e6 }
labels = { severity = "P2" }
annotations = { summary = '{{ $labels.instance }} uses {{ $value | humanize }}B' }
detects = ["heap_step"]

[[group.rule]]
alert = "Blind"
expr = 'go_nothing_recorded > 1'
"#;

pub(crate) fn folder(rules: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_recordings(dir.path());
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    dir
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn one_command_goes_from_files_to_the_answer() {
    let dir = folder(RULES);
    let run = memwatch(dir.path(), &["backtest", "rules.toml", "rec"]).ended(0);
    for expected in [
        "1 alert fired: 1 true, 0 duplicate, 0 false; 1 of 1 incidents caught",
        "heap_step",
        "+5.0s",
        "HeapLarge",
        "Blind: blind for any service; not recorded: go_nothing_recorded",
        "evaluated every 1s (phase 0s)",
        "05:03:09.0 to 05:04:08.0; a column is 1.1s",
        // The heap is large from 20 to 39 s, the incident begins at 18 s; 56 columns for 59 s.
        &format!("\n  {:20} {}█", "value of HeapLarge", "▁".repeat(18)),
        &format!("\n  {:20} {}█", "incidents", "·".repeat(17)),
        &format!("\n  {:20} {}▒▒▒█", "HeapLarge", "·".repeat(18)),
    ] {
        assert!(run.out.contains(expected), "{expected}\n{}", run.out);
    }
    assert!(
        run.out.lines().all(|l| l.chars().count() <= 100),
        "{}",
        run.out
    );
}

#[test]
fn the_document_holds_what_programs_need_and_is_the_same_twice() {
    let dir = folder(RULES);
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    let args = ["backtest", "rules.toml", "data", "--format", "json"];
    let run = memwatch(dir.path(), &args).ended(0);
    assert_eq!(run.out, memwatch(dir.path(), &args).ended(0).out);
    let found = json(&run.out);
    assert_eq!(found["schema"], "memwatch.backtest/1");
    let alert = &found["alerts"][0];
    assert_eq!(alert["rule"], "HeapLarge");
    assert_eq!(alert["labels"]["instance"], "api-0");
    assert_eq!(alert["annotations"]["summary"], "api-0 uses 900MB");
    assert_eq!(alert["pending_at"], "2026-11-23T05:03:29.000000Z");
    assert_eq!(alert["fired_at"], "2026-11-23T05:03:32.000000Z");
    assert_eq!(alert["resolved_at"], "2026-11-23T05:03:49.000000Z");
    assert_eq!(
        (&alert["value"], &alert["peak"]),
        (&9e8.into(), &9e8.into())
    );
    assert_eq!(alert["verdict"], "true");
    assert_eq!(found["incidents"][0]["detected_by"][0], "HeapLarge");
    assert_eq!(found["incidents"][0]["delay_s"], 5.0);
    assert_eq!(
        found["rules"][2]["unknown"],
        found["rules"][2]["evaluations"]
    );
    assert_eq!(found["coverage"][0]["reason"], "not_recorded");
    assert_eq!(found["score"]["all"]["recall"], 1.0);
    assert_eq!(found["notifications"].as_array().unwrap().len(), 0);

    let run = memwatch(
        dir.path(),
        &["backtest", "rules.toml", "data", "--format", "ndjson"],
    )
    .ended(0);
    let types: Vec<String> = run
        .out
        .lines()
        .map(|l| json(l)["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        types,
        [
            "backtest", "rule", "rule", "rule", "alert", "incident", "coverage", "score"
        ]
    );
    let run = memwatch(
        dir.path(),
        &["backtest", "rules.toml", "data", "--format", "markdown"],
    )
    .ended(0);
    assert!(
        run.out.contains("## Rules") && run.out.contains("| HeapLarge"),
        "{}",
        run.out
    );
}

#[test]
fn the_exit_code_is_the_answer() {
    let dir = folder(RULES);
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    let backtest = |more: &[&str]| {
        let args: Vec<&str> = ["backtest", "rules.toml", "data"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        memwatch(dir.path(), &args)
    };
    backtest(&["--min-recall", "1", "--min-precision", "1"]).ended(0);
    backtest(&["--fail-on", "fired"]).ended(1);
    backtest(&["--fail-on", "fired", "--to", "2026-11-23T05:03:20Z"]).ended(0);
    // Fired before the labelled start: false.
    let run = backtest(&["--labels", "rec/web/labels.json"]).ended(0);
    assert!(
        run.out.contains("1 of services without labels"),
        "{}",
        run.out
    );
    let late = "{\"format\":\"memwatch-labels/1\",\"service\":\"api\",\"instance\":\"api-0\",\"incidents\":[\
        {\"kind\":\"heap_step\",\"start\":\"2026-11-23T05:04:00Z\",\"end\":\"2026-11-23T05:04:05Z\"}]}";
    fs::write(dir.path().join("late.json"), late).unwrap();
    backtest(&["--labels", "late.json", "--min-recall", "0.5"]).ended(1);
    backtest(&["--labels", "late.json", "--min-precision", "0.5"]).ended(1);
    let failures: [(&[&str], &str); 5] = [
        (
            &[
                "--from",
                "2030-01-01T00:00:00Z",
                "--to",
                "2031-01-01T00:00:00Z",
            ],
            "the recording goes from",
        ),
        (&["--from", "soon"], "--from"),
        (&["--min-recall", "2"], "from 0 to 1"),
        (&["--labels", "missing.json"], "missing.json: cannot read"),
        (&["--interval", "0s"], "more than 0"),
    ];
    for (args, expected) in failures {
        let run = backtest(args).ended(2);
        assert!(run.err.contains(expected), "{args:?}: {}", run.err);
    }
}

#[test]
fn nothing_evaluated_is_a_failure_and_not_silence() {
    let dir = folder(
        "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = 'go_nothing_recorded > 1'\n",
    );
    let run = memwatch(dir.path(), &["backtest", "rules.toml", "rec"]).ended(2);
    assert!(
        run.err.contains("nothing could be evaluated"),
        "{}",
        run.err
    );
    assert!(run.out.contains("100.0 %"), "{}", run.out);
    let run = memwatch(dir.path(), &["backtest", "none.toml", "rec"]).ended(2);
    assert!(
        run.err.contains("none.toml: cannot read the rules"),
        "{}",
        run.err
    );
}

#[test]
fn check_points_at_what_is_wrong() {
    let dir = folder(RULES);
    memwatch(dir.path(), &["check", "rules.toml"]).ended(0);
    let run = memwatch(dir.path(), &["check", "rules.toml", "rec"]).ended(1);
    assert!(
        run.out
            .contains("the data has no series `go_nothing_recorded`"),
        "{}",
        run.out
    );
    assert!(run.out.contains("rules.toml:23:9: "), "{}", run.out);

    let bad = RULES
        .replace("for = \"3s\"", "fro = \"3s\"")
        .replace("service:heap > $limit", "rat(x[1m]) > $limit");
    fs::write(dir.path().join("bad.toml"), bad).unwrap();
    let run = memwatch(dir.path(), &["check", "bad.toml"]).ended(1);
    assert!(run.out.contains("help: did you mean `for`?"), "{}", run.out);
    assert!(
        run.out
            .contains("  |         ^^^\n  help: did you mean `rate`?")
            || run.out.contains("^^^"),
        "{}",
        run.out
    );
    let found = json(
        &memwatch(dir.path(), &["check", "bad.toml", "--format", "json"])
            .ended(1)
            .out,
    );
    assert_eq!(found["schema"], "memwatch.check/1");
    assert_eq!(found["findings"].as_array().unwrap().len(), 2);
    let run = memwatch(dir.path(), &["backtest", "bad.toml", "rec"]).ended(2);
    assert!(run.err.contains("bad.toml:"), "{}", run.err);

    fs::write(
        dir.path().join("rules.yml"),
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: go_memstats_heap_inuse_bytes > 5e8\n    for: 2s\n",
    )
    .unwrap();
    memwatch(dir.path(), &["check", "rules.yml", "rec"]).ended(0);
    let run = memwatch(
        dir.path(),
        &["backtest", "rules.yml", "rec", "--interval", "1s"],
    )
    .ended(0);
    assert!(run.out.contains("1 of 1 incidents caught"), "{}", run.out);
}

#[test]
fn incidents_are_marked_on_the_command_line() {
    let dir = folder(RULES);
    fs::remove_file(dir.path().join("rec/api/labels.json")).unwrap();
    fs::remove_file(dir.path().join("rec/web/labels.json")).unwrap();
    let backtest = |incident: &str| {
        let args = [
            "backtest",
            "rules.toml",
            "rec",
            "--format",
            "json",
            "--incident",
            incident,
        ];
        memwatch(dir.path(), &args)
    };
    let found = json(
        &backtest("heap_step@2026-11-23T05:03:27Z..2026-11-23T05:03:49Z@api")
            .ended(0)
            .out,
    );
    assert_eq!(found["incidents"][0]["id"], "heap_step@api");
    assert_eq!(found["incidents"][0]["detected_by"][0], "HeapLarge");
    assert_eq!(found["score"]["services"], serde_json::json!(["api"]));
    assert_eq!(found["score"]["severities"][0]["severity"], "P2");
    let run = backtest("heap_step@2026-11-23T05:03:27Z..2026-11-23T05:03:49Z").ended(2);
    assert!(run.err.contains("expected @service"), "{}", run.err);
    let run = backtest("heap_step@2026-11-23T05:03:27Z..2026-11-23T05:03:49Z@apl").ended(2);
    assert!(run.err.contains("did you mean `api`?"), "{}", run.err);
    let run = backtest("heap_step@yesterday").ended(2);
    assert!(run.err.contains("expected an incident like"), "{}", run.err);
}

#[test]
fn alerts_and_missed_incidents_are_explained() {
    let rules = RULES.replace("for = \"3s\"", "for = \"30s\"");
    let dir = folder(&rules);
    let args = ["backtest", "rules.toml", "rec", "--explain"];
    let explain = |id: &str, more: &[&str]| {
        let args = [&args[..], &[id], more].concat();
        memwatch(dir.path(), &args)
    };
    // The heap is large from 20 to 39 s.
    let missed = explain("heap_step@api", &[]).ended(0).out;
    for expected in [
        "missed by every rule",
        "HeapLarge",
        "held for 19.0s of the 30.0s needed, from 05:03:29.0",
        "unknown: go_nothing_recorded not recorded",
    ] {
        assert!(missed.contains(expected), "{expected}\n{missed}");
    }
    fs::write(
        dir.path().join("rules.toml"),
        RULES.replace("limit = 500e6", "limit = 1e9"),
    )
    .unwrap();
    let near = json(&explain("heap_step", &["--format", "json"]).ended(0).out);
    assert_eq!(near["schema"], "memwatch.explain/1");
    let rule = &near["rules"][0];
    assert_eq!(
        (&rule["rule"], &rule["fate"], &rule["of_kind"]),
        (&"HeapLarge".into(), &"near".into(), &true.into())
    );
    assert_eq!(
        (&rule["share"], &rule["value"], &rule["limit"]),
        (&0.9.into(), &9e8.into(), &1e9.into())
    );
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let found = json(
        &memwatch(
            dir.path(),
            &["backtest", "rules.toml", "rec", "--format", "json"],
        )
        .ended(0)
        .out,
    );
    let id = found["alerts"][0]["id"].as_str().unwrap();
    let alert = explain(id, &[]).ended(0).out;
    for expected in [
        "heap_step",
        "05:03:29.0 pending",
        "05:03:32.0 firing: after 3.0s, value 900M",
        "service:heap > $limit",
        "×1.80",
        "service:heap{instance=\"api-0\", service=\"api\"}",
    ] {
        assert!(alert.contains(expected), "{expected}\n{alert}");
    }
    assert_eq!(alert, explain(id, &[]).ended(0).out);
    let run = explain("nothing_such", &[]).ended(2);
    assert!(run.err.contains("incidents: heap_step@api"), "{}", run.err);
}

#[test]
fn a_backtest_is_repeated_disturbed() {
    let dir = folder(RULES);
    let args = [
        "backtest",
        "rules.toml",
        "rec",
        "--phases",
        "4",
        "--thin",
        "15s",
    ];
    let run = memwatch(dir.path(), &args).ended(0);
    for expected in [
        "4 runs at 4 phases of the interval, one sample every 15s",
        "heap_step@api",
    ] {
        assert!(run.out.contains(expected), "{expected}\n{}", run.out);
    }
    let found = json(
        &memwatch(
            dir.path(),
            &[&args[..2], &["rec", "--drop", "1%", "--format", "json"]].concat(),
        )
        .ended(0)
        .out,
    );
    let robustness = &found["robustness"];
    assert_eq!(
        (&robustness["runs"], &robustness["drop"]),
        (&10.into(), &0.01.into())
    );
    assert_eq!(robustness["incidents"][0]["rules"][0]["share"], 1.0);
    memwatch(
        dir.path(),
        &[&args[..2], &["rec", "--drop", "101%"]].concat(),
    )
    .ended(2);
}
