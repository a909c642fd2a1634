//! Rows on their way into segments: buffers, what was written of them, and which live segments that takes the place of.
//!
//! The writer stages rows on the disk and commits them; a reader that finds acknowledged rows in the WAL stages them in memory and sees
//! what that commit would make.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use memwatch_core::record::Identity;

use super::RowCounts;
use super::flush::Flush;
use crate::buffer::Columns;
use crate::layout::SegmentPath;
use crate::manifest::{Segment, State};
use crate::schema::{Row, TABLES, Table};
#[cfg(not(test))]
use crate::segment::ROWS_PER_GROUP;
use crate::segment::{Place, SegmentReader, unfinished};
use crate::{Error, Result, Shared};

/// A buffer of so many rows is written: one row group.
#[cfg(not(test))]
const FLUSH_ROWS: usize = ROWS_PER_GROUP;
#[cfg(test)]
const FLUSH_ROWS: usize = 4_096;

/// When all buffers together are larger than this, the largest is written. With keys, one encoded row group and one batch beside it a
/// writer stays below 100 MiB.
const FLUSH_BYTES: usize = 56 << 20;
/// The same where another thread writes: one set of buffers fills, one waits and one is written, and a writer stays below 150 MiB.
const FLUSH_BYTES_BEHIND: usize = 28 << 20;
/// Full buffers that wait for the one that is being written. Without any, who fills the next one often waits.
const BUFFERS_AHEAD: usize = 1;

/// Rows on their way into segments.
pub(crate) struct Staging {
    pub(crate) shared: Arc<Shared>,
    /// What is live without them.
    pub(crate) state: State,
    pub(crate) place: Place,
    pub(super) buffers: Vec<Columns>,
    /// Written and durable (or held in memory), not committed: under unfinished names.
    pub(crate) pending: Vec<Arc<Segment>>,
    /// Live segments that a pending one takes the place of.
    pub(crate) removed: HashSet<SegmentPath>,
    pub(super) counts: BTreeMap<(u32, Table), RowCounts>,
    /// Whether full buffers are written by another thread while the next one fills.
    background: bool,
    /// That thread. What it adds to and takes from the fields above comes with [`Staging::settle`].
    flusher: Option<Flusher>,
}

/// Writes buffers one after the other, as each is among what is known to the next.
struct Flusher {
    full: SyncSender<Columns>,
    /// Those that were written, to be filled again.
    spent: Receiver<Columns>,
    thread: JoinHandle<(Flush, Result<()>)>,
}

impl Flusher {
    fn start(mut flush: Flush) -> io::Result<Flusher> {
        let (full, buffers) = sync_channel(BUFFERS_AHEAD);
        let (spent, empty) = channel();
        let work = move || {
            let done = buffers.into_iter().try_for_each(|full| {
                // Nobody wants it at the end.
                let _ = spent.send(flush.write(full)?);
                Ok(())
            });
            (flush, done)
        };
        let thread = thread::Builder::new().name("memwatch-flush".to_owned());
        let thread = thread.spawn(work)?;
        Ok(Flusher {
            full,
            spent: empty,
            thread,
        })
    }

    /// Waits for all buffers.
    fn join(self) -> thread::Result<(Flush, Result<()>)> {
        drop(self.full);
        self.thread.join()
    }
}

impl Staging {
    pub(crate) fn new(shared: Arc<Shared>, state: State, place: Place) -> Staging {
        Staging {
            shared,
            state,
            place,
            buffers: empty_buffers(),
            pending: Vec::new(),
            removed: HashSet::new(),
            counts: BTreeMap::new(),
            background: false,
            flusher: None,
        }
    }

    /// From now on full buffers are written by another thread, until all are written.
    pub(super) fn write_in_background(&mut self) {
        self.background = true;
    }

