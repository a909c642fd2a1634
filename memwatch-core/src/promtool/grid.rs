//! Real samples on promtool's grid: which cells, and what stands in them.

use crate::expr::StaleAfter;
use crate::expr::staleness::markers;
use crate::series::{Series, is_stale, stale_nan};
use crate::{Labels, Nanos, Timestamp};

/// promtool's clock counts milliseconds, and a cell is two of its sampling intervals.
const FINEST: i64 = 2_000_000;

/// Cells of equal width from an origin on; cell `k` is `(origin + k · width, origin + (k + 1) · width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) origin: Timestamp,
    pub(super) width: Nanos,
    /// How many cells.
    pub(super) cells: usize,
}

impl Grid {
    /// The cell in which an instant lies.
    pub(super) fn cell(&self, at_ns: i64) -> Option<usize> {
        let into = at_ns.checked_sub(self.origin.0)?;
        let cell = usize::try_from((into - 1).div_euclid(self.width.0)).ok()?;
        (into > 0 && cell < self.cells).then_some(cell)
    }

    /// Where a cell's sample stands in the case: nanoseconds since its time zero.
    pub(super) fn middle(&self, cell: usize) -> i64 {
        i64::try_from(cell).unwrap_or(i64::MAX / self.width.0) * self.width.0 + self.width.0 / 2
    }
}

/// The widths to try, widest first: those that divide `divides` (nanoseconds), are no wider than the samples of a series lie apart, and
/// whole for promtool.
pub(super) fn widths(divides: i64, apart: i64) -> Vec<Nanos> {
    let least = (divides / apart.max(1)).max(1);
    let whole = |parts: &i64| divides % parts == 0 && (divides / parts) % FINEST == 0;
    let mut found: Vec<Nanos> = Vec::new();
    for parts in (least..=least.saturating_mul(40)).filter(whole) {
        let width = divides / parts;
        // Each at most half of the one before: little is gained by less.
        if width <= apart && found.last().is_none_or(|last| width * 2 <= last.0) {
            found.push(Nanos(width));
        }
    }
    if found.is_empty() && divides % FINEST == 0 && divides > 0 {
        found.push(Nanos(FINEST.max(gcd(divides, FINEST))));
    }
    found.truncate(4);
    found
}

pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// A series on the grid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) labels: Labels,
    /// For each cell, its sample; the staleness marker where the series ended in it.
    pub(super) cells: Vec<Option<f64>>,
    /// Samples that were left out because a newer one lies in the same cell.
    pub(super) dropped: u64,
    /// Samples that stand in it.
    pub(super) kept: u64,
    /// By how much a sample was moved, at most.
    pub(super) moved_most: Nanos,
}

/// Puts a series into cells. `recorded` begins early enough for `policy` to know where it ended.
pub(super) fn place(recorded: &Series, grid: &Grid, lookback: Nanos, policy: StaleAfter) -> Placed {
    let mut placed = Placed {
        labels: recorded.labels.clone(),
        cells: vec![None; grid.cells],
        dropped: 0,
        kept: 0,
        moved_most: Nanos(0),
    };
    for marker in markers(&recorded.at_ns, lookback, policy) {
        if let Some(cell) = grid.cell(marker.at_ns) {
            placed.cells[cell] = Some(stale_nan());
        }
    }
    for (at, value) in recorded.at_ns.iter().zip(recorded.values.iter()) {
        let Some(cell) = grid.cell(*at) else {
            continue;
        };
        let before = placed.cells[cell].replace(*value);
        if before.is_some_and(|v| !is_stale(v)) {
            placed.dropped += 1;
        } else {
            placed.kept += 1;
        }
        let moved = (at - grid.origin.0 - grid.middle(cell)).abs();
        placed.moved_most = placed.moved_most.max(Nanos(moved));
    }
    placed
}

impl Placed {
    /// The series as it is in the case, in the case's time.
    pub(super) fn series(&self, grid: &Grid) -> Series {
        let (at_ns, values): (Vec<i64>, Vec<f64>) = self
            .cells
            .iter()
            .enumerate()
            .filter_map(|(cell, value)| value.map(|v| (grid.middle(cell), v)))
            .unzip();
        Series {
            labels: self.labels.clone(),
            at_ns: at_ns.into(),
            values: values.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_divide_windows_and_hold_one_sample() {
        const MS: i64 = 1_000_000;
        let check = |divides: i64, apart: i64, expected: &[i64]| {
            let found: Vec<i64> = widths(divides * MS, apart * MS)
                .iter()
                .map(|w| w.0 / MS)
                .collect();
            assert_eq!(found, expected, "{divides} {apart}");
        };
        check(1000, 200, &[200, 100, 50, 20]);
        check(1000, 1000, &[1000, 500, 250, 100]);
        check(15_000, 60_000, &[15_000, 7_500, 3_750, 1_500]);
        check(1000, 300, &[250, 100, 50, 20]);
        check(5, 1, &[]);
    }

    #[test]
    fn the_newest_sample_of_a_cell_stands_and_ends_are_marked() {
        let series = Series {
            labels: Labels::default(),
            at_ns: [-5, 3, 10, 11, 19, 20, 31].into(),
            values: [0., 1., 2., 3., 4., 5., 6.].into(),
        };
        let grid = Grid {
            origin: Timestamp(0),
            width: Nanos(10),
            cells: 6,
        };
        let policy = StaleAfter::After(Nanos(15));
        let placed = place(&series, &grid, Nanos(300), policy);
        let shown: Vec<String> = placed
            .cells
            .iter()
            .map(|c| match c {
                None => "_".to_owned(),
                Some(v) if is_stale(*v) => "stale".to_owned(),
                Some(v) => v.to_string(),
            })
            .collect();
        assert_eq!(shown, ["2", "5", "_", "6", "stale", "_"]);
        assert_eq!((placed.kept, placed.dropped), (3, 3));
        assert_eq!(placed.moved_most, Nanos(5));
    }

    proptest! {
        /// Whatever window an evaluation looks at, it sees the same newest sample as in the recording, and as many samples where no
        /// cell has two.
        #[test]
        fn windows_see_what_they_saw(
            gaps in prop::collection::vec(1i64..40, 1..80), width in 1i64..8, step in 1i64..6, range in 1i64..12,
        ) {
            let width = Nanos(width * 2);
            let at: Vec<i64> = gaps.iter().scan(-50, |t, g| { *t += g; Some(*t) }).collect();
            let series = Series { labels: Labels::default(), values: at.iter().map(|t| *t as f64).collect(), at_ns: at.clone().into() };
            let grid = Grid { origin: Timestamp(0), width, cells: 400 };
            let placed = place(&series, &grid, Nanos(1_000_000), StaleAfter::Lookback);
            let moved = placed.series(&grid);
            for evaluation in 1..40 {
                let until = evaluation * step * width.0;
                let after = (until - range * width.0).max(0);
                let inside = |s: &Series| -> Vec<f64> {
                    let both = s.at_ns.iter().zip(s.values.iter());
                    both.filter(|(t, _)| after < **t && **t <= until).map(|(_, v)| *v).collect()
                };
                let (real, cased) = (inside(&series), inside(&moved));
                prop_assert_eq!(real.last(), cased.last());
                if placed.dropped == 0 {
                    prop_assert_eq!(real, cased);
                }
                prop_assert!(moved.at_ns.iter().all(|t| *t != after && *t != until), "no sample on an edge");
            }
            prop_assert!(placed.moved_most.0 * 2 <= width.0);
        }
    }
}
