//! `memwatch diff`, and JUnit XML.

use std::fs;

use crate::backtest::{RULES, folder, json};
use crate::memwatch;

/// A route that pages, for both files.
const ROUTE: &str = r#"
[route]
receiver = "oncall"
group_by = ["alertname"]
group_wait = "0s"
[[receiver]]
name = "oncall"
pagerduty = { routing_key_env = "PAGERDUTY_KEY" }
webhook = { url = "http://localhost/" }
"#;

/// The rules against themselves with a longer `for`, another limit, and one rule more.
fn files() -> tempfile::TempDir {
    let dir = folder(&format!("{RULES}{ROUTE}"));
    let new = RULES.replace("for = \"3s\"", "for = \"5s\"").replace(
        "alert = \"Blind\"\nexpr = 'go_nothing_recorded > 1'",
        "alert = \"More\"\nexpr = 'go_goroutines == 9'",
    );
    assert_ne!(new, RULES);
    fs::write(dir.path().join("new.toml"), format!("{new}{ROUTE}")).unwrap();
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    dir
}

#[test]
fn what_another_rule_file_changes_is_told() {
    let dir = files();
    let run = memwatch(dir.path(), &["diff", "rules.toml", "new.toml", "data"]).ended(0);
    for expected in [
        "rules.toml → new.toml on data",
        "1 alerts → 3: 2 new, 0 lost, 1 moved, 0 with other labels, 0 the same",
        "messages: 2 new, 0 lost, 2 moved, 0 the same",
        "1 of 1 incidents caught → 1 of 1; 0 false alerts → 2",
        "later",
        "– → 2",
    ] {
        assert!(run.out.contains(expected), "{expected}\n{}", run.out);
    }
    assert!(
        run.out.lines().all(|l| l.chars().count() <= 100),
        "{}",
        run.out
    );

    let args = ["diff", "rules.toml", "new.toml", "data", "--format", "json"];
    let run = memwatch(dir.path(), &args).ended(0);
    assert_eq!(run.out, memwatch(dir.path(), &args).ended(0).out);
    let found = json(&run.out);
    assert_eq!(found["schema"], "memwatch.diff/1");
    assert_eq!(found["counts"]["moved"], 1);
    let moved = found["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|a| a["change"] == "moved")
        .unwrap();
    assert_eq!(
        (&moved["fires_later_s"], &moved["ends_later_s"]),
        (&2.0.into(), &0.0.into())
    );
    assert_eq!(found["incidents"][0]["incident"], "heap_step@api");
    assert_eq!(found["incidents"][0]["new_delay_s"], 7.0);
    assert_eq!(found["messages"].as_array().unwrap().len(), 4);

    let same = memwatch(dir.path(), &["diff", "rules.toml", "rules.toml", "data"]).ended(0);
    assert!(
        same.out
            .contains("0 new, 0 lost, 0 moved, 0 with other labels, 1 the same"),
        "{}",
        same.out
    );
    assert!(!same.out.contains("that changed"), "{}", same.out);
    let run = memwatch(
        dir.path(),
        &[
            "diff",
            "rules.toml",
            "new.toml",
            "data",
            "--format",
            "markdown",
        ],
    )
    .ended(0);
    assert!(
        run.out.contains("## Alerts that changed\n\n| change"),
        "{}",
        run.out
    );
}

#[test]
fn limits_are_the_exit_code_and_junit_has_a_case_each() {
    let dir = files();
    let diff = |more: &[&str]| {
        let args: Vec<&str> = ["diff", "rules.toml", "new.toml", "data"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        memwatch(dir.path(), &args)
    };
    diff(&["--min-recall", "1", "--max-lost", "0", "--max-new", "2"]).ended(0);
    let run = diff(&["--max-new", "1"]).ended(1);
    assert!(
        run.err
            .contains("2 alerts are new, the limit is 1 (--max-new)"),
        "{}",
        run.err
    );
    diff(&["--min-precision", "0.9"]).ended(1);
    // Two pages in a minute: one of each rule.
    let run = diff(&["--max-pages-per-week", "5"]).ended(1);
    assert!(run.err.contains("2 pages in"), "{}", run.err);
    diff(&["--max-pages-per-week", "5", "--page-receiver", "nobody"]).ended(2);
    diff(&["--max-pages-per-week", "1e9", "--page-receiver", "oncall"]).ended(0);

    diff(&["--max-new", "1", "--junit", "a.xml"]).ended(1);
    diff(&["--max-new", "1", "--junit", "b.xml"]).ended(1);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let xml = read("a.xml");
    assert_eq!(xml, read("b.xml"));
    for expected in [
        "<testsuite name=\"incidents\" tests=\"1\" failures=\"0\"",
        "<testcase classname=\"memwatch.incidents\" name=\"heap_step@api\">",
        "<testcase classname=\"memwatch.rules\" name=\"heap/More\">",
        "<failure message=\"2 false alerts\">",
        "<failure message=\"2 alerts are new, the limit is 1\">",
    ] {
        assert!(xml.contains(expected), "{expected}\n{xml}");
    }
    assert!(well_formed(&xml), "{xml}");

    // Of one file: the incident passes, the rule that cannot see is skipped, not passed.
    memwatch(
        dir.path(),
        &["backtest", "rules.toml", "data", "--junit", "c.xml"],
    )
    .ended(0);
    let xml = read("c.xml");
    assert!(
        xml.contains("<skipped message=\"never evaluated: what it reads was not recorded\"/>"),
        "{xml}"
    );
    assert!(
        xml.contains("tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"1\""),
        "{xml}"
    );
    assert!(well_formed(&xml), "{xml}");

    // With limits each of them, whether it holds or not.
    let args = ["backtest", "rules.toml", "data", "--junit", "d.xml"];
    let asked = ["--min-recall", "1", "--fail-on", "fired"];
    let run = memwatch(dir.path(), &[&args[..], &asked].concat()).ended(1);
    assert!(run.err.contains("1 alerts fired (--fail-on fired)"));
    let xml = read("d.xml");
    for expected in [
        "<testsuite name=\"limits\" tests=\"2\" failures=\"1\"",
        "<testcase classname=\"memwatch.limits\" name=\"fail-on fired\">\n      <failure message=\"1 alerts fired\">",
        "name=\"min-recall\">\n      <system-out>recall is 1.000, at least 1 is asked for</system-out>",
    ] {
        assert!(xml.contains(expected), "{expected}\n{xml}");
    }
    assert!(well_formed(&xml), "{xml}");
}

/// Whether every element that begins also ends, in order, and nothing else stands there that XML forbids.
fn well_formed(xml: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for tag in xml.split('<').skip(1) {
        let Some((tag, text)) = tag.split_once('>') else {
            return false;
        };
        if text.contains('&') && !text.split('&').skip(1).all(|t| t.contains(';')) {
            return false;
        }
        if tag.starts_with('?') || tag.ends_with('/') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else {
            open.push(tag.split(' ').next().unwrap_or(tag));
        }
    }
    open.is_empty()
}