    /// Adds a row of that input; may write a buffer that is full.
    pub(super) fn push<R: Row>(&mut self, of: &Identity, row: &R, input: u32) -> Result<()> {
        let buffer = &mut self.buffers[R::TABLE.index()];
        buffer.push(of, row, input);
        // Summing all buffers for each row would cost more than the row.
        if buffer.rows() >= FLUSH_ROWS || buffer.rows().is_multiple_of(256) {
            self.flush_full(R::TABLE)?;
        }
        Ok(())
    }

    /// Writes the buffer of a table when it is full, and the largest when all together are.
    pub(super) fn flush_full(&mut self, table: Table) -> Result<()> {
        if self.buffers[table.index()].rows() >= FLUSH_ROWS {
            return self.flush(table);
        }
        let most = if self.background {
            FLUSH_BYTES_BEHIND
        } else {
            FLUSH_BYTES
        };
        if self.buffers.iter().map(Columns::bytes).sum::<usize>() > most {
            let largest = Table::all().max_by_key(|t| self.buffers[t.index()].bytes());
            return largest.map_or(Ok(()), |table| self.flush(table));
        }
        Ok(())
    }

    /// Writes all buffers.
    pub(crate) fn flush_all(&mut self) -> Result<()> {
        Table::all().try_for_each(|table| self.flush(table))?;
        self.settle()
    }

    /// Writes a table's buffer.
    fn flush(&mut self, table: Table) -> Result<()> {
        let buffer = &mut self.buffers[table.index()];
        if buffer.rows() == 0 {
            return Ok(());
        }
        let columns = std::mem::replace(buffer, Columns::new(table));
        if !self.background {
            let mut flush = self.new_flush();
            let done = flush.write(columns);
            let done = done.map(|spent| self.buffers[table.index()] = spent);
            return self.take_over(flush, done);
        }
        let flusher = match &self.flusher {
            Some(flusher) => flusher,
            None => {
                let started = Flusher::start(self.new_flush()).map_err(|error| {
                    let folder = self.shared.layout.root();
                    Error::io(folder, "start a thread that writes to")(error)
                })?;
                self.flusher.insert(started)
            }
        };
        if flusher.full.send(columns).is_ok() {
            let spent = flusher.spent.try_iter();
            if let Some(spent) = spent.filter(|spent| spent.table() == table).last() {
                self.buffers[table.index()] = spent;
            }
            return Ok(());
        }
        // It has ended before its time, and says why.
        self.settle().and(Err(Error::WriterFailed))
    }

    /// Waits for the buffers on their way.
    pub(super) fn settle(&mut self) -> Result<()> {
        match self.flusher.take().map(Flusher::join) {
            None => Ok(()),
            Some(Ok((flush, done))) => self.take_over(flush, done),
            Some(Err(panic)) => resume_unwind(panic),
        }
    }

    /// Leaves the buffers on their way: what was written of them is removed.
    pub(super) fn abandon(&mut self) {
        if let Some(Ok((flush, _))) = self.flusher.take().map(Flusher::join) {
            flush.undo();
        }
    }

    fn new_flush(&self) -> Flush {
        let live = Table::all().flat_map(|table| self.live(table));
        let live = live.cloned().collect();
        Flush::new(Arc::clone(&self.shared), self.place, live)
    }

    /// Takes over what a flush did; nothing of one that failed.
    fn take_over(&mut self, flush: Flush, done: Result<()>) -> Result<()> {
        if let Err(error) = done {
            flush.undo();
            return Err(error);
        }
        self.pending.extend(flush.made);
        for (of, counts) in flush.counts {
            let sum = self.counts.entry(of).or_default();
            sum.new += counts.new;
            sum.duplicate += counts.duplicate;
            sum.replaced += counts.replaced;
        }
        flush
            .discarded
            .iter()
            .try_for_each(|path| self.discard(path))
    }

    /// Writes a segment anew without some of its rows.
    pub(crate) fn take_away(&mut self, reader: &SegmentReader, losing: &[usize]) -> Result<()> {
        let mut flush = self.new_flush();
        let done = flush.take_away(reader, losing);
        self.take_over(flush, done)
    }

