//! Samples NDJSON: what the recorder writes, one reading of `runtime.MemStats` a line, with every new pause.

use std::io::BufRead;

use hashbrown::HashMap;
use serde::Deserialize;

use super::intern::{Identities, Strings};
use super::json::{Fault, Text, Whole};
use super::json_head::{JsonFormat, json_format};
use super::line::Lines;
use super::memstats::Counters;
use super::output::Output;
use super::samples_line::{JsonLine, JsonLines};
use super::{Context, Source};
use crate::record::{GcPause, Identity, MemorySample, PauseKind, PauseOrigin, RecordSink};
use crate::{Bytes, Nanos, Result, Timestamp};

/// Samples NDJSON.
pub(super) struct SamplesNdjson;

impl Source for SamplesNdjson {
    fn name(&self) -> &'static str {
        "samples"
    }

    fn about(&self) -> &'static str {
        "samples NDJSON: runtime.MemStats with every GC pause, as the Go recorder writes it"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::Samples)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let (mut lines_read, mut reader) = (JsonLines::default(), Reader::default());
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            match line.text {
                Some(text) => reader.line(line.number, text, &mut lines_read, &mut out)?,
                None => out.reject_length(line.number)?,
            }
        }
        Ok(())
    }
}

/// What a meta line says of the lines after it.
#[derive(Default)]
struct Meta {
    service: Option<String>,
    instance: Option<String>,
    version: Option<String>,
    go: Option<String>,
    proc: Option<i64>,
}

#[derive(Default)]
struct Reader {
    meta: Meta,
    identities: Identities,
    versions: Strings,
    go_versions: Strings,
    before: HashMap<Identity, Counters>,
}

impl Reader {
    fn line(
        &mut self,
        number: u64,
        text: &[u8],
        lines: &mut JsonLines,
        out: &mut Output<'_>,
    ) -> Result<()> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut room = None;
        let line = match lines.read(text, &mut room) {
            Ok(line) => line,
            Err(error) => {
                let fault = Fault::of(&error, text);
                return out.reject(number, fault.field, fault.expected, fault.found);
            }
        };
        match line.kind.as_ref().map(Text::as_str) {
            Some("meta") => self.meta(number, line, out),
            Some("sample") => self.sample(number, line, out),
            None if line.memstats.is_some() => self.sample(number, line, out),
            Some(other) => out.reject(number, "type", "`meta` or `sample`", other),
            None => out.reject(number, "type", "`meta` or `sample`", "nothing"),
        }
    }

    fn meta(&mut self, number: u64, line: &JsonLine<'_>, out: &mut Output<'_>) -> Result<()> {
        let owned = |text: &Option<Text<'_>>| text.as_ref().map(|t| t.as_str().to_owned());
        self.meta = Meta {
            service: owned(&line.service),
            instance: owned(&line.instance),
            version: owned(&line.version),
            go: owned(&line.go),
            proc: line.proc.map(|n| n.0),
        };
        match line.format.as_ref().map(Text::as_str) {
            None | Some("memwatch-samples/1") => Ok(()),
            Some(other) => out.reject(number, "format", "memwatch-samples/1", other),
        }
    }

    fn sample(&mut self, number: u64, line: &JsonLine<'_>, out: &mut Output<'_>) -> Result<()> {
        let Some(ts) = line.ts else {
            return out.reject(number, "ts", "nanoseconds since the epoch", "nothing");
        };
        let meta = &self.meta;
        let of = self.identities.get(
            own(&line.service).or(meta.service.as_deref()),
            own(&line.instance).or(meta.instance.as_deref()),
            out.context.identity.as_ref(),
        );
        let Some(of) = of else {
            return out.reject_identity(number);
        };
        let mut row = MemorySample {
            at: Timestamp(ts.0),
            process: line.proc.map(|n| n.0).or(meta.proc),
            ..MemorySample::default()
        };
        let version = own(&line.version).or(meta.version.as_deref());
        row.version = version.map(|text| self.versions.get(text));
        let go = own(&line.go).or(meta.go.as_deref());
        row.go_version = go.map(|text| self.go_versions.get(text));
        if let Some(stats) = &line.memstats {
            stats.fill(&mut row);
        }
        row.goroutines = line.goroutines.map(|n| n.0);
        row.gogc = line.gogc.map(|n| n.0);
        row.memory_limit = line.memlimit.map(|n| Bytes(n.0));
        row.rss = line.rss.map(|n| Bytes(n.0));
        row.uptime = line.uptime_ns.map(|n| Nanos(n.0));
        row.read_duration = line.read_ns.map(|n| Nanos(n.0));
        row.requests_total = line.reqs.map(|n| n.0);
        for (field, us, target) in [
            ("cpu_user_us", line.cpu_user_us, &mut row.cpu_user),
            ("cpu_sys_us", line.cpu_sys_us, &mut row.cpu_system),
        ] {
            let Some(us) = us else { continue };
            let Some(ns) = us.0.checked_mul(1_000) else {
                let expected = "microseconds that fit 64 bits of nanoseconds";
                return out.reject(number, field, expected, us.0.to_string());
            };
            *target = Some(Nanos(ns));
        }

        let now = Counters::of(&row);
        let before = match (self.before.get_mut(&of), now) {
            (Some(before), Some(now)) => Some(std::mem::replace(before, now)),
            (before, None) => before.copied(),
            (None, Some(now)) => {
                self.before.insert(of.clone(), now);
                None
            }
        };
        let continued = before
            .zip(now)
            .filter(|(before, now)| before.continued_by(now));
        let overflow = continued.map(|(before, now)| before.lost_until(&now));
        row.pauses_lost = line.pauses_dropped.map(|n| n.0).max(overflow);
        out.sink.sample(&of, &row)?;
        let pauses = line.pauses.as_deref().unwrap_or_default();
        let first = first_cycle(&row, pauses, continued.map(|(before, _)| before));
        for (i, (end, pause)) in (0i64..).zip(pauses) {
            let mut pause = GcPause::new(
                Timestamp(end.0),
                Nanos(pause.0),
                PauseKind::Unknown,
                PauseOrigin::MemStats,
            );
            pause.process = row.process;
            pause.gc_num = first.map(|first| first + i);
            out.sink.gc_pause(&of, &pause)?;
        }
        Ok(())
    }
}

