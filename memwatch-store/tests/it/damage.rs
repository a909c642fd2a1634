//! Damage is an error that names the file, never a different answer; a second writer learns who the first is.

use memwatch_core::TimeRange;
use memwatch_core::record::RecordSink;
use memwatch_store::{Error, Instances, Store, Table};

use crate::idempotence::parquet_files;
use crate::rows::{DAY, MS, dump_all, identity, of_every_table, sample, write};

fn read_all(store: &Store) -> Result<usize, Error> {
    let snapshot = store.snapshot()?;
    let mut rows = 0;
    for table in Table::all() {
        for batch in snapshot.scan(table, None, TimeRange::ALL, &Instances::All)? {
            rows += batch?.num_rows();
        }
    }
    Ok(rows)
}

#[test]
fn a_flipped_bit_anywhere_in_a_segment_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    writer.commit(&[]).unwrap();
    let rows = read_all(&store).unwrap();
    for path in parquet_files(dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(41) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).unwrap();
            // Opened anew: what was verified once in a process is not verified again.
            match read_all(&Store::open(dir.path()).unwrap()) {
                Err(Error::Damaged { path: named, .. }) => assert_eq!(named, path),
                other => panic!("byte {at} of {}: {other:?}", path.display()),
            }
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(matches!(
                read_all(&Store::open(dir.path()).unwrap()),
                Err(Error::Damaged { .. })
            ));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            read_all(&Store::open(dir.path()).unwrap()),
            Err(Error::Damaged { .. })
        ));
        std::fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(read_all(&Store::open(dir.path()).unwrap()).unwrap(), rows);
}

#[test]
fn whoever_reads_a_column_does_not_pay_for_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for i in 0..5_000 {
        writer
            .sample(&identity(0), &sample(i * MS, Some(i)))
            .unwrap();
    }
    writer.commit(&[]).unwrap();
    let read = |column: &str| -> Result<usize, Error> {
        let snapshot = Store::open(dir.path())?.snapshot()?;
        let columns = ["ts", column];
        let batches = snapshot.scan(
            Table::Samples,
            Some(&columns),
            TimeRange::ALL,
            &Instances::All,
        )?;
        batches.map(|batch| batch.map(|b| b.num_rows())).sum()
    };
    let columns = Table::Samples.def().columns.iter().map(|c| c.name);
    let columns: Vec<&str> = columns.filter(|name| *name != "ts").collect();
    let path = &parquet_files(dir.path())[0];
    let bytes = std::fs::read(path).unwrap();
    let (mut of_one, mut of_all) = (0, 0);
    for at in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(path, &flipped).unwrap();
        let refused = columns.iter().filter(|name| match read(name) {
            Ok(rows) => {
                assert_eq!(rows, 5_000);
                false
            }
            Err(Error::Damaged { path: named, .. }) => {
                assert_eq!(&named, path);
                true
            }
            Err(other) => panic!("byte {at}, {name}: {other}"),
        });
        match refused.count() {
            1 => of_one += 1,
            all if all == columns.len() => of_all += 1, // The instants or the footer.
            some => panic!("byte {at}: {some} columns are refused"),
        }
    }
    assert!(of_one > 10 && of_all > 10, "{of_one} and {of_all}");
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let first = store.writer().unwrap();
    let message = match Store::open(dir.path()).unwrap().writer() {
        Err(error @ Error::Locked { .. }) => error.to_string(),
        other => panic!("{:?}", other.map(|_| "a second writer")),
    };
    assert!(
        message.contains(&format!("process {} on ", std::process::id())),
        "{message}"
    );
    drop(first);
    // The file of a writer that is gone does not matter.
    std::fs::write(
        dir.path().join("memwatch.lock"),
        "{\"pid\":1,\"host\":\"x\",\"since\":\"then\"}",
    )
    .unwrap();
    store.writer().unwrap();
}

#[test]
fn what_is_no_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(Error::NotAStore { .. })
    ));
    assert!(matches!(
        Store::open(dir.path().join("none")),
        Err(Error::NotAStore { .. })
    ));
    std::fs::write(dir.path().join("samples.ndjson"), "{}").unwrap();
    assert!(matches!(
        Store::create(dir.path()),
        Err(Error::NotAStore { .. })
    ));
    assert!(matches!(
        Store::create(dir.path().join("samples.ndjson")),
        Err(Error::NotAStore { .. })
    ));

    let newer = dir.path().join("newer");
    std::fs::create_dir(&newer).unwrap();
    std::fs::write(
        newer.join("memwatch.json"),
        "{\"format\":3,\"created_by\":\"memwatch 9\"}",
    )
    .unwrap();
    assert!(matches!(
        Store::create(&newer),
        Err(Error::NewerFormat { found: 3, .. })
    ));
    for bytes in ["", "{", "[]", "\u{0}"] {
        std::fs::write(newer.join("memwatch.json"), bytes).unwrap();
        assert!(
            matches!(Store::open(&newer), Err(Error::Damaged { .. })),
            "{bytes:?}"
        );
    }
}

#[test]
fn files_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    writer.sample(&identity(0), &sample(DAY, Some(1))).unwrap();
    writer
        .sample(&identity(0), &sample(DAY + MS, Some(1)))
        .unwrap();
    writer.commit(&[]).unwrap();
    drop(writer);
    let foreign = dir.path().join("samples/date=2026-11-23/mine.parquet");
    std::fs::write(&foreign, "mine").unwrap();
    let before = dump_all(&store.snapshot().unwrap());
    drop(store.writer().unwrap());
    assert!(foreign.exists());
    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
}
