//! `memwatch query`.

use std::fs;

use crate::{memwatch, recording};

const SQL: &str = "SELECT instance, heap_inuse_bytes, next_gc_bytes, rss_bytes, ts FROM samples ORDER BY ts LIMIT 2";

#[test]
fn each_format_has_its_shape() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api"]).ended(0);
    let query = |format: &str| {
        memwatch(root.path(), &["query", SQL, "--format", format])
            .ended(0)
            .out
    };
    assert_eq!(
        query("csv"),
        "instance,heap_inuse_bytes,next_gc_bytes,rss_bytes,ts\n\
         api-0,8192,8946670875742138121,,2026-11-23T05:03:09.762606Z\n\
         api-0,16384,8946670875742138121,,2026-11-23T05:03:09.962606Z\n"
    );
    assert_eq!(
        query("tsv").lines().nth(1),
        Some("api-0\t8192\t8946670875742138121\t\t2026-11-23T05:03:09.762606Z")
    );
    let rows: serde_json::Value = serde_json::from_str(&query("json")).unwrap();
    assert_eq!(rows[1]["heap_inuse_bytes"], 16384);
    assert_eq!(rows[0]["rss_bytes"], serde_json::Value::Null);
    assert_eq!(query("ndjson").lines().count(), 2);
    assert!(query("markdown").starts_with("| instance"));
    assert!(query("table").contains("NULL"));
    // Without a terminal the default is for programs.
    let default = memwatch(root.path(), &["query", SQL]).ended(0).out;
    assert_eq!(default, query("csv"));
    for empty in [("json", "[]\n"), ("csv", "a\n"), ("ndjson", "")] {
        let run = memwatch(
            root.path(),
            &["query", "SELECT 1 AS a WHERE false", "--format", empty.0],
        )
        .ended(0);
        assert_eq!(run.out, empty.1, "{}", empty.0);
    }
}

#[test]
fn lists_and_structs_are_text_where_there_is_no_other_form() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    let sql = "SELECT quantile(heap_inuse_bytes, 0, 0) AS least, leak(ts, goroutines) AS leak FROM samples";
    let run = memwatch(root.path(), &["query", sql, "api", "--format", "csv"]).ended(0);
    assert_eq!(run.out, "least,leak\n\"[8192.0, 8192.0]\",\n");
    let run = memwatch(root.path(), &["query", sql, "api", "--format", "ndjson"]).ended(0);
    assert_eq!(run.out, "{\"least\":[8192.0,8192.0],\"leak\":null}\n");
}

#[test]
fn data_may_be_raw_recordings() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    let run = memwatch(
        root.path(),
        &["query", "SELECT count(*) AS n FROM samples", "api"],
    )
    .ended(0);
    assert_eq!(run.out, format!("n\n{}\n", recording::READINGS));
    assert!(
        run.err.contains("read 29 rows from 2 files of api")
            || run.err.contains("rows from 2 files of api"),
        "{}",
        run.err
    );
    assert!(!root.path().join("data").exists(), "nothing is left behind");
}

#[test]
fn a_statement_may_stand_in_a_file() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    fs::write(
        root.path().join("q.sql"),
        "-- how many\nSELECT count(*) AS n\nFROM samples;\n",
    )
    .unwrap();
    let run = memwatch(root.path(), &["query", "--file", "q.sql", "api"]).ended(0);
    assert_eq!(run.out, "n\n25\n");
}