fn own<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(Text::as_str).filter(|t| !t.is_empty())
}

/// The cycle of the first pause, when the counts leave no doubt: the pauses are those of the last cycles.
fn first_cycle(
    row: &MemorySample,
    pauses: &[(Whole, Whole)],
    before: Option<Counters>,
) -> Option<i64> {
    let count = i64::try_from(pauses.len()).ok()?;
    let num_gc = row.num_gc?;
    let newest_is_last = row.last_gc.map(|n| n.0) == pauses.last().map(|(end, _)| end.0);
    let known = before.map_or(0, |b| b.num_gc);
    (count > 0 && newest_is_last && known + count <= num_gc).then(|| num_gc - count + 1)
}

/// Whose recording a samples file is, and when its processes began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedProcesses {
    /// The first service and instance that it names.
    pub identity: Option<Identity>,
    /// When each process began, in the order of the file.
    pub starts: Vec<Timestamp>,
}

/// Reads only identity and process starts from samples NDJSON: what anchors a gctrace log that lies beside it.
///
/// The start of a process is the time of its first line less the uptime there, or the time of its meta line when that is the same but
/// for the drift of the clock: so it is to the nanosecond what other files of the recording say. Lines that do not parse are passed
/// over.
///
/// # Errors
/// When reading fails.
pub fn read_processes(input: &mut dyn BufRead) -> Result<RecordedProcesses> {
    #[derive(Deserialize)]
    struct Brief<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Text<'a>>,
        ts: Option<Whole>,
        #[serde(borrow)]
        service: Option<Text<'a>>,
        #[serde(borrow)]
        instance: Option<Text<'a>>,
        proc: Option<Whole>,
        uptime_ns: Option<Whole>,
    }
    let mut found = RecordedProcesses::default();
    let mut lines = Lines::new(input, &"".into());
    let (mut proc, mut start, mut meta) = (None, None, None);
    while let Some(line) = lines.next()? {
        let Some(brief) = line
            .text
            .and_then(|text| serde_json::from_slice::<Brief<'_>>(text).ok())
        else {
            continue;
        };
        if let (None, Some(service), Some(instance)) =
            (&found.identity, own(&brief.service), own(&brief.instance))
        {
            found.identity = Some(Identity {
                service: service.into(),
                instance: instance.into(),
            });
        }
        if brief.kind.is_some_and(|kind| kind.as_str() == "meta") {
            meta = brief.ts.map(|ts| Timestamp(ts.0));
            continue;
        }
        let (Some(ts), Some(uptime)) = (brief.ts, brief.uptime_ns) else {
            continue;
        };
        // Without ordinals, a process is told by its start: two readings of one differ by how the clock was adjusted.
        let begun = Timestamp(ts.0).minus(Nanos(uptime.0));
        let number = brief.proc.map(|n| n.0);
        let same = start.is_some_and(|start: Timestamp| match (number, proc) {
            (Some(number), Some(proc)) => number == proc,
            _ => begun.since(start).0.abs() < Nanos::SECOND.0,
        });
        if !same {
            let drift = |meta: &Timestamp| meta.since(begun).0.abs() < Nanos::MILLISECOND.0;
            found.starts.push(meta.filter(drift).unwrap_or(begun));
            (proc, start) = (number, Some(begun));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    fn read(lines: &[&str]) -> Collected {
        Collected::of(&SamplesNdjson, lines.join("\n").as_bytes())
    }

    #[test]
    fn lines_take_from_the_meta_line_what_they_lack() {
        let read = read(&[
            r#"{"type":"meta","format":"memwatch-samples/1","service":"api","instance":"api-0","version":"v1","go":"go1.27.3","proc":2}"#,
            r#"{"type":"sample","ts":1000,"unknown":[{"a":1}],"memstats":{"HeapAlloc":5,"BySize":[1]},"goroutines":3}"#,
            r#"{"ts":2000,"instance":"api-1","version":"v2","memstats":{},"cpu_user_us":7,"cpu_sys_us":8}"#,
            "",
            r#"{"type":"meta","format":"memwatch-samples/1"}"#,
            r#"{"type":"sample","ts":3000}"#,
        ]);
        let rows: Vec<String> = read
            .samples
            .iter()
            .map(|(of, row)| {
                let (version, go) = (row.version.as_deref(), row.go_version.as_deref());
                let process = row.process;
                format!(
                    "{}/{} {} {version:?} {go:?} {process:?}",
                    of.service, of.instance, row.at.0
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                r#"api/api-0 1000 Some("v1") Some("go1.27.3") Some(2)"#,
                r#"api/api-1 2000 Some("v2") Some("go1.27.3") Some(2)"#,
                "service/instance 3000 None None None",
            ]
        );
        let (first, second) = (&read.samples[0].1, &read.samples[1].1);
        assert_eq!(first.heap_alloc, Some(Bytes(5)));
        assert_eq!((first.heap_sys, first.goroutines), (None, Some(3)));
        assert_eq!(
            (second.cpu_user, second.cpu_system),
            (Some(Nanos(7_000)), Some(Nanos(8_000)))
        );
        assert_eq!(read.rejected, []);
    }

    #[test]
    fn without_an_identity_lines_are_rejected() {
        let text = br#"{"type":"sample","ts":1,"service":"api"}"#;
        let read = Collected::with(&SamplesNdjson, text, &Context::default());
        assert_eq!((read.samples.len(), read.rejected.len()), (0, 1));
        assert_eq!(read.rejected[0].field, "service");
    }

    #[test]
    fn numbers_beyond_63_bits_are_limits_or_wrong() {
        let most = u64::MAX;
        let line = format!(
            r#"{{"type":"sample","ts":1,"memlimit":{most},"gogc":-1,"memstats":{{"NextGC":{most},"TotalAlloc":9223372036854775807}}}}"#
        );
        let read = read(&[
            &line,
            &format!(r#"{{"type":"sample","ts":2,"memstats":{{"Sys":1,"TotalAlloc":{most}}}}}"#),
            r#"{"type":"sample","ts":3,"cpu_user_us":9223372036854775807}"#,
            r#"{"type":"sample","ts":4,"memstats":{"HeapAlloc":1.5}}"#,
            r#"{"type":"sample","ts":5,"memstats":{"HeapAlloc":"#,
            r#"{"type":"other","ts":6}"#,
            r#"{"type":"sample"}"#,
        ]);
        let row = &read.samples[0].1;
        assert_eq!(row.memory_limit, Some(Bytes(i64::MAX)));
        assert_eq!(
            (row.next_gc, row.total_alloc),
            (Some(Bytes(i64::MAX)), Some(Bytes(i64::MAX)))
        );
        assert_eq!((read.samples.len(), row.gogc), (1, Some(-1)));
        let places: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(
            places,
            [
                (2, "memstats.TotalAlloc"),
                (3, "cpu_user_us"),
                (4, "memstats.HeapAlloc"),
                (5, "memstats.HeapAlloc"),
                (6, "type"),
                (7, "ts"),
            ]
        );
        assert_eq!(read.rejected[2].found, "floating point 1.5");
    }

    #[test]
    fn lost_pauses_and_restarts_show_in_the_counters() {
        let line = |ts: i64, num_gc: i64, total: i64, more: &str| {
            format!(
                r#"{{"type":"sample","ts":{ts},"memstats":{{"NumGC":{num_gc},"TotalAlloc":{total},"LastGC":{ts}}}{more}}}"#
            )
        };
        let read = read(&[
            &line(10, 2, 10, r#","pauses":[[9,1],[10,2]]"#),
            &line(
                20,
                300,
                20,
                r#","pauses":[[19,3],[20,4]],"pauses_dropped":5"#,
            ),
            &line(30, 700, 30, r#","pauses_dropped":0"#),
            // A restart, seen by counters that fall.
            &line(40, 1, 5, r#","pauses":[[40,6]]"#),
            // More pauses than cycles since the reading before: which ones they are is not known.
            &line(50, 2, 6, r#","pauses":[[49,7],[50,8]]"#),
            // The newest pause is not the last cycle's.
            &line(60, 3, 7, r#","pauses":[[59,9]]"#),
        ]);
        let lost: Vec<Option<i64>> = read.samples.iter().map(|(_, s)| s.pauses_lost).collect();
        assert_eq!(lost, [None, Some(42), Some(144), None, Some(0), Some(0)]);
        let pauses: Vec<(i64, i64, Option<i64>)> = read
            .gc_pauses
            .iter()
            .map(|(_, p)| (p.at.0, p.pause.0, p.gc_num))
            .collect();
        assert_eq!(
            pauses,
            [
                (9, 1, Some(1)),
                (10, 2, Some(2)),
                (19, 3, Some(299)),
                (20, 4, Some(300)),
                (40, 6, Some(1)),
                (49, 7, None),
                (50, 8, None),
                (59, 9, None),
            ]
        );
    }

    #[test]
    fn process_starts_are_read() {
        let text = [
            r#"{"type":"meta","proc":1,"ts":1000000000007}"#,
            r#"{"type":"sample","proc":1,"ts":1000200000000,"uptime_ns":200000000,"service":"a","instance":"b"}"#,
            r#"{"type":"sample","proc":1,"ts":1000400000000,"uptime_ns":400000000,"service":"a","instance":"b"}"#,
            "torn",
            r#"{"type":"sample","proc":2,"ts":9000200000000,"uptime_ns":200000000,"service":"a","instance":"b"}"#,
        ]
        .join("\n");
        let read = read_processes(&mut text.as_bytes()).unwrap();
        assert_eq!(read.identity.map(|of| of.instance), Some("b".into()));
        // To the nanosecond what the meta line says, and from the uptime where there is none near.
        assert_eq!(
            read.starts,
            [Timestamp(1_000_000_000_007), Timestamp(9_000_000_000_000)]
        );
    }
}
