//! A writer that dies at any step leaves a store that holds all that was acknowledged and nothing twice.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use memwatch_core::Timestamp;
use memwatch_store::{Appender, Compaction, Error, Retention, StepHook, Store, Table};

use crate::idempotence::parquet_files;
use crate::rows::{AnyRow, DAY, MS, dump_all, identity, of_every_table, sample, try_write, write};

/// Three commits: new rows, rows that replace stored ones, and both.
fn commits() -> [Vec<AnyRow>; 3] {
    let of = identity(0);
    [
        of_every_table(),
        vec![AnyRow::Sample(of.clone(), sample(DAY + 200 * MS, Some(9)))],
        vec![
            AnyRow::Sample(of.clone(), sample(DAY, Some(9))),
            AnyRow::Sample(of, sample(DAY + MS, None)),
        ],
    ]
}

/// Runs the commits on a disk that fails at one step; says how many were acknowledged.
fn run(root: &std::path::Path, hook: StepHook) -> usize {
    let Ok(store) = Store::create_failing(root, hook) else {
        return 0;
    };
    let Ok(mut writer) = store.writer() else {
        return 0;
    };
    for (n, rows) in commits().iter().enumerate() {
        if try_write(&mut writer, rows).is_err() || writer.commit(&[]).is_err() {
            return n;
        }
    }
    commits().len()
}

#[test]
fn every_step_may_be_the_last() {
    // What the store holds after 0, 1, 2, 3 commits.
    let mut after = Vec::new();
    let clean = tempfile::tempdir().unwrap();
    let store = Store::create(clean.path()).unwrap();
    after.push(dump_all(&store.snapshot().unwrap()));
    let mut writer = store.writer().unwrap();
    for rows in commits() {
        write(&mut writer, &rows);
        writer.commit(&[]).unwrap();
        after.push(dump_all(&store.snapshot().unwrap()));
    }

    let steps = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&steps);
    let all = run(
        tempfile::tempdir().unwrap().path(),
        Arc::new(move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
    );
    assert_eq!(all, 3);
    let steps = steps.load(Ordering::SeqCst);
    assert!(steps > 80, "{steps} steps");

    for last in 0..steps {
        let dir = tempfile::tempdir().unwrap();
        let step = AtomicUsize::new(0);
        let acknowledged = run(
            dir.path(),
            Arc::new(move |_| {
                if step.fetch_add(1, Ordering::SeqCst) == last {
                    return Err(std::io::Error::other("the power went"));
                }
                Ok(())
            }),
        );
        let store = Store::create(dir.path()).unwrap();
        let found = dump_all(&store.snapshot().unwrap());
        // A commit that was not acknowledged may have become durable all the same, but only whole.
        let whole = found == after[acknowledged] || after.get(acknowledged + 1) == Some(&found);
        assert!(
            whole,
            "step {last} of {steps}: {acknowledged} acknowledged, {found:?}"
        );

        // The next writer cleans up, takes everything again, and ends where the clean run did.
        let mut writer = store.writer().unwrap();
        let snapshot = store.snapshot().unwrap();
        let live: usize = Table::all().map(|t| snapshot.segments(t).len()).sum();
        assert_eq!(
            parquet_files(dir.path()).len(),
            live,
            "step {last}: orphans"
        );
        for rows in commits() {
            write(&mut writer, &rows);
        }
        writer.commit(&[]).unwrap();
        assert_eq!(
            dump_all(&store.snapshot().unwrap()),
            after[3],
            "step {last}"
        );
    }
}

