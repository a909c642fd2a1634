//! A statistic of the window before each row, row by row: equal to [`by_count`](super::by_count) and [`by_time`](super::by_time) to the
//! last bit.

use super::batch::block;
use super::fold::Fold;
use super::rows::{Origin, Row};

/// How far a window reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// So many rows.
    Rows(usize),
    /// So much time.
    Time(i64),
}

/// The window before the newest row. Holds at most the rows of two windows.
///
/// ```
/// # use memwatch_core::stats::window::{Mean, Stream, Width};
/// let mut mean = Stream::new(Mean, Width::Time(10));
/// assert_eq!(mean.push(0, 4.0), 4.0);
/// assert_eq!(mean.push(6, 2.0), 3.0);
/// assert_eq!(mean.push(12, 6.0), 4.0);
/// ```
#[derive(Debug, Clone)]
pub struct Stream<F: Fold> {
    width: Width,
    rows: i64,
    /// The block before, if it ends where this one begins, and the parts from each of its rows to its end.
    older: Vec<(i64, Row)>,
    older_parts: Vec<F::Part>,
    /// The present block.
    block: Vec<(i64, Row)>,
    ends: i64,
    origin: Option<Origin>,
    into: F::Part,
    forward: F::Part,
    first: usize,
    last: Option<Row>,
}

impl<F: Fold> Stream<F> {
    /// A window with no rows yet.
    ///
    /// # Panics
    /// When the width is not positive.
    #[must_use]
    pub fn new(_: F, width: Width) -> Stream<F> {
        assert!(
            !matches!(width, Width::Rows(0) | Width::Time(..=0)),
            "a window of positive width"
        );
        Stream {
            width,
            rows: 0,
            older: Vec::new(),
            older_parts: Vec::new(),
            block: Vec::new(),
            ends: 0,
            origin: None,
            into: F::EMPTY,
            forward: F::EMPTY,
            first: 0,
            last: None,
        }
    }

    /// Takes the next row; gives the statistic of the window that it ends.
    ///
    /// # Panics
    /// When `at_ns` is before that of the row before.
    pub fn push(&mut self, at_ns: i64, value: f64) -> f64 {
        let result = self.put(at_ns, value);
        if F::SUSPECT == Some(result) {
            let values = |rows: &[(i64, Row)]| rows.iter().map(|(_, row)| row.value).collect();
            let (older, newer): (Vec<f64>, Vec<f64>) =
                (values(&self.older[self.first..]), values(&self.block));
            return F::again(&older, &newer);
        }
        result
    }

    fn put(&mut self, at_ns: i64, value: f64) -> f64 {
        let row = Row { at_ns, value };
        assert!(
            self.last.is_none_or(|last| last.at_ns <= at_ns),
            "times ascend"
        );
        self.rows += 1;
        // Rows are counted from 1, so that a block `(begin, end]` holds as many as a window.
        let (place, width) = match self.width {
            Width::Rows(rows) => (self.rows, i64::try_from(rows).unwrap_or(i64::MAX)),
            Width::Time(time) => (at_ns, time),
        };
        if self.block.is_empty() || place > self.ends {
            self.begin(row, block(place, width));
        } else {
            let before = self.last.unwrap_or(row);
            let origin = self.origin.unwrap_or(Origin::at(row));
            self.forward = F::merge(self.forward, F::part(origin, before, row));
        }
        self.block.push((place, row));
        self.last = Some(row);

        let edge = place.saturating_sub(width);
        while self
            .older
            .get(self.first)
            .is_some_and(|(then, _)| *then <= edge)
        {
            self.first += 1;
        }
        let origin = self.origin.unwrap_or(Origin::at(row));
        let rows = (self.older.len() - self.first + self.block.len()) as f64;
        match self.older.get(self.first) {
            Some((_, first)) => {
                let part = self.older_parts[self.first + usize::from(F::STEPS)];
                let part = if F::STEPS {
                    F::merge(part, self.into)
                } else {
                    part
                };
                F::value(F::merge(part, self.forward), origin, *first, row, rows)
            }
            None => F::value(self.forward, origin, self.block[0].1, row, rows),
        }
    }

    /// Begins a block with `row`.
    fn begin(&mut self, row: Row, (begins, ends): (i64, i64)) {
        std::mem::swap(&mut self.older, &mut self.block);
        self.block.clear();
        self.older_parts.clear();
        self.first = 0;
        self.origin = None;
        if begins != self.ends || self.older.is_empty() {
            self.older.clear();
        } else {
            let length = self.older.len();
            let next = Origin::after(
                self.older[length - 1].1.at_ns,
                F::usual(length).map(|row| self.older[row].1.value),
            );
            self.older_parts.resize(length + 2, F::EMPTY);
            for j in (0..length).rev() {
                // The step to the first row of a block is never asked of its parts.
                let before = self.older[j.max(1) - 1].1;
                self.older_parts[j] = F::merge(
                    F::part(next, before, self.older[j].1),
                    self.older_parts[j + 1],
                );
            }
            self.origin = Some(next);
        }
        let origin = *self.origin.get_or_insert(Origin::at(row));
        let before = self.last.unwrap_or(row);
        self.ends = ends;
        (self.into, self.forward) = if F::STEPS {
            (F::part(origin, before, row), F::EMPTY)
        } else {
            (F::EMPTY, F::merge(F::EMPTY, F::part(origin, before, row)))
        };
    }
}
