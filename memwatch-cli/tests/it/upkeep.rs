//! `memwatch compact` and `memwatch retain`.

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
