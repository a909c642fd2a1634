//! The WAL: files of frames, and the rows of one.

use std::path::{Path, PathBuf};

use super::{Input, assert_segments_are_whole, store_of};
use crate::buffer::Columns;
use crate::manifest::{Commit, encode};
use crate::schema::Table;
use crate::wal::{OnDamage, decode, fuzz, replay};
use crate::writer::Writer;
use crate::{Error, Result, Shared, Snapshot, Store};

/// Reads files of the WAL that these bytes describe, in each way: what one way reads the others do, only skipping goes on behind damage,
/// and the rows that a reader sees are those that a writer takes over.
pub(super) fn any_files(bytes: &[u8]) {
    let store = described(bytes);
    let strict = payloads(&store.shared, OnDamage::Fail);
    let recovered = payloads(&store.shared, OnDamage::Recover);
    let skipping = payloads(&store.shared, OnDamage::Skip);
    for failed in [&strict, &recovered, &skipping]
        .into_iter()
        .flat_map(|read| read.as_ref().err())
    {
        match failed {
            Error::Damaged { path, .. } | Error::NewerFormat { path, .. } => {
                assert!(path.starts_with("store/wal"), "{}", path.display());
            }
            other => panic!("{other}"),
        }
    }
    if let Ok(strict) = &strict {
        assert_eq!(recovered.as_ref().ok(), Some(strict));
        assert_eq!(skipping.as_ref().ok(), Some(strict));
    }
    assert!(
        !matches!(skipping, Err(Error::Damaged { .. })),
        "{skipping:?}"
    );
    any_recovery(&store);
}

/// Reads any bytes as the rows of a frame: they are written as something that reads the same, and are in a snapshot.
pub(super) fn any_rows(bytes: &[u8]) {
    let decoded = decode(bytes);
    if let Ok(rows) = &decoded {
        assert!(rows.rows * 16 <= bytes.len(), "{} rows", rows.rows);
        let mut columns = Columns::new(rows.table);
        columns
            .extend(rows, 0)
            .expect("rows that fit their columns");
        let written = fuzz::encode(&columns);
        let mut again = Columns::new(rows.table);
        let read = decode(&written).expect("rows as they were written");
        again.extend(&read, 0).expect("rows that fit their columns");
        assert_eq!(fuzz::encode(&again), written);
    }
    let file = [fuzz::file_header(), fuzz::rows(1, bytes)].concat();
    let store = store_of([(wal_file(1), file)]);
    assert_eq!(store.snapshot().is_ok(), decoded.is_ok());
    any_recovery(&store);
}

/// What a reader sees before a writer takes the WAL over is there afterwards, too.
fn any_recovery(store: &Store) {
    let before = store.snapshot();
    match Writer::open(store.shared.clone(), OnDamage::Recover) {
        Ok(writer) => {
            drop(writer);
            let after = store.snapshot().expect("segments");
            if let Ok(before) = before {
                assert_eq!(rows(&before), rows(&after));
            }
            assert_segments_are_whole(store);
        }
        Err(Error::Damaged { path, .. } | Error::NewerFormat { path, .. }) => {
            assert!(path.starts_with("store/wal"), "{}", path.display());
        }
        Err(other) => panic!("{other}"),
    }
}

/// Rows by table.
fn rows(snapshot: &Snapshot) -> Vec<u64> {
    let rows = |table| snapshot.segments(table).iter().map(|s| s.rows).sum();
    Table::all().map(rows).collect()
}

/// All frames, with how many there were and the sequence of the last.
fn payloads(shared: &Shared, on_damage: OnDamage) -> Result<(Vec<Vec<u8>>, u64)> {
    let mut payloads = Vec::new();
    let position = crate::manifest::State::read(&shared.layout, &shared.storage)?.wal;
    let found = replay(shared, position, on_damage, |_: &Path, payload| {
        payloads.push(payload.to_vec());
        Ok(())
    })?;
    let found = found.expect("nobody removes files");
    assert_eq!(found.frames, payloads.len() as u64);
    Ok((payloads, found.last))
}

fn wal_file(first: u64) -> PathBuf {
    format!("wal/{first:020}.wal").into()
}

/// A store with the WAL that these bytes describe, step by step.
fn described(bytes: &[u8]) -> Store {
    let mut input = Input(bytes);
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    while !input.0.is_empty() {
        let step = input.byte();
        let added = match step {
            0 => {
                files.push((wal_file(input.word()), fuzz::file_header()));
                continue;
            }
            1 => {
                files.push((wal_file(input.word()), Vec::new()));
                continue;
            }
            2 => {
                let commit = Commit {
                    version: 1,
                    wal: input.word() & (u64::MAX >> 1),
                    ..Commit::default()
                };
                files.push(("manifest/00000000000000000001.json".into(), encode(&commit)));
                continue;
            }
            3 => fuzz::rows(input.word(), input.piece()),
            4 => fuzz::mark(input.word()),
            5 => fuzz::file_header(),
            7 => {
                let mut frame = fuzz::rows(input.word(), input.piece());
                if let Some(last) = frame.last_mut() {
                    *last ^= 1;
                }
                frame
            }
            _ => input.piece().to_vec(),
        };
        if let Some((_, file)) = files.last_mut().filter(|(path, _)| path.starts_with("wal")) {
            file.extend(added);
        }
    }
    store_of(files)
}
