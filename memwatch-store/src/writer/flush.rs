//! From a full buffer to segments: sort, leave out what is there already, write.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::row::Rows;
use memwatch_core::record::Identity;

use super::RowCounts;
use crate::buffer::{Columns, buffer_schema};
use crate::identity::{distinct, keys, payloads, stretches};
use crate::layout::{Day, SegmentPath};
use crate::manifest::{InstanceRows, Segment};
use crate::schema::Table;
use crate::segment::{
    Effort, Place, ROWS_PER_PAGE, SegmentReader, SegmentWriter, TextColumn, Wanted, unfinished,
};
use crate::{Result, Shared};

/// Rows of a page that lie in so many stretches are written from where they lie; more are put together first.
const FEW_STRETCHES: usize = 8;

/// Writes the rows of buffers, given the segments that are live; what it does to them is for who began it to take over. It needs nothing
/// else, so another thread can do it.
pub(crate) struct Flush {
    shared: Arc<Shared>,
    place: Place,
    /// Live segments.
    live: Vec<Arc<Segment>>,
    /// Written and durable (or held in memory), not committed.
    pub(super) made: Vec<Arc<Segment>>,
    /// Of `live`: those that one of `made` takes the place of.
    pub(super) discarded: Vec<SegmentPath>,
    pub(super) counts: BTreeMap<(u32, Table), RowCounts>,
}

/// Rows of one day in the order of their keys.
struct NewRows<'a> {
    table: Table,
    batch: &'a RecordBatch,
    keys: &'a Rows,
    /// Rows of the batch, and the input that each counts for.
    rows: Vec<(u32, u32)>,
    /// What is known of each of `rows`.
    found: Vec<Found>,
}

/// Whether a new row is in the store already.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    Nowhere,
    /// With a payload that is as good or better.
    Stored,
    /// With a payload that this row takes the place of.
    Replaced,
}

/// What the new rows of an instance span.
struct Extent {
    /// First and last microsecond.
    times: (i64, i64),
    /// First and last text of the column that comes before the time in the key: input sorted by series then touches little of what
    /// was written before.
    texts: Option<(usize, String, String)>,
}

/// A row that is there already.
struct Match {
    /// Its place in [`NewRows::rows`].
    new: usize,
    /// Its row in the segment.
    stored: usize,
}

