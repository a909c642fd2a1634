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