#[test]
fn what_is_wrong_exits_with_2_and_words() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api"]).ended(0);
    for (args, words) in [
        (&["query", "DROP TABLE samples"][..], "a store is only read"),
        (
            &["query", "SELECT * FROM sampels"],
            "did you mean `samples`?",
        ),
        (
            &["query", "SELECT heap FROM samples"],
            "expected a column, found `heap`",
        ),
        (
            &["query", "SELECT length(repeat('x', 1000000000))"],
            "at most 256 MiB",
        ),
        (
            &["query", "SELECT 1", "missing"],
            "missing: expected a memwatch store",
        ),
        (&["query"], "expected a statement"),
        (
            &["query", "SELECT 1", "--memory", "lots"],
            "--memory: expected a size",
        ),
        (
            &["query", "SELECT 1", "--timeout", "soon"],
            "--timeout: expected a duration",
        ),
        (
            &["query", "--file", "missing.sql"],
            "missing.sql: cannot read the statement",
        ),
    ] {
        let run = memwatch(root.path(), args).ended(2);
        assert!(run.err.contains(words), "{args:?}: {}", run.err);
        assert_eq!(run.out, "", "{args:?}");
    }
    let sql = "SELECT count(*) FROM generate_series(1, 100000) a(i), generate_series(1, 100000) b(j) WHERE i % 7 = j % 5";
    let run = memwatch(root.path(), &["query", sql, "--timeout", "300ms"]).ended(2);
    assert!(
        run.err.contains("expected an answer within 300ms"),
        "{}",
        run.err
    );
}

#[test]
fn promql_answers_in_the_bytes_of_prometheus_api() {
    let root = tempfile::tempdir().unwrap();
    recording::write(root.path());
    memwatch(root.path(), &["ingest", "api"]).ended(0);
    let at = "2026-11-23T05:03:10.250Z";
    let ask = |expr: &str, more: &[&str]| {
        let mut args = vec!["query", "--promql", expr, "--format", "json", "--to", at];
        args.extend_from_slice(more);
        memwatch(root.path(), &args)
    };
    let range = ["--from", "2026-11-23T05:03:09.250Z", "--step", "500ms"];
    let cases: [(&str, &[&str], &str); 6] = [
        (
            "vector(1e-7)",
            &[],
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1795410190.250,"1e-07"]}]}"#,
        ),
        (
            "1e21",
            &[],
            r#"{"resultType":"scalar","result":[1795410190.250,"1e+21"]}"#,
        ),
        (
            r#""a\"b""#,
            &[],
            r#"{"resultType":"string","result":[1795410190.250,"a\"b"]}"#,
        ),
        ("nothing", &[], r#"{"resultType":"vector","result":[]}"#),
        (
            "label_replace(vector(-0), \"b\", \"x\", \"\", \"\")",
            &range,
            r#"{"resultType":"matrix","result":[{"metric":{"b":"x"},"values":[[1795410189.250,"-0"],[1795410189.750,"-0"],[1795410190.250,"-0"]]}]}"#,
        ),
        (
            "1 / 0",
            &range,
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1795410189.250,"+Inf"],[1795410189.750,"+Inf"],[1795410190.250,"+Inf"]]}]}"#,
        ),
    ];
    for (expr, more, data) in cases {
        let run = ask(expr, more).ended(0);
        assert_eq!(
            run.out,
            format!("{{\"status\":\"success\",\"data\":{data}}}\n"),
            "{expr}"
        );
    }
    let run = ask("quantile(2, vector(1))", &[]).ended(0);
    assert!(
        run.out.ends_with("},\"warnings\":[\"PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\"]}\n"),
        "{}",
        run.out
    );
    // Failures, too: in the same shape, with the exit code of a failure.
    for (expr, more, error) in [
        (
            "rat(x)",
            &[][..],
            r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error: unknown function with name \"rat\""}"#,
        ),
        (
            "topk(NaN, vector(1))",
            &[],
            r#"{"status":"error","errorType":"execution","error":"Parameter value is NaN"}"#,
        ),
        (
            "\"text\"",
            &range,
            r#"{"status":"error","errorType":"execution","error":"invalid expression type \"string\" for range query, must be Scalar or instant Vector"}"#,
        ),
    ] {
        let run = ask(expr, more).ended(2);
        assert_eq!(run.out, format!("{error}\n"), "{expr}");
        assert!(run.err.starts_with("error: "), "{}", run.err);
    }
}
