//! What goes in comes out.

use memwatch_core::incident::Verdict;
use memwatch_core::record::RecordSink;
use memwatch_core::{TimeRange, Timestamp};
use memwatch_store::{Error, Instances, Run, Store, Table};

use crate::rows::{AnyRow, DAY, MS, dump, identity, lines, of_every_table, sample, text, write};

#[test]
fn rows_of_every_table_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join("new/data")).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    let run = Run {
        run_id: text("1"),
        rule: text("HeapLeak"),
        alert_id: text("a1"),
        pending_at: Timestamp(DAY),
        value: Some(2.5),
        ..Run::default()
    };
    writer.run(&identity(0), &run).unwrap();
    let committed = writer.commit(&[]).unwrap();
    assert_eq!(committed.version, 1);
    assert_eq!(committed.rows[&(0, Table::Samples)].new, 3);

    let snapshot = store.snapshot().unwrap();
    let samples = dump(&snapshot, Table::Samples);
    assert_eq!(samples.len(), 3);
    assert!(
        samples[0].starts_with("2026-11-22T23:59:59.999999Z|service-0|instance-1|1|v1|NULL|"),
        "{}",
        samples[0]
    );
    assert!(samples[0].contains(&i64::MAX.to_string()));
    assert!(
        samples[1].starts_with("2026-11-23T00:00:00.200Z|service-0|instance-0|1|"),
        "{}",
        samples[1]
    );
    assert_eq!(
        snapshot.segments(Table::Samples).len(),
        2,
        "a segment a day"
    );
    assert_eq!(
        dump(&snapshot, Table::GcCycles),
        [
            "2026-11-23T00:00:00.005Z|service-0|instance-0|7|false|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|4194304|NULL|NULL|NULL|NULL|NULL|NULL"
        ]
    );
    assert_eq!(
        dump(&snapshot, Table::GcPauses),
        ["2026-11-23T00:00:00Z|service-0|instance-0|120000|unknown|memstats|1|NULL"]
    );
    assert_eq!(
        dump(&snapshot, Table::Metrics),
        [
            "2026-11-23T00:00:00Z|service-0|instance-0|up||1.0|gauge",
            "2026-11-23T00:00:00Z|service-0|instance-0|x_bucket|le=\"+Inf\"|NaN|gauge",
        ]
    );
    assert_eq!(
        dump(&snapshot, Table::Spans),
        [
            "2026-11-22T23:59:59.999Z|service-0|instance-0|4bf92f3577b34da6|NULL|NULL|50000000|NULL|NULL"
        ]
    );
    let artifacts = dump(&snapshot, Table::Artifacts);
    assert!(
        artifacts[0].starts_with("1970-01-01T00:00:00Z|service-0|instance-0|heap_profile|"),
        "{artifacts:?}"
    );
    assert_eq!(dump(&snapshot, Table::Runs).len(), 1);

    let incidents = snapshot.incidents(TimeRange::ALL).unwrap();
    assert_eq!(incidents.len(), 2);
    assert_eq!(incidents[0].detail.as_ref(), "a map only grows, \"quoted\"");
    assert_eq!(incidents[1].verdict, Verdict::Benign);
    let after = TimeRange {
        start: incidents[0].range.end,
        end: TimeRange::ALL.end,
    };
    assert!(snapshot.incidents(after).unwrap().is_empty());

    let info = snapshot.info();
    let samples = &info.tables[0];
    assert_eq!(
        (samples.rows, samples.segments, samples.instances.len()),
        (3, 2, 2)
    );
    assert_eq!(samples.range.unwrap().start, Timestamp(DAY - 1_000));
}

