//! A store on object storage: on a small server of our own, and on others where they are installed.

mod conformance;
mod faults;
mod others;
pub(crate) mod server;

use std::time::{Duration, Instant};

use memwatch_core::{TimeRange, Timestamp};
use memwatch_store::{
    Compaction, Error, Instances, ObjectStorage, Retention, Store, Table, Writer,
};

use crate::rows::{AnyRow, DAY, MS, dump_all, identity, of_every_table, sample, write};
use server::{Conditions, Fault, Request, Server};

/// Where the tests' stores are.
const URL: &str = "s3://bucket/a prefix/é";
const PREFIX: &str = "a prefix/é/";

/// How the server is reached, with patience for a test.
fn reached(server: &Server) -> ObjectStorage {
    ObjectStorage::from_env()
        .endpoint(&server.endpoint())
        .credentials("canary-id", "canary-secret")
        .region("us-east-1")
        .timeout(Duration::from_secs(2))
        .retry_for(Duration::from_secs(2))
}

/// The writer, as soon as that of a crashed one has run out.
fn writer(store: &Store) -> Writer {
    let since = Instant::now();
    loop {
        match store.writer() {
            Err(Error::Locked { .. }) if since.elapsed() < Duration::from_secs(20) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            writer => return writer.unwrap(),
        }
    }
}

/// Samples `from..to` of one instance, each of another second.
fn samples(from: i64, to: i64) -> Vec<AnyRow> {
    let row = |n: i64| AnyRow::Sample(identity(0), sample(DAY + n * 1_000 * MS, Some(n)));
    (from..to).map(row).collect()
}

/// How many rows of samples there are.
fn count(store: &Store) -> u64 {
    store
        .snapshot()
        .unwrap()
        .segments(Table::Samples)
        .iter()
        .map(|s| s.rows)
        .sum()
}