#[test]
fn the_next_writer_syncs_the_names_that_a_killed_one_left() {
    // Kills a process at each sync of a folder; the next one does the same again and says success.
    for nth in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let killed_at = Arc::new(Mutex::new(None));
        let (syncs, at) = (AtomicUsize::new(0), Arc::clone(&killed_at));
        run(
            &root,
            Arc::new(move |step| {
                if step.name == "sync folder" && syncs.fetch_add(1, Ordering::SeqCst) == nth {
                    *at.lock().unwrap() = Some(step.path.to_path_buf());
                    return Err(std::io::Error::other("killed"));
                }
                Ok(())
            }),
        );
        let Some(not_synced) = killed_at.lock().unwrap().clone() else {
            assert!(nth > 20, "{nth} syncs of folders");
            break;
        };
        let synced = Arc::new(Mutex::new(HashSet::new()));
        let seen = Arc::clone(&synced);
        let all = run(
            &root,
            Arc::new(move |step| {
                if step.name == "sync folder" {
                    seen.lock().unwrap().insert(step.path.to_path_buf());
                }
                Ok(())
            }),
        );
        assert_eq!(all, 3);
        let synced = synced.lock().unwrap();
        assert!(
            synced.contains(&not_synced),
            "sync {nth}: {} is not synced again, only {synced:?}",
            not_synced.display()
        );
    }
}

#[test]
fn a_store_that_a_killed_one_made_is_durable_once_it_is_found() {
    for nth in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let killed_at = Arc::new(Mutex::new(None));
        let (syncs, at) = (AtomicUsize::new(0), Arc::clone(&killed_at));
        let hook: StepHook = Arc::new(move |step| {
            if step.name == "sync folder" && syncs.fetch_add(1, Ordering::SeqCst) == nth {
                *at.lock().unwrap() = Some(step.path.to_path_buf());
                return Err(std::io::Error::other("killed"));
            }
            Ok(())
        });
        let made = Store::create_failing(&root, hook);
        let Some(not_synced) = killed_at.lock().unwrap().clone() else {
            assert!(made.is_ok() && nth > 1, "{nth} syncs of folders");
            break;
        };
        let synced = Arc::new(Mutex::new(HashSet::new()));
        let seen = Arc::clone(&synced);
        let hook: StepHook = Arc::new(move |step| {
            if step.name == "sync folder" {
                seen.lock().unwrap().insert(step.path.to_path_buf());
            }
            Ok(())
        });
        Store::create_failing(&root, hook).unwrap();
        assert!(synced.lock().unwrap().contains(&not_synced), "sync {nth}");
    }
}

/// What an appender, a compaction and a retention do, one after the other; says how many of these were acknowledged.
fn run_stream(root: &std::path::Path, hook: StepHook) -> usize {
    let mut done = 0;
    let _ = stream(root, hook, &mut done);
    done
}

fn stream(root: &std::path::Path, hook: StepHook, done: &mut usize) -> Result<(), Error> {
    let store = Store::create_failing(root, hook)?;
    let mut appender: Option<Appender> = None;
    for step in STREAM {
        if matches!(step, Stream::Sync(_) | Stream::Flush) && appender.is_none() {
            appender = Some(store.append()?);
        }
        match (step, &mut appender) {
            (Stream::Sync(rows), Some(appender)) => {
                try_write(appender, &rows())?;
                appender.sync()?;
            }
            (Stream::Flush, Some(appender)) => {
                appender.flush()?;
            }
            (Stream::Compact, _) => {
                appender = None;
                store.compact(&Compaction::default())?;
            }
            (Stream::Retain, _) => {
                appender = None;
                store.retain(&Retention::before(Timestamp(DAY)))?;
            }
            _ => {}
        }
        *done += 1;
    }
    Ok(())
}

enum Stream {
    Sync(fn() -> Vec<AnyRow>),
    Flush,
    Compact,
    Retain,
}

/// Rows of three tables, of two days, and a file kept whole.
fn some() -> Vec<AnyRow> {
    let mut rows = of_every_table();
    rows.retain(|row| {
        matches!(
            row,
            AnyRow::Sample(..) | AnyRow::Pause(..) | AnyRow::Artifact(..)
        )
    });
    rows
}

