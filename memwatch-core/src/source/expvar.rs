//! expvar (`/debug/vars`): one JSON object a reading, bare or as `{"ts":…,"proc":…,"vars":{…}}` lines.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::BufRead;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::intern::{Identities, Strings};
use super::json::{Fault, Text, Whole};
use super::json_head::{JsonFormat, json_format};
use super::line::Lines;
use super::memstats::{Counters, MemStats, PAUSE_RING};
use super::output::Output;
use super::{Context, MAX_LINE_BYTES, Source};
use crate::record::{
    GcPause, Identity, MemorySample, MetricKind, MetricSample, PauseKind, PauseOrigin, RecordSink,
};
use crate::{Nanos, Result, Timestamp};

/// expvar.
pub(super) struct Expvar;

impl Source for Expvar {
    fn name(&self) -> &'static str {
        "expvar"
    }

    fn about(&self) -> &'static str {
        "expvar: answers of /debug/vars, bare or as NDJSON lines with `ts` and `vars`"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        json_format(head) == Some(JsonFormat::Expvar)
    }

    fn parse(
        &self,
        input: &mut dyn BufRead,
        context: &Context,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let mut lines = Lines::new(input, &context.input);
        let mut reader = Reader::default();
        let mut open = OpenObject::default();
        let mut out = Output { context, sink };
        while let Some(line) = lines.next()? {
            let Some(text) = line.text else {
                open.abandon(&mut out)?;
                out.reject_length(line.number)?;
                continue;
            };
            // Go's handler spreads its object over lines, the first of which is `{` alone; ours is a line.
            let trimmed = text.trim_ascii();
            if trimmed == b"{" {
                open.abandon(&mut out)?;
                open.begin(line.number);
            } else if !open.is_open() {
                if !trimmed.is_empty() {
                    reader.object(line.number, trimmed, &mut out)?;
                }
            } else if open.add(text) {
                let (number, text) = open.take();
                reader.object(number, &text, &mut out)?;
            } else if open.text.len() > MAX_LINE_BYTES {
                let number = open.take().0;
                out.reject_length(number)?;
            }
        }
        open.abandon(&mut out)
    }
}

/// An object that goes over several lines.
#[derive(Default)]
struct OpenObject {
    line: u64,
    text: Vec<u8>,
}

impl OpenObject {
    fn is_open(&self) -> bool {
        !self.text.is_empty()
    }

    fn begin(&mut self, line: u64) {
        self.line = line;
        self.text.extend_from_slice(b"{\n");
    }

    /// Adds a line; whether the object is complete with it: Go's handler writes the closing brace alone on a line.
    fn add(&mut self, line: &[u8]) -> bool {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        line.starts_with(b"}")
    }

    fn take(&mut self) -> (u64, Vec<u8>) {
        (self.line, std::mem::take(&mut self.text))
    }

