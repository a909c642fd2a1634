//! What holds for a folder holds for a bucket: one writer, whole commits, nothing twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use memwatch_core::Timestamp;
use memwatch_store::{Compaction, Error, Retention, SourceIdentity, StepHook, Store, Table};

use super::server::{Conditions, Fault, Server};
use super::{URL, count, reached, samples, writer};
use crate::rows::{AnyRow, DAY, MS, dump_all, identity, of_every_table, sample, try_write, write};

#[test]
fn a_second_time_adds_nothing() {
    let server = Server::start(Conditions::Honored);
    let store = Store::create_with(URL, &reached(&server)).unwrap();
    let source = SourceIdentity {
        hash: [3; 32],
        name: "all.ndjson".into(),
    };
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    writer.commit(std::slice::from_ref(&source)).unwrap();
    let before = dump_all(&store.snapshot().unwrap());
    drop(writer);
    let mut writer = store.writer().unwrap();
    assert!(writer.has_source(&source.hash));
    write(&mut writer, &of_every_table());
    let committed = writer.commit(&[]).unwrap();
    assert_eq!(committed.version, 1, "nothing to commit");
    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
}

#[test]
fn the_second_writer_is_told_who_the_first_is() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server);
    let store = Store::create_with(URL, &given).unwrap();
    let first = store.writer().unwrap();
    let error = Store::open_with(URL, &given)
        .unwrap()
        .writer()
        .map(|_| ())
        .unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Locked { .. }), "{told}");
    assert!(
        told.contains(&format!("process {} on ", std::process::id())),
        "{told}"
    );
    drop(first);
    // It let go, and nothing of it can still come: no number of the manifest is spent on it.
    let second = store.writer().unwrap();
    assert_eq!(store.snapshot().unwrap().version(), 0);
    drop(second);
}

#[test]
fn a_lease_is_renewed_as_long_as_its_owner_lives() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server).lease(Duration::from_millis(300));
    let store = Store::create_with(URL, &given).unwrap();
    let mut first = store.writer().unwrap();
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(100));
        assert!(matches!(store.writer(), Err(Error::Locked { .. })));
    }
    write(&mut first, &samples(0, 10));
    first.commit(&[]).unwrap();
}

#[test]
fn one_that_was_taken_for_dead_commits_nothing() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server).lease(Duration::from_millis(150));
    let store = Store::create_with(URL, &given).unwrap();
    let mut first = store.writer().unwrap();
    write(&mut first, &samples(0, 10));
    first.commit(&[]).unwrap();
    write(&mut first, &samples(10, 20));
    // Its signs of life get lost.
    let deaf = Arc::new(AtomicBool::new(true));
    let hears = Arc::clone(&deaf);
    server.faults(move |request| {
        let lock = request.method == "PUT"
            && request.key.ends_with("memwatch.lock")
            && request.headers["authorization"].contains("canary-id");
        if lock && hears.load(Ordering::SeqCst) {
            Fault::Status(403)
        } else {
            Fault::None
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let other = given.clone().credentials("another", "key");
    let second_store = Store::open_with(URL, &other).unwrap();
    let mut second = second_store.writer().unwrap();
    deaf.store(false, Ordering::SeqCst);
    write(&mut second, &samples(100, 105));
    second.commit(&[]).unwrap();
    let error = first.commit(&[]).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::LockLost { .. }), "{error}");
    assert!(matches!(first.commit(&[]), Err(Error::WriterFailed)));
    drop(first);
    write(&mut second, &samples(105, 110));
    second.commit(&[]).unwrap();
    drop(second);
    let store = Store::open_with(URL, &given).unwrap();
    assert_eq!(count(&store), 20);
    assert!(store.verify().unwrap().is_whole());
}

/// The first writer sleeps right before its commit becomes visible, long enough for another to take over, write and let go.
#[test]
fn a_commit_that_comes_too_late_is_refused() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server).lease(Duration::from_millis(100));
    let store = Store::create_with(URL, &given).unwrap();
    let mut writer_before = store.writer().unwrap();
    write(&mut writer_before, &samples(0, 10));
    writer_before.commit(&[]).unwrap();
    drop(writer_before);

    let asleep = Arc::new(AtomicBool::new(false));
    let (sleeps, address) = (Arc::clone(&asleep), server.endpoint());
    let other = given.clone();
    let hook: StepHook = Arc::new(move |step| {
        let commit = step.name == "put" && step.path.to_string_lossy().contains("/manifest/");
        if commit && !sleeps.swap(true, Ordering::SeqCst) {
            let second_store = Store::open_with(URL, &other).unwrap();
            // The lock is stolen, as a clock that is wrong would have it.
            let stolen = r#"{"id":"x","pid":1,"host":"h","kernel":"","since":"2026-01-01T00:00:00Z","until":"2026-01-01T00:00:00Z","released":false,"clean":false}"#;
            steal(&address, stolen);
            let mut second = second_store.writer().unwrap();
            write(&mut second, &samples(100, 105));
            second.commit(&[]).unwrap();
        }
        Ok(())
    });
    let late = Store::create_with_failing(URL, &given, hook).unwrap();
    let mut first = late.writer().unwrap();
    write(&mut first, &samples(10, 20));
    let error = first.commit(&[]).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    drop(first);
    assert!(asleep.load(Ordering::SeqCst));

    let store = Store::open_with(URL, &given).unwrap();
    assert_eq!(count(&store), 15);
    drop(writer(&store));
    let verified = store.verify().unwrap();
    assert!(verified.is_whole(), "{:?}", verified.findings);
    assert_eq!(count(&store), 15);
}

