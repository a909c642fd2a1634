//! `verify` finds what is not as it was written; `repair` takes it out of the way and keeps the rest.

use std::path::Path;

use memwatch_core::record::RecordSink;
use memwatch_store::{Error, Store, Table};

use crate::idempotence::parquet_files;
use crate::rows::{DAY, MS, dump, dump_all, identity, metric, of_every_table, write};

fn store_of_every_table(root: &Path) -> Store {
    let store = Store::create(root).unwrap();
    let mut writer = store.writer().unwrap();
    write(&mut writer, &of_every_table());
    writer.commit(&[]).unwrap();
    store
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 16;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_whole_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of_every_table(dir.path());
    let verified = store.verify().unwrap();
    assert!(verified.is_whole(), "{:?}", verified.findings);
    let rows: u64 = store
        .snapshot()
        .unwrap()
        .info()
        .tables
        .iter()
        .map(|t| t.rows)
        .sum();
    assert_eq!((verified.rows, verified.artifacts), (rows, 1));
    assert!(verified.notes.is_empty(), "{:?}", verified.notes);
}

#[test]
fn a_damaged_segment_is_named_with_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of_every_table(dir.path());
    let segment = store.snapshot().unwrap().segments(Table::GcPauses)[0].clone();
    flip(&dir.path().join(segment.path.to_string()), 99);
    let store = Store::open(dir.path()).unwrap();
    let verified = store.verify().unwrap();
    let [finding] = verified.findings.as_slice() else {
        panic!("{:?}", verified.findings);
    };
    assert_eq!(finding.file, segment.path.to_string());
    let told = finding.to_string();
    assert!(
        told.contains(
            "missing: 1 rows of gc_pauses from 2026-11-23T00:00:00.000000Z to 2026-11-23T00:00:00.000000Z, \
             of service-0/instance-0"
        ),
        "{told}"
    );
    // A reader of that table is told the same; one of another goes on.
    let snapshot = store.snapshot().unwrap();
    let all = memwatch_core::TimeRange::ALL;
    let every = memwatch_store::Instances::All;
    let error = match snapshot.scan(Table::GcPauses, None, all, &every) {
        Ok(mut scan) => scan.next().unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert!(
        error.to_string().contains("missing: 1 rows of gc_pauses"),
        "{error}"
    );
    assert_eq!(dump(&snapshot, Table::Samples).len(), 3);
    let (partial, left_out) = snapshot.without_damage().unwrap();
    assert_eq!(left_out.len(), 1);
    assert!(dump(&partial, Table::GcPauses).is_empty());
    assert_eq!(dump(&partial, Table::Samples).len(), 3);
}

#[test]
fn repair_keeps_row_groups_that_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    // Two row groups come together only in a merge.
    for part in 0..2 {
        for n in 0..90_000 {
            let at = DAY + (part * 90_000 + n) * MS / 100;
            writer
                .metric(&identity(0), &metric(at, "m", "", n as f64))
                .unwrap();
        }
        writer.commit(&[]).unwrap();
    }
    drop(writer);
    store
        .compact(&memwatch_store::Compaction::default())
        .unwrap();
    let segment = store.snapshot().unwrap().segments(Table::Metrics)[0].clone();
    assert_eq!(segment.row_groups.len(), 2);
    let path = dir.path().join(segment.path.to_string());
    let second = segment.row_groups[1];
    flip(&path, usize::try_from(second.offset + 5).unwrap());
    let damaged = std::fs::read(&path).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let found = store.repair().unwrap();
    let [finding] = found.findings.as_slice() else {
        panic!("{:?}", found.findings);
    };
    assert_eq!(finding.gap.as_ref().unwrap().rows, second.rows);
    let aside = dir.path().join(finding.set_aside.as_ref().unwrap());
    assert_eq!(std::fs::read(aside).unwrap(), damaged);
    let store = Store::open(dir.path()).unwrap();
    assert!(store.verify().unwrap().is_whole());
    let kept = &store.snapshot().unwrap().info().tables[Table::Metrics as usize];
    assert_eq!(kept.rows, segment.rows - second.rows);
}

#[test]
fn files_kept_whole_are_compared_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of_every_table(dir.path());
    let row = dump(&store.snapshot().unwrap(), Table::Artifacts).remove(0);
    let below = row
        .split('|')
        .find(|v| v.starts_with("artifacts/"))
        .unwrap();
    flip(&dir.path().join(below), 2);
    let found = store.repair().unwrap();
    let [finding] = found.findings.as_slice() else {
        panic!("{:?}", found.findings);
    };
    assert_eq!(finding.file, below);
    assert!(
        dir.path()
            .join(finding.set_aside.as_ref().unwrap())
            .exists()
    );
    let store = Store::open(dir.path()).unwrap();
    assert!(store.verify().unwrap().is_whole());
    assert!(dump(&store.snapshot().unwrap(), Table::Artifacts).is_empty());
}

