//! The same rows again, in any order and split, change nothing.

use std::collections::BTreeMap;

use memwatch_core::Timestamp;
use memwatch_core::record::{PauseOrigin, RecordSink};
use memwatch_store::{SourceIdentity, Store, Table};
use proptest::prelude::*;

use crate::rows::{
    AnyRow, DAY, MS, dump_all, identity, metric, of_every_table, pause, sample, write,
};

#[test]
fn a_second_time_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let source = SourceIdentity {
        hash: [3; 32],
        name: "all.ndjson".into(),
    };
    assert!(!writer.has_source(&source.hash));
    write(&mut writer, &of_every_table());
    writer.commit(std::slice::from_ref(&source)).unwrap();
    assert!(writer.has_source(&source.hash) && store.snapshot().unwrap().has_source(&source.hash));
    let before = dump_all(&store.snapshot().unwrap());
    let files = parquet_files(dir.path());

    writer.begin_input(4);
    write(&mut writer, &of_every_table());
    writer.begin_input(5);
    write(&mut writer, &of_every_table());
    let committed = writer.commit(&[]).unwrap();
    assert_eq!(committed.version, 1, "nothing to commit");
    for ((input, table), counts) in &committed.rows {
        assert!(*input == 4 || *input == 5);
        let rows = before.iter().find(|(t, _)| t == table).unwrap().1.len() as u64;
        assert_eq!(
            (counts.new, counts.duplicate, counts.replaced),
            (0, rows, 0),
            "{table:?}"
        );
    }
    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
    assert_eq!(parquet_files(dir.path()), files);
}

#[test]
fn more_rows_than_a_buffer_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    const ROWS: i64 = 300_000;
    for round in 0..2 {
        // The second time from the other end.
        for n in 0..ROWS {
            let n = if round == 0 { n } else { ROWS - 1 - n };
            let of = identity(usize::try_from(n % 3).unwrap());
            writer
                .metric(
                    &of,
                    &metric(DAY + n / 30 * MS, &format!("m{}", n % 10), "", n as f64),
                )
                .unwrap();
        }
    }
    let committed = writer.commit(&[]).unwrap();
    let counts = committed.rows[&(0, Table::Metrics)];
    assert_eq!((counts.new, counts.duplicate), (300_000, 300_000));
    let snapshot = store.snapshot().unwrap();
    assert_eq!(
        snapshot.info().tables[Table::Metrics as usize].rows,
        300_000
    );
    assert!(snapshot.segments(Table::Metrics).len() <= 4);
}

/// Every `*.parquet` below a folder: what an engine that reads it by a glob sees.
pub(crate) fn parquet_files(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|e| e == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn rows_in_files(root: &std::path::Path) -> usize {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let rows = |path| {
        let file = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        usize::try_from(file.metadata().file_metadata().num_rows()).unwrap()
    };
    parquet_files(root).into_iter().map(rows).sum()
}

pub(crate) fn any_row() -> impl Strategy<Value = AnyRow> {
    // Few instants and instances, around midnight, so that rows meet.
    let at = (-4i64..4).prop_map(|n| DAY + n * 700);
    let of = (0usize..3).prop_map(identity);
    let heap = proptest::option::of(0i64..3);
    let value = prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(1.0)];
    prop_oneof![
        (of.clone(), at.clone(), heap)
            .prop_map(|(of, at, heap)| AnyRow::Sample(of, sample(at, heap))),
        (of.clone(), at.clone(), 0..2, value).prop_map(|(of, at, m, value)| AnyRow::Metric(
            of,
            metric(at, &format!("m{m}"), "a=\"b\"", value)
        )),
        (of, at, 0i64..2, proptest::option::of(0i64..3)).prop_map(|(of, at, ns, num)| {
            let mut row = pause(at, ns, PauseOrigin::Trace);
            row.gc_num = num;
            AnyRow::Pause(of, row)
        }),
    ]
}

/// What is to be there, by a simple rule: of rows with one key the greatest.
fn expected_samples(rows: &[AnyRow]) -> usize {
    let mut keys = BTreeMap::new();
    for row in rows {
        if let AnyRow::Sample(of, row) = row {
            let best: &mut Option<i64> = keys.entry((of.clone(), row.at.micros())).or_default();
            *best = (*best).max(row.heap_inuse.map(|b| b.0));
        }
    }
    keys.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn splits_and_orders_do_not_matter(
        rows in proptest::collection::vec(any_row(), 1..40),
        order in any::<u64>(),
        splits in proptest::collection::vec(0usize..40, 0..5),
    ) {
        let ingest = |rows: &[AnyRow], splits: &[usize]| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::create(dir.path()).unwrap();
            let mut writer = store.writer().unwrap();
            for (n, row) in rows.iter().enumerate() {
                write(&mut writer, std::slice::from_ref(row));
                if splits.contains(&n) {
                    writer.commit(&[]).unwrap();
                }
            }
            writer.commit(&[]).unwrap();
            let snapshot = store.snapshot().unwrap();
            let in_files = rows_in_files(dir.path());
            let in_manifest: u64 = snapshot.info().tables.iter().map(|t| t.rows).sum();
            assert_eq!(in_files as u64, in_manifest, "a glob sees the live rows and no others");
            dump_all(&snapshot)
        };
        let once = ingest(&rows, &[]);
        prop_assert_eq!(once[0].1.len(), expected_samples(&rows));
        // A shuffle by a seed; every second row twice.
        let mut other: Vec<AnyRow> = rows.iter().chain(rows.iter().step_by(2)).cloned().collect();
        let mut state = order | 1;
        for i in (1..other.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            other.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        prop_assert_eq!(once, ingest(&other, &splits));
    }
}

#[test]
fn times_are_cut_to_microseconds_before_they_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for ns in [1, 999, 1_000] {
        let mut row = sample(DAY, None);
        row.at = Timestamp(DAY + ns);
        writer.sample(&identity(0), &row).unwrap();
    }
    let counts = writer.commit(&[]).unwrap().rows[&(0, Table::Samples)];
    assert_eq!((counts.new, counts.duplicate), (2, 1));
}
