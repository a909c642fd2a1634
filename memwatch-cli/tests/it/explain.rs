//! `memwatch backtest --explain` of an alert of a baseline.

use std::path::Path;

use serde_json::Value;

use crate::memwatch;

#[test]
fn the_numbers_behind_a_baseline_are_shown() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let path = |name: &str| testdata.join(name).to_string_lossy().into_owned();
    let (rules, recording) = (path("rules/baseline.toml"), path("recordings/pricing"));
    let dir = tempfile::tempdir().unwrap();
    memwatch(dir.path(), &["ingest", &recording, "--data", "data"]).ended(0);
    let explain = |more: &[&str]| {
        let args = ["backtest", &rules, "data", "--explain", "a8bb05ae3d4e"];
        memwatch(dir.path(), &[&args[..], more].concat())
            .ended(0)
            .out
    };
    let text = explain(&[]);
    for expected in [
        "What its baselines found unusual",
        " go_memstats_heap_inuse_bytes   05:06:20.9   value     48.31M           38.85M   9.454M         16\n",
        " 16 = -log10(20/983) + (9.454M - 229.4k) / (48.74k * ln 10), at most 16\n",
        " 20 of 983 distances were above 229.4k, by 48.74k on average; the median is 28.26M\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let json: Value = serde_json::from_str(&explain(&["--format", "json"])).unwrap();
    let found = &json["baselines"][0];
    assert_eq!(
        (&found["feature"], &found["recorded_by"]),
        (&"value".into(), &Value::Null)
    );
    assert_eq!(
        (&found["gaps_above"], &found["gaps_seen"]),
        (&20.into(), &983.into())
    );
    assert_eq!(found["surprise"], 16.0);
    assert!(explain(&["--format", "markdown"]).contains("- 16 = -log10(20/983)"));
}
