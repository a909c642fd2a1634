//! `memwatch verify`, `memwatch compact` and `memwatch retain`.

use crate::{memwatch, recording};

#[test]
fn compaction_and_retention_say_what_they_do() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api", "--data", "d"]).ended(0);
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        memwatch(root.path(), &["query", &sql, "d"]).ended(0).out
    };
    let before = (count("samples"), count("gc_pauses"));

    // A second input of the same day makes a second segment.
    std::fs::create_dir(root.path().join("more")).unwrap();
    let times = ["2026-11-23T06:00:00Z", "2026-11-23T06:00:01Z"];
    for (n, at) in times.iter().enumerate() {
        let text = format!("# TYPE go_goroutines gauge\ngo_goroutines {n}\n");
        std::fs::write(root.path().join("more/heap.prom"), text).unwrap();
        let args = [
            "ingest",
            "more",
            "--service",
            "api",
            "--instance",
            "api-0",
            "--at",
            at,
            "--data",
            "d",
        ];
        memwatch(root.path(), &args).ended(0);
    }
    let metrics = count("metrics");
    let plan = memwatch(
        root.path(),
        &["compact", "d", "--dry-run", "--format", "json"],
    )
    .ended(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).unwrap();
    assert_eq!(plan["schema"], "memwatch.compact/1");
    assert_eq!(plan["days"][0]["segments_after"], serde_json::Value::Null);
    let run = memwatch(root.path(), &["compact", "d", "--table", "metrics"]).ended(0);
    assert!(run.out.contains("2026-11-23"), "{}", run.out);
    memwatch(root.path(), &["compact", "d"]).ended(0);
    let run = memwatch(root.path(), &["compact", "d"]).ended(0);
    assert_eq!(run.out, "nothing to merge\n");
    assert_eq!((count("samples"), count("gc_pauses")), before);
    assert_eq!(count("metrics"), metrics);

    let run = memwatch(
        root.path(),
        &["retain", "--older-than", "30d", "d", "--table", "nothing"],
    );
    assert!(run.ended(2).err.contains("expected one of samples, "));
    let old = ["retain", "--older-than", "36500d", "d"];
    assert_eq!(
        memwatch(root.path(), &old).ended(0).out,
        "nothing is old enough\n"
    );
    let run = memwatch(root.path(), &["retain", "--older-than", "0s", "d"]);
    assert!(
        run.ended(2)
            .err
            .contains("--older-than: expected a duration of more than 0")
    );
    memwatch(root.path(), &["retain", "--older-than", "30d", "nowhere"]).ended(2);
}

#[test]
fn damage_is_named_refused_and_repaired() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api", "--data", "d"]).ended(0);
    let run = memwatch(root.path(), &["verify", "d"]).ended(0);
    assert!(
        run.out.ends_with(": everything is as it was written\n"),
        "{}",
        run.out
    );

    let days = std::fs::read_dir(root.path().join("d/samples")).unwrap();
    let day = days.flatten().next().unwrap().path();
    let segment = std::fs::read_dir(day)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[30] ^= 1; // Of the instants, which every question needs.
    std::fs::write(&segment, &bytes).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let missing = "rows of samples from 2026-11-23T05:03:09.762606Z to ";

    let sql = "SELECT max(heap_inuse_bytes) FROM samples";
    let promql = "sum(heap_inuse_bytes)";
    std::fs::write(
        root.path().join("rules.toml"),
        "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = 'heap_inuse_bytes > 1'\n",
    )
    .unwrap();
    for args in [
        &["query", sql, "d"][..],
        &["query", "--promql", promql, "d"],
        &["backtest", "rules.toml", "d"],
    ] {
        let run = memwatch(root.path(), args).ended(2);
        assert!(
            run.err.contains(name) && run.err.contains(missing),
            "{args:?}: {}",
            run.err
        );
        assert!(
            run.err.contains("hint: `memwatch verify`"),
            "{args:?}: {}",
            run.err
        );
    }
    let run = memwatch(root.path(), &["query", sql, "d", "--allow-partial"]).ended(0);
    assert!(
        run.err.contains("warning: the answer is partial"),
        "{}",
        run.err
    );
    assert!(run.err.contains(missing), "{}", run.err);
    // What is not damaged is answered as before.
    memwatch(
        root.path(),
        &["query", "SELECT count(*) FROM gc_cycles", "d"],
    )
    .ended(0);

    let run = memwatch(root.path(), &["verify", "d", "--format", "json"]).ended(1);
    let found: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(found["schema"], "memwatch.verify/1");
    assert_eq!(found["whole"], false);
    assert_eq!(found["findings"][0]["table"], "samples");
    assert_eq!(found["findings"][0]["rows"], recording::READINGS);
    let run = memwatch(root.path(), &["verify", "d", "--repair"]).ended(1);
    assert!(run.out.contains("quarantine/samples-date="), "{}", run.out);
    memwatch(root.path(), &["verify", "d"]).ended(0);
    let run = memwatch(root.path(), &["query", "SELECT count(*) FROM samples", "d"]).ended(0);
    assert!(run.out.ends_with("\n0\n"), "{}", run.out);
}