    /// Takes a segment away: a pending one is gone at once, a live one with the commit.
    pub(crate) fn discard(&mut self, path: &SegmentPath) -> Result<()> {
        let Some(at) = self.pending.iter().position(|s| s.path == *path) else {
            self.removed.insert(path.clone());
            return Ok(());
        };
        self.pending.remove(at);
        match self.place {
            Place::Memory => Ok(()),
            Place::Disk => self.shared.storage.remove(&unfinished(&self.shared, path)),
        }
    }

    /// What will be live.
    pub(crate) fn into_state(self) -> State {
        let mut state = self.state;
        for segments in &mut state.segments {
            segments.retain(|s| !self.removed.contains(&s.path));
        }
        for segment in self.pending {
            state.segments[segment.path.table.index()].push(segment);
        }
        for segments in &mut state.segments {
            segments.sort_by(|a, b| a.path.cmp(&b.path));
        }
        state
    }

    /// The segments of a table as they will be.
    pub(crate) fn live(&self, table: Table) -> impl Iterator<Item = &Arc<Segment>> {
        self.state
            .of(table)
            .iter()
            .filter(|s| !self.removed.contains(&s.path))
            .chain(self.pending.iter().filter(move |s| s.path.table == table))
    }
}

fn empty_buffers() -> Vec<Columns> {
    TABLES
        .iter()
        .map(|(table, _)| Columns::new(*table))
        .collect()
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{MetricKind, MetricSample};

    use super::*;
    use crate::{Step, Store, Writer};

    /// Enough for two buffers and the beginning of a third; each row comes again later, in the same buffer or in another, and some of
    /// these win.
    fn push(writer: &mut Writer, background: bool) -> Result<()> {
        if background {
            writer.write_in_background();
        }
        let of = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        let rows = i64::try_from(FLUSH_ROWS).unwrap() * 3 / 2;
        for n in 0..rows {
            for (input, n) in [(1, n), (2, n * 7 / 8)] {
                writer.begin_input(input);
                let value = if input == 2 && n % 1_000 == 0 {
                    2.0
                } else {
                    1.0
                };
                let at = Timestamp(n * 1_000_000_000);
                let kind = MetricKind::Gauge;
                let row = MetricSample::new(at, "m".into(), "".into(), value, kind);
                writer.staging.push(&of, &row, input)?;
            }
        }
        Ok(())
    }

    #[test]
    fn what_another_thread_writes_is_the_same() {
        let of = |background| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::create(dir.path()).unwrap();
            let mut writer = store.writer().unwrap();
            push(&mut writer, background).unwrap();
            let done = writer.commit(&[]).unwrap();
            let segments = store.snapshot().unwrap();
            let segments = segments.segments(Table::Metrics);
            let sums: Vec<_> = segments
                .iter()
                .map(|s| (s.rows, s.min_us, s.max_us))
                .collect();
            (format!("{:?}", done.rows), sums)
        };
        let alone = of(false);
        assert!(
            alone.1.len() > 2 && alone.0.contains("replaced: 6"),
            "{alone:?}"
        );
        assert_eq!(of(true), alone);
    }

    #[test]
    fn what_another_thread_cannot_write_fails_the_writer() {
        let dir = tempfile::tempdir().unwrap();
        let hook = |step: &Step<'_>| match step.name {
            "sync" if step.path.to_string_lossy().contains("metrics") => {
                Err(io::Error::other("no more of this"))
            }
            _ => Ok(()),
        };
        let store = Store::create_failing(dir.path(), Arc::new(hook)).unwrap();
        let mut writer = store.writer().unwrap();
        let failed = push(&mut writer, true).and_then(|()| writer.commit(&[]).map(|_| ()));
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains("metrics"), "{failed}");
        drop(writer);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.snapshot().unwrap().segments(Table::Metrics).len(), 0);
        assert_eq!(store.verify().unwrap().findings, []);
    }
}