#[test]
fn holds_what_a_folder_holds() {
    let server = Server::start(Conditions::Honored);
    let remote = Store::create_with(URL, &reached(&server)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let local = Store::create(dir.path()).unwrap();
    for store in [&local, &remote] {
        let mut writer = store.writer().unwrap();
        write(&mut writer, &of_every_table());
        writer.commit(&[]).unwrap();
        for n in 0..10 {
            write(&mut writer, &samples(n * 10, n * 10 + 15));
            writer.commit(&[]).unwrap();
        }
    }
    let same = || {
        let again = Store::open_with(URL, &reached(&server)).unwrap();
        assert_eq!(
            dump_all(&again.snapshot().unwrap()),
            dump_all(&local.snapshot().unwrap())
        );
        let verified = again.verify().unwrap();
        assert!(verified.is_whole(), "{:?}", verified.findings);
        assert_eq!(verified.artifacts, local.verify().unwrap().artifacts);
    };
    same();
    for store in [&local, &remote] {
        store.compact(&Compaction::default()).unwrap();
    }
    same();
    // Who took a snapshot before reads on, under the name that a replaced segment has then.
    let before = remote.snapshot().unwrap();
    let rows = dump_all(&before);
    for store in [&local, &remote] {
        let retained = store.retain(&Retention::before(Timestamp(DAY))).unwrap();
        assert_ne!(retained.days, []);
    }
    same();
    let again = Store::open_with(URL, &reached(&server)).unwrap();
    assert_ne!(dump_all(&again.snapshot().unwrap()), rows);
    assert_eq!(dump_all(&before), rows);
    // Names are those of a folder, so that every other engine reads them.
    for key in server.keys() {
        assert!(key.starts_with(PREFIX), "{key}");
    }
    let segments = server
        .keys()
        .into_iter()
        .filter(|k| k.ends_with(".parquet"))
        .count();
    let snapshot = remote.snapshot().unwrap();
    let live: usize = Table::all().map(|t| snapshot.segments(t).len()).sum();
    assert_eq!(segments, live);
}

#[cfg(feature = "sql")]
#[test]
fn answers_sql() {
    use arrow::array::AsArray as _;
    use arrow::datatypes::Int64Type;
    use memwatch_store::query::Engine;

    let server = Server::start(Conditions::Honored);
    let store = Store::create_with(URL, &reached(&server)).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &samples(0, 500));
    writer.commit(&[]).unwrap();
    let sum = |store: &Store| {
        let engine = Engine::new(&store.snapshot().unwrap()).unwrap();
        let sql =
            "SELECT sum(heap_inuse_bytes)::bigint AS s FROM samples WHERE heap_inuse_bytes >= 490";
        let batches = engine.sql(sql)?.collect::<Result<Vec<_>, Error>>()?;
        Ok::<i64, Error>(batches[0].column(0).as_primitive::<Int64Type>().value(0))
    };
    assert_eq!(sum(&store).unwrap(), (490..500).sum::<i64>());

    // Damage is named, with what is missing, and nothing of it is answered.
    let key = server
        .keys()
        .into_iter()
        .find(|k| k.ends_with(".parquet"))
        .unwrap();
    let whole = server.get(&key).unwrap();
    let mut flipped = whole.clone();
    let footer = store.snapshot().unwrap().segments(Table::Samples)[0]
        .footer
        .offset;
    for at in (40..usize::try_from(footer).unwrap()).step_by(16) {
        flipped[at] ^= 4;
    }
    server.put(&key, flipped);
    let again = Store::open_with(URL, &reached(&server)).unwrap();
    let error = sum(&again).unwrap_err();
    let Error::Damaged { gap: Some(gap), .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(gap.rows, 500, "{error}");
    // So is a server that does not answer, and it is not taken for damage.
    server.put(&key, whole);
    let again = Store::open_with(URL, &reached(&server)).unwrap();
    server.faults(|request| {
        let segment = request.key.ends_with(".parquet");
        if segment {
            Fault::Status(403)
        } else {
            Fault::None
        }
    });
    let error = sum(&again).unwrap_err();
    assert!(matches!(error, Error::ObjectStorage { .. }), "{error}");
    assert!(error.to_string().contains("access denied (403)"), "{error}");
}

#[test]
fn damage_is_found_and_set_aside() {
    let server = Server::start(Conditions::Honored);
    let store = Store::create_with(URL, &reached(&server)).unwrap();
    let mut writer = store.writer().unwrap();
    for n in 0..3 {
        write(&mut writer, &samples(n * 100, n * 100 + 100));
        writer.commit(&[]).unwrap();
    }
    drop(writer);
    let segments: Vec<String> = server
        .keys()
        .into_iter()
        .filter(|k| k.ends_with(".parquet"))
        .collect();
    let mut flipped = server.get(&segments[0]).unwrap();
    flipped[40] ^= 4;
    server.put(&segments[0], flipped);
    let shorter = server.get(&segments[1]).unwrap();
    server.put(&segments[1], shorter[..shorter.len() / 2].to_vec());

    let store = Store::open_with(URL, &reached(&server)).unwrap();
    let snapshot = store.snapshot().unwrap();
    let scan = snapshot.scan(Table::Samples, None, TimeRange::ALL, &Instances::All);
    let error = scan.unwrap().find_map(Result::err).unwrap();
    assert!(
        matches!(error, Error::Damaged { gap: Some(_), .. }),
        "{error}"
    );
    let (_, left_out) = store.snapshot_without_damage().unwrap();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    let repaired = store.repair().unwrap();
    assert_eq!(repaired.findings.len(), 2, "{:?}", repaired.findings);
    for finding in &repaired.findings {
        let aside = finding.set_aside.as_ref().unwrap();
        assert!(server.get(&format!("{PREFIX}{aside}")).is_some(), "{aside}");
    }
    assert!(store.verify().unwrap().is_whole());
    assert_eq!(count(&store), 100);

    // A manifest that does not read is made anew.
    let commits: Vec<String> = server
        .keys()
        .into_iter()
        .filter(|k| k.contains("/manifest/"))
        .collect();
    server.put(commits.last().unwrap(), b"{}".to_vec());
    let store = Store::open_with(URL, &reached(&server)).unwrap();
    assert!(store.snapshot().is_err());
    store.repair().unwrap();
    assert_eq!(count(&store), 100);
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_server_that_ignores_conditions_is_refused() {
    for (conditions, told) in [
        (
            Conditions::Ignored,
            "(If-None-Match: *) does not hold, found one that ignores it",
        ),
        (
            Conditions::IfMatchIgnored,
            "(If-Match) does not hold, found one that ignores it",
        ),
        (
            Conditions::NotImplemented,
            "(If-None-Match: *) does not hold, found one that does not implement it",
        ),
    ] {
        let server = Server::start(conditions);
        let error = Store::create_with(URL, &reached(&server))
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(error, Error::Unconditional { .. }),
            "{conditions:?}: {error}"
        );
        assert!(error.to_string().contains(told), "{conditions:?}: {error}");
        assert_eq!(server.keys(), Vec::<String>::new(), "nothing is left there");

        // A store that was copied there is read, and not written.
        let fit = Server::start(Conditions::Honored);
        let store = Store::create_with(URL, &reached(&fit)).unwrap();
        let mut writer = store.writer().unwrap();
        write(&mut writer, &samples(0, 10));
        writer.commit(&[]).unwrap();
        drop(writer);
        for key in fit.keys() {
            server.put(&key, fit.get(&key).unwrap());
        }
        let before: Vec<_> = server.keys().iter().map(|key| server.get(key)).collect();
        let store = Store::open_with(URL, &reached(&server)).unwrap();
        assert_eq!(count(&store), 10);
        let error = store.writer().map(|_| ()).unwrap_err();
        assert!(
            matches!(error, Error::Unconditional { .. }),
            "{conditions:?}: {error}"
        );
        let after: Vec<_> = server.keys().iter().map(|key| server.get(key)).collect();
        assert_eq!(before, after, "{conditions:?}: nothing is changed");
    }
}

#[test]
fn what_is_read_is_asked_for_once_and_nothing_else_is() {
    let server = Server::start(Conditions::Honored);
    let store = Store::create_with(URL, &reached(&server)).unwrap();
    let mut writer = store.writer().unwrap();
    for day in 0..20 {
        let at = DAY + day * 86_400_000 * MS;
        write(
            &mut writer,
            &[AnyRow::Sample(identity(0), sample(at, Some(day)))],
        );
        writer.commit(&[]).unwrap();
    }
    let store = Store::open_with(URL, &reached(&server)).unwrap();
    server.take_log();
    let snapshot = store.snapshot().unwrap();
    let asked = server.take_log();
    let of = |asked: &[Request], method: &str| asked.iter().filter(|r| r.method == method).count();
    assert_eq!(of(&asked, "HEAD"), 0, "{asked:#?}");
    let commits = asked
        .iter()
        .filter(|r| r.key.contains("/manifest/"))
        .count();
    assert_eq!(commits, 20, "each commit once");
    for round in 0..2 {
        let range = TimeRange {
            start: Timestamp(DAY),
            end: Timestamp(DAY + 86_400_000 * MS),
        };
        let scan = snapshot
            .scan(Table::Samples, None, range, &Instances::All)
            .unwrap();
        assert_eq!(scan.map(|b| b.unwrap().num_rows()).sum::<usize>(), 1);
        let asked = server.take_log();
        // The footer and the one row group of the one segment of that day; then both are at hand.
        let expected = if round == 0 { 2 } else { 0 };
        assert_eq!(asked.len(), expected, "{asked:#?}");
    }
}

#[test]
fn large_objects_go_out_in_parts() {
    let server = Server::start(Conditions::Honored);
    let store =
        Store::create_with(URL, &reached(&server).timeout(Duration::from_secs(20))).unwrap();
    let mut writer = store.writer().unwrap();
    // Text that does not compress, in one row group of more than two parts, and larger than what a reader holds.
    let mut noise = 1u64;
    let mut rows = Vec::new();
    for n in 0..30_000 {
        let mut text = String::new();
        for _ in 0..80 {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:016x}", noise ^ (noise >> 29)));
        }
        let labels = format!("a=\"{text}\"");
        rows.push(AnyRow::Metric(
            identity(0),
            crate::rows::metric(DAY + n * MS, "m", &labels, n as f64),
        ));
    }
    write(&mut writer, &rows);
    writer.commit(&[]).unwrap();
    let parts = server
        .take_log()
        .iter()
        .filter(|r| r.query.contains_key("partNumber"))
        .count();
    assert!(parts >= 2, "{parts} parts");
    assert_eq!(server.open_uploads(), 0);
    let store = Store::open_with(URL, &reached(&server)).unwrap();
    let snapshot = store.snapshot().unwrap();
    let segments = snapshot.segments(Table::Metrics);
    let largest = segments
        .iter()
        .flat_map(|s| &s.row_groups)
        .map(|g| g.bytes)
        .max();
    assert!(largest > Some(16 << 20), "{largest:?}");
    let scan = snapshot
        .scan(Table::Metrics, None, TimeRange::ALL, &Instances::All)
        .unwrap();
    assert_eq!(
        scan.map(|b| b.unwrap().num_rows()).sum::<usize>(),
        rows.len()
    );
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn works_inside_of_another_runtime() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let task = tokio::spawn(async move {
            let store = Store::create_with(URL, &given).unwrap();
            let mut writer = store.writer().unwrap();
            write(&mut writer, &samples(0, 10));
            writer.commit(&[]).unwrap();
            count(&store)
        });
        assert_eq!(task.await.unwrap(), 10);
    });
}

