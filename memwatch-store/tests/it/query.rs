//! SQL: answers, refusals, limits.

use std::time::Duration;

use memwatch_core::record::{PauseOrigin, RecordSink};
use memwatch_store::query::{Engine, Settings};
use memwatch_store::{Error, Store, Table};

use crate::idempotence::parquet_files;
use crate::rows::{DAY, MS, identity, lines, metric, of_every_table, pause, sample, write};

fn store(dir: &tempfile::TempDir) -> Store {
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for n in 0..4 {
        for i in 0..500i64 {
            let at = DAY + i * 200 * MS;
            writer
                .sample(&identity(n), &sample(at, Some(1_000 * i)))
                .unwrap();
        }
    }
    writer.commit(&[]).unwrap();
    // Another day, one instance: a segment of its own.
    for i in 0..10i64 {
        let at = DAY + 86_400_000 * MS + i * 200 * MS;
        writer.sample(&identity(1), &sample(at, None)).unwrap();
    }
    writer.commit(&[]).unwrap();
    drop(writer);
    store
}

fn answer(engine: &Engine, sql: &str) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for batch in engine.sql(sql)? {
        all.extend(lines(&batch?));
    }
    Ok(all)
}

#[test]
fn questions_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&store(&dir).snapshot().unwrap()).unwrap();
    for (sql, expected) in [
        ("SELECT count(*) FROM samples", vec!["2010"]),
        (
            "SELECT instance, count(*), max(heap_inuse_bytes) FROM samples GROUP BY 1 ORDER BY 1 LIMIT 2",
            vec!["instance-0|500|499000", "instance-1|510|499000"],
        ),
        (
            "SELECT count(*) FROM samples WHERE instance = 'instance-1' AND ts >= '2026-11-23T00:00:10Z' AND ts < '2026-11-23T00:00:11Z'",
            vec!["5"],
        ),
        (
            "SELECT count(*) FROM samples WHERE instance = 'nobody'",
            vec!["0"],
        ),
        (
            "SELECT count(heap_inuse_bytes) FROM samples WHERE ts >= '2026-11-24T00:00:00Z'",
            vec!["0"],
        ),
        (
            "SELECT min(ts)::bigint, count(*) FROM samples WHERE service LIKE 'service-1%'",
            vec!["1795392000000000|1000"],
        ),
        (
            "SELECT alloc_bytes IS NOT DISTINCT FROM heap_alloc_bytes FROM samples LIMIT 1",
            vec!["true"],
        ),
        (
            "SELECT repeat('ab', 3), lpad('x', 3, '-'), replace('aXb', 'X', 'yy')",
            vec!["ababab|--x|ayyb"],
        ),
        (
            "SELECT \"table\", rows FROM info.tables WHERE rows > 0",
            vec!["samples|2010"],
        ),
        // Ordered as stored: the sort may be left out, the answer may not change.
        (
            "SELECT count(*) FROM (SELECT heap_inuse_bytes - lag(heap_inuse_bytes) OVER (PARTITION BY service, instance ORDER BY ts) AS d \
             FROM samples) WHERE d = 1000",
            vec!["1996"],
        ),
    ] {
        assert_eq!(answer(&engine, sql).unwrap(), expected, "{sql}");
    }
    let shown = answer(&engine, "SHOW TABLES").unwrap();
    // And the views that have a name of their own.
    assert_eq!(shown.len(), Table::all().count() + 8, "{shown:?}");
    let columns = answer(&engine, "DESCRIBE samples").unwrap();
    assert!(columns.iter().any(|c| c.starts_with("alloc_bytes|")));
}

#[test]
fn every_table_answers_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    writer.commit(&[]).unwrap();
    let snapshot = store.snapshot().unwrap();
    let engine = Engine::new(&snapshot).unwrap();
    for table in snapshot.info().tables {
        let name = table.table.name();
        let all = answer(&engine, &format!("SELECT * FROM {name}")).unwrap();
        assert_eq!(all.len() as u64, table.rows, "{name}");
        let count = answer(&engine, &format!("SELECT count(*) FROM {name}")).unwrap();
        assert_eq!(count, [table.rows.to_string()], "{name}");
    }
}

