//! Other engines read every table of the folder as it is, and find what a scan finds: `testdata/read_with_peers.py`.

// What was skipped is said where tests say things.
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use arrow::array::{Array, AsArray};
use arrow::compute::{max, min, sum};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use memwatch_core::TimeRange;
use memwatch_store::ingest::Ingest;
use memwatch_store::{Compaction, Instances, Snapshot, Store, Table};
use serde_json::Value;

/// What a column holds.
#[derive(Debug, Default)]
struct Column {
    values: u64,
    sum: Option<f64>,
    min: Option<i64>,
    max: Option<i64>,
}

fn columns(snapshot: &Snapshot, table: Table) -> (u64, BTreeMap<String, Column>) {
    let mut rows = 0;
    let mut found: BTreeMap<String, Column> = BTreeMap::new();
    let scan = snapshot.scan(table, None, TimeRange::ALL, &Instances::All);
    for batch in scan.unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows() as u64;
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let column = found.entry(field.name().clone()).or_default();
            column.values += (array.len() - array.logical_null_count()) as u64;
            let more = match array.data_type() {
                DataType::Int64 => {
                    // Nanoseconds since 1970 add up to more than 64 bits.
                    let values = array.as_primitive::<Int64Type>();
                    let any = values.null_count() < values.len();
                    any.then(|| values.iter().flatten().map(|v| v as f64).sum())
                }
                DataType::Float64 => sum(array.as_primitive::<Float64Type>()),
                DataType::Timestamp(..) => {
                    let times = array.as_primitive::<TimestampMicrosecondType>();
                    column.min = column.min.into_iter().chain(min(times)).min();
                    column.max = column.max.max(max(times));
                    None
                }
                _ => None,
            };
            if let Some(more) = more {
                *column.sum.get_or_insert(0.0) += more;
            }
        }
    }
    (rows, found)
}

/// Sums of floats depend on the order.
fn is_near(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        // JSON has no NaN.
        (None, Some(expected)) => !expected.is_finite(),
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs(),
        _ => found == expected,
    }
}

#[test]
fn other_engines_read_every_table() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    // In two commits, merged afterwards: what was replaced is still there, under a name that nobody is to read.
    let inputs = [
        "recordings/pricing",
        "recordings/auth-edge",
        "spans",
        "pprof",
    ];
    for part in inputs.chunks(2) {
        let paths = part
            .iter()
            .map(|i| testdata.join(i).to_string_lossy().into_owned());
        Ingest::new(&store).inputs(paths).run().unwrap();
    }
    let merged = store.compact(&Compaction::default()).unwrap();
    assert!(!merged.days.is_empty());
    let snapshot = store.snapshot().unwrap();

    let run = Command::new("python3")
        .arg(testdata.join("read_with_peers.py"))
        .arg(dir.path())
        .output();
    let Ok(run) = run else {
        return eprintln!("skipped: no python3");
    };
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let answers: BTreeMap<String, Value> = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(answers.len(), 5);
    for (engine, tables) in &answers {
        if let Some(why) = tables["skipped"].as_str() {
            eprintln!("skipped {engine}: {why}");
            continue;
        }
        for table in Table::all() {
            let (rows, expected) = columns(&snapshot, table);
            let found = &tables[table.name()];
            if rows == 0 {
                assert!(found.is_null(), "{engine}: {}", table.name());
                continue;
            }
            assert_eq!(found["rows"], rows, "{engine}: {}", table.name());
            for (name, expected) in &expected {
                let found = &found["columns"][name];
                let what = format!(
                    "{engine}: {}.{name}: {found}, not {expected:?}",
                    table.name()
                );
                assert_eq!(found["values"], expected.values, "{what}");
                assert!(is_near(found["sum"].as_f64(), expected.sum), "{what}");
                assert_eq!(found["min"].as_i64(), expected.min, "{what}");
                assert_eq!(found["max"].as_i64(), expected.max, "{what}");
            }
        }
    }
}
