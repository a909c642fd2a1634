//! gctrace logs: the standard error of a Go program with `GODEBUG=gctrace=1`, mixed with its own lines.
//!
//! A line has no wall clock, only the time since process start. It is placed, in this order, by the given start of its process, by the
//! timestamp that a log collector put on the line itself, or by the timestamps of the log lines around: each line that stands before a
//! gctrace line was written before the cycle's end, each line after it later, which bounds the process' start from both sides.

use std::io::BufRead;

use super::gctrace_line::{self, Torn};
use super::gctrace_process::{
    Anchor, MAX_PENDING, Process, end_since_start, reject_unplaced, write,
};
use super::json_head::json_format;
use super::line::Lines;
use super::log_time::{LogTime, log_time};
use super::output::Output;
use super::{Context, Source};
use crate::Result;
use crate::record::{GcCycle, RecordSink};

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

#[derive(Default)]
struct Log {
    process: Option<Process>,
    processes: usize,
    torn: u64,
    /// The first and the last timestamp of a log line.
    first_time: Option<LogTime>,
    last_time: Option<LogTime>,
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
    // Loggers of applications often leave the zone out, collectors seldom: then nothing may stand between.
    let most = if time.zoned { 4 } else { 0 };
    words(between) <= most && words(before) <= 3 && !prose(between) && !prose(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;
    use crate::{Bytes, Nanos, Timestamp};

    /// A gctrace line: cycle, milliseconds since process start; the phases take 1, 8 and 0.5 ms.
    fn gc(number: i64, ms: i64) -> String {
        let (s, ms) = (ms / 1000, ms % 1000);
        format!(
            "gc {number} @{s}.{ms:03}s 5%: 1.0+8.0+0.50 ms clock, 2.0+0.1/4.0/0+1.0 ms cpu, 3->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P"
        )
    }

    fn read(lines: &[String], starts: &[Timestamp]) -> Collected {
        let context = Context {
            identity: Some(crate::record::Identity {
                service: "service".into(),
                instance: "instance".into(),
            }),
            process_starts: starts.to_vec(),
            ..Context::default()
        };
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Collected::with(&GcTrace, text.as_bytes(), &context)
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn times(read: &Collected) -> Vec<(Option<i64>, i64, String)> {
        let all = read.gc_cycles.iter();
        all.map(|(_, c)| (c.process, c.gc_num, c.at.to_string()[17..].to_owned()))
            .collect()
    }

    #[test]
    fn a_known_start_places_cycles_and_their_pauses() {
        let start = at("2026-11-23T05:03:00Z");
        let read = read(&[gc(1, 1500)], &[start]);
        let (_, cycle) = &read.gc_cycles[0];
        assert_eq!(cycle.at, at("2026-11-23T05:03:01.5Z"));
        assert_eq!(cycle.heap_start, Some(Bytes(3 << 20)));
        let pauses: Vec<String> = read
            .gc_pauses
            .iter()
            .map(|(_, p)| {
                let end = p.at.since(start).0;
                format!(
                    "{end} {} {:?} {:?} {:?}",
                    p.pause.0, p.kind, p.origin, p.gc_num
                )
            })
            .collect();
        assert_eq!(
            pauses,
            [
                "1501000000 1000000 SweepTermination GcTrace Some(1)",
                "1509500000 500000 MarkTermination GcTrace Some(1)",
            ]
        );
        assert_eq!(
            read.notes,
            ["process 1 is placed by its known start, 2026-11-23T05:03:00.000000Z"]
        );
    }

    #[test]
    fn a_number_that_goes_back_is_another_process() {
        let lines = [
            gc(1, 100),
            gc(2, 200),
            gc(2, 200),
            gc(5, 300),
            gc(1, 50),
            gc(2, 400),
            gc(3, 100),
        ];
        let starts = [at("2026-11-23T05:03:00Z"), at("2026-11-23T05:04:10Z")];
        let read = read(&lines, &starts);
        let expected = [
            (Some(1), 1, "00.100000Z"),
            (Some(1), 2, "00.200000Z"),
            // A collector may write a line twice.
            (Some(1), 2, "00.200000Z"),
            (Some(1), 5, "00.300000Z"),
            (Some(2), 1, "10.050000Z"),
            (Some(2), 2, "10.400000Z"),
        ];
        assert_eq!(times(&read), expected.map(|(p, n, t)| (p, n, t.to_owned())));
        // The time since start went back too: a third process, of which no start is known.
        assert_eq!(read.rejected.len(), 1);
        assert_eq!(
            read.notes[1..],
            [
                "process 1: 2 GC cycles are missing: 3-4",
                "process 2 is placed by its known start, 2026-11-23T05:04:10.000000Z",
                "process 3 is not placed: its GC cycles have no wall clock; give --start TIME, or ingest its recording beside it",
                "process 3 begins with GC cycle 3: the log is not whole",
                "the log has 3 processes, but 2 process starts are known",
            ]
        );
    }

    #[test]
    fn glued_lines_are_read_and_torn_ones_counted() {
        let lines = [
            format!("app line without newline;{}", gc(1, 100)),
            format!("{}{}", gc(2, 200), gc(3, 300)),
            "gc 4 @0.400s 5%: level=info msg=\"x\"".to_owned(),
            "1.0+8.0+0.50 ms clock, 2.0+0.1/4.0/0+1.0 ms cpu, 3->4->1 MB, 4 MB goal, 2 P"
                .to_owned(),
            format!("gc 5 @0.5{}", gc(6, 600)),
            "scav 448 KiB work, 3872 KiB total, 77% util".to_owned(),
            "GC forced".to_owned(),
        ];
        let read = read(&lines, &[at("2026-11-23T05:03:00Z")]);
        let cycles: Vec<i64> = read.gc_cycles.iter().map(|(_, c)| c.gc_num).collect();
        assert_eq!(cycles, [1, 2, 3, 6]);
        let torn: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(torn, [(3, "sweep termination"), (5, "time since start")]);
        assert_eq!(
            read.notes[1..],
            [
                "process 1: 2 GC cycles are missing: 4-5",
                "2 gctrace lines are torn by other output and were not read",
            ]
        );
    }

    #[test]
    fn log_collectors_say_when_a_cycle_ended() {
        for line in [
            format!("2026-11-23T05:03:20.5095Z {}", gc(7, 1000)),
            format!("2026-11-23T05:03:20.5095Z stderr F {}", gc(7, 1000)),
            format!("api-1  | 2026-11-23T05:03:20.5095Z {}", gc(7, 1000)),
            format!("2026-11-23 05:03:20.5095 {}", gc(7, 1000)),
            format!(
                "2026-11-23T06:03:20.5095+0100 host api[12]: {}",
                gc(7, 1000)
            ),
            format!(
                r#"{{"log":"{}\n","stream":"stderr","time":"2026-11-23T05:03:20.5095Z"}}"#,
                gc(7, 1000)
            ),
        ] {
            let read = read(std::slice::from_ref(&line), &[]);
            assert_eq!(
                times(&read),
                [(Some(1), 7, "20.500000Z".to_owned())],
                "{line}"
            );
            assert_eq!(read.gc_cycles[0].1.forced, Some(false), "{line}");
            assert!(read.notes[0].contains("log times on its gctrace lines"));
        }
    }

    #[test]
    fn log_lines_around_bound_the_start() {
        // The process began at 05:03:00; each cycle takes 9.5 ms.
        let log = |time: &str| format!("api 2026/11/23 05:03:{time} level=info msg=\"x\"");
        let lines = [
            log("00.001"),
            gc(1, 1000),
            log("01.012"),
            log("01.900"),
            gc(2, 1900),
            gc(3, 5000),
        ];
        let read = read(&lines, &[]);
        assert_eq!(read.rejected, []);
        let start = read.gc_cycles[0].1.at.minus(Nanos(1_000_000_000));
        let off = start.since(at("2026-11-23T05:03:00Z")).0.abs();
        assert!(off <= 6_000_000, "{off}");
        assert!(
            read.notes[0].ends_with("log times without a zone were read as UTC"),
            "{:?}",
            read.notes
        );
    }

    #[test]
    fn bounds_that_are_far_apart_place_nothing() {
        let lines = [
            "ts=2026-11-23T05:03:00Z msg=x".to_owned(),
            gc(4, 60_000),
            "ts=2026-11-23T05:09:00Z msg=x".to_owned(),
            gc(5, 90_000),
        ];
        let read = read(&lines, &[]);
        assert_eq!((read.gc_cycles.len(), read.gc_pauses.len()), (0, 0));
        let lines: Vec<u64> = read.rejected.iter().map(|r| r.place.line).collect();
        assert_eq!(lines, [2, 4]);
        assert!(read.rejected[0].expected.contains("--start"));
        assert!(
            read.notes[0].contains("say only that it began between"),
            "{:?}",
            read.notes
        );
    }

    #[test]
    fn a_wrong_start_is_said() {
        let lines = [
            "ts=2026-11-23T05:03:00Z msg=x".to_owned(),
            gc(1, 1000),
            "ts=2026-11-23T05:03:02Z msg=x".to_owned(),
        ];
        let right = read(&lines, &[at("2026-11-23T05:03:00.5Z")]);
        assert_eq!(right.notes.len(), 1);
        let wrong = read(&lines, &[at("2026-11-23T04:00:00Z")]);
        assert!(wrong.notes[1].contains("looks wrong"), "{:?}", wrong.notes);
        assert_eq!(wrong.gc_cycles.len(), 1);
        // Local times without a zone are whole quarters of an hour off, and say nothing.
        let local: Vec<String> = lines
            .iter()
            .map(|line| line.replace("Z msg", " msg").replace("T05", "T10"))
            .collect();
        assert_eq!(read(&local, &[at("2026-11-23T05:03:00.5Z")]).notes.len(), 1);
    }
}