#[test]
fn what_is_not_there_is_said() {
    let server = Server::start(Conditions::Honored);
    let given = reached(&server);
    let store = Store::create_with(URL, &given).unwrap();
    let error = store.append().map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");

    let error = |url: &str, given: &ObjectStorage| {
        let error = Store::create_with(url, given).map(|_| ()).unwrap_err();
        let mut told = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            told.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        assert!(!told.contains("canary-secret"), "{told}");
        told
    };
    #[track_caller]
    fn holds(told: &str, words: &[&str]) {
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
    let nothing = Store::open_with("s3://bucket/elsewhere", &given)
        .map(|_| ())
        .unwrap_err();
    holds(
        &nothing.to_string(),
        &[
            "s3://bucket/elsewhere: expected a memwatch store",
            "found nothing",
        ],
    );
    holds(
        &error("s3://nobody/x", &given),
        &["there is no such bucket", "AWS_ENDPOINT_URL"],
    );
    holds(
        &error("s3://bucket//x", &given),
        &["expected a prefix of names"],
    );
    holds(&error("s3://", &given), &["expected s3://bucket/prefix"]);
    server.put("filled/x/y.txt", vec![1]);
    holds(
        &error("s3://bucket/filled", &given),
        &["other things in it"],
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let soon = given
        .clone()
        .retry_for(Duration::from_millis(200))
        .timeout(Duration::from_millis(300));
    let nobody = soon.clone().endpoint(&format!("http://{closed}"));
    holds(
        &error(URL, &nobody),
        &["nothing answers", "AWS_ENDPOINT_URL"],
    );
    let unknown = soon.clone().endpoint("http://no-such-host.invalid");
    holds(
        &error(URL, &unknown),
        &["name cannot be resolved", "AWS_ENDPOINT_URL"],
    );
    server.faults(|_| Fault::Status(403));
    holds(
        &error("s3://bucket/new", &given),
        &["access denied (403)", "s3:PutObject"],
    );
    server.faults(|_| Fault::Silence);
    holds(&error("s3://bucket/new", &soon), &["no answer in time"]);
}
