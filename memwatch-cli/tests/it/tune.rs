//! `memwatch tune`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::memwatch;

const START: i64 = 1_795_410_189_000_000_000;
const RULES: &str = r#"# The heap must stay small.
[[group]]
name = "heap"

[[group.rule]]
alert = "HeapLarge"                # named so by the on-call
expr = 'go_memstats_heap_inuse_bytes > $limit'
params = { limit = 20e6 }          # bytes
tune = { limit = { from = 10e6, to = 80e6, steps = 8 }, for = ["0s", "2s"] }
detects = ["heap_step"]
"#;

/// One service for 1,000 s, a reading each second: every 100 s a heap of 90 MB for 20 s, which is an incident, and one of 30 MB, which is not.
fn write_recording(root: &Path, incidents: usize) {
    let folder = root.join("rec/api");
    fs::create_dir_all(&folder).unwrap();
    let mut text = format!(
        "{{\"type\":\"meta\",\"format\":\"memwatch-samples/1\",\"ts\":{START},\"service\":\"api\",\"instance\":\"api-0\",\"proc\":1}}\n"
    );
    for i in 0..1000i64 {
        let heap = match i % 100 {
            20..40 => 90_000_000,
            60..80 => 30_000_000,
            _ => 8_000_000,
        };
        writeln!(
            text,
            "{{\"type\":\"sample\",\"ts\":{},\"service\":\"api\",\"instance\":\"api-0\",\"version\":\"v1\",\"go\":\"go1.27.3\",\"proc\":1,\
             \"uptime_ns\":{},\"goroutines\":9,\"gogc\":100,\"memstats\":{{\"HeapInuse\":{heap},\"NumGC\":0}},\"pauses\":[],\"pauses_dropped\":0}}",
            START + i * 1_000_000_000,
            (i + 1) * 1_000_000_000,
        )
        .unwrap();
    }
    fs::write(folder.join("samples.ndjson"), text).unwrap();
    let incidents: Vec<String> = (0..incidents)
        .map(|i| {
            let start = START + (100 * i64::try_from(i).unwrap() + 20) * 1_000_000_000;
            let end = start + 20_000_000_000;
            format!("{{\"kind\":\"heap_step\",\"start_unix_ns\":{start},\"end_unix_ns\":{end}}}")
        })
        .collect();
    let labels = format!(
        "{{\"format\":\"memwatch-labels/1\",\"service\":\"api\",\"instance\":\"api-0\",\"incidents\":[{}]}}",
        incidents.join(",")
    );
    fs::write(folder.join("labels.json"), labels).unwrap();
}

pub(crate) fn folder(incidents: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_recording(dir.path(), incidents);
    fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    dir
}

#[test]
fn a_better_limit_is_found_shown_and_written() {
    let dir = folder(10);
    let args = ["tune", "rules.toml", "rec"];
    let run = memwatch(dir.path(), &args).ended(0);
    for expected in [
        "16 settings of 1 rules tried, 3 folds",
        "do better than the file's on the stretch that the search never saw",
        "16 trials",
        "-params = { limit = 20e6 }          # bytes",
        "+params = { limit = 80000000.0 }          # bytes",
        "HeapLarge: limit across, for down",
    ] {
        assert!(run.out.contains(expected), "{expected}\n{}", run.out);
    }
    let json = memwatch(dir.path(), &[&args[..], &["--format", "json"]].concat()).ended(0);
    let again = memwatch(dir.path(), &[&args[..], &["--format", "json"]].concat()).ended(0);
    assert_eq!(json.out, again.out);
    let found: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(found["schema"], "memwatch.tune/1");
    assert_eq!(found["untouched"]["file"]["false"], 2);
    assert_eq!(found["untouched"]["chosen"]["false"], 0);
    assert_eq!(found["rules"][0]["chosen"]["limit"], 80e6);
    memwatch(dir.path(), &[&args[..], &["--write"]].concat()).ended(0);
    let written = fs::read_to_string(dir.path().join("rules.toml")).unwrap();
    assert_eq!(written, RULES.replace("limit = 20e6", "limit = 80000000.0"));
}

#[test]
fn few_incidents_are_refused_and_bad_ranges_told() {
    let dir = folder(4);
    let run = memwatch(dir.path(), &["tune", "rules.toml", "rec"]).ended(1);
    assert!(run.err.contains("not tuned: of 4 incidents"), "{}", run.err);
    let of = |param: &str| {
        memwatch(dir.path(), &["tune", "rules.toml", "rec", "--param", param])
            .ended(2)
            .err
    };
    assert!(of("HeapLarg.limit=1,2").contains("did you mean HeapLarge?"));
    assert!(of("HeapLarge.lim=1,2").contains("HeapLarge.lim"));
    assert!(of("HeapLarge.for=soon").contains("expected a duration"));
}

#[test]
fn the_report_is_one_file_in_which_nothing_runs() {
    let dir = folder(10);
    memwatch(dir.path(), &["ingest", "rec", "--data", "data"]).ended(0);
    let rules = RULES.replace("HeapLarge", "<img src=x onerror=alert(1)>\\u202E");
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let write = |name: &str| {
        let args = ["tune", "rules.toml", "data", "--report", name];
        let run = memwatch(dir.path(), &args).ended(0);
        assert!(run.err.contains(&format!("wrote {name}")), "{}", run.err);
        fs::read_to_string(dir.path().join(name)).unwrap()
    };
    let page = write("a.html");
    assert_eq!(page, write("b.html"));
    for expected in [
        "default-src 'none'",
        "script-src 'none'",
        "2 → 0",
        "class=\"dot best\"",
        "<h3><bdi>&lt;img src=x onerror=alert(1)&gt;\u{fffd}</bdi>: <code><bdi>limit</bdi></code> across",
        "class=\"h10 is-chosen\" title=\"limit 80M, for 0s: 1.000, chosen\"",
        "is-file\" title=\"limit 20M, for 0s: ",
        "+params = { limit = 80000000.0 }",
        "<code>memwatch tune rules.toml data</code>",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    for never in [
        "<script",
        "<img",
        "onerror=alert(1)>",
        "style=\"",
        "://",
        "\u{202e}",
    ] {
        assert!(!page.contains(never), "{never}");
    }
    let few = folder(4);
    let args = ["tune", "rules.toml", "rec", "--report", "a.html"];
    let run = memwatch(few.path(), &args).ended(1);
    assert!(run.err.contains("a.html: not written: nothing was tried"));
    assert!(!few.path().join("a.html").exists());
}