#[test]
fn artifacts_are_kept_whole_private_and_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    writer.commit(&[]).unwrap();
    let row = dump(&store.snapshot().unwrap(), Table::Artifacts).remove(0);
    let path = dir.path().join(row.split('|').nth(6).unwrap());
    assert!(
        path.starts_with(dir.path().join("artifacts"))
            && path.to_str().unwrap().ends_with(".pb.gz")
    );
    assert_eq!(std::fs::read(&path).unwrap(), [0x1f, 0x8b, 1, 2, 3]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    // The same file with its moment known takes the place of the one without, and is one row still.
    let mut with_moment = of_every_table().pop().unwrap();
    if let AnyRow::Artifact(_, artifact, _) = &mut with_moment {
        artifact.at = Some(Timestamp(DAY));
    }
    for rows in [[with_moment.clone()], [of_every_table().pop().unwrap()]] {
        write(&mut writer, &rows);
        writer.commit(&[]).unwrap();
        let rows = dump(&store.snapshot().unwrap(), Table::Artifacts);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].starts_with("2026-11-23T00:00:00Z"), "{rows:?}");
    }
}

#[test]
fn scans_give_the_columns_times_and_instances_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    const ROWS: i64 = 30_000; // Of two instances: several pages.
    for n in 0..ROWS {
        for i in 0..2 {
            writer
                .sample(&identity(i), &sample(DAY + n * 200 * MS, Some(n)))
                .unwrap();
        }
    }
    writer.commit(&[]).unwrap();
    let snapshot = store.snapshot().unwrap();
    let range = |from: i64, to: i64| TimeRange {
        start: Timestamp(DAY + from),
        end: Timestamp(DAY + to),
    };
    let only = Instances::Only([identity(1)].into());
    let count = |range, instances: &Instances, columns: &[&str]| {
        let scan = snapshot
            .scan(Table::Samples, Some(columns), range, instances)
            .unwrap();
        scan.map(|b| b.unwrap().num_rows()).sum::<usize>()
    };
    let step = 200 * MS;
    for (from, to, expected) in [
        (0, ROWS * step, ROWS),
        (0, 1, 1),
        (1, step, 0),
        (1, step + 1, 1),
        (20_000 * step, 20_010 * step, 10),
        (ROWS * step, 2 * ROWS * step, 0),
        (5, 5, 0),
        (10, 5, 0),
    ] {
        let expected = usize::try_from(expected).unwrap();
        assert_eq!(
            count(range(from, to), &only, &["heap_inuse_bytes"]),
            expected,
            "{from}..{to}"
        );
        assert_eq!(
            count(range(from, to), &Instances::All, &[]),
            2 * expected,
            "{from}..{to}"
        );
    }
    let columns = ["heap_inuse_bytes", "instance", "ts"];
    let mut scan = snapshot
        .scan(
            Table::Samples,
            Some(&columns),
            range(20_000 * step, 20_002 * step),
            &only,
        )
        .unwrap();
    assert_eq!(
        lines(&scan.next().unwrap().unwrap()),
        [
            "20000|instance-1|2026-11-23T01:06:40Z",
            "20001|instance-1|2026-11-23T01:06:40.200Z"
        ]
    );
    let unknown = snapshot.scan(Table::Samples, Some(&["heap"]), TimeRange::ALL, &only);
    assert!(matches!(unknown.err(), Some(Error::UnknownColumn { .. })));
}

#[test]
fn a_reader_keeps_its_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    writer.sample(&identity(0), &sample(DAY, None)).unwrap();
    writer.commit(&[]).unwrap();
    let before = store.snapshot().unwrap();
    // Says more than the row before, so the first segment is replaced.
    writer.sample(&identity(0), &sample(DAY, Some(1))).unwrap();
    let committed = writer.commit(&[]).unwrap();
    assert_eq!(committed.rows[&(0, Table::Samples)].replaced, 1);
    let after = store.snapshot().unwrap();
    let heap = |s: &memwatch_store::Snapshot| {
        dump(s, Table::Samples)[0]
            .split('|')
            .nth(14)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (heap(&before), heap(&after)),
        ("NULL".to_owned(), "1".to_owned())
    );
}
