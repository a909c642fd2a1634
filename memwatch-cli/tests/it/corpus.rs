//! All recordings of the folder that `MEMWATCH_CORPUS` names: counts, invariants, other engines. Skipped without it.

// What was skipped is said where tests say things.
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::memwatch;

/// What must hold in every stored reading: none of these may find a row.
const INVARIANTS: &[&str] = &[
    "alloc_bytes IS DISTINCT FROM heap_alloc_bytes",
    "heap_sys_bytes <> heap_inuse_bytes + heap_idle_bytes",
    "heap_released_bytes > heap_idle_bytes",
    "heap_alloc_bytes > heap_inuse_bytes",
    "stack_inuse_bytes > stack_sys_bytes",
    "mspan_inuse_bytes > mspan_sys_bytes",
    "mcache_inuse_bytes > mcache_sys_bytes",
    // A reading of MemStats is one stop-the-world snapshot; a scrape puts it together from more.
    "heap_objects <> mallocs_total - frees_total",
    "sys_bytes <> heap_sys_bytes + stack_sys_bytes + mspan_sys_bytes + mcache_sys_bytes + buck_hash_sys_bytes + gc_sys_bytes + other_sys_bytes",
];

/// What never falls inside of one process, and by how much it may seem to.
const COUNTERS: &[(&str, i64)] = &[
    ("total_alloc_bytes", 0),
    ("mallocs_total", 0),
    ("frees_total", 0),
    ("num_gc", 0),
    ("num_forced_gc", 0),
    ("pause_total_ns", 0),
    // A scrape gives it in seconds, a 64-bit float of which steps by 238 ns; expvar of the same process gives it whole.
    ("last_gc_ns", 500),
];

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata")
        .join(name)
}

fn ask(folder: &Path, sql: &str) -> Vec<Value> {
    let run = memwatch(folder, &["query", sql, "--format", "json"]).ended(0);
    serde_json::from_str(&run.out).unwrap()
}

fn python(args: &[&str]) -> Option<String> {
    let output = Command::new("python3").args(args).output().ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_corpus_is_kept_whole() {
    let Ok(corpus) = std::env::var("MEMWATCH_CORPUS") else {
        eprintln!("skipped: MEMWATCH_CORPUS does not name a folder of recordings");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let here = root.path();
    let run = memwatch(here, &["ingest", &corpus, "--report", "json"]).ended(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let again = memwatch(here, &["ingest", &corpus, "--report", "json"]).ended(0);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["rows"], 0, "a second ingest brings nothing");

    let mut stored = BTreeMap::new();
    for table in ask(
        here,
        "SELECT \"table\", rows FROM info.tables WHERE rows > 0",
    ) {
        let name = table["table"].as_str().unwrap().to_owned();
        let counted = ask(here, &format!("SELECT count(*) AS n FROM {name}"));
        assert_eq!(counted[0]["n"], table["rows"], "{name}");
        stored.insert(name, table["rows"].as_u64().unwrap());
    }
    assert_eq!(report["rows"], stored.values().sum::<u64>());
    let script = testdata("count_rows.py");
    match python(&[script.to_str().unwrap(), &corpus]) {
        Some(counts) => {
            let counts: BTreeMap<String, u64> = serde_json::from_str(&counts).unwrap();
            assert_eq!(stored, counts);
        }
        None => eprintln!("skipped: no python3 that runs count_rows.py"),
    }
    invariants(here);
    other_engines(here);
}

fn invariants(here: &Path) {
    for broken in INVARIANTS {
        let found = ask(
            here,
            &format!("SELECT count(*) AS n FROM samples WHERE {broken}"),
        );
        assert_eq!(found[0]["n"], 0, "{broken}");
    }
    for (counter, slack) in COUNTERS {
        let sql = format!(
            "SELECT count(*) AS n FROM (SELECT {counter} - lag({counter}) OVER \
             (PARTITION BY service, instance, process ORDER BY ts) AS step FROM samples) WHERE step < -{slack}"
        );
        assert_eq!(
            ask(here, &sql)[0]["n"],
            0,
            "{counter} falls inside of a process"
        );
    }
    // All pauses are there: their sum is the counter's, their number that of cycles.
    let sql = "SELECT s.service, s.process FROM \
         (SELECT service, instance, process, max(pause_total_ns) AS total, max(num_gc) AS cycles, max(pauses_lost) AS lost \
          FROM samples WHERE version IS NOT NULL GROUP BY 1, 2, 3) s \
         JOIN (SELECT service, instance, process, sum(pause_ns) AS total, count(*) AS cycles FROM gc_pauses \
               WHERE origin = 'memstats' GROUP BY 1, 2, 3) p \
         ON s.service = p.service AND s.instance = p.instance AND s.process = p.process \
         WHERE coalesce(s.lost, 0) = 0 AND (s.total <> p.total OR s.cycles <> p.cycles)";
    assert_eq!(ask(here, sql), Vec::<Value>::new());
}

/// Other engines read the folder as it is.
fn other_engines(here: &Path) {
    let sql = "SELECT count(*) AS rows, sum(heap_inuse_bytes) AS heap, sum(num_gc) AS gc, \
               max(ts)::bigint AS last FROM samples";
    let ours = ask(here, sql).remove(0);
    let script = testdata("read_with_peers.py");
    let data = here.join("data");
    let Some(answers) = python(&[script.to_str().unwrap(), data.to_str().unwrap()]) else {
        panic!("read_with_peers.py failed");
    };
    let answers: BTreeMap<String, Value> = serde_json::from_str(&answers).unwrap();
    for (engine, answer) in &answers {
        match answer["skipped"].as_str() {
            Some(why) => eprintln!("skipped {engine}: {why}"),
            None => {
                let (samples, columns) = (&answer["samples"], &answer["samples"]["columns"]);
                assert_eq!(samples["rows"], ours["rows"], "{engine}");
                let sum = |name: &str| columns[name]["sum"].as_f64();
                assert_eq!(sum("heap_inuse_bytes"), ours["heap"].as_f64(), "{engine}");
                assert_eq!(sum("num_gc"), ours["gc"].as_f64(), "{engine}");
                assert_eq!(columns["ts"]["max"], ours["last"], "{engine}");
            }
        }
    }
}
