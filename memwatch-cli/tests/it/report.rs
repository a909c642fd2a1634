//! `--report`: one HTML file that needs nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::memwatch;

const START: i64 = 1_795_410_189_000_000_000;

/// Names as an attacker would choose them.
const HOSTILE: [&str; 3] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>\u{1b}[31m",
    "evil\u{202e}gpj.exe & <b>'bold'</b>",
];

/// A minute of three services with such names, whose heaps are large for a while.
pub(crate) fn hostile_recording(root: &Path) {
    for (i, service) in HOSTILE.iter().enumerate() {
        let folder = root.join("rec").join(format!("s{i}"));
        fs::create_dir_all(&folder).unwrap();
        let name = serde_json::to_string(service).unwrap();
        let mut text = String::new();
        for second in 0..60 {
            let heap = if (20..40).contains(&second) {
                900_000_000
            } else {
                8_000_000 + second
            };
            writeln!(
                text,
                "{{\"type\":\"sample\",\"ts\":{},\"service\":{name},\"instance\":{name},\"version\":\"v1\",\"go\":\"go1.27.3\",\
                 \"proc\":1,\"uptime_ns\":{},\"goroutines\":9,\"gogc\":100,\"memstats\":{{\"HeapInuse\":{heap},\"NumGC\":{second}}},\
                 \"pauses\":[],\"pauses_dropped\":0}}",
                START + second * 1_000_000_000,
                (second + 1) * 1_000_000_000,
            )
            .unwrap();
        }
        fs::write(folder.join("samples.ndjson"), text).unwrap();
        let labels = format!(
            "{{\"format\":\"memwatch-labels/1\",\"service\":{name},\"instance\":{name},\"incidents\":[{{\"id\":1,\"kind\":{name},\
             \"start_unix_ns\":{},\"end_unix_ns\":{},\"detail\":{name}}}],\"benign\":[],\"unlabelled\":[]}}",
            START + 18_000_000_000i64,
            START + 40_000_000_000i64
        );
        fs::write(folder.join("labels.json"), labels).unwrap();
    }
}

const RULES: &str = r#"
[[group]]
name = "heap"
[[group.rule]]
alert = "<img src=x onerror=alert(3)>"
expr = 'go_memstats_heap_inuse_bytes > $limit'
for = "3s"
params = { limit = 500e6 }
labels = { severity = "</td><script>alert(4)</script>" }
annotations = { summary = '{{ $labels.instance }} <svg onload=alert(5)>' }
"#;

#[test]
fn names_from_outside_are_text_and_the_same_run_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    hostile_recording(dir.path());
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    let run = memwatch(
        dir.path(),
        &["backtest", "rules.toml", "data", "--report", "a.html"],
    )
    .ended(0);
    assert!(run.err.contains("wrote a.html"), "{}", run.err);
    memwatch(
        dir.path(),
        &[
            "backtest",
            "rules.toml",
            "data",
            "--report",
            "b.html",
            "--format",
            "json",
        ],
    )
    .ended(0);
    let html = fs::read_to_string(dir.path().join("a.html")).unwrap();
    let again = fs::read_to_string(dir.path().join("b.html")).unwrap();
    assert!(html == again, "two runs gave different bytes");

    // What opens elements: only what the report itself is made of.
    for evil in [
        "<img",
        "<script>alert",
        "<b>'bold",
        "<svg onload",
        "\u{1b}",
        "\u{202e}",
    ] {
        assert!(!html.contains(evil), "{evil:?}");
    }
    assert!(html.contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    // One script, three services' data and the report's.
    assert_eq!(html.matches("<script>").count(), 1);
    assert_eq!(html.matches("<script type=\"application/json\"").count(), 4);
    assert_eq!(html.matches("</script>").count(), 5);
    assert!(html.contains("default-src 'none'; style-src 'sha256-"));
    // The data says what was recorded: the heap's peak, and the alert.
    let data = html
        .split("<script type=\"application/json\" id=\"s0\">")
        .nth(1)
        .unwrap();
    let data: serde_json::Value =
        serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
    let heap = &data["panels"][0];
    assert_eq!(heap["title"], "Heap");
    let highest = heap["lines"][0]["hi"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .fold(0.0, f64::max);
    assert_eq!(highest, 9e8);
    assert_eq!(data["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(data["incidents"][0]["caught"], true);
    // The alert is listed at the time at which it fired, 3 s after it became pending.
    assert!(html.contains(">05:03:32.0</button>") && !html.contains(">05:03:29.0</button>"));
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    hostile_recording(dir.path());
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let run = memwatch(
        dir.path(),
        &[
            "backtest",
            "rules.toml",
            "rec",
            "--report",
            "no/such/a.html",
        ],
    )
    .ended(2);
    assert!(
        run.err.contains("no/such/a.html: cannot write"),
        "{}",
        run.err
    );
}
