//! One process of a gctrace log: where its cycles are on the wall clock, and which are missing.

use super::output::Output;
use crate::record::{GcCycle, GcPause, Identity, PauseKind, PauseOrigin};
use crate::{Nanos, Result, Timestamp};

/// Log times that bound a start more closely than this decide at once: closer does not help, @T has milliseconds.
const CLOSE: i64 = 20_000_000;
/// Bounds that are farther apart than this at the end decide nothing.
const WIDEST: i64 = 1_000_000_000;
/// A logger takes its time a little before it writes, so that bounds may overlap by this much.
const OVERLAP: i64 = 50_000_000;
/// Cycles that wait for a bound.
pub(super) const MAX_PENDING: usize = 1 << 15;
/// Ranges of missing cycles that a note spells out.
const MAX_RANGES: usize = 20;

/// Where the cycles of a process are on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Given(Timestamp),
    /// By a timestamp on each line.
    OwnLine,
    /// By the lines around: somewhere in the `Bounds`.
    Around(Timestamp),
}

/// One process of the log.
pub(super) struct Process {
    /// From 1.
    pub(super) number: usize,
    pub(super) anchor: Option<Anchor>,
    pub(super) bounds: Bounds,
    pub(super) pending: Vec<(u64, GcCycle)>,
    pub(super) unplaced: u64,
    first: i64,
    last: i64,
    last_start: Nanos,
    /// End of the last cycle since process start.
    pub(super) last_end: Nanos,
    missing: Vec<(i64, i64)>,
    missing_ranges: usize,
    missing_count: i64,
}

/// When a process began, by the log lines around its cycles.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// Whether all times that were used say their zone.
    pub(super) zoned: bool,
}

impl Bounds {
    fn width(&self) -> i64 {
        self.latest.saturating_sub(self.earliest)
    }

    fn known(&self) -> bool {
        self.earliest != i64::MIN && self.latest != i64::MAX
    }

    fn middle(&self) -> Timestamp {
        Timestamp(self.earliest.saturating_add(self.width() / 2))
    }
}

impl Process {
    pub(super) fn new(number: usize, cycle: &GcCycle, given: Option<Timestamp>) -> Self {
        Process {
            number,
            anchor: given.map(Anchor::Given),
            bounds: Bounds {
                earliest: i64::MIN,
                latest: i64::MAX,
                zoned: true,
            },
            pending: Vec::new(),
            unplaced: 0,
            first: cycle.gc_num,
            last: cycle.gc_num - 1,
            last_start: Nanos(0),
            last_end: Nanos(0),
            missing: Vec::new(),
            missing_ranges: 0,
            missing_count: 0,
        }
    }

    /// Whether a cycle belongs to a later process: the count begins anew. A line that a collector wrote twice does not count.
    pub(super) fn is_over(&self, gc_num: i64, since_start: Nanos) -> bool {
        let same = gc_num == self.last && since_start == self.last_start;
        (gc_num <= self.last || since_start < self.last_start) && !same
    }

    pub(super) fn count(&mut self, cycle: &GcCycle) {
        let missing = cycle.gc_num - self.last - 1;
        if missing > 0 {
            if self.missing.len() < MAX_RANGES {
                self.missing.push((self.last + 1, cycle.gc_num - 1));
            }
            self.missing_ranges += 1;
            self.missing_count = self.missing_count.saturating_add(missing);
        }
        self.last = cycle.gc_num;
        self.last_start = cycle.since_start.unwrap_or_default();
    }

    /// Places the cycles once the bounds are so close that later lines cannot help: the same beginning of a log gives the same times.
    pub(super) fn decide_early(&mut self, out: &mut Output<'_>) -> Result<()> {
        let decided = self.bounds.known() && self.bounds.width() <= CLOSE;
        if self.anchor.is_none() && decided && self.bounds.width() >= -OVERLAP {
            self.decide(out)?;
        }
        Ok(())
    }

    /// Places the cycles that wait, or gives them up.
    pub(super) fn decide(&mut self, out: &mut Output<'_>) -> Result<()> {
        if self.anchor.is_none()
            && self.bounds.known()
            && (-OVERLAP..=WIDEST).contains(&self.bounds.width())
        {
            self.anchor = Some(Anchor::Around(self.bounds.middle()));
        }
        for (line, cycle) in self.pending.drain(..) {
            match self.anchor {
                Some(Anchor::Given(start) | Anchor::Around(start)) => {
                    write(line, &cycle, start, out)?;
                }
                Some(Anchor::OwnLine) | None => {
                    self.unplaced += 1;
                    reject_unplaced(line, out)?;
                }
            }
        }
        Ok(())
    }

