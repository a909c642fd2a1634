//! A block of rows in chunks: their parts, summed forward and backward.

use std::ops::Range;

use super::fold::Fold;
use super::rows::{Asked, NEAR_NS, Origin, Row, Rows, Scan, Windows};

/// Rows of a chunk: what is kept of them stays in the nearest cache.
pub(super) const CHUNK: usize = 256;

/// The times of rows.
pub(super) trait Times: Copy {
    /// That of one.
    fn at(self, row: usize) -> i64;

    /// Those of at most [`CHUNK`] rows, as far as they are asked for; `room` is where they may be put.
    fn some<'a>(self, asked: Asked, rows: Range<usize>, room: &'a mut [i64; CHUNK]) -> &'a [i64]
    where
        Self: 'a;
}

impl Times for &[i64] {
    #[inline]
    fn at(self, row: usize) -> i64 {
        self[row]
    }

    #[inline]
    fn some<'a>(self, _: Asked, rows: Range<usize>, _: &'a mut [i64; CHUNK]) -> &'a [i64]
    where
        Self: 'a,
    {
        &self[rows]
    }
}

/// Rows a second apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Even;

impl Times for Even {
    #[inline]
    fn at(self, row: usize) -> i64 {
        #[allow(clippy::cast_possible_wrap)] // A row number.
        let row = row as i64;
        row * 1_000_000_000
    }

    #[inline]
    fn some<'a>(self, asked: Asked, rows: Range<usize>, room: &'a mut [i64; CHUNK]) -> &'a [i64]
    where
        Self: 'a,
    {
        let times = &mut room[..rows.len()];
        match (asked, &mut *times) {
            (Asked::All, all) => {
                let mut at = self.at(rows.start);
                for time in all {
                    *time = at;
                    at += 1_000_000_000;
                }
            }
            (Asked::Ends, [first, .., last]) => {
                (*first, *last) = (self.at(rows.start), self.at(rows.end - 1));
            }
            (Asked::Ends, [only]) => *only = self.at(rows.start),
            _ => {}
        }
        times
    }
}

/// A block that is being done.
#[derive(Debug)]
pub(super) struct Block<P> {
    rows: Range<usize>,
    /// Rows from its beginning, and as many from its end.
    done: usize,
    /// Where the windows that end in it count from, and those that only begin in it.
    origin: Origin,
    next: Origin,
    forward: P,
    backward: P,
    near: bool,
}

/// A column in chunks, and room for what is needed of one.
#[derive(Debug)]
pub(super) struct Chunks<'a, F: Fold, T> {
    times: T,
    values: &'a [f64],
    forward: [F::Part; CHUNK],
    at_ns: [[i64; CHUNK]; 2],
}

impl<'a, F: Fold, T: Times> Chunks<'a, F, T> {
    pub(super) fn new(times: T, values: &'a [f64]) -> Chunks<'a, F, T> {
        Chunks {
            times,
            values,
            forward: [F::EMPTY; CHUNK],
            at_ns: [[0; CHUNK]; 2],
        }
    }

    pub(super) fn row(&self, i: usize) -> Row {
        Row {
            at_ns: self.times.at(i),
            value: self.values[i],
        }
    }

    /// A block of `rows`; the first of its windows begins at row `first`, or later.
    pub(super) fn block(&self, rows: Range<usize>, first: usize, origin: Origin) -> Block<F::Part> {
        let last_ns = self.times.at(rows.end - 1);
        let span = last_ns.checked_sub(self.times.at(first));
        let usual = F::usual(rows.len()).map(|row| self.values[rows.start + row]);
        Block {
            next: Origin::after(last_ns, usual),
            near: span.is_some_and(|span| (0..=NEAR_NS).contains(&span)),
            rows,
            done: 0,
            origin,
            forward: F::EMPTY,
            backward: F::EMPTY,
        }
    }

    /// Finds the results of the windows that end in the block's next chunk, and the parts from as many rows to its end on, which go into
    /// `newer`: it has a place for each row of the block. Without windows there are none that begin in the block before, and all in this
    /// one begin at its first row.
    #[inline]
    pub(super) fn next<'w>(
        &mut self,
        block: &mut Block<F::Part>,
        newer: &mut [F::Part],
        windows: Option<Windows<'w, F::Part>>,
        rows: impl Fn(usize) -> f64,
        out: &mut [f64],
    ) {
        let begin = block.rows.start;
        let (n, first) = (out.len(), begin + usize::from(F::STEPS) + block.done);
        let end = block.rows.end - block.done;
        let [ahead_ns, behind_ns] = &mut self.at_ns;
        let (times, values) = (self.times, self.values);
        let stretch = |rows: Range<usize>, room| Rows {
            // Without steps nobody asks what was before.
            before: &values[rows.start - usize::from(F::STEPS)..rows.end - usize::from(F::STEPS)],
            values: &values[rows.clone()],
            at_ns: times.some(F::PART_TIMES, rows, room),
        };
        let mut ahead = Scan {
            origin: block.origin,
            rows: stretch(first..first + n, ahead_ns),
            part: block.forward,
            parts: &mut self.forward[..n],
        };
        let mut behind = Scan {
            origin: block.next,
            rows: stretch(end - n..end, behind_ns),
            part: block.backward,
            parts: &mut newer[end - n - begin..end - begin],
        };
        match (windows, block.near) {
            (Some(windows), true) => {
                F::chunk::<true>(&mut ahead, &mut behind, windows, rows, out);
            }
            (Some(windows), false) => {
                F::chunk::<false>(&mut ahead, &mut behind, windows, rows, out);
            }
            (None, _) => {
                F::scan::<false>(&mut ahead, &mut behind);
                let row = |i: usize| Row {
                    at_ns: times.at(i),
                    value: values[i],
                };
                for (k, out) in out.iter_mut().enumerate() {
                    let (start, last) = (row(begin), row(first + k));
                    *out = F::value(ahead.parts[k], block.origin, start, last, rows(k));
                }
            }
        }
        (block.forward, block.backward) = (ahead.part, behind.part);
        block.done += n;
    }
}

impl<P: Copy> Block<P> {
    /// The rows of the next chunk; none when all are done. The step to the first row of a block is not of this block, so of steps that row
    /// is in no chunk.
    pub(super) fn chunk<F: Fold<Part = P>>(&self) -> Range<usize> {
        let first = self.rows.start + usize::from(F::STEPS) + self.done;
        first..self.rows.end.min(first + CHUNK)
    }

    /// The origin of the block after it, if that follows.
    pub(super) fn next(&self) -> Origin {
        self.next
    }
}

/// Puts the step from one block into the next to the parts of the first.
pub(super) fn enter<F: Fold>(parts: &mut [F::Part], step: F::Part) {
    for part in parts {
        *part = F::merge(*part, step);
    }
}

/// Whether any result must be looked at again.
#[inline]
pub(super) fn suspects<F: Fold>(out: &[f64]) -> bool {
    F::SUSPECT.is_some_and(|suspect| out.iter().fold(false, |any, v| any | (*v == suspect)))
}
