//! Rows one after the other: acknowledged is durable and visible, and the same rows come out whichever way they went in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memwatch_core::record::RecordSink;
use memwatch_core::series::SeriesReader;
use memwatch_core::{Matcher, Timestamp, Window};
use memwatch_store::{AppendSettings, Compaction, Error, Step, Store, Table};
use proptest::prelude::*;

use crate::idempotence::{any_row, parquet_files, rows_in_files};
use crate::rows::{
    AnyRow, DAY, MS, dump, dump_all, identity, metric, of_every_table, sample, write,
};

fn wal_files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root.join("wal")) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// What a store holds that took these rows in one commit.
fn committed(rows: &[AnyRow]) -> Vec<(Table, Vec<String>)> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, rows);
    writer.commit(&[]).unwrap();
    dump_all(&store.snapshot().unwrap())
}

#[test]
fn acknowledged_rows_are_seen_before_and_after_they_are_in_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut appender = store.append().unwrap();
    let rows = of_every_table();
    write(&mut appender, &rows);
    assert_eq!(
        dump(&store.snapshot().unwrap(), Table::Samples).len(),
        0,
        "not acknowledged yet"
    );
    let acknowledged = appender.sync().unwrap();
    assert_eq!(
        (acknowledged.rows, acknowledged.total),
        (rows.len() as u64, rows.len() as u64)
    );
    assert_eq!(appender.sync().unwrap().rows, 0);
    let expected = committed(&rows);
    // Another process sees them, too.
    let seen = Store::open(dir.path()).unwrap().snapshot().unwrap();
    assert_eq!(dump_all(&seen), expected);
    let window = Window {
        after: Timestamp(DAY - MS),
        until: Timestamp(DAY + MS),
    };
    let up = [Matcher::equal("__name__", "up")];
    assert_eq!(seen.series().select(&up, window).unwrap().len(), 1);
    assert_eq!(seen.info().tables[Table::Samples as usize].rows, 3);
    assert_eq!(parquet_files(dir.path()).len(), 0);

    appender.flush().unwrap();
    assert_eq!(dump_all(&store.snapshot().unwrap()), expected);
    assert_eq!(
        dump_all(&seen),
        expected,
        "a snapshot keeps what it had in memory"
    );
    assert!(wal_files(dir.path()).is_empty());
    assert_eq!(
        rows_in_files(dir.path()) as u64,
        seen.info().tables.iter().map(|t| t.rows).sum::<u64>()
    );
}

#[test]
fn the_next_writer_takes_over_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut appender = store.append().unwrap();
    write(&mut appender, &of_every_table());
    appender.sync().unwrap();
    appender
        .sample(&identity(3), &sample(DAY, Some(7)))
        .unwrap();
    drop(appender); // The last row was not acknowledged.
    let expected = committed(&of_every_table());
    assert_eq!(dump_all(&store.snapshot().unwrap()), expected);
    let appender = store.append().unwrap();
    assert!(appender.recovered().frames > 0);
    assert_eq!(appender.recovered().dropped_bytes, 0);
    drop(appender);
    assert_eq!(dump_all(&store.snapshot().unwrap()), expected);
    assert!(wal_files(dir.path()).is_empty());
    assert_eq!(store.append().unwrap().recovered().frames, 0);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = AtomicUsize::new(0);
    let hook = move |step: &Step<'_>| {
        // The first one is of the file's header.
        let of_rows = step.name == "sync"
            && step
                .path
                .parent()
                .is_some_and(|folder| folder.ends_with("wal"))
            && syncs.fetch_add(1, Ordering::SeqCst) == 1;
        match of_rows {
            true => Err(std::io::Error::other("a bad disk")),
            false => Ok(()),
        }
    };
    let store = Store::create_failing(dir.path(), Arc::new(hook)).unwrap();
    let mut appender = store.append().unwrap();
    write(&mut appender, &of_every_table());
    assert!(matches!(appender.sync(), Err(Error::Io { .. })));
    assert!(matches!(appender.sync(), Err(Error::WriterFailed)));
    assert!(matches!(appender.flush(), Err(Error::WriterFailed)));
    let row = sample(DAY, Some(7));
    assert!(appender.sample(&identity(3), &row).is_err());
}

#[test]
fn enough_rows_become_segments_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut settings = AppendSettings::default();
    settings.flush_rows = 10;
    let mut appender = store.append_with(settings).unwrap();
    for n in 0..25 {
        let row = metric(DAY + n * MS, "m", "", 1.0);
        appender.metric(&identity(0), &row).unwrap();
        appender.sync().unwrap();
        assert_eq!(
            dump(&store.snapshot().unwrap(), Table::Metrics).len() as i64,
            n + 1
        );
    }
    assert_eq!(rows_in_files(dir.path()), 20);
    assert_eq!(wal_files(dir.path()).len(), 1);
    let mut settings = AppendSettings::default();
    settings.flush_after = std::time::Duration::ZERO;
    drop(appender);
    let mut appender = store.append_with(settings).unwrap();
    appender
        .metric(&identity(0), &metric(DAY, "n", "", 1.0))
        .unwrap();
    appender.sync().unwrap();
    assert_eq!(rows_in_files(dir.path()), 26);
}

#[test]
fn an_appender_is_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let _appender = store.append().unwrap();
    assert!(matches!(store.append(), Err(Error::Locked { .. })));
    assert!(matches!(store.writer(), Err(Error::Locked { .. })));
}