    /// Says how the cycles were placed and what is missing.
    pub(super) fn report(&self, out: &mut Output<'_>) {
        let number = self.number;
        let zone = if self.bounds.zoned {
            ""
        } else {
            "; log times without a zone were read as UTC"
        };
        let between = || {
            let (from, to) = (
                Timestamp(self.bounds.earliest),
                Timestamp(self.bounds.latest),
            );
            format!("between {from} and {to}")
        };
        let placed = match self.anchor {
            Some(Anchor::Given(start)) => {
                format!("process {number} is placed by its known start, {start}")
            }
            Some(Anchor::OwnLine) => {
                format!("process {number} is placed by the log times on its gctrace lines{zone}")
            }
            Some(Anchor::Around(start)) => {
                let ms = (self.bounds.width().abs() / 2).max(1_000_000) / 1_000_000;
                format!(
                    "process {number} is placed by the log lines around: it began at {start} ± {ms} ms{zone}"
                )
            }
            None if self.bounds.known() => format!(
                "process {number} is not placed: the log lines around say only that it began {}; give --start TIME",
                between()
            ),
            None => format!(
                "process {number} is not placed: its GC cycles have no wall clock; give --start TIME, or ingest its recording beside it"
            ),
        };
        out.sink.note(placed);
        if let Some(Anchor::Given(start)) = self.anchor
            && self.contradicts(start)
        {
            let by = between();
            out.sink.note(format!(
                "the known start of process {number}, {start}, looks wrong: by its log lines it began {by}{zone}"
            ));
        }
        if self.first > 1 {
            let first = self.first;
            out.sink.note(format!(
                "process {number} begins with GC cycle {first}: the log is not whole"
            ));
        }
        if self.missing_count > 0 {
            let ranges: Vec<String> = self
                .missing
                .iter()
                .map(|(from, to)| match from == to {
                    true => from.to_string(),
                    false => format!("{from}-{to}"),
                })
                .collect();
            let more = match self.missing_ranges - self.missing.len() {
                0 => String::new(),
                more => format!(" and {more} more ranges"),
            };
            let (count, ranges) = (self.missing_count, ranges.join(", "));
            out.sink.note(format!(
                "process {number}: {count} GC cycles are missing: {ranges}{more}"
            ));
        }
    }

    /// Whether the log lines around say that a start is wrong by more than a second.
    fn contradicts(&self, start: Timestamp) -> bool {
        let Bounds {
            earliest,
            latest,
            zoned,
        } = self.bounds;
        let off = (earliest.saturating_sub(start.0)).max(start.0.saturating_sub(latest));
        // Times without a zone may be local: whole quarters of an hour off.
        const QUARTER: i64 = 15 * 60 * 1_000_000_000;
        let rest = off.rem_euclid(QUARTER);
        let local = !zoned && off > QUARTER / 2 && rest.min(QUARTER - rest) < 10_000_000_000;
        off > 1_000_000_000 && !local
    }
}

/// From process start to the end of a cycle.
pub(super) fn end_since_start(cycle: &GcCycle) -> Nanos {
    let phases = [cycle.sweep_termination, cycle.mark, cycle.mark_termination];
    let wall = phases
        .iter()
        .flatten()
        .fold(0i64, |sum, phase| sum.saturating_add(phase.0));
    Nanos(cycle.since_start.unwrap_or_default().0.saturating_add(wall))
}

/// Writes a cycle of a process that began at `start`, and its two pauses.
pub(super) fn write(
    line: u64,
    cycle: &GcCycle,
    start: Timestamp,
    out: &mut Output<'_>,
) -> Result<()> {
    let Some(of) = out.context.identity.clone() else {
        return out.reject_identity(line);
    };
    let mut cycle = cycle.clone();
    cycle.at = start.plus(cycle.since_start.unwrap_or_default());
    out.sink.gc_cycle(&of, &cycle)?;
    let mut pause = |of: &Identity, at: Timestamp, pause: Option<Nanos>, kind: PauseKind| {
        let mut row = GcPause::new(at, pause.unwrap_or_default(), kind, PauseOrigin::GcTrace);
        row.process = cycle.process;
        row.gc_num = Some(cycle.gc_num);
        out.sink.gc_pause(of, &row)
    };
    let swept = cycle.at.plus(cycle.sweep_termination.unwrap_or_default());
    pause(
        &of,
        swept,
        cycle.sweep_termination,
        PauseKind::SweepTermination,
    )?;
    let end = start.plus(end_since_start(&cycle));
    pause(&of, end, cycle.mark_termination, PauseKind::MarkTermination)
}

pub(super) fn reject_unplaced(line: u64, out: &mut Output<'_>) -> Result<()> {
    let expected = "a wall clock: --start TIME of the process, a recording beside the log, or log lines with timestamps";
    out.reject(line, "", expected, "a GC cycle without one")
}
