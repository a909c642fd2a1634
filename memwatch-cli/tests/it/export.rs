//! `memwatch export --promtool`: cases that Debian's promtool passes. Without promtool what it would read is still looked at.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::backtest::{RULES, folder, json};
use crate::memwatch;

/// Runs promtool on a case; `None` when there is none.
fn promtool(folder: &Path, test: &str) -> Option<(bool, String)> {
    let program = std::env::var("MEMWATCH_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let run = Command::new(program)
        .args(["test", "rules", test])
        .current_dir(folder)
        .output();
    let Ok(run) = run else {
        eprintln!("skipped: promtool is not there (MEMWATCH_PROMTOOL names it)");
        return None;
    };
    let text = [run.stdout, run.stderr].concat();
    Some((
        run.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn an_incident_becomes_a_case_that_promtool_passes() {
    let dir = folder(RULES);
    let run = memwatch(
        dir.path(),
        &[
            "export",
            "--promtool",
            "heap_step",
            "rules.toml",
            "rec",
            "--out",
            "cases",
        ],
    )
    .ended(0);
    assert!(
        run.out
            .contains("promtool test rules cases/heap_step-api.test.yml"),
        "{}",
        run.out
    );
    let read = |name: &str| fs::read_to_string(dir.path().join("cases").join(name)).unwrap();
    let (rules, test) = (
        read("heap_step-api.rules.yml"),
        read("heap_step-api.test.yml"),
    );
    for expected in [
        "record: \"service:heap\"",
        "expr: \"service:heap > 500000000\"",
        "for: 3s",
    ] {
        assert!(rules.contains(expected), "{expected}\n{rules}");
    }
    assert!(
        !rules.contains("Blind") && !test.contains("web-0"),
        "only what the incident needs\n{test}"
    );
    assert!(
        test.contains("exp_annotations: {\"summary\": \"api-0 uses 900MB\"}"),
        "{test}"
    );
    if let Some((passed, said)) = promtool(&dir.path().join("cases"), "heap_step-api.test.yml") {
        assert!(passed, "{said}\n{test}");
        // A case that cannot fail proves nothing.
        fs::write(
            dir.path().join("cases/heap_step-api.rules.yml"),
            rules.replace("for: 3s", "for: 4s"),
        )
        .unwrap();
        let (passed, said) = promtool(&dir.path().join("cases"), "heap_step-api.test.yml").unwrap();
        assert!(!passed, "{said}");
    }

    // The alert by its id, twice: the same bytes.
    let found = json(
        &memwatch(
            dir.path(),
            &["backtest", "rules.toml", "rec", "--format", "json"],
        )
        .ended(0)
        .out,
    );
    let id = found["alerts"][0]["id"].as_str().unwrap();
    for name in ["a", "b"] {
        memwatch(
            dir.path(),
            &[
                "export",
                "--promtool",
                id,
                "rules.toml",
                "rec",
                "--out",
                "cases",
                "--name",
                name,
            ],
        )
        .ended(0);
    }
    assert_eq!(
        read("a.test.yml").replace("a.rules.yml", "b.rules.yml"),
        read("b.test.yml")
    );
}

#[test]
fn what_promtool_cannot_say_is_refused() {
    let rules = RULES.replace(
        "expr = 'service:heap > $limit'",
        "expr = 'service:heap > $limit and service:heap offset 1s > 0 and time() - service:heap > 0'",
    );
    assert_ne!(rules, RULES);
    let dir = folder(&rules);
    let run = memwatch(
        dir.path(),
        &["export", "--promtool", "heap_step", "rules.toml", "rec"],
    )
    .ended(1);
    assert!(
        run.err
            .contains("HeapLarge: promtool cannot express `time()`"),
        "{}",
        run.err
    );
    assert!(!dir.path().join("heap_step-api.test.yml").exists());
    for (args, expected) in [
        (
            ["--promtool", "oom_kill", "rules.toml"],
            "no such alert or incident; incidents: heap_step@api",
        ),
        (
            ["--promtool", "heap_step#7", "rules.toml"],
            "1 incidents of heap_step",
        ),
    ] {
        let args: Vec<&str> = ["export"].into_iter().chain(args).chain(["rec"]).collect();
        let run = memwatch(dir.path(), &args).ended(2);
        assert!(run.err.contains(expected), "{}", run.err);
    }
    let run = memwatch(
        dir.path(),
        &[
            "export",
            "--promtool",
            "heap_step",
            "rules.toml",
            "rec",
            "--name",
            "../x",
        ],
    )
    .ended(2);
    assert!(
        run.err
            .contains("--name: expected a file name without folders"),
        "{}",
        run.err
    );
}

/// Two processes with hostile names, three readings each.
fn small() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = "# TYPE up gauge\n# TYPE jobs_total counter\n\
                up{q=\"a\\\\b\\\"c\"} 1 1795410100000\nup{q=\"a\\\\b\\\"c\"} NaN 1795410101500\njobs_total 1e300 1795410100000\n";
    fs::write(dir.path().join("a.prom"), text).unwrap();
    for instance in ["2", "1"] {
        let of = [
            "--service",
            "it's",
            "--instance",
            instance,
            "--data",
            "data",
        ];
        memwatch(dir.path(), &[&["ingest", "a.prom"][..], &of].concat()).ended(0);
    }
    dir
}

#[test]
fn a_table_is_written_in_the_order_of_its_rows() {
    let dir = small();
    let export = |more: &[&str]| {
        let args = [&["export", "--table", "metrics", "data"][..], more].concat();
        memwatch(dir.path(), &args).ended(0).out
    };
    let all = export(&[]);
    assert_eq!(all, export(&[]));
    let heads: Vec<&str> = all.lines().map(|l| l.get(..43).unwrap_or(l)).collect();
    assert!(heads[0].starts_with("ts,service,instance,metric"), "{all}");
    assert_eq!(all.lines().count(), 1 + 2 * 3, "{all}");
    let instances: Vec<&str> = all
        .lines()
        .skip(1)
        .map(|l| l.split(',').nth(2).unwrap())
        .collect();
    assert_eq!(instances, ["1", "1", "1", "2", "2", "2"]);
    let some = export(&[
        "--service",
        "it's",
        "--instance",
        "2",
        "--from",
        "2026-11-23T05:01:41Z",
    ]);
    assert_eq!(some.lines().count(), 2, "{some}");
    assert!(export(&["--out", "m.parquet"]).is_empty());
    assert!(
        fs::read(dir.path().join("m.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
    let wrong = memwatch(dir.path(), &["export", "--table", "metric", "data"]).ended(2);
    assert!(
        wrong.err.contains("expected one of samples"),
        "{}",
        wrong.err
    );
}

#[test]
fn series_are_written_as_openmetrics() {
    let dir = small();
    let export = |more: &[&str]| {
        let args = [
            &["export", "--openmetrics", "data", "--instance", "2"][..],
            more,
        ]
        .concat();
        memwatch(dir.path(), &args).ended(0).out
    };
    let of = "instance=\"2\",job=\"it's\"";
    let up = format!("{{{of},q=\"a\\\\b\\\"c\",service=\"it's\"}}");
    assert_eq!(
        export(&[]),
        format!(
            "# TYPE jobs counter\njobs_total{{{of},service=\"it's\"}} 1e300 1795410100.000\n\
             # TYPE up unknown\nup{up} 1.0 1795410100.000\nup{up} NaN 1795410101.500\n# EOF\n"
        )
    );
    let matched = export(&["--match", "up{q=~\"a.*\"}", "--to", "2026-11-23T05:01:41Z"]);
    assert_eq!(
        matched,
        format!("# TYPE up unknown\nup{up} 1.0 1795410100.000\n# EOF\n")
    );
    // What promtool makes of it, where there is one.
    fs::write(dir.path().join("a.om"), export(&[])).unwrap();
    let program = std::env::var("MEMWATCH_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let backfill = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "a.om",
        "blocks",
    ];
    match Command::new(program)
        .args(backfill)
        .current_dir(dir.path())
        .output()
    {
        Ok(run) => assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        ),
        Err(_) => eprintln!("skipped: promtool is not there (MEMWATCH_PROMTOOL names it)"),
    }
    let wrong = ["export", "--openmetrics", "data", "--match", "rate(up[1m])"];
    let wrong = memwatch(dir.path(), &wrong).ended(2);
    assert!(wrong.err.contains("expected a selector"), "{}", wrong.err);
}
