//! gctrace logs: the standard error of a Go program with `GODEBUG=gctrace=1`, mixed with its own lines.
//!
//! A line has no wall clock, only the time since process start. It is placed, in this order, by the given start of its process, by the
//! timestamp that a log collector put on the line itself, or by the timestamps of the log lines around: each line that stands before a
//! gctrace line was written before the cycle's end, each line after it later, which bounds the process' start from both sides.

use std::io::BufRead;

use super::gctrace_line::{self, Torn};
use super::json_head::json_format;
use super::line::Lines;
use super::log_time::{LogTime, log_time};
use super::output::Output;
use super::{Context, Source};
use crate::record::{GcCycle, GcPause, Identity, PauseKind, PauseOrigin, RecordSink};
use crate::{Nanos, Result, Timestamp};

/// gctrace logs.
pub(super) struct GcTrace;

impl Source for GcTrace {
    fn name(&self) -> &'static str {
        "gctrace"
    }

    fn about(&self) -> &'static str {
        "logs with GODEBUG=gctrace=1 lines, placed by --start, a recording beside them, or log timestamps"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head).is_none()
            && head.split(|b| *b == b'\n').any(|line| {
                // Past the percent sign, so that prose is not mistaken for a log.
                gctrace_line::find(line).is_some_and(|at| {
                    match gctrace_line::parse(&line[at..], true) {
                        Ok(_) => true,
                        Err(torn) => {
                            !matches!(torn.field, "cycle" | "time since start" | "percent")
                        }
                    }
                })
            })
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut log = Log::default();
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text {
                Some(text) => log.line(line.number, text, line.ended, &mut out)?,
                None => out.reject_length(line.number)?,
            }
        }
        log.finish(&mut out)
    }
}

/// Log times that bound a start more closely than this decide at once: closer does not help, @T has milliseconds.
const CLOSE: i64 = 20_000_000;
/// Bounds that are farther apart than this at the end decide nothing.
const WIDEST: i64 = 1_000_000_000;
/// A logger takes its time a little before it writes, so that bounds may overlap by this much.
const OVERLAP: i64 = 50_000_000;
/// Cycles that wait for a bound.
const MAX_PENDING: usize = 1 << 15;
/// Ranges of missing cycles that a note spells out.
const MAX_RANGES: usize = 20;

#[derive(Default)]
struct Log {
    process: Option<Process>,
    processes: usize,
    torn: u64,
    /// The first and the last timestamp of a log line.
    first_time: Option<LogTime>,
    last_time: Option<LogTime>,
}

/// Where the cycles of a process are on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Given(Timestamp),
    /// By a timestamp on each line.
    OwnLine,
    /// By the lines around: somewhere in the `Bounds`.
    Around(Timestamp),
}

/// One process of the log.
struct Process {
    /// From 1.
    number: usize,
    anchor: Option<Anchor>,
    bounds: Bounds,
    pending: Vec<(u64, GcCycle)>,
    unplaced: u64,
    first: i64,
    last: i64,
    last_start: Nanos,
    /// End of the last cycle since process start.
    last_end: Nanos,
    missing: Vec<(i64, i64)>,
    missing_ranges: usize,
    missing_count: i64,
}

/// When a process began, by the log lines around its cycles.
#[derive(Clone, Copy)]
struct Bounds {
    earliest: i64,
    latest: i64,
    /// Whether all times that were used say their zone.
    zoned: bool,
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

impl Log {
    fn line(&mut self, number: u64, text: &[u8], ended: bool, out: &mut Output<'_>) -> Result<()> {
        let time = log_time(text);
        let mut from = 0;
        let mut seen = false;
        while let Some(at) = gctrace_line::find(&text[from..]) {
            let at = from + at;
            if !seen {
                seen = true;
                // Text before a glued line is a log line of its own.
                let own = time.filter(|t| is_collector(text, t, at));
                if let (Some(time), None) = (time.filter(|t| t.end <= at), own) {
                    self.log_line(time, out)?;
                }
            }
            match gctrace_line::parse(&text[at..], ended) {
                Ok((cycle, length)) => {
                    let own = time.filter(|t| is_collector(text, t, at));
                    self.cycle(number, cycle, own, out)?;
                    from = at + length;
                }
                Err(Torn {
                    field,
                    expected,
                    found,
                }) => {
                    self.torn += 1;
                    out.reject(number, field, expected, found)?;
                    from = at + 3;
                }
            }
        }
        match time {
            Some(time) if !seen => self.log_line(time, out),
            _ => Ok(()),
        }
    }

    /// A line that is not gctrace's was written at `time`.
    fn log_line(&mut self, time: LogTime, out: &mut Output<'_>) -> Result<()> {
        self.first_time.get_or_insert(time);
        self.last_time = Some(time);
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let latest = time.at.plus(time.unit).minus(process.last_end).0;
        process.bounds.latest = process.bounds.latest.min(latest);
        process.bounds.zoned &= time.zoned;
        process.decide_early(out)
    }

