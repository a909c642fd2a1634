//! `memwatch check`.

use crate::{memwatch, recording};

#[test]
fn functions_are_listed_from_their_table() {
    let root = tempfile::tempdir().unwrap();
    let text = memwatch(root.path(), &["check", "--functions"])
        .ended(0)
        .out;
    assert!(text.starts_with("Added by memwatch\n\n"), "{text}");
    for line in [
        "growth(range vector) → instant vector",
        "rate(range vector) → instant vector",
        "    Not supported: native histograms.",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    let json = memwatch(root.path(), &["check", "--functions", "--format", "json"]).ended(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["schema"], "memwatch.functions/1");
    let functions = json["functions"].as_array().unwrap();
    let of = |name: &str| functions.iter().find(|f| f["name"] == name).unwrap();
    assert_eq!(of("growth")["added_by_memwatch"], true);
    assert_eq!(of("round")["usage"], "round(instant vector[, scalar])");
    assert_eq!(of("histogram_sum")["not_supported"], "native histograms");
    // One or the other.
    memwatch(root.path(), &["check"]).ended(2);
    memwatch(root.path(), &["check", "--functions", "rules.toml"]).ended(2);
}

#[test]
fn a_mistake_is_shown_where_it_stands() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api"]).ended(0);
    let toml = "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = '''\nrate(mallocs_total[1m])\n  > 1 and rat(x[1m])\n'''\n";
    let label = "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = 'heap_inuse_bytes{servise=\"x\"} > 1'\n";
    for (file, text, expected) in [
        (
            "rules.toml",
            toml,
            "rules.toml:7:11: alert `A`: `expr`: unknown function with name \"rat\"\n  |\n7 |   > 1 and rat(x[1m])\n  |           ^^^\n  help: did you mean `rate`?",
        ),
        (
            "label.toml",
            label,
            "label.toml:5:26: alert `A`: no series of `heap_inuse_bytes` has a label `servise`: this keeps none of them\n  |\n5 | expr = 'heap_inuse_bytes{servise=\"x\"} > 1'\n  |                          ^^^^^^^\n  help: did you mean `service`?",
        ),
    ] {
        std::fs::write(root.path().join(file), text).unwrap();
        let run = memwatch(root.path(), &["check", file, "data"]).ended(1);
        assert!(run.out.contains(expected), "{}", run.out);
    }
}