#[test]
fn a_pause_seen_by_several_origins_is_one_pause() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    use PauseOrigin::{GcTrace, MemStats, Trace};
    for (n, origin, process, count) in [
        (0, MemStats, Some(1), 3),
        (0, GcTrace, Some(1), 6),
        (0, GcTrace, Some(2), 4),
        (1, GcTrace, None, 2),
        (1, Trace, None, 1),
    ] {
        for i in 0..count {
            let mut row = pause(DAY + i * 1_000 * MS + n as i64, 1_000 + i, origin);
            row.process = process;
            writer.gc_pause(&identity(n), &row).unwrap();
        }
    }
    writer.commit(&[]).unwrap();
    let engine = Engine::new(&store.snapshot().unwrap()).unwrap();
    let sql = "SELECT instance, process, origin, count(*) FROM gc_pauses_best GROUP BY 1, 2, 3 ORDER BY 1, 2";
    assert_eq!(
        answer(&engine, sql).unwrap(),
        [
            "instance-0|1|memstats|3",
            "instance-0|2|gctrace|4",
            "instance-1|NULL|trace|1"
        ]
    );
}

#[test]
fn nothing_is_written_and_no_other_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&store(&dir).snapshot().unwrap()).unwrap();
    let secret = dir.path().join("secret.csv");
    std::fs::write(&secret, "a,b\n1,2\n").unwrap();
    let secret = secret.display();
    let target = dir.path().join("out.parquet");
    let out = target.display();
    for sql in [
        format!("COPY samples TO '{out}'"),
        format!("COPY (SELECT 1) TO '{out}' STORED AS PARQUET"),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{secret}'"),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "INSERT INTO samples SELECT * FROM samples".to_owned(),
        "UPDATE samples SET process = 1".to_owned(),
        "DELETE FROM samples".to_owned(),
        "DROP TABLE samples".to_owned(),
        "TRUNCATE TABLE samples".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXECUTE p".to_owned(),
        "BEGIN".to_owned(),
        "WITH a AS (SELECT 1) INSERT INTO samples SELECT * FROM a".to_owned(),
        format!("EXPLAIN COPY samples TO '{out}'"),
        format!("EXPLAIN ANALYZE COPY samples TO '{out}'"),
        "EXPLAIN INSERT INTO samples SELECT * FROM samples".to_owned(),
        "EXPLAIN CREATE TABLE t AS SELECT 1".to_owned(),
        "SELECT 1; DROP TABLE samples".to_owned(),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        format!("SELECT * FROM read_csv('{secret}')"),
        format!("SELECT * FROM parquet_metadata('{secret}')"),
    ] {
        let error = answer(&engine, &sql).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Sql { .. }), "{sql}: {error}");
        assert!(!target.exists(), "{sql}");
    }
}

#[test]
fn abuse_is_a_clean_error() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&store(&dir).snapshot().unwrap()).unwrap();
    let chain = |n: usize| format!("SELECT 1{}", "+1".repeat(n));
    for (sql, message) in [
        (chain(10_000), "at most 16384 bytes"),
        (chain(5_000), "operators one inside of the other"),
        (
            format!("SELECT true{}", " OR true".repeat(1_900)),
            "operators one inside of the other",
        ),
        (
            "SELECT length(repeat('x', 1000000000))".to_owned(),
            "repeat: expected an answer of at most 256 MiB",
        ),
        (
            "SELECT length(repeat(repeat('x', 1000000), 1000))".to_owned(),
            "repeat: expected",
        ),
        (
            "SELECT length(lpad('x', 2000000000))".to_owned(),
            "lpad: expected",
        ),
        (
            "SELECT length(rpad('x', 2000000000, 'ab'))".to_owned(),
            "rpad: expected",
        ),
        (
            "SELECT length(replace(repeat('a', 1000000), 'a', repeat('b', 1000000)))".to_owned(),
            "replace: expected",
        ),
        (
            "SELECT length(regexp_replace(repeat('a', 1000000), 'a', repeat('b', 1000000), 'g'))"
                .to_owned(),
            "regexp_replace: expected",
        ),
        (
            "SELECT length(repeat('x', i * 100000)) FROM generate_series(1, 100000) AS t(i)"
                .to_owned(),
            "repeat: expected",
        ),
    ] {
        let error = answer(&engine, &sql).unwrap_err().to_string();
        assert!(
            error.contains(message),
            "{}: {error}",
            &sql[..sql.len().min(60)]
        );
    }
    // The deepest expression that is let through is planned and answered.
    assert_eq!(answer(&engine, &chain(499)).unwrap(), ["500"]);
    let nested = format!("SELECT {}1{}", "abs(".repeat(90), ")".repeat(90));
    let _ = answer(&engine, &nested);
}