const STREAM: [Stream; 6] = [
    Stream::Sync(some),
    Stream::Flush,
    // One that replaces a stored row, and a new one.
    Stream::Sync(|| {
        vec![
            AnyRow::Sample(identity(0), sample(DAY + 200 * MS, Some(9))),
            AnyRow::Sample(identity(0), sample(DAY + MS, None)),
        ]
    }),
    Stream::Compact,
    // Two rows of the day before go.
    Stream::Retain,
    Stream::Sync(|| vec![AnyRow::Sample(identity(0), sample(DAY + 2 * MS, None))]),
];

#[test]
fn every_step_of_a_stream_may_be_the_last() {
    let steps = Arc::new(AtomicUsize::new(0));
    // What the store holds after each part, from runs that stop between two.
    let mut after = Vec::new();
    for parts in 0..=STREAM.len() {
        let dir = tempfile::tempdir().unwrap();
        let counting = Arc::clone(&steps);
        counting.store(0, Ordering::SeqCst);
        let store = Store::create(dir.path()).unwrap();
        let mut appender: Option<Appender> = None;
        for part in &STREAM[..parts] {
            match part {
                Stream::Sync(rows) => {
                    let open = appender.get_or_insert_with(|| store.append().unwrap());
                    write(open, &rows());
                    open.sync().unwrap();
                }
                Stream::Flush => {
                    let open = appender.get_or_insert_with(|| store.append().unwrap());
                    open.flush().unwrap();
                }
                Stream::Compact => {
                    appender = None;
                    store.compact(&Compaction::default()).unwrap();
                }
                Stream::Retain => {
                    appender = None;
                    store.retain(&Retention::before(Timestamp(DAY))).unwrap();
                }
            }
        }
        after.push(dump_all(&store.snapshot().unwrap()));
    }
    assert_ne!(after[4], after[5], "retention takes some");

    let counting = Arc::clone(&steps);
    let whole = tempfile::tempdir().unwrap();
    let all = run_stream(
        whole.path(),
        Arc::new(move |_| {
            counting.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
    );
    assert_eq!(all, STREAM.len());
    let steps = steps.load(Ordering::SeqCst);
    assert!(steps > 100, "{steps} steps");

    for last in 0..steps {
        let dir = tempfile::tempdir().unwrap();
        let step = AtomicUsize::new(0);
        let acknowledged = run_stream(
            dir.path(),
            Arc::new(move |_| {
                if step.fetch_add(1, Ordering::SeqCst) == last {
                    return Err(std::io::Error::other("the power went"));
                }
                Ok(())
            }),
        );
        let store = Store::create(dir.path()).unwrap();
        let found = dump_all(&store.snapshot().unwrap());
        // Frames of a group reach the disk one by one: of the part that was cut off any rows may be there.
        let between = |rows: &[String], low: &[String], high: &[String]| {
            low.iter()
                .all(|row| rows.contains(row) || !high.contains(row))
                && rows
                    .iter()
                    .all(|row| low.contains(row) || high.contains(row))
        };
        let low = &after[acknowledged];
        let high = after.get(acknowledged + 1).unwrap_or(low);
        for ((table, rows), (low, high)) in found.iter().zip(low.iter().zip(high)) {
            assert!(
                between(rows, &low.1, &high.1),
                "step {last} of {steps}, {acknowledged} acknowledged, {table:?}: {rows:#?}"
            );
        }
        // Recovery changes nothing, leaves nothing behind, and the store goes on.
        drop(store.append().unwrap());
        assert_eq!(dump_all(&store.snapshot().unwrap()), found, "step {last}");
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "step {last}: {:?}", verified.findings);
        if last % 4 != 0 {
            continue;
        }
        let mut appender = store.append().unwrap();
        for part in &STREAM {
            if let Stream::Sync(rows) = part {
                write(&mut appender, &rows());
            }
        }
        appender.flush().unwrap();
        drop(appender);
        store.retain(&Retention::before(Timestamp(DAY))).unwrap();
        assert_eq!(
            dump_all(&store.snapshot().unwrap()),
            after[STREAM.len()],
            "step {last}"
        );
    }
}