/// A store whose rows are all in one file of the WAL, a group each.
fn in_wal(root: &Path, rows: i64) -> PathBuf {
    let store = Store::create(root).unwrap();
    let mut appender = store.append().unwrap();
    for n in 1..=rows {
        let row = metric(DAY + n * MS, "m", "", n as f64);
        appender.metric(&identity(0), &row).unwrap();
        appender.sync().unwrap();
    }
    drop(appender);
    wal_files(root).pop().unwrap()
}

#[test]
fn any_prefix_of_a_wal_replays_to_a_prefix_of_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let wal = in_wal(dir.path(), 4);
    let bytes = std::fs::read(&wal).unwrap();
    let all = dump(
        &Store::open(dir.path()).unwrap().snapshot().unwrap(),
        Table::Metrics,
    );
    assert_eq!(all.len(), 4);
    let mut last = 0;
    for end in 0..=bytes.len() {
        std::fs::write(&wal, &bytes[..end]).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let rows = dump(&store.snapshot().unwrap(), Table::Metrics);
        assert_eq!(rows, all[..rows.len()], "{end} of {} bytes", bytes.len());
        assert!(rows.len() >= last, "{end} bytes");
        last = rows.len();
        assert!(
            store.verify().unwrap().is_whole(),
            "a torn end is no damage"
        );
    }
    assert_eq!(last, 4);
    // What is left of a row is dropped by the next writer, which says so.
    std::fs::write(&wal, &bytes[..bytes.len() - 40]).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let appender = store.append().unwrap();
    assert_eq!(appender.recovered().frames, 3);
    assert!(appender.recovered().dropped_bytes > 0);
    drop(appender);
    assert_eq!(dump(&store.snapshot().unwrap(), Table::Metrics), all[..3]);
}

#[test]
fn a_flipped_bit_in_the_wal_is_an_error_and_repair_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let wal = in_wal(dir.path(), 5);
    let bytes = std::fs::read(&wal).unwrap();
    let before = dump(
        &Store::open(dir.path()).unwrap().snapshot().unwrap(),
        Table::Metrics,
    );
    for at in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&wal, &flipped).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let error = match store.snapshot() {
            Err(error @ (Error::Damaged { .. } | Error::NewerFormat { .. })) => error,
            other => panic!("byte {at}: {:?}", other.map(|_| "a snapshot")),
        };
        assert!(error.to_string().contains(".wal"), "{error}");
        assert!(!store.verify().unwrap().is_whole(), "byte {at}");
    }
    // In the third row's payload: the two before it and the two after it stay.
    let frame = (bytes.len() - 16) / 5;
    let mut flipped = bytes.clone();
    flipped[16 + 2 * frame + 30] ^= 4;
    std::fs::write(&wal, &flipped).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(
        matches!(store.append(), Err(Error::Damaged { .. })),
        "a writer does not drop what was acknowledged"
    );
    let (partial, left_out) = store.snapshot_without_damage().unwrap();
    assert_eq!(dump(&partial, Table::Metrics).len(), 4);
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    let repaired = store.repair().unwrap();
    let aside = repaired.findings[0].set_aside.clone().unwrap();
    assert_eq!(std::fs::read(dir.path().join(aside)).unwrap(), flipped);
    assert!(store.verify().unwrap().is_whole());
    let after = dump(&store.snapshot().unwrap(), Table::Metrics);
    let expected: Vec<String> = [0, 1, 3, 4].map(|n| before[n].clone()).into();
    assert_eq!(after, expected);
}

#[test]
fn readers_miss_nothing_while_rows_move_into_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let acknowledged = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let mut reads = 0;
            while !done.load(Ordering::SeqCst) || reads == 0 {
                let before = acknowledged.load(Ordering::SeqCst);
                // As another process: nothing is shared with the writer.
                let store = Store::open(dir.path()).unwrap();
                let mut rows = dump(&store.snapshot().unwrap(), Table::Metrics);
                let found = rows.len();
                rows.dedup();
                assert_eq!(found, rows.len(), "rows twice");
                assert!(found >= before, "{found} rows, {before} acknowledged");
                reads += 1;
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for part in 0..4 {
            let mut appender = store.append().unwrap();
            for n in 0..30 {
                let at = DAY + (part * 30 + n) * MS;
                appender
                    .metric(&identity(0), &metric(at, "m", "", 1.0))
                    .unwrap();
                appender.sync().unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
                if n % 4 == 3 {
                    appender.flush().unwrap();
                }
            }
            drop(appender);
            store.compact(&Compaction::default()).unwrap();
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|r| r.join().unwrap());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_way_in_does_not_matter(
        rows in proptest::collection::vec(any_row(), 1..24),
        syncs in proptest::collection::vec(0usize..24, 0..4),
        flushes in proptest::collection::vec(0usize..24, 0..3),
        reopens in proptest::collection::vec(0usize..24, 0..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut appender = store.append().unwrap();
        for (n, row) in rows.iter().enumerate() {
            write(&mut appender, std::slice::from_ref(row));
            if syncs.contains(&n) || reopens.contains(&n) {
                appender.sync().unwrap();
                let seen = dump_all(&store.snapshot().unwrap());
                prop_assert_eq!(seen, committed(&rows[..=n]));
            }
            if flushes.contains(&n) {
                appender.flush().unwrap();
            }
            if reopens.contains(&n) {
                drop(appender);
                appender = store.append().unwrap();
            }
        }
        appender.sync().unwrap();
        prop_assert_eq!(dump_all(&store.snapshot().unwrap()), committed(&rows));
        appender.flush().unwrap();
        prop_assert_eq!(dump_all(&store.snapshot().unwrap()), committed(&rows));
        let in_manifest: u64 = store.snapshot().unwrap().info().tables.iter().map(|t| t.rows).sum();
        prop_assert_eq!(rows_in_files(dir.path()) as u64, in_manifest);
    }
}
