//! What rules are compared with, and what scores do not depend on.

use std::fs;

use serde_json::Value;

use crate::memwatch;
use crate::tune::folder;

#[test]
fn the_best_static_threshold_stands_beside_the_rules() {
    let dir = folder(10);
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    let run = |more: &[&str]| {
        let args = [&["backtest", "rules.toml", "data"][..], more].concat();
        memwatch(dir.path(), &args).ended(0).out
    };
    let text = run(&["--report", "a.html"]);
    let found = "best static threshold: go_memstats_heap_inuse_bytes > 60000000;";
    let row = "best static threshold                10.0     1.00        1.00   1.00         0.0";
    let compared = "of the 2 after that it caught 2 with 0 false alerts, the rules 2 with 2";
    for expected in [
        found,
        row,
        compared,
        "on 1 metric the best for the 7 incidents up to",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(run(&["--format", "markdown"]).contains("| best static threshold |"));
    let html = fs::read_to_string(dir.path().join("a.html")).unwrap();
    assert!(html.contains("go_memstats_heap_inuse_bytes &gt; 60000000"));
    assert!(html.contains("<h3>Compared</h3>"));
    let json: Value = serde_json::from_str(&run(&["--format", "json"])).unwrap();
    let row = &json["score"]["references"][2];
    assert_eq!(
        (&row["name"], &row["hit"]),
        (&"static".into(), &10.0.into())
    );
    let threshold = &row["threshold"];
    assert_eq!(threshold["status"], "found");
    assert_eq!(threshold["limit"], 60e6);
    assert_eq!(threshold["training"]["hit"], 7);
    assert_eq!(threshold["rules_untouched"]["false"], 2);

    let few = folder(4);
    let text = memwatch(few.path(), &["backtest", "rules.toml", "rec"])
        .ended(0)
        .out;
    let expected = "of 4 incidents fewer than 5 lie before the part that is held back for its test";
    assert!(text.contains(expected), "{text}");
}

/// Whatever a recording rule reads, and for however long that was recorded.
#[test]
fn a_recording_rule_changes_no_score() {
    let dir = folder(10);
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    // Another metric of the same process, scraped more seldom and for longer.
    let scraped: String = (0..60i64)
        .map(|i| format!("queue_length {i} {}\n", 1_795_410_100_000 + i * 30_000))
        .collect();
    let scraped = "# TYPE queue_length gauge\n".to_owned() + &scraped;
    fs::write(dir.path().join("metrics.prom"), scraped).unwrap();
    let of = ["--service", "api", "--instance", "api-0", "--data", "data"];
    memwatch(dir.path(), &[&["ingest", "metrics.prom"][..], &of].concat()).ended(0);
    let score = |rules: &str| {
        fs::write(dir.path().join("r.toml"), rules).unwrap();
        let args = ["backtest", "r.toml", "data", "--format", "json"];
        let json: Value = serde_json::from_str(&memwatch(dir.path(), &args).ended(0).out).unwrap();
        assert!(json["alerts"].as_array().is_some_and(|a| !a.is_empty()));
        json["score"].clone()
    };
    let rules = fs::read_to_string(dir.path().join("rules.toml")).unwrap();
    let more = "\n[[group]]\nname = \"more\"\n[[group.rule]]\nrecord = \"queue\"\nexpr = \"sum(queue_length)\"\n";
    assert_eq!(score(&rules), score(&(rules.clone() + more)));
}

#[test]
fn a_limit_that_nothing_can_be_computed_for_is_broken() {
    let dir = folder(4);
    fs::remove_file(dir.path().join("rec/api/labels.json")).unwrap();
    let args = ["backtest", "rules.toml", "rec", "--min-precision", "0.5"];
    let run = memwatch(dir.path(), &[&args[..], &["--junit", "a.xml"]].concat()).ended(2);
    assert!(
        run.err.contains("--min-precision needs incidents"),
        "{}",
        run.err
    );
    let xml = fs::read_to_string(dir.path().join("a.xml")).unwrap();
    assert!(
        xml.contains("<failure message=\"--min-precision needs incidents"),
        "{xml}"
    );
}
