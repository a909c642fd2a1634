//! Sorted segments into sorted segments: a k-way merge that holds one batch of each input.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;

use crate::buffer::buffer_schema;
use crate::identity::{keys, payloads};
use crate::layout::Day;
use crate::manifest::Segment;
use crate::scan::widen;
use crate::schema::Table;
use crate::segment::{
    Effort, Place, ROWS_PER_PAGE, SegmentBatches, SegmentReader, SegmentWriter, TextColumn,
};
use crate::{Error, Result, Shared};

/// Most segments that are merged at once: 8,192 rows of each, decoded, come to some 50 MiB.
pub(crate) const FAN_IN: usize = 16;

/// Merges segments of one table and day; `take` gets the rows in the order of their keys, each key once. Says how many rows were left out
/// because another had their key.
pub(crate) fn merge(
    shared: &Arc<Shared>,
    table: Table,
    inputs: &[Arc<Segment>],
    mut take: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<u64> {
    let mut cursors = Vec::with_capacity(inputs.len());
    for segment in inputs {
        cursors.extend(Cursor::open(shared, table, segment)?);
    }
    let mut picked = Picked::default();
    let mut duplicates = 0;
    while let Some(least) = least(&cursors) {
        let next = cursors
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != least)
            .min_by(|(_, a), (_, b)| a.key().cmp(&b.key()))
            .map(|(at, _)| at);
        let run = cursors[least].rows_before(next.map(|at| &cursors[at]));
        let from = if run.is_empty() {
            // Some have the same key: the greatest payload stays, as when rows are taken.
            let same: Vec<usize> = (0..cursors.len())
                .filter(|at| cursors[*at].key() == cursors[least].key())
                .collect();
            let winner = winner(table, &cursors, &same)?;
            picked.add(&cursors[winner], cursors[winner].one());
            duplicates += same.len() as u64 - 1;
            for at in same.iter().filter(|at| **at != winner) {
                cursors[*at].at += 1;
            }
            cursors[winner].at += 1;
            same
        } else {
            let room = ROWS_PER_PAGE - picked.rows;
            let run = run.start..run.end.min(run.start + room);
            cursors[least].at = run.end;
            picked.add(&cursors[least], run);
            vec![least]
        };
        if picked.rows >= ROWS_PER_PAGE {
            take(&picked.finish()?)?;
        }
        // From behind, so that removing one leaves the places of the others.
        for at in from.into_iter().rev() {
            if !cursors[at].fill(table)? {
                cursors.remove(at);
            }
        }
    }
    if picked.rows > 0 {
        take(&picked.finish()?)?;
    }
    Ok(duplicates)
}

/// Merges segments into one; says how many rows were left out.
pub(crate) fn merge_into_one(
    shared: &Arc<Shared>,
    (table, day): (Table, Day),
    inputs: &[Arc<Segment>],
) -> Result<(Segment, u64)> {
    let mut writer = SegmentWriter::create(
        shared,
        Place::Disk,
        Effort::Flush,
        (table, day),
        buffer_schema(table),
    )?;
    let duplicates = merge(shared, table, inputs, |batch| writer.write(batch))?;
    Ok((writer.finish()?, duplicates))
}

fn least(cursors: &[Cursor]) -> Option<usize> {
    let keyed = cursors.iter().enumerate();
    keyed
        .min_by(|(_, a), (_, b)| a.key().cmp(&b.key()))
        .map(|(at, _)| at)
}

/// Which of some cursors on one key has the row that stays.
fn winner(table: Table, cursors: &[Cursor], same: &[usize]) -> Result<usize> {
    let rows: Vec<RecordBatch> = same.iter().map(|at| cursors[*at].row()).collect();
    let batches: Vec<&RecordBatch> = rows.iter().collect();
    let indices: Vec<(usize, usize)> = (0..rows.len()).map(|n| (n, 0)).collect();
    let payloads = payloads(table, &interleave_record_batch(&batches, &indices)?)?;
    let best = (0..same.len()).max_by(|a, b| payloads.row(*a).cmp(&payloads.row(*b)));
    Ok(same[best.unwrap_or(0)])
}

/// One input, at a row.
struct Cursor {
    batches: SegmentBatches,
    batch: RecordBatch,
    keys: Rows,
    at: usize,
    /// Tells the batches of all cursors apart.
    number: (usize, usize),
}

impl Cursor {
    fn open(shared: &Arc<Shared>, table: Table, segment: &Arc<Segment>) -> Result<Option<Cursor>> {
        let schema = buffer_schema(table);
        let reader = SegmentReader::open(shared, segment)?;
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let whole = 0..usize::try_from(segment.rows).unwrap_or(usize::MAX);
        let batches = reader.read(&schema, &all, std::slice::from_ref(&whole))?;
        let batch = RecordBatch::new_empty(schema);
        let keys = keys(table, &batch)?;
        // An address serves as a name: each input has its own segment for as long as all are open.
        let number = (Arc::as_ptr(segment).addr(), 0);
        let mut cursor = Cursor {
            batches,
            batch,
            keys,
            at: 0,
            number,
        };
        Ok(cursor.fill(table)?.then_some(cursor))
    }

