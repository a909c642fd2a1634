//! Compaction changes no answer; retention takes what it says and nothing else.

use std::sync::Arc;

use memwatch_core::record::RecordSink;
use memwatch_core::series::SeriesReader;
use memwatch_core::{MatchOp, Matcher, Timestamp, Window};
use memwatch_store::{Compaction, Error, Retention, Snapshot, Store, Table};
use proptest::prelude::*;

use crate::idempotence::{any_row, parquet_files, rows_in_files};
use crate::rows::{AnyRow, DAY, MS, dump_all, identity, of_every_table, sample, write};

const HOUR: i64 = 3_600_000 * MS;

/// What rules see: all series, over all of time.
fn series(snapshot: &Snapshot) -> Vec<String> {
    let any = Matcher::new("__name__", MatchOp::Regex, ".+").unwrap();
    let window = Window {
        after: Timestamp(DAY - 48 * HOUR),
        until: Timestamp(DAY + 48 * HOUR),
    };
    let found = snapshot.series().select(&[any], window).unwrap();
    found.iter().map(|s| format!("{s:?}")).collect()
}

fn small() -> Compaction {
    let mut settings = Compaction::default();
    settings.min_bytes = 1 << 10;
    settings.target_bytes = 3 << 10;
    settings.max_bytes = 9 << 10;
    settings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn compaction_changes_no_answer(
        rows in proptest::collection::vec(any_row(), 1..60),
        splits in proptest::collection::vec(0usize..60, 0..12),
        compact_after in proptest::collection::vec(0usize..60, 0..3),
        sizes in any::<bool>(),
    ) {
        let settings = if sizes { small() } else { Compaction::default() };
        let ingest = |compact_after: &[usize]| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::create(dir.path()).unwrap();
            let mut writer = store.writer().unwrap();
            for (n, row) in rows.iter().enumerate() {
                write(&mut writer, std::slice::from_ref(row));
                let compact = compact_after.contains(&n);
                if compact || splits.contains(&n) {
                    writer.commit(&[]).unwrap();
                }
                if compact {
                    drop(writer);
                    let old = store.snapshot().unwrap();
                    let before = dump_all(&old);
                    store.compact(&settings).unwrap();
                    // A reader of before reads on; one of now sees the same.
                    assert_eq!(dump_all(&old), before);
                    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
                    writer = store.writer().unwrap();
                }
            }
            writer.commit(&[]).unwrap();
            drop(writer);
            if !compact_after.is_empty() {
                let done = store.compact(&settings).unwrap();
                assert!(done.days.iter().all(|d| d.duplicates == 0), "{done:?}");
            }
            let snapshot = store.snapshot().unwrap();
            let in_manifest: u64 = snapshot.info().tables.iter().map(|t| t.rows).sum();
            assert_eq!(rows_in_files(dir.path()) as u64, in_manifest);
            (dump_all(&snapshot), series(&snapshot))
        };
        let plain = ingest(&[]);
        let mut after = compact_after;
        after.push(rows.len() / 2);
        prop_assert_eq!(plain, ingest(&after));
    }
}

#[test]
fn another_writer_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let _writer = store.writer().unwrap();
    assert!(matches!(
        store.compact(&Compaction::default()),
        Err(Error::Locked { .. })
    ));
    // A plan takes no lock.
    assert!(
        store
            .plan_compaction(&Compaction::default())
            .unwrap()
            .days
            .is_empty()
    );
}

/// Five days of two services.
fn five_days(store: &Store) {
    let mut writer = store.writer().unwrap();
    for day in 0..5 {
        for n in 0..4 {
            let at = DAY + day * 24 * HOUR + 1_000 * MS;
            writer.sample(&identity(n), &sample(at, Some(day))).unwrap();
        }
    }
    write(&mut writer, &of_every_table());
    writer.commit(&[]).unwrap();
}

#[test]
fn retention_takes_whole_days_and_only_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    five_days(&store);
    let rows = |table: Table| store.snapshot().unwrap().info().tables[table as usize].rows;
    assert_eq!(rows(Table::Samples), 23);
    let reader = store.snapshot().unwrap();
    let before = dump_all(&reader);

    // In the middle of a day: that day stays.
    let mut wanted = Retention::before(Timestamp(DAY + 60 * HOUR));
    wanted.table = Some(Table::Samples);
    wanted.service = Some("service-1".into());
    let planned = store.plan_retention(&wanted).unwrap();
    assert_eq!(rows(Table::Samples), 23, "a plan changes nothing");
    let done = store.retain(&wanted).unwrap();
    assert_eq!(planned.days, done.days);
    assert_eq!(done.days.iter().map(|d| d.rows).sum::<u64>(), 4);
    assert_eq!(done.days.iter().map(|d| d.rewritten).sum::<usize>(), 2);
    assert_eq!(rows(Table::Samples), 19);
    assert_eq!(rows(Table::GcPauses), 1);
    assert_eq!(dump_all(&reader), before, "readers read on");

    let artifacts = |root: &std::path::Path| {
        let folders = std::fs::read_dir(root.join("artifacts")).unwrap();
        let plain = folders.flatten().filter(|f| f.file_name().len() == 2);
        plain
            .flat_map(|f| std::fs::read_dir(f.path()).unwrap())
            .count()
    };
    let mut wanted = Retention::before(Timestamp(DAY + 60 * HOUR));
    store.retain(&wanted).unwrap();
    assert_eq!(
        rows(Table::Samples),
        12,
        "three days of four instances are left"
    );
    assert_eq!(rows(Table::GcPauses), 0);
    assert_eq!(rows(Table::Artifacts), 1, "nobody knows when it was made");
    assert_eq!(artifacts(dir.path()), 1);
    let version = store.snapshot().unwrap().version();
    let again = store.retain(&wanted).unwrap();
    assert_eq!((again.version, again.days.len()), (version, 0));
    wanted.before = Timestamp(DAY + 1_000 * HOUR);
    store.retain(&wanted).unwrap();
    assert_eq!(rows(Table::Samples), 0);
    // A glob sees what the manifest does.
    let live: usize = Table::all()
        .map(|t| store.snapshot().unwrap().segments(t).len())
        .sum();
    assert_eq!(parquet_files(dir.path()).len(), live);
}

#[test]
fn files_kept_whole_go_with_their_last_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    let mut row = of_every_table().pop().unwrap();
    for service in ["old", "young"] {
        if let AnyRow::Artifact(of, artifact, _) = &mut row {
            of.service = Arc::from(service);
            let day = if service == "old" { 0 } else { 5 };
            artifact.at = Some(Timestamp(DAY + day * 24 * HOUR));
        }
        write(&mut writer, std::slice::from_ref(&row));
    }
    writer.commit(&[]).unwrap();
    drop(writer);
    let after = |days: i64| {
        let wanted = Retention::before(Timestamp(DAY + days * 24 * HOUR));
        store.retain(&wanted).unwrap().artifacts
    };
    assert_eq!(after(2), 0, "another row has the same content");
    assert_eq!(after(9), 1);
}