impl Flush {
    pub(super) fn new(shared: Arc<Shared>, place: Place, live: Vec<Arc<Segment>>) -> Flush {
        Flush {
            shared,
            place,
            live,
            made: Vec::new(),
            discarded: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Writes all rows that are not there already; gives the columns back, without rows.
    pub(super) fn write(&mut self, columns: Columns) -> Result<Columns> {
        let table = columns.table();
        let (batch, inputs) = columns.finish()?;
        let keys = keys(table, &batch)?;
        let kept = distinct(table, &batch, &keys, &inputs)?;
        for (input, replaced) in &kept.duplicates {
            let counts = self.counts.entry((*input, table)).or_default();
            counts.duplicate += 1;
            counts.replaced += u64::from(*replaced);
        }
        let ts = batch
            .column(0)
            .as_primitive::<TimestampMicrosecondType>()
            .values();
        let mut days: BTreeMap<Day, Vec<(u32, u32)>> = BTreeMap::new();
        for (row, input) in kept.rows.iter().zip(kept.inputs) {
            days.entry(Day::of_micros(ts[*row as usize]))
                .or_default()
                .push((*row, input));
        }
        for (day, rows) in days {
            let found = vec![Found::Nowhere; rows.len()];
            let mut new = NewRows {
                table,
                batch: &batch,
                keys: &keys,
                rows,
                found,
            };
            self.leave_out_known(day, &mut new)?;
            self.write_segment(day, &new)?;
        }
        Ok(Columns::reusing(table, batch))
    }

    fn write_segment(&mut self, day: Day, new: &NewRows<'_>) -> Result<()> {
        let mut fresh = Vec::with_capacity(new.rows.len());
        for ((row, input), found) in new.rows.iter().zip(&new.found) {
            if *found != Found::Stored {
                fresh.push(*row);
            }
            let counts = self.counts.entry((*input, new.table)).or_default();
            counts.new += u64::from(*found == Found::Nowhere);
            counts.duplicate += u64::from(*found != Found::Nowhere);
            counts.replaced += u64::from(*found == Found::Replaced);
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let mut writer = SegmentWriter::create(
            &self.shared,
            self.place,
            Effort::Flush,
            (new.table, day),
            new.batch.schema(),
        )?;
        for rows in fresh.chunks(ROWS_PER_PAGE) {
            let follows = |a: &u32, b: &u32| a + 1 == *b;
            if rows.chunk_by(follows).count() > FEW_STRETCHES {
                writer.write(&picked(new.batch, rows)?)?;
                continue;
            }
            for stretch in rows.chunk_by(follows) {
                writer.write(&new.batch.slice(stretch[0] as usize, stretch.len()))?;
            }
        }
        self.made.push(Arc::new(writer.finish()?));
        Ok(())
    }

    /// Marks the new rows that are stored already, and takes stored rows away that lose against a new one.
    fn leave_out_known(&mut self, day: Day, new: &mut NewRows<'_>) -> Result<()> {
        let extents = new.extents();
        let by_day = new.table.def().key_has_ts();
        let candidates: Vec<Arc<Segment>> = self
            .live
            .iter()
            .filter(|s| !self.discarded.contains(&s.path))
            .chain(&self.made)
            .filter(|s| s.path.table == new.table && (!by_day || s.path.day == day))
            .cloned()
            .collect();
        for segment in candidates {
            let overlap = |i: &InstanceRows| {
                let extent = extents.get(&i.identity)?;
                let (from_us, to_us) = if by_day {
                    extent.times
                } else {
                    (i64::MIN, i64::MAX)
                };
                let texts = extent.texts.clone();
                let touches = from_us <= i.max_us && i.min_us <= to_us;
                touches.then_some(Wanted {
                    from_us,
                    to_us,
                    texts,
                })
            };
            if !segment.instances.iter().any(|i| overlap(i).is_some()) {
                continue;
            }
            let reader = SegmentReader::open(&self.shared, &segment)?;
            let matches = new.matches_in(&reader, overlap)?;
            if matches.is_empty() {
                continue;
            }
            let losing = self.compare(new, &reader, &matches)?;
            if !losing.is_empty() {
                self.take_away(&reader, &losing)?;
            }
        }
        Ok(())
    }

    /// Decides for each match which row stays; the rows of the segment that do not.
    fn compare(
        &self,
        new: &mut NewRows<'_>,
        reader: &SegmentReader,
        matches: &[Match],
    ) -> Result<Vec<usize>> {
        let all: Vec<usize> = (0..new.table.def().columns.len()).collect();
        let mut losing = Vec::new();
        let mut left = matches;
        let rows = stretches(matches.iter().map(|m| m.stored));
        for batch in reader.read(&buffer_schema(new.table), &all, &rows)? {
            let batch = batch?;
            let (these, rest) = left.split_at(batch.num_rows().min(left.len()));
            left = rest;
            let stored = payloads(new.table, &batch)?;
            let given: UInt32Array = these.iter().map(|m| Some(new.rows[m.new].0)).collect();
            let given = payloads(new.table, &take_record_batch(new.batch, &given)?)?;
            for (at, found) in these.iter().enumerate() {
                new.found[found.new] = if given.row(at) > stored.row(at) {
                    losing.push(found.stored);
                    Found::Replaced
                } else {
                    Found::Stored
                };
            }
        }
        Ok(losing)
    }

    /// Writes a segment anew without some of its rows.
    pub(super) fn take_away(&mut self, reader: &SegmentReader, losing: &[usize]) -> Result<()> {
        let segment = &reader.segment;
        let table = segment.path.table;
        let total = usize::try_from(segment.rows).unwrap_or(usize::MAX);
        if losing.len() < total {
            let schema = buffer_schema(table);
            let all: Vec<usize> = (0..schema.fields().len()).collect();
            let mut writer = SegmentWriter::create(
                &self.shared,
                self.place,
                Effort::Flush,
                (table, segment.path.day),
                Arc::clone(&schema),
            )?;
            let mut first = 0;
            let mut lost = losing.iter().copied().peekable();
            let whole = 0..total;
            for batch in reader.read(&schema, &all, std::slice::from_ref(&whole))? {
                let batch = batch?;
                let stays: BooleanArray = (first..first + batch.num_rows())
                    .map(|row| Some(lost.next_if_eq(&row).is_none()))
                    .collect();
                first += batch.num_rows();
                let batch = filter_record_batch(&crate::scan::widen(&batch, &schema)?, &stays)?;
                writer.write(&batch)?;
            }
            self.made.push(Arc::new(writer.finish()?));
        }
        self.discard(&segment.path)
    }

    /// Takes a segment away: one made here is gone at once, a live one when what was done is taken over.
    fn discard(&mut self, path: &SegmentPath) -> Result<()> {
        let Some(at) = self.made.iter().position(|s| s.path == *path) else {
            self.discarded.push(path.clone());
            return Ok(());
        };
        self.made.remove(at);
        match self.place {
            Place::Memory => Ok(()),
            Place::Disk => self.shared.storage.remove(&unfinished(&self.shared, path)),
        }
    }

    /// Removes what was made: nobody will commit it.
    pub(super) fn undo(&self) {
        if self.place == Place::Disk {
            remove_uncommitted(&self.shared, &self.made);
        }
    }
}

/// These rows of a batch. Columns without any value, which some sources have many of, are the same in any order.
fn picked(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    let rows = UInt32Array::from(rows.to_vec());
    let columns = batch.columns().iter().map(|column| {
        if column.null_count() == column.len() {
            return Ok(column.slice(0, rows.len()));
        }
        Ok(take(column, &rows, None)?)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Removes segments that nobody will commit, as far as that works: the next writer removes the rest.
pub(super) fn remove_uncommitted(shared: &Shared, segments: &[Arc<Segment>]) {
    for segment in segments {
        let removed = shared.storage.remove(&unfinished(shared, &segment.path));
        // A network that does not answer is not asked again and again.
        if removed.is_err() && shared.storage.is_remote() {
            break;
        }
    }
}

impl NewRows<'_> {
    /// What the rows of each instance span.
    fn extents(&self) -> HashMap<Identity, Extent> {
        let mut extents = HashMap::new();
        let def = self.table.def();
        let text = |column: usize| TextColumn::new(self.batch.column(column).as_ref());
        let (Some(service), Some(instance)) = (text(1), text(2)) else {
            return extents;
        };
        // The column that comes first within an instance, unless it is the time.
        let leading = def.key.get(2).and_then(|name| def.index_of(name));
        let leading = leading.and_then(|column| Some((column, text(column)?)));
        let ts = self
            .batch
            .column(0)
            .as_primitive::<TimestampMicrosecondType>()
            .values();
        let same = |a: &(u32, u32), b: &(u32, u32)| {
            service.same(a.0 as usize, b.0 as usize) && instance.same(a.0 as usize, b.0 as usize)
        };
        for rows in self.rows.chunk_by(same) {
            let (first, last) = (rows[0].0 as usize, rows[rows.len() - 1].0 as usize);
            let identity = Identity {
                service: service.value(first).into(),
                instance: instance.value(first).into(),
            };
            let at = rows.iter().map(|(row, _)| ts[*row as usize]);
            let times = at.fold((i64::MAX, i64::MIN), |(from, to), at| {
                (from.min(at), to.max(at))
            });
            let texts = leading.as_ref().map(|(column, text)| {
                (
                    *column,
                    text.value(first).to_owned(),
                    text.value(last).to_owned(),
                )
            });
            extents.insert(identity, Extent { times, texts });
        }
        extents
    }

    /// The rows of a segment whose key is that of a new row: both ascend by key, so one pass over both finds them.
    fn matches_in(
        &self,
        reader: &SegmentReader,
        overlap: impl FnMut(&InstanceRows) -> Option<Wanted>,
    ) -> Result<Vec<Match>> {
        let def = self.table.def();
        let columns: Vec<usize> = def
            .key
            .iter()
            .filter_map(|name| def.index_of(name))
            .collect();
        let rows = reader.rows_in(overlap);
        let mut numbers = rows.iter().cloned().flatten();
        let mut matches = Vec::new();
        let mut new = 0;
        let key = |new: usize| self.keys.row(self.rows[new].0 as usize);
        for batch in reader.read(&buffer_schema(self.table), &columns, &rows)? {
            let batch = batch?;
            let stored_keys = keys(self.table, &batch)?;
            for (row, stored) in numbers.by_ref().take(batch.num_rows()).enumerate() {
                while new < self.rows.len() && key(new) < stored_keys.row(row) {
                    new += 1;
                }
                if new == self.rows.len() {
                    return Ok(matches);
                }
                if key(new) == stored_keys.row(row) {
                    matches.push(Match { new, stored });
                }
            }
        }
        Ok(matches)
    }
}
