//! `memwatch info`.

use crate::{memwatch, recording};

#[test]
fn info_lists_tables_and_instances() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api", "--data", "d"]).ended(0);
    let run = memwatch(root.path(), &["info", "d"]).ended(0);
    for words in [
        "samples",
        "gc_cycles",
        "api-0",
        "2026-11-23T05:03:09.762606Z",
        "signal_heap",
        "cross_check",
    ] {
        assert!(run.out.contains(words), "{words} in\n{}", run.out);
    }
    let run = memwatch(root.path(), &["info", "--data", "d", "--format", "json"]).ended(0);
    let info: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(info["schema"], "memwatch.info/1");
    assert_eq!(info["tables"][0]["rows"], recording::READINGS);
    assert_eq!(info["tables"][0]["instances"][0]["instance"], "api-0");
    let run = memwatch(root.path(), &["info", "nowhere"]).ended(2);
    assert!(
        run.err.contains("nowhere: expected a memwatch store"),
        "{}",
        run.err
    );
}