    /// Rejects what was begun and not ended.
    fn abandon(&mut self, out: &mut Output<'_>) -> Result<()> {
        if self.is_open() {
            let (line, text) = self.take();
            let found = format!("the end after {} bytes", text.len());
            out.reject(line, "", "the rest of a JSON object", found)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct JsonLine<'a> {
    ts: Option<Whole>,
    proc: Option<Whole>,
    #[serde(borrow)]
    service: Option<Text<'a>>,
    #[serde(borrow)]
    instance: Option<Text<'a>>,
    #[serde(borrow)]
    vars: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SizeClass {
    #[serde(rename = "Size")]
    size: Whole,
    #[serde(rename = "Mallocs")]
    mallocs: Whole,
    #[serde(rename = "Frees")]
    frees: Whole,
}

/// Where one reading goes.
struct Reading<'a> {
    line: u64,
    at: Timestamp,
    of: &'a Identity,
    process: Option<i64>,
}

#[derive(Default)]
struct Reader {
    identities: Identities,
    strings: Strings,
    before: HashMap<Identity, Counters>,
}

/// Deeper maps of an application's own variables are not looked into.
const MAX_DEPTH: usize = 6;

impl Reader {
    fn object(&mut self, number: u64, text: &[u8], out: &mut Output<'_>) -> Result<()> {
        let reject = |out: &mut Output<'_>, error: &serde_json::Error, text: &[u8], below: &str| {
            let fault = Fault::of(error, text);
            let field = match (below, &*fault.field) {
                ("", field) => field.to_owned(),
                (below, "") => below.to_owned(),
                (below, field) => format!("{below}.{field}"),
            };
            out.reject(number, field, fault.expected, fault.found)
        };
        // A bare object may have variables of any type named `ts` or `vars`; only with both is it a line of a recorder.
        let line: Option<JsonLine<'_>> = match serde_json::from_slice(text) {
            Ok(line) => Some(line),
            Err(error) if error.is_syntax() || error.is_eof() => {
                return reject(out, &error, text, "");
            }
            Err(error) if json_format(text) == Some(JsonFormat::Expvar) && is_line(text) => {
                return reject(out, &error, text, "");
            }
            Err(_) => None,
        };
        let wrapped = line.as_ref().and_then(|l| l.vars).is_some();
        let (line, vars) = match &line {
            Some(line) if wrapped => (
                Some(line),
                line.vars.map_or(&b""[..], |v| v.get().as_bytes()),
            ),
            _ => (None, text),
        };
        let vars: HashMap<Text<'_>, &RawValue> = match serde_json::from_slice(vars) {
            Ok(vars) => vars,
            Err(error) => return reject(out, &error, vars, if wrapped { "vars" } else { "" }),
        };
        let at = line
            .and_then(|l| l.ts)
            .map(|ts| Timestamp(ts.0))
            .or(out.context.at);
        let Some(at) = at else {
            let expected = "nanoseconds since the epoch, or the time given with --at";
            return out.reject(number, "ts", expected, "neither");
        };
        let of = self.identities.get(
            line.and_then(|l| l.service.as_ref()).map(Text::as_str),
            line.and_then(|l| l.instance.as_ref()).map(Text::as_str),
            out.context.identity.as_ref(),
        );
        let Some(of) = of else {
            return out.reject_identity(number);
        };
        let reading = Reading {
            line: number,
            at,
            of: &of,
            process: line.and_then(|l| l.proc).map(|n| n.0),
        };
        let mut names: Vec<&Text<'_>> = vars.keys().collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let mut written = HashSet::new();
        for name in names {
            let value = vars[name].get();
            match name.as_str() {
                // The command line may hold secrets.
                "cmdline" => {}
                "memstats" => match serde_json::from_str::<MemStats<'_>>(value) {
                    Ok(stats) => self.memstats(&stats, &reading, out)?,
                    Err(error) => reject(out, &error, value.as_bytes(), "memstats")?,
                },
                own => match serde_json::from_str::<Value>(value) {
                    Ok(value) => {
                        let path = format!("expvar_{}", sanitized(own));
                        self.variable(&path, &value, MAX_DEPTH, &reading, &mut written, out)?;
                    }
                    Err(error) => reject(out, &error, value.as_bytes(), own)?,
                },
            }
        }
        Ok(())
    }

    fn memstats(
        &mut self,
        stats: &MemStats<'_>,
        reading: &Reading<'_>,
        out: &mut Output<'_>,
    ) -> Result<()> {
        let mut row = MemorySample {
            at: reading.at,
            process: reading.process,
            ..MemorySample::default()
        };
        stats.fill(&mut row);
        let now = Counters::of(&row);
        // Where `proc` is missing, a restart shows in counters that fell.
        let before = now.and_then(|now| {
            let before = self.before.insert(reading.of.clone(), now)?;
            before.continued_by(&now).then_some(before)
        });
        row.pauses_lost = before.zip(now).map(|(before, now)| before.lost_until(&now));
        out.sink.sample(reading.of, &row)?;
        if let Some(now) = now {
            self.pauses(stats, before.map_or(0, |b| b.num_gc), now, reading, out)?;
        }
        self.size_classes(stats, reading, out)
    }

    /// The pauses of the cycles after `known`, from the ring: cycle n (from 1) is at index (n + 255) % 256.
    fn pauses(
        &self,
        stats: &MemStats<'_>,
        known: i64,
        now: Counters,
        reading: &Reading<'_>,
        out: &mut Output<'_>,
    ) -> Result<()> {
        let (Some(pauses), Some(ends)) = (stats.pause_ns, stats.pause_end) else {
            return Ok(());
        };
        let mut rings: [Vec<Whole>; 2] = Default::default();
        for (ring, raw, field) in [(0, pauses, "PauseNs"), (1, ends, "PauseEnd")] {
            let field = format!("memstats.{field}");
            match serde_json::from_str::<Vec<Whole>>(raw.get()) {
                Ok(read) if read.len() == 256 => rings[ring] = read,
                Ok(read) => {
                    return out.reject(reading.line, field, "256 numbers", read.len().to_string());
                }
                Err(error) => {
                    let fault = Fault::of(&error, raw.get().as_bytes());
                    let field = format!("{field}{}", fault.field);
                    return out.reject(reading.line, field, fault.expected, fault.found);
                }
            }
        }
        for cycle in known.max(now.num_gc - PAUSE_RING) + 1..=now.num_gc {
            let index = usize::try_from((cycle + 255) % PAUSE_RING).unwrap_or(0);
            let (pause, end) = (rings[0][index], rings[1][index]);
            if end.0 == 0 {
                continue;
            }
            let mut pause = GcPause::new(
                Timestamp(end.0),
                Nanos(pause.0),
                PauseKind::Unknown,
                PauseOrigin::MemStats,
            );
            pause.process = reading.process;
            pause.gc_num = Some(cycle);
            out.sink.gc_pause(reading.of, &pause)?;
        }
        Ok(())
    }

    fn size_classes(
        &mut self,
        stats: &MemStats<'_>,
        reading: &Reading<'_>,
        out: &mut Output<'_>,
    ) -> Result<()> {
        let Some(raw) = stats.by_size else {
            return Ok(());
        };
        let classes: Vec<SizeClass> = match serde_json::from_str(raw.get()) {
            Ok(classes) => classes,
            Err(error) => {
                let fault = Fault::of(&error, raw.get().as_bytes());
                let field = format!("memstats.BySize{}", fault.field);
                return out.reject(reading.line, field, fault.expected, fault.found);
            }
        };
        for class in &classes {
            if class.size.0 == 0 || (class.mallocs.0 == 0 && class.frees.0 == 0) {
                continue;
            }
            let labels = self.strings.get(&format!("size=\"{}\"", class.size.0));
            for (metric, count) in [
                ("go_memstats_by_size_mallocs_total", class.mallocs),
                ("go_memstats_by_size_frees_total", class.frees),
            ] {
                let metric = self.strings.get(metric);
                let row = MetricSample::new(
                    reading.at,
                    metric,
                    labels.clone(),
                    count.0 as f64,
                    MetricKind::Counter,
                );
                out.sink.metric(reading.of, &row)?;
            }
        }
        Ok(())
    }

    /// A variable of the application: numbers, and the numbers inside of its maps.
    fn variable(
        &mut self,
        path: &str,
        value: &Value,
        depth: usize,
        reading: &Reading<'_>,
        written: &mut HashSet<Arc<str>>,
        out: &mut Output<'_>,
    ) -> Result<()> {
        match value {
            Value::Number(number) => {
                let Some(value) = number.as_f64() else {
                    return Ok(());
                };
                let metric = self.strings.get(path);
                if !written.insert(metric.clone()) {
                    let expected = "a name of its own once sanitized";
                    return out.reject(reading.line, path, expected, "a second variable");
                }
                let row = MetricSample::new(
                    reading.at,
                    metric,
                    Arc::default(),
                    value,
                    MetricKind::Untyped,
                );
                out.sink.metric(reading.of, &row)
            }
            Value::Object(inner) if depth > 0 => {
                for (name, value) in inner {
                    let mut path = path.to_owned();
                    let _ = write!(path, "_{}", sanitized(name));
                    self.variable(&path, value, depth - 1, reading, written, out)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Whether an object has both `ts` and `vars`.
fn is_line(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Keys<'a> {
        #[serde(borrow)]
        ts: Option<&'a RawValue>,
        #[serde(borrow)]
        vars: Option<&'a RawValue>,
    }
    serde_json::from_slice::<Keys<'_>>(text).is_ok_and(|k| k.ts.is_some() && k.vars.is_some())
}

fn sanitized(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    name.chars()
        .map(|c| if safe(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fuzz::Collected;

    /// A reading after `num_gc` cycles, each of which ended at 1000 × its number and paused for its number.
    fn vars(num_gc: i64, more: &str) -> String {
        let (mut pauses, mut ends) = (vec![0; 256], vec![0; 256]);
        for cycle in (num_gc - 255).max(1)..=num_gc {
            let index = usize::try_from((cycle + 255) % 256).unwrap();
            (pauses[index], ends[index]) = (cycle, cycle * 1000);
        }
        format!(
            r#"{{"cmdline":["x","-password","secret"],"memstats":{{"HeapAlloc":3,"NumGC":{num_gc},"TotalAlloc":{num_gc},"PauseNs":{pauses:?},"PauseEnd":{ends:?},"BySize":[{{"Size":0,"Mallocs":1,"Frees":1}},{{"Size":8,"Mallocs":5,"Frees":2}},{{"Size":16,"Mallocs":0,"Frees":0}}]}}{more}}}"#
        )
    }

    fn line(ts: i64, proc: &str, num_gc: i64) -> String {
        format!(r#"{{"ts":{ts},{proc}"vars":{}}}"#, vars(num_gc, ""))
    }

    fn cycles(read: &Collected) -> Vec<i64> {
        let all = read.gc_pauses.iter();
        all.map(|(_, pause)| {
            let cycle = pause.gc_num.unwrap();
            assert_eq!((pause.at.0, pause.pause.0), (cycle * 1000, cycle));
            cycle
        })
        .collect()
    }

    #[test]
    fn new_pauses_come_from_the_ring() {
        let text = [
            line(1, "\"proc\":1,", 3),
            line(2, "\"proc\":1,", 3),
            line(3, "\"proc\":1,", 258),
            line(4, "\"proc\":1,", 600),
            line(5, "\"proc\":2,", 700),
        ]
        .join("\n");
        let read = Collected::of(&Expvar, text.as_bytes());
        let expected: Vec<i64> = (1..=3)
            .chain(4..=258)
            .chain(345..=600)
            .chain(445..=700)
            .collect();
        assert_eq!(cycles(&read), expected);
        let lost: Vec<Option<i64>> = read.samples.iter().map(|(_, s)| s.pauses_lost).collect();
        assert_eq!(lost, [None, Some(0), Some(0), Some(86), None]);
        assert_eq!(read.rejected, []);
    }

    #[test]
    fn a_restart_shows_in_falling_counters() {
        let text = [line(1, "", 9), line(2, "", 4), line(3, "", 5)].join("\n");
        let read = Collected::of(&Expvar, text.as_bytes());
        let expected: Vec<i64> = (1..=9).chain(1..=4).chain(5..=5).collect();
        assert_eq!(cycles(&read), expected);
    }

    #[test]
    fn own_variables_become_metrics_and_the_command_line_does_not() {
        let more = r#","queue.depth":3,"a":{"b c":{"d":1.5,"e":"x","f":true,"g":[1]}},"queue_depth":4,"é":-1"#;
        let pretty = vars(1, more).replacen('{', "{\n", 1);
        let pretty = format!("{}\n}}\n", pretty.strip_suffix('}').unwrap());
        // Go's handler spreads an answer over lines; a second one was cut.
        let read = Collected::of(
            &Expvar,
            format!("{pretty}{{\n\"cmdline\": [\"x\"],\n").as_bytes(),
        );
        let rows: Vec<String> = read
            .metrics
            .iter()
            .map(|(_, m)| format!("{}{{{}}} {} {:?}", m.metric, m.labels, m.value, m.kind))
            .collect();
        assert_eq!(
            rows,
            [
                "expvar_a_b_c_d{} 1.5 Untyped",
                "go_memstats_by_size_mallocs_total{size=\"8\"} 5 Counter",
                "go_memstats_by_size_frees_total{size=\"8\"} 2 Counter",
                "expvar_queue_depth{} 3 Untyped",
                "expvar__{} -1 Untyped",
            ]
        );
        let sample = &read.samples[0].1;
        assert_eq!(
            (sample.at.0, sample.process),
            (1_795_410_189_000_000_000, None)
        );
        let fields: Vec<(u64, &str)> = read
            .rejected
            .iter()
            .map(|r| (r.place.line, &*r.field))
            .collect();
        assert_eq!(fields, [(1, "expvar_queue_depth"), (4, "")]);
        assert!(!format!("{read:?}").contains("secret"));
    }

    #[test]
    fn faults_have_a_field() {
        for (text, field) in [
            (
                r#"{"ts":1,"vars":{"memstats":{"HeapAlloc":"x"}}}"#,
                "memstats.HeapAlloc",
            ),
            (
                r#"{"ts":1,"vars":{"memstats":{"NumGC":1,"PauseNs":[1],"PauseEnd":[1]}}}"#,
                "memstats.PauseNs",
            ),
            (r#"{"ts":"x","vars":{}}"#, "ts"),
            (r#"{"ts":1,"vars":[]}"#, "vars"),
            (r#"{"memstats":{"#, "memstats"),
        ] {
            let read = Collected::of(&Expvar, text.as_bytes());
            let fields: Vec<&str> = read.rejected.iter().map(|r| &*r.field).collect();
            assert_eq!(fields, [field], "{text}");
        }
        let read = Collected::with(&Expvar, br#"{"memstats":{}}"#, &Context::default());
        assert_eq!(read.rejected[0].field, "ts");
    }
}