    /// Goes on to the next batch when this one is used up; false at the end.
    fn fill(&mut self, table: Table) -> Result<bool> {
        while self.at == self.batch.num_rows() {
            let Some(batch) = self.batches.next().transpose()? else {
                return Ok(false);
            };
            self.batch = widen(&batch, &buffer_schema(table))?;
            self.keys = keys(table, &self.batch)?;
            self.number.1 += 1;
            self.at = 0;
        }
        Ok(true)
    }

    fn key(&self) -> arrow::row::Row<'_> {
        self.keys.row(self.at)
    }

    fn one(&self) -> Range<usize> {
        self.at..self.at + 1
    }

    fn row(&self) -> RecordBatch {
        self.batch.slice(self.at, 1)
    }

    /// The rows of this batch that come before another's.
    fn rows_before(&self, other: Option<&Cursor>) -> Range<usize> {
        let Some(other) = other else {
            return self.at..self.batch.num_rows();
        };
        // Neighbors mostly alternate by long runs or by single rows: look near before looking far.
        let (mut from, mut step) = (self.at, 1);
        let bound = other.key();
        while from + step <= self.batch.num_rows() && self.keys.row(from + step - 1) < bound {
            from += step;
            step *= 2;
        }
        let mut to = (from + step).min(self.batch.num_rows());
        while from < to {
            let middle = from + (to - from) / 2;
            if self.keys.row(middle) < bound {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        self.at..from
    }
}

/// Rows picked from batches, in order.
#[derive(Default)]
struct Picked {
    batches: Vec<RecordBatch>,
    numbers: HashMap<(usize, usize), usize>,
    runs: Vec<(usize, Range<usize>)>,
    rows: usize,
}

impl Picked {
    fn add(&mut self, cursor: &Cursor, rows: Range<usize>) {
        let next = self.batches.len();
        let batch = *self.numbers.entry(cursor.number).or_insert(next);
        if batch == next {
            self.batches.push(cursor.batch.clone());
        }
        self.rows += rows.len();
        match self.runs.last_mut() {
            Some((last, run)) if *last == batch && run.end == rows.start => run.end = rows.end,
            _ => self.runs.push((batch, rows)),
        }
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let Picked { batches, runs, .. } = std::mem::take(self);
        if let [(batch, rows)] = runs.as_slice() {
            return Ok(batches[*batch].slice(rows.start, rows.len()));
        }
        let from: Vec<&RecordBatch> = batches.iter().collect();
        let indices: Vec<(usize, usize)> = runs
            .into_iter()
            .flat_map(|(batch, rows)| rows.map(move |row| (batch, row)))
            .collect();
        Ok(interleave_record_batch(&from, &indices)?)
    }
}

/// The segments that a merge makes: one ends where it is large enough and an instance ends, or where it would grow beyond the limit.
pub(crate) struct Outputs<'a> {
    shared: &'a Shared,
    table: Table,
    day: Day,
    cut_bytes: u64,
    max_bytes: u64,
    current: Option<SegmentWriter>,
    done: Vec<Segment>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        (table, day): (Table, Day),
        cut_bytes: u64,
        max_bytes: u64,
    ) -> Outputs<'a> {
        Outputs {
            shared,
            table,
            day,
            cut_bytes,
            max_bytes,
            current: None,
            done: Vec::new(),
        }
    }

    /// Adds rows that follow those before.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rest = batch.slice(from, batch.num_rows() - from);
            let take = self.rows_until_cut(&rest)?;
            if take > 0 {
                let writer = match &mut self.current {
                    Some(writer) => writer,
                    none => none.insert(SegmentWriter::create(
                        self.shared,
                        Place::Disk,
                        Effort::Compacted,
                        (self.table, self.day),
                        rest.schema(),
                    )?),
                };
                writer.write(&rest.slice(0, take))?;
            }
            if take < rest.num_rows() {
                self.cut()?;
            }
            from += take;
        }
        Ok(())
    }

    /// How many of these rows the current segment still takes.
    fn rows_until_cut(&self, batch: &RecordBatch) -> Result<usize> {
        let all = batch.num_rows();
        let Some(writer) = &self.current else {
            return Ok(all);
        };
        let bytes = writer.bytes();
        if bytes < self.cut_bytes {
            return Ok(all);
        }
        if bytes >= self.max_bytes {
            return Ok(0);
        }
        let text = |column: usize| TextColumn::new(batch.column(column).as_ref());
        let (Some(service), Some(instance), Some(last)) =
            (text(1), text(2), writer.last_instance())
        else {
            return Ok(all);
        };
        Ok((0..all)
            .find(|row| {
                service.value(*row) != &*last.service || instance.value(*row) != &*last.instance
            })
            .unwrap_or(all))
    }

    fn cut(&mut self) -> Result<()> {
        if let Some(writer) = self.current.take() {
            self.done.push(writer.finish()?);
        }
        Ok(())
    }

    /// Ends the last segment.
    pub(crate) fn finish(mut self) -> Result<Vec<Segment>> {
        self.cut()?;
        Ok(self.done)
    }
}

/// Compares rows in and out: a merge that loses some is a fault of ours, found before anything is committed.
pub(crate) fn check_rows(inputs: &[Arc<Segment>], outputs: u64, duplicates: u64) -> Result<()> {
    let rows: u64 = inputs.iter().map(|s| s.rows).sum();
    if outputs + duplicates == rows {
        return Ok(());
    }
    Err(Error::Merge {
        expected: rows - duplicates.min(rows),
        found: outputs,
    })
}
