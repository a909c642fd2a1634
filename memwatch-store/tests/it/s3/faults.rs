//! Servers and networks that fail: what was acknowledged is there, what was not is there whole or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memwatch_store::{ObjectStorage, Store};

use super::server::{Conditions, Fault, Request, Server};
use super::{URL, count, reached, samples, writer};
use crate::rows::{dump, write};
use memwatch_store::Table;

fn patient(server: &Server) -> ObjectStorage {
    reached(server).lease(Duration::from_millis(200))
}

/// Every request of a commit fails once in each way: it succeeds all the same.
#[test]
fn what_may_pass_is_repeated() {
    for fault in [
        Fault::Status(503),
        Fault::AnswerLost,
        Fault::Lost,
        Fault::Cut,
    ] {
        let requests = {
            let server = Server::start(Conditions::Honored);
            let store = Store::create_with(URL, &patient(&server)).unwrap();
            let mut writer = store.writer().unwrap();
            write(&mut writer, &samples(0, 10));
            server.take_log();
            writer.commit(&[]).unwrap();
            server.take_log().len()
        };
        assert!(requests > 4, "{requests}");
        for at in 0..requests {
            let server = Server::start(Conditions::Honored);
            let store = Store::create_with(URL, &patient(&server)).unwrap();
            let mut writer = store.writer().unwrap();
            write(&mut writer, &samples(0, 10));
            let seen = AtomicUsize::new(0);
            let hit: Arc<std::sync::Mutex<Option<Request>>> = Arc::default();
            let noted = Arc::clone(&hit);
            server.faults(move |request| {
                if seen.fetch_add(1, Ordering::SeqCst) == at {
                    *noted.lock().unwrap() = Some(request.clone());
                    return fault;
                }
                Fault::None
            });
            let committed = writer.commit(&[]);
            let request = hit.lock().unwrap().clone();
            // A conditional write of which nobody heard is not sent again by itself: then the writer says so, and nothing is there.
            let conditional = request.as_ref().is_some_and(|r| {
                r.headers.contains_key("if-none-match") || r.headers.contains_key("if-match")
            });
            if fault == Fault::Lost && conditional {
                let acknowledged = if committed.is_ok() { 10 } else { 0 };
                assert_eq!(count(&store), acknowledged, "{request:?}");
                continue;
            }
            committed.unwrap_or_else(|e| panic!("{fault:?} of {request:?}: {e}"));
            drop(writer);
            assert_eq!(count(&store), 10);
            assert_eq!(store.snapshot().unwrap().version(), 1);
            assert!(store.verify().unwrap().is_whole());
        }
    }
}

/// A generator of its own, so that a seed means the same for ever.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_is_there() {
    let seeds = std::env::var("MEMWATCH_S3_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok());
    for seed in 0..seeds.unwrap_or(3u64) {
        let server = Server::start(Conditions::Honored);
        let given = reached(&server)
            .lease(Duration::from_millis(60))
            .timeout(Duration::from_millis(500))
            .retry_for(Duration::from_millis(150));
        Store::create_with(URL, &given).unwrap();
        let mut noise = Noise(seed);
        let mut faulty = Noise(seed ^ 0xffff);
        server.faults(move |_| match faulty.next(40) {
            0 => Fault::Status(503),
            1 => Fault::Status(500),
            2 => Fault::Lost,
            3 => Fault::AnswerLost,
            4 => Fault::Cut,
            5 => Fault::Status(403),
            _ => Fault::None,
        });
        // Ten samples a commit: of each it is known whether it was acknowledged.
        let (mut acknowledged, mut tried) = (BTreeSet::new(), BTreeSet::new());
        let mut commit = 0i64;
        while commit < 10 {
            let Ok(store) = Store::open_with(URL, &given) else {
                continue;
            };
            let Ok(mut writer) = store.writer() else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            for _ in 0..=noise.next(4) {
                tried.insert(commit);
                let rows = samples(commit * 10, commit * 10 + 10);
                let written = crate::rows::try_write(&mut writer, &rows);
                let done = written.is_ok() && writer.commit(&[]).is_ok();
                if done {
                    acknowledged.insert(commit);
                }
                commit += 1;
                if !done {
                    break;
                }
            }
        }
        server.faults(|_| Fault::None);
        let store = Store::open_with(URL, &given).unwrap();
        let rows_before = dump(&store.snapshot().unwrap(), Table::Samples);
        drop(writer(&store));
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "seed {seed}: {:?}", verified.findings);
        let rows = dump(&store.snapshot().unwrap(), Table::Samples);
        assert_eq!(rows, rows_before, "seed {seed}");
        let mut there = BTreeSet::new();
        for commit in &tried {
            let found = rows
                .iter()
                .filter(|row| second(row).div_euclid(10) == *commit)
                .count();
            assert!(
                found == 0 || found == 10,
                "seed {seed}: {found} rows of commit {commit}"
            );
            if found == 10 {
                there.insert(*commit);
            }
        }
        assert!(
            acknowledged.is_subset(&there),
            "seed {seed}: acknowledged {acknowledged:?}, there {there:?}"
        );
        assert_eq!(rows.len(), there.len() * 10, "seed {seed}: phantom rows");
        assert!(!acknowledged.is_empty(), "seed {seed}");
    }
}

/// Which of [`samples`] a row is: the seconds since the day began.
pub(super) fn second(row: &str) -> i64 {
    let at = row.split('|').next().unwrap();
    let at = memwatch_core::Timestamp::parse_rfc3339(at).unwrap();
    (at.0 - crate::rows::DAY) / 1_000_000_000
}
