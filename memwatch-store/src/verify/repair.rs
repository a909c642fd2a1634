//! Takes damage out of the way: a copy to `quarantine/`, then one commit without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use super::rebuild::{Rebuilt, rebuild};
use super::segment::Order;
use super::{Verified, finding};
use crate::buffer::buffer_schema;
use crate::compaction::Compaction;
use crate::layout::{Day, is_artifact};
use crate::manifest::{Segment, State};
use crate::scan::widen;
use crate::schema::Table;
use crate::segment::{Effort, SegmentReader, SegmentWriter, TextColumn};
use crate::wal::OnDamage;
use crate::writer::{Staging, Writer};
use crate::{Error, Result, Store};

/// Mends what was found; notes in each finding where the file went.
pub(super) fn repair(store: &Store, verified: &mut Verified) -> Result<()> {
    // The next writer removes what belongs to no commit, and this is one.
    let damaged_wal: Vec<PathBuf> = verified
        .findings
        .iter()
        .filter(|f| f.file.starts_with("wal/"))
        .map(|f| store.root().join(&f.file))
        .collect();
    let on_damage = if damaged_wal.is_empty() {
        OnDamage::Recover
    } else {
        OnDamage::Skip
    };
    let mut writer = match Writer::open(Arc::clone(&store.shared), on_damage) {
        Ok(writer) => writer,
        // A manifest that does not read is made anew; then everything is looked at once more.
        Err(Error::Damaged { .. }) if manifest_is_damaged(store) => {
            let rebuilt = rebuild(&store.shared)?;
            set_aside_commits(store, verified, rebuilt)?;
            State::read(&store.shared.layout, &store.shared.storage)?;
            let mut rest = store.verify()?;
            rest.findings
                .retain(|new| verified.findings.iter().all(|old| old.file != new.file));
            repair(store, &mut rest)?;
            verified.findings.append(&mut rest.findings);
            // Now that all of them read.
            remove_duplicates(store)?;
            let findings = std::mem::take(&mut verified.findings);
            *verified = Verified {
                findings,
                ..store.verify()?
            };
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let live: BTreeMap<String, Arc<Segment>> = Table::all()
        .flat_map(|table| writer.staging().state.of(table).to_vec())
        .map(|segment| (segment.path.to_string(), segment))
        .collect();
    let mut lost_files = Vec::new();
    for finding in &mut verified.findings {
        if finding.file.starts_with("wal/") {
            let name = finding.file.replace('/', "-");
            let aside = writer.recovered().set_aside.iter();
            finding.set_aside = aside.rev().find(|a| a.contains(&name)).cloned();
        } else if let Some(segment) = live.get(&finding.file) {
            finding.set_aside = set_aside(store, &finding.file)?;
            let kept = writer.guarded(|writer| rescue(writer.staging(), segment))?;
            if let Some(gap) = &mut finding.gap {
                gap.rows -= kept.min(gap.rows);
            }
        } else if finding.file.starts_with("manifest/") {
            // Older than the checkpoint from which everything was read: nobody needs it.
            finding.set_aside = set_aside(store, &finding.file)?;
            let path = store.root().join(&finding.file);
            store.shared.storage.remove(&path)?;
        } else if is_artifact(&finding.file) {
            finding.set_aside = set_aside(store, &finding.file)?;
            lost_files.push(finding.file.clone());
        }
    }
    writer.guarded(|writer| {
        writer.publish(Vec::new())?;
        forget_rows(store, writer.staging(), &lost_files)?;
        writer.publish(Vec::new())
    })?;
    for file in &lost_files {
        store.shared.storage.remove(&store.root().join(file))?;
    }
    Ok(())
}

fn manifest_is_damaged(store: &Store) -> bool {
    matches!(
        State::read(&store.shared.layout, &store.shared.storage),
        Err(Error::Damaged { .. })
    )
}

/// Takes commits that do not read, and files that are no segments, out of the way.
fn set_aside_commits(store: &Store, verified: &mut Verified, rebuilt: Rebuilt) -> Result<()> {
    let storage = &store.shared.storage;
    for path in &rebuilt.commits {
        let below = finding(store.root(), Error::damaged(path, "", "")).file;
        let aside = set_aside(store, &below)?;
        for finding in verified.findings.iter_mut().filter(|f| f.file == below) {
            finding.set_aside.clone_from(&aside);
        }
        storage.remove(path)?;
    }
    for (path, error) in rebuilt.files {
        let mut finding = finding(store.root(), error);
        finding.file = self::finding(store.root(), Error::damaged(&path, "", "")).file;
        finding.set_aside = set_aside(store, &finding.file)?;
        storage.remove(&path)?;
        verified.findings.push(finding);
    }
    Ok(())
}

/// Merges what overlaps: a crash may have left the segments of a merge beside those that it merged.
fn remove_duplicates(store: &Store) -> Result<()> {
    store.compact(&Compaction::default()).map(|_| ())
}

/// A second name in `quarantine/` for a file; `None` when there is no file.
fn set_aside(store: &Store, file: &str) -> Result<Option<String>> {
    let from = store.root().join(file);
    let storage = &store.shared.storage;
    if storage.size(&from)?.is_none() {
        return Ok(None);
    }
    let aside = format!("quarantine/{}", file.replace('/', "-"));
    let to = store.root().join(&aside);
    if let Some(folder) = to.parent() {
        storage.create_dir(folder)?;
    }
    if storage.size(&to)?.is_none() {
        storage.link(&from, &to)?;
    }
    storage.sync_dir(to.parent().unwrap_or(Path::new(".")))?;
    Ok(Some(aside))
}

/// Takes a damaged segment away; row groups that read, and whose rows are in order and of its day, go into a new one. Says how many rows
/// that are.
fn rescue(staging: &mut Staging, segment: &Arc<Segment>) -> Result<u64> {
    let mut kept = 0;
    let shared = Arc::clone(&staging.shared);
    if let Ok(reader) = SegmentReader::open(&shared, segment) {
        let table = segment.path.table;
        let schema = buffer_schema(table);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let mut writer = None;
        let mut order = Order::new(table);
        let mut first = 0;
        for chunk in &segment.row_groups {
            let rows = first..first + usize::try_from(chunk.rows).unwrap_or(0);
            first = rows.end;
            let read = reader.read(&schema, &all, std::slice::from_ref(&rows));
            let Ok(batches) = read.and_then(Iterator::collect::<Result<Vec<_>>>) else {
                continue;
            };
            let mut after = order.clone();
            let fits = |batch| {
                Ok::<_, Error>(is_of(batch, segment.path.day) && after.misplaced(batch)?.is_none())
            };
            if !batches
                .iter()
                .map(fits)
                .collect::<Result<Vec<_>>>()?
                .iter()
                .all(|fits| *fits)
            {
                continue;
            }
            order = after;
            for batch in batches {
                let writer = match &mut writer {
                    Some(writer) => writer,
                    none => none.insert(SegmentWriter::create(
                        &shared,
                        staging.place,
                        Effort::Flush,
                        (table, segment.path.day),
                        Arc::clone(&schema),
                    )?),
                };
                kept += batch.num_rows() as u64;
                writer.write(&widen(&batch, &schema)?)?;
            }
        }
        if let Some(writer) = writer {
            staging.pending.push(Arc::new(writer.finish()?));
        }
    }
    staging.discard(&segment.path)?;
    Ok(kept)
}

/// Whether all rows are of that day.
fn is_of(batch: &RecordBatch, day: Day) -> bool {
    let ts = batch
        .column(0)
        .as_primitive_opt::<TimestampMicrosecondType>();
    ts.is_some_and(|ts| ts.values().iter().all(|at| Day::of_micros(*at) == day))
}

/// Takes the rows away whose file is gone.
fn forget_rows(store: &Store, staging: &mut Staging, files: &[String]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let path = Table::Artifacts.def().index_of("path");
    for segment in staging.state.of(Table::Artifacts).to_vec() {
        let reader = SegmentReader::open(&store.shared, &segment)?;
        let rows = 0..usize::try_from(segment.rows).unwrap_or(0);
        let columns: Vec<usize> = path.into_iter().collect();
        let mut lost = Vec::new();
        let mut first = 0;
        for batch in reader.read(
            &buffer_schema(Table::Artifacts),
            &columns,
            std::slice::from_ref(&rows),
        )? {
            let batch = batch?;
            if let Some(text) = TextColumn::new(batch.column(0).as_ref()) {
                let gone = |row: &usize| files.iter().any(|file| file == text.value(*row));
                lost.extend((0..batch.num_rows()).filter(gone).map(|row| first + row));
            }
            first += batch.num_rows();
        }
        if !lost.is_empty() {
            staging.take_away(&reader, &lost)?;
        }
    }
    Ok(())
}