#[test]
fn errors_speak_the_users_language() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&store(&dir).snapshot().unwrap()).unwrap();
    for (sql, message) in [
        ("SELECT * FROM sample", "did you mean `samples`?"),
        (
            "SELECT heap_inuse FROM samples",
            "expected a column, found `heap_inuse`: did you mean `heap_inuse_bytes`",
        ),
        ("SELEC 1", "found `SELEC`"),
        ("SELECT (1", "Expected"),
        ("SELECT nope(1)", "nope"),
    ] {
        let error = answer(&engine, sql).unwrap_err().to_string();
        assert!(error.contains(message), "{sql}: {error}");
        for noise in ["DataFusion", "backtrace", "memwatch.main", "SchemaError"] {
            assert!(!error.contains(noise), "{sql}: {error}");
        }
    }
}

#[test]
fn time_and_memory_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = store(&dir).snapshot().unwrap();
    let mut settings = Settings::default();
    settings.timeout = Duration::from_millis(300);
    let engine = Engine::with(&snapshot, &settings).unwrap();
    let sql = "SELECT sum(a.heap_inuse_bytes * b.heap_inuse_bytes + c.heap_inuse_bytes) FROM samples a, samples b, samples c \
               WHERE a.ts + interval '1 second' > b.ts OR c.ts > a.ts";
    let error = answer(&engine, sql).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("within 300ms"), "{error}");

    let mut settings = Settings::default();
    settings.memory_bytes = 1 << 20;
    let engine = Engine::with(&snapshot, &settings).unwrap();
    let sql = "SELECT array_agg(i) FROM generate_series(1, 5000000) AS t(i)";
    let error = answer(&engine, sql).unwrap_err().to_string();
    assert!(error.contains("less memory than the limit"), "{error}");
}

#[test]
fn a_damaged_segment_is_named_and_never_half_read() {
    let dir = tempfile::tempdir().unwrap();
    store(&dir);
    let path = parquet_files(dir.path()).into_iter().next().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let engine = Engine::new(&Store::open(dir.path()).unwrap().snapshot().unwrap()).unwrap();
    match answer(&engine, "SELECT sum(heap_inuse_bytes) FROM samples") {
        Err(Error::Damaged { path: named, .. }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    }
    // What does not need it is answered.
    let days = answer(
        &engine,
        "SELECT count(*) FROM samples WHERE ts < '2020-01-01T00:00:00Z'",
    );
    assert_eq!(days.unwrap(), ["0"]);
}

#[test]
fn an_answer_that_is_not_read_to_its_end_stops() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&store(&dir).snapshot().unwrap()).unwrap();
    let mut rows = engine
        .sql("SELECT * FROM generate_series(1, 1000000000)")
        .unwrap();
    assert!(rows.next().unwrap().is_ok());
    drop(rows);
    assert_eq!(answer(&engine, "SELECT 1").unwrap(), ["1"]);
}

#[test]
fn answers_are_files_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let mut writer = store.writer().unwrap();
    writer
        .metric(&identity(0), &metric(DAY, "m", "a=\"b\"", f64::NAN))
        .unwrap();
    writer.commit(&[]).unwrap();
    let engine = Engine::new(&store.snapshot().unwrap()).unwrap();
    let mut file = Vec::new();
    let rows = engine.sql("SELECT * FROM metrics").unwrap();
    memwatch_store::query::write_parquet(&rows.schema(), rows, &mut file).unwrap();
    assert_eq!(
        (&file[..4], &file[file.len() - 4..]),
        (&b"PAR1"[..], &b"PAR1"[..])
    );
}

#[test]
fn rows_of_the_wal_are_answered_and_so_are_segments_that_were_replaced_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let sql = "SELECT count(*), max(heap_inuse_bytes), min(ts)::bigint FROM samples";
    let mut appender = store.append().unwrap();
    for i in 0..10 {
        // The first of them takes the place of a row that says less.
        let at = DAY + 86_400_000 * MS + i * 400 * MS;
        let row = sample(at, Some(10_000_000 + i));
        appender.sample(&identity(1), &row).unwrap();
    }
    appender.sync().unwrap();
    let before = Engine::new(&store.snapshot().unwrap()).unwrap();
    let expected = vec!["2015|10000009|1795392000000000".to_owned()];
    assert_eq!(answer(&before, sql).unwrap(), expected);
    appender.flush().unwrap();
    drop(appender);
    store
        .compact(&memwatch_store::Compaction::default())
        .unwrap();
    assert_eq!(answer(&before, sql).unwrap(), expected);
    let after = Engine::new(&store.snapshot().unwrap()).unwrap();
    assert_eq!(answer(&after, sql).unwrap(), expected);
}
