//! Parquet files: what is described from its bytes alone has checksums that are right, so all of it is read.

use std::sync::Arc;

use memwatch_core::labels::{METRIC_NAME, Matcher};
use memwatch_core::series::SeriesReader as _;
use memwatch_core::{TimeRange, Timestamp, Window};

use super::{Input, assert_segments_are_whole, store_of};
use crate::layout::{Day, SegmentPath};
use crate::manifest::{Commit, Segment};
use crate::schema::{TABLES, Table};
use crate::segment::describe;
use crate::{Error, Instances, Result, Shared, Store};

/// Reads any bytes behind the first two as a segment of the table that the first names, about which a commit says what the second names:
/// nothing panics or takes endless memory, what `verify` finds whole is read, and after `repair` all is whole.
pub(super) fn any_segment(bytes: &[u8]) {
    let mut input = Input(bytes);
    let table = TABLES[usize::from(input.byte()) % TABLES.len()].0;
    let lie = input.byte();
    let path = SegmentPath::new(table, Day::of_micros(1_795_410_189_000_000));
    let name = path.to_string();
    let store = store_of([(name.clone().into(), input.0.to_vec())]);
    match describe(&store.shared, &path) {
        Ok(mut segment) => {
            bend(&mut segment, lie);
            commit(&store.shared, &segment);
            ask(&store, table);
        }
        Err(error) => told(&error),
    }
    // Once more from the file alone.
    let store = store_of([
        (name.into(), input.0.to_vec()),
        (
            "manifest/00000000000000000001.json".into(),
            b"{}\n".to_vec(),
        ),
    ]);
    let found = store.repair().expect("a store that can be written");
    assert!(!found.is_whole());
    assert_segments_are_whole(&store);
}

/// What a commit may say although the file says something else.
fn bend(segment: &mut Segment, lie: u8) {
    match lie {
        // Of a row group and an instance; all of them together fit.
        1 => {
            let group = segment.row_groups.first_mut().map(|chunk| &mut chunk.rows);
            let instance = segment.instances.first_mut().map(|rows| &mut rows.rows);
            let both = group.into_iter().chain(instance);
            both.chain([&mut segment.rows]).for_each(|rows| *rows += 1);
        }
        2 => segment.instances.iter_mut().for_each(|i| i.rows /= 2),
        3 => (segment.min_us, segment.max_us) = (i64::MIN, i64::MAX),
        4 => segment.row_groups.truncate(1),
        5 => segment.row_groups.clear(),
        _ => {}
    }
}

fn commit(shared: &Shared, segment: &Segment) {
    let commit = Commit {
        add: vec![segment.clone()],
        ..Commit::default()
    };
    let state = crate::manifest::State::empty();
    let made = state.commit(&shared.layout, &shared.storage, commit);
    made.expect("a file in memory");
}

/// An error says what and where.
fn told(error: &Error) {
    assert!(!error.to_string().is_empty());
    if let Error::Damaged { path, .. } | Error::Parquet { path, .. } = error {
        assert!(path.starts_with("store"), "{}", path.display());
    }
}

fn ask(store: &Store, table: Table) {
    let Ok(snapshot) = store.snapshot() else {
        return; // The commit says what cannot be, and its reader does.
    };
    let is_whole = store.verify().expect("a folder in memory").is_whole();
    let all = TimeRange::ALL;
    let scanned = snapshot.scan(table, None, all, &Instances::All);
    let rows: Result<Vec<usize>> = scanned
        .expect("columns of the table")
        .map(|batch| batch.map(|b| b.num_rows()))
        .collect();
    match rows {
        Ok(rows) => {
            let expected: u64 = snapshot.segments(table).iter().map(|s| s.rows).sum();
            assert!(!is_whole || rows.iter().sum::<usize>() as u64 == expected);
        }
        Err(error) => {
            assert!(!is_whole, "{error}");
            told(&error);
        }
    }
    let hour = TimeRange {
        start: Timestamp(1_795_410_000_000_000_000),
        end: Timestamp(1_795_410_190_000_000_000),
    };
    let some = [
        "ts",
        table.def().columns[table.def().columns.len() - 1].name,
    ];
    let scanned = snapshot.scan(table, Some(&some), hour, &Instances::All);
    let _ = scanned.expect("columns of the table").count();
    let _ = snapshot.incidents(all);
    let series = snapshot.series();
    let window = Window {
        after: hour.start,
        until: hour.end,
    };
    let _ = series.readings(window);
    for name in series.metric_names().into_iter().flatten().take(3) {
        let _ = series.select(&[Matcher::equal(METRIC_NAME, &name)], window);
    }
    let _ = snapshot.without_damage();
    if is_whole {
        let segment: &Arc<Segment> = &snapshot.segments(table)[0];
        assert!(segment.rows > 0 || segment.instances.is_empty());
    }
}