/// Writes over the lock, without conditions.
fn steal(address: &str, content: &str) {
    use std::io::{Read as _, Write as _};
    let mut to = std::net::TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    let head = format!(
        "PUT /bucket/a%20prefix/%C3%A9/memwatch.lock HTTP/1.1\r\ncontent-length: {}\r\n\r\n{content}",
        content.len()
    );
    to.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 15];
    to.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn of_many_writers_at_once_one_has_the_lock() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server);
    Store::create_with(URL, &given).unwrap();
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..4i64 {
            let (given, taken) = (&given, &taken);
            scope.spawn(move || {
                let store = Store::open_with(URL, given).unwrap();
                for round in 0..5 {
                    let mut writer = writer(&store);
                    assert_eq!(taken.fetch_add(1, Ordering::SeqCst), 0, "alone");
                    let first = (n * 5 + round) * 10;
                    write(&mut writer, &samples(first, first + 10));
                    writer.commit(&[]).unwrap();
                    taken.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    let store = Store::open_with(URL, &given).unwrap();
    assert_eq!(count(&store), 200);
    assert_eq!(store.snapshot().unwrap().version(), 20);
}

/// What a writer, a compaction and a retention do, one after the other; says how many of these were acknowledged.
fn run(server: &Server, hook: StepHook, done: &mut usize) -> Result<(), Error> {
    let given = reached(server).lease(Duration::from_millis(30));
    let store = Store::create_with_failing(URL, &given, hook)?;
    for part in 0..PARTS {
        apply(&store, part)?;
        *done += 1;
    }
    Ok(())
}

const PARTS: usize = 5;

fn apply(store: &Store, part: usize) -> Result<(), Error> {
    let of = identity(0);
    let rows = match part {
        0 => of_every_table(),
        1 => vec![
            AnyRow::Sample(of.clone(), sample(DAY + 200 * MS, Some(9))),
            AnyRow::Sample(of, sample(DAY + MS, None)),
        ],
        2 => return store.compact(&Compaction::default()).map(|_| ()),
        3 => return store.retain(&Retention::before(Timestamp(DAY))).map(|_| ()),
        _ => samples(100, 110),
    };
    let mut writer = store.writer()?;
    try_write(&mut writer, &rows)?;
    writer.commit(&[]).map(|_| ())
}

#[test]
fn every_step_may_be_the_last() {
    // What the store holds after each part.
    let clean = Server::start(Conditions::Honored);
    let store = Store::create_with(URL, &reached(&clean)).unwrap();
    let mut after = vec![dump_all(&store.snapshot().unwrap())];
    for part in 0..PARTS {
        apply(&store, part).unwrap();
        after.push(dump_all(&store.snapshot().unwrap()));
    }
    assert_ne!(after[3], after[4], "retention takes some");

    let steps = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&steps);
    let mut done = 0;
    let server = Server::start(Conditions::Honored);
    let hook: StepHook = Arc::new(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    run(&server, hook, &mut done).unwrap();
    assert_eq!(done, PARTS);
    let steps = steps.load(Ordering::SeqCst);
    assert!(steps > 70, "{steps} steps");

    for last in 0..steps {
        let server = Server::start(Conditions::Honored);
        let step = AtomicUsize::new(0);
        let mut acknowledged = 0;
        let hook: StepHook = Arc::new(move |_| {
            if step.fetch_add(1, Ordering::SeqCst) == last {
                return Err(std::io::Error::other("the power went"));
            }
            Ok(())
        });
        // What a writer that is dropped would do after the last step is not done: it is a crash.
        let _ = run(&server, hook, &mut acknowledged);
        let given = reached(&server).lease(Duration::from_millis(30));
        let store = Store::create_with(URL, &given).unwrap();
        let found = dump_all(&store.snapshot().unwrap());
        let whole = found == after[acknowledged] || after.get(acknowledged + 1) == Some(&found);
        assert!(
            whole,
            "step {last} of {steps}: {acknowledged} acknowledged, {found:?}"
        );
        drop(writer(&store));
        assert_eq!(dump_all(&store.snapshot().unwrap()), found, "step {last}");
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "step {last}: {:?}", verified.findings);
        let snapshot = store.snapshot().unwrap();
        let live: usize = Table::all().map(|t| snapshot.segments(t).len()).sum();
        let segments = server
            .keys()
            .iter()
            .filter(|k| k.ends_with(".parquet"))
            .count();
        assert_eq!(segments, live, "step {last}: orphans");
        if last % 6 != 0 {
            continue;
        }
        // All again ends where the clean run did.
        for part in [0, 1, 3, 4] {
            apply(&store, part).unwrap();
        }
        assert_eq!(
            dump_all(&store.snapshot().unwrap()),
            after[PARTS],
            "step {last}"
        );
    }
}
