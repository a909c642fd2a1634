//! Which rows a window function looks at, where that is a stretch that ends at the row itself.

use std::ops::Range;

use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use memwatch_core::stats::window::Width;

use super::kind::interval_ns;

/// A stretch of rows that ends at the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    /// The row and so many before it.
    Rows(usize),
    /// The rows of the same time, and those so many nanoseconds before it or less.
    Time(i64),
    /// The rows of the same time, and all before.
    Running,
}

impl Frame {
    /// The frame of a window that is ordered by time, oldest first; `None` for those of other forms.
    pub(crate) fn of(frame: &WindowFrame) -> Option<Frame> {
        if frame.end_bound != WindowFrameBound::CurrentRow {
            return None;
        }
        match (&frame.units, &frame.start_bound) {
            (WindowFrameUnits::Rows, WindowFrameBound::CurrentRow) => Some(Frame::Rows(0)),
            (WindowFrameUnits::Rows, WindowFrameBound::Preceding(before)) if before.is_null() => {
                Some(Frame::Rows(usize::MAX))
            }
            (WindowFrameUnits::Rows, WindowFrameBound::Preceding(before)) => {
                let text = before.to_string();
                text.parse().ok().map(Frame::Rows)
            }
            (WindowFrameUnits::Range, WindowFrameBound::CurrentRow) => Some(Frame::Time(0)),
            (WindowFrameUnits::Range, WindowFrameBound::Preceding(before)) if before.is_null() => {
                Some(Frame::Running)
            }
            (WindowFrameUnits::Range, WindowFrameBound::Preceding(before)) => interval_ns(before)
                .filter(|ns| *ns >= 0 && *ns < i64::MAX)
                .map(Frame::Time),
            _ => None,
        }
    }

    /// Whether rows of one time have one frame.
    pub(crate) fn joins_peers(self) -> bool {
        !matches!(self, Frame::Rows(_))
    }

    /// The width of a kernel's window with the same rows, of `rows` rows in all. SQL's range has both ends, a kernel's is open at its begin.
    pub(crate) fn width(self, rows: usize) -> Width {
        match self {
            Frame::Rows(before) => Width::Rows(before.saturating_add(1).min(rows.max(1))),
            Frame::Time(ns) => Width::Time(ns + 1),
            Frame::Running => Width::Rows(rows.max(1)),
        }
    }
}

/// The rows of each frame among those that have a value, found for one row after the other.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    frame: Frame,
    /// Times of the rows that have a value.
    at_ns: &'a [i64],
    /// For [`Frame::Rows`]: how many rows before each have a value, and at the end how many in all; empty when all have.
    before: &'a [usize],
    begin: usize,
    end: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(frame: Frame, at_ns: &'a [i64], before: &'a [usize]) -> Frames<'a> {
        Frames {
            frame,
            at_ns,
            before,
            begin: 0,
            end: 0,
        }
    }

    /// The frame of the next row: row `row` of the partition, at `at`.
    pub(crate) fn of(&mut self, row: usize, at: i64) -> Range<usize> {
        match self.frame {
            Frame::Rows(count) => {
                let kept = |row: usize| self.before.get(row).copied().unwrap_or(row);
                return kept(row.saturating_sub(count))..kept(row + 1);
            }
            Frame::Time(width) => {
                let first = at.saturating_sub(width);
                while self.at_ns.get(self.begin).is_some_and(|then| *then < first) {
                    self.begin += 1;
                }
            }
            Frame::Running => {}
        }
        while self.at_ns.get(self.end).is_some_and(|then| *then <= at) {
            self.end += 1;
        }
        self.begin..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let at = [0, 10, 10, 25, 30];
        let all = |frame| -> Vec<Range<usize>> {
            let mut frames = Frames::new(frame, &at, &[]);
            (0..5).map(|row| frames.of(row, at[row])).collect()
        };
        assert_eq!(all(Frame::Rows(1)), [0..1, 0..2, 1..3, 2..4, 3..5]);
        assert_eq!(all(Frame::Time(15)), [0..1, 0..3, 0..3, 1..4, 3..5]);
        assert_eq!(all(Frame::Time(0)), [0..1, 1..3, 1..3, 3..4, 4..5]);
        assert_eq!(all(Frame::Running), [0..1, 0..3, 0..3, 0..4, 0..5]);
        // Of five rows the second and the fourth have no value.
        let before = [0, 1, 1, 2, 2, 3];
        let mut frames = Frames::new(Frame::Rows(2), &[0, 10, 30], &before);
        let found: Vec<Range<usize>> = (0..5).map(|row| frames.of(row, at[row])).collect();
        assert_eq!(found, [0..1, 0..1, 0..2, 1..2, 1..3]);
    }
}