    fn cycle(
        &mut self,
        line: u64,
        mut cycle: GcCycle,
        own: Option<LogTime>,
        out: &mut Output<'_>,
    ) -> Result<()> {
        let since_start = cycle.since_start.unwrap_or_default();
        let restarted = self
            .process
            .as_ref()
            .is_some_and(|p| p.is_over(cycle.gc_num, since_start));
        if restarted {
            self.end_process(out)?;
        }
        if self.process.is_none() {
            self.processes += 1;
            let given = out.context.process_starts.get(self.processes - 1);
            let mut process = Process::new(self.processes, &cycle, given.copied());
            // What the first process of a log wrote before its first cycle, it wrote after its start.
            let first = self
                .first_time
                .filter(|_| self.processes == 1 && cycle.gc_num == 1);
            if let Some(time) = first {
                process.bounds.latest = time.at.plus(time.unit).0;
                process.bounds.zoned &= time.zoned;
            }
            self.process = Some(process);
        }
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.count(&cycle);
        cycle.process = i64::try_from(process.number).ok();
        process.last_end = end_since_start(&cycle);
        if let Some(time) = self.last_time {
            let earliest = time.at.minus(process.last_end).0;
            process.bounds.earliest = process.bounds.earliest.max(earliest);
            process.bounds.zoned &= time.zoned;
        }
        if process.anchor.is_none()
            && let Some(own) = own
        {
            process.anchor = Some(Anchor::OwnLine);
            process.bounds.zoned &= own.zoned;
        }
        match (process.anchor, own) {
            (Some(Anchor::Given(start) | Anchor::Around(start)), _) => {
                write(line, &cycle, start, out)
            }
            (Some(Anchor::OwnLine), Some(own)) => {
                // The line was written when the cycle had ended.
                write(line, &cycle, own.at.minus(end_since_start(&cycle)), out)
            }
            (Some(Anchor::OwnLine), None) => {
                process.unplaced += 1;
                reject_unplaced(line, out)
            }
            (None, _) => {
                process.pending.push((line, cycle));
                process.decide_early(out)?;
                if process.pending.len() >= MAX_PENDING {
                    process.decide(out)?;
                }
                Ok(())
            }
        }
    }

    fn end_process(&mut self, out: &mut Output<'_>) -> Result<()> {
        match self.process.take() {
            Some(mut process) => {
                process.decide(out)?;
                process.report(out);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn finish(mut self, out: &mut Output<'_>) -> Result<()> {
        self.end_process(out)?;
        let given = out.context.process_starts.len();
        if given > 0 && given < self.processes {
            let processes = self.processes;
            out.sink.note(format!(
                "the log has {processes} processes, but {given} process starts are known"
            ));
        }
        if self.torn > 0 {
            let torn = self.torn;
            out.sink.note(format!(
                "{torn} gctrace lines are torn by other output and were not read"
            ));
        }
        Ok(())
    }
}

impl Process {
    fn new(number: usize, cycle: &GcCycle, given: Option<Timestamp>) -> Self {
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
    fn is_over(&self, gc_num: i64, since_start: Nanos) -> bool {
        let same = gc_num == self.last && since_start == self.last_start;
        (gc_num <= self.last || since_start < self.last_start) && !same
    }

    fn count(&mut self, cycle: &GcCycle) {
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
    fn decide_early(&mut self, out: &mut Output<'_>) -> Result<()> {
        let decided = self.bounds.known() && self.bounds.width() <= CLOSE;
        if self.anchor.is_none() && decided && self.bounds.width() >= -OVERLAP {
            self.decide(out)?;
        }
        Ok(())
    }

    /// Places the cycles that wait, or gives them up.
    fn decide(&mut self, out: &mut Output<'_>) -> Result<()> {
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
    fn report(&self, out: &mut Output<'_>) {
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
fn end_since_start(cycle: &GcCycle) -> Nanos {
    let phases = [cycle.sweep_termination, cycle.mark, cycle.mark_termination];
    let wall = phases
        .iter()
        .flatten()
        .fold(0i64, |sum, phase| sum.saturating_add(phase.0));
    Nanos(cycle.since_start.unwrap_or_default().0.saturating_add(wall))
}

/// Writes a cycle of a process that began at `start`, and its two pauses.
fn write(line: u64, cycle: &GcCycle, start: Timestamp, out: &mut Output<'_>) -> Result<()> {
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

fn reject_unplaced(line: u64, out: &mut Output<'_>) -> Result<()> {
    let expected = "a wall clock: --start TIME of the process, a recording beside the log, or log lines with timestamps";
    out.reject(line, "", expected, "a GC cycle without one")
}

/// Whether a timestamp was put on a gctrace line by a log collector, and does not belong to text of the application before it.
///
/// A collector writes the time, and at most a few words (`stderr F`, a host and a unit), right before the line; or wraps it in JSON.
fn is_collector(line: &[u8], time: &LogTime, gctrace: usize) -> bool {
    if time.start > gctrace {
        return line.starts_with(b"{") && line.ends_with(b"}");
    }
    let between = &line[time.end.min(gctrace)..gctrace];
    let before = &line[..time.start];
    let words = |text: &[u8]| {
        text.split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .count()
    };
    let prose = |text: &[u8]| text.iter().any(|b| matches!(b, b'=' | b';' | b',' | b'"'));
    time.zoned && words(between) <= 4 && words(before) <= 3 && !prose(between) && !prose(before)
}
