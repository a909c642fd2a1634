//! A writer that dies at any step leaves a store that holds all that was acknowledged and nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memwatch_store::{StepHook, Store, Table};

use crate::idempotence::parquet_files;
use crate::rows::{AnyRow, DAY, MS, dump_all, identity, of_every_table, sample, write};

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
        let written =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| write(&mut writer, rows)));
        if written.is_err() || writer.commit(&[]).is_err() {
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
        Arc::new(move |_, _| {
            counting.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }),
    );
    assert_eq!(all, 3);
    let steps = steps.load(Ordering::SeqCst);
    assert!(steps > 80, "{steps} steps");

    // The panics of `write` on a failing disk are expected here.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for last in 0..steps {
        let dir = tempfile::tempdir().unwrap();
        let step = AtomicUsize::new(0);
        let acknowledged = run(
            dir.path(),
            Arc::new(move |_, _| {
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
    std::panic::set_hook(hook);
}