#[test]
fn a_file_of_no_commit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of_every_table(dir.path());
    let before = dump_all(&store.snapshot().unwrap());
    let file = parquet_files(dir.path()).remove(0);
    let orphan = file.with_file_name("0123456789abcdef01234567.parquet");
    std::fs::copy(&file, &orphan).unwrap();
    let found = store.verify().unwrap();
    assert_eq!(found.findings.len(), 1);
    assert!(
        found.findings[0]
            .file
            .ends_with("0123456789abcdef01234567.parquet")
    );
    drop(store.writer().unwrap());
    assert!(store.verify().unwrap().is_whole());
    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
}

#[test]
fn a_missing_commit_or_marker_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of_every_table(dir.path());
    let mut writer = store.writer().unwrap();
    for n in 0..3 {
        let row = metric(DAY + n * MS, "m", "", 1.0);
        writer.metric(&identity(0), &row).unwrap();
        writer.commit(&[]).unwrap();
    }
    drop(writer);
    let before = dump_all(&store.snapshot().unwrap());
    let marker = dir.path().join("memwatch.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, text.replace("memwatch 0", "memwatch 9")).unwrap();
    assert!(matches!(
        Store::open(dir.path()),
        Err(Error::Damaged { .. })
    ));
    assert!(!store.verify().unwrap().is_whole());
    std::fs::write(&marker, text).unwrap();
    let commit = dir.path().join("manifest/00000000000000000002.json");
    std::fs::remove_file(commit).unwrap();
    let found = store.verify().unwrap();
    assert_eq!(
        found.findings[0].file, "manifest/00000000000000000002.json",
        "{:?}",
        found.findings
    );
    let rows = |store: &Store| dump_all(&store.snapshot().unwrap());
    let repaired = store.repair().unwrap();
    assert!(!repaired.is_whole());
    let store = Store::open(dir.path()).unwrap();
    assert!(store.verify().unwrap().is_whole());
    assert_eq!(rows(&store), before);
}

#[test]
fn a_manifest_that_does_not_read_is_made_anew() {
    for which in ["first", "last", "all"] {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of_every_table(dir.path());
        let mut writer = store.writer().unwrap();
        for n in 0..3 {
            let row = metric(DAY + n * MS, "m", "", 1.0);
            writer.metric(&identity(0), &row).unwrap();
            writer.commit(&[]).unwrap();
        }
        drop(writer);
        let before = dump_all(&store.snapshot().unwrap());
        let commits: Vec<u32> = match which {
            "first" => vec![1],
            "last" => vec![4],
            _ => vec![1, 2, 3, 4],
        };
        for n in &commits {
            flip(&dir.path().join(format!("manifest/{n:020}.json")), 77);
        }
        let store = Store::open(dir.path()).unwrap();
        assert!(matches!(store.snapshot(), Err(Error::Damaged { .. })));
        let repaired = store.repair().unwrap();
        assert_eq!(
            repaired.findings.len(),
            commits.len(),
            "{which}: {repaired:?}"
        );
        for finding in &repaired.findings {
            let aside = finding.set_aside.as_ref().unwrap();
            assert!(dir.path().join(aside).exists(), "{aside}");
        }
        let store = Store::open(dir.path()).unwrap();
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "{which}: {:?}", verified.findings);
        assert_eq!(dump_all(&store.snapshot().unwrap()), before, "{which}");
    }
}

#[test]
fn a_segment_that_nobody_vouches_for_is_looked_at_before_it_is_merged() {
    for damage in ["another day", "half a page"] {
        let dir = tempfile::tempdir().unwrap();
        let store = store_of_every_table(dir.path());
        let before = dump_all(&store.snapshot().unwrap());
        let files = parquet_files(dir.path());
        let file = files
            .iter()
            .find(|p| p.to_string_lossy().contains("metrics"));
        let file = file.unwrap();
        // A file like those of the store, of no commit.
        let copy = if damage == "another day" {
            let folder = dir.path().join("metrics/date=2026-11-20");
            std::fs::create_dir(&folder).unwrap();
            folder.join("0123456789abcdef01234567.parquet")
        } else {
            file.with_file_name("0123456789abcdef01234567.parquet")
        };
        let mut bytes = std::fs::read(file).unwrap();
        if damage == "half a page" {
            bytes[40] ^= 255;
        }
        std::fs::write(&copy, bytes).unwrap();
        flip(&dir.path().join(format!("manifest/{:020}.json", 1)), 77);
        let store = Store::open(dir.path()).unwrap();
        let found = store.repair().unwrap();
        assert_eq!(found.findings.len(), 2, "{damage}: {:?}", found.findings);
        let store = Store::open(dir.path()).unwrap();
        let verified = store.verify().unwrap();
        assert!(verified.is_whole(), "{damage}: {:?}", verified.findings);
        assert_eq!(dump_all(&store.snapshot().unwrap()), before, "{damage}");
    }
}
