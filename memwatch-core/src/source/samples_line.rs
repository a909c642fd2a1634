//! A line of samples NDJSON: read by serde, or by comparing it with the shape of the lines before.

use serde::Deserialize;

use super::json::{Capped, Gogc, Text, Whole};
use super::json_shape::{Cursor, Shape, Shapes};
use super::memstats::MemStats;

/// A line as serde reads it. From the line before, without the three arrays of `memstats`.
#[derive(Debug, Deserialize, Default)]
pub(super) struct JsonLine<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) format: Option<Text<'a>>,
    pub(super) ts: Option<Whole>,
    #[serde(borrow)]
    pub(super) service: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) instance: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) go: Option<Text<'a>>,
    pub(super) proc: Option<Whole>,
    pub(super) uptime_ns: Option<Whole>,
    pub(super) read_ns: Option<Whole>,
    pub(super) goroutines: Option<Whole>,
    pub(super) gogc: Option<Gogc>,
    pub(super) memlimit: Option<Capped>,
    pub(super) rss: Option<Whole>,
    pub(super) cpu_user_us: Option<Whole>,
    pub(super) cpu_sys_us: Option<Whole>,
    pub(super) reqs: Option<Whole>,
    #[serde(borrow)]
    pub(super) memstats: Option<MemStats<'a>>,
    pub(super) pauses: Option<Vec<(Whole, Whole)>>,
    pub(super) pauses_dropped: Option<Whole>,
}

/// Reads lines.
#[derive(Default)]
pub(super) struct JsonLines {
    shapes: Shapes<Field, JsonLine<'static>>,
}

impl JsonLines {
    /// Reads a line; `room` is for one that no line before tells how to read.
    pub(super) fn read<'r, 'a>(
        &'r mut self,
        text: &'a [u8],
        room: &'r mut Option<JsonLine<'a>>,
    ) -> serde_json::Result<&'r JsonLine<'a>> {
        if let Some(at) = self.shapes.read(text, Field::read) {
            return Ok(self.shapes.line(at));
        }
        let line = room.insert(serde_json::from_slice(text)?);
        if self.shapes.learns() {
            self.shapes.learn(learn(text));
        }
        Ok(line)
    }
}

const MEMSTATS: &str = "memstats";

/// The shape of a line that serde read, and the line as that reads it.
fn learn(text: &[u8]) -> Option<(Shape<Field>, JsonLine<'static>)> {
    let shape = Shape::learn(text, Field::of, |key| key == MEMSTATS)?;
    let mut line = JsonLine::default();
    if shape.opened {
        line.memstats = Some(MemStats::default());
    }
    shape.read_last(|field, cursor| field.read(cursor, &mut line))?;
    Some((shape, line))
}

/// Declares [`Field`]: for each key, the object around it and the place that takes its value.
macro_rules! fields {
    ($line:ident; $($name:ident $outer:pat, $key:literal => $place:expr;)*) => {
        /// A value of a line.
        #[derive(Clone, Copy)]
        enum Field { $($name,)* }

        impl Field {
            fn of(outer: Option<&str>, key: &str) -> Option<Field> {
                match (outer, key) {
                    $(($outer, $key) => Some(Field::$name),)*
                    _ => None,
                }
            }

            #[inline]
            fn read(self, cursor: &mut Cursor<'_>, $line: &mut JsonLine<'static>) -> Option<()> {
                match self {
                    $(Field::$name => $place = Some(cursor.value()?),)*
                }
                Some(())
            }
        }
    };
}

fields! {
    line;
    Kind None, "type" => line.kind;
    Format None, "format" => line.format;
    Ts None, "ts" => line.ts;
    Service None, "service" => line.service;
    Instance None, "instance" => line.instance;
    Version None, "version" => line.version;
    Go None, "go" => line.go;
    Proc None, "proc" => line.proc;
    UptimeNs None, "uptime_ns" => line.uptime_ns;
    ReadNs None, "read_ns" => line.read_ns;
    Goroutines None, "goroutines" => line.goroutines;
    Gogc None, "gogc" => line.gogc;
    Memlimit None, "memlimit" => line.memlimit;
    Rss None, "rss" => line.rss;
    CpuUserUs None, "cpu_user_us" => line.cpu_user_us;
    CpuSysUs None, "cpu_sys_us" => line.cpu_sys_us;
    Reqs None, "reqs" => line.reqs;
    Pauses None, "pauses" => line.pauses;
    PausesDropped None, "pauses_dropped" => line.pauses_dropped;
    TotalAlloc Some(_), "TotalAlloc" => line.memstats.as_mut()?.total_alloc;
    Alloc Some(_), "Alloc" => line.memstats.as_mut()?.alloc;
    Sys Some(_), "Sys" => line.memstats.as_mut()?.sys;
    Lookups Some(_), "Lookups" => line.memstats.as_mut()?.lookups;
    Mallocs Some(_), "Mallocs" => line.memstats.as_mut()?.mallocs;
    Frees Some(_), "Frees" => line.memstats.as_mut()?.frees;
    HeapAlloc Some(_), "HeapAlloc" => line.memstats.as_mut()?.heap_alloc;
    HeapSys Some(_), "HeapSys" => line.memstats.as_mut()?.heap_sys;
    HeapIdle Some(_), "HeapIdle" => line.memstats.as_mut()?.heap_idle;
    HeapInuse Some(_), "HeapInuse" => line.memstats.as_mut()?.heap_inuse;
    HeapReleased Some(_), "HeapReleased" => line.memstats.as_mut()?.heap_released;
    HeapObjects Some(_), "HeapObjects" => line.memstats.as_mut()?.heap_objects;
    StackInuse Some(_), "StackInuse" => line.memstats.as_mut()?.stack_inuse;
    StackSys Some(_), "StackSys" => line.memstats.as_mut()?.stack_sys;
    MspanInuse Some(_), "MSpanInuse" => line.memstats.as_mut()?.mspan_inuse;
    MspanSys Some(_), "MSpanSys" => line.memstats.as_mut()?.mspan_sys;
    McacheInuse Some(_), "MCacheInuse" => line.memstats.as_mut()?.mcache_inuse;
    McacheSys Some(_), "MCacheSys" => line.memstats.as_mut()?.mcache_sys;
    BuckHashSys Some(_), "BuckHashSys" => line.memstats.as_mut()?.buck_hash_sys;
    GcSys Some(_), "GCSys" => line.memstats.as_mut()?.gc_sys;
    OtherSys Some(_), "OtherSys" => line.memstats.as_mut()?.other_sys;
    NextGc Some(_), "NextGC" => line.memstats.as_mut()?.next_gc;
    LastGc Some(_), "LastGC" => line.memstats.as_mut()?.last_gc;
    PauseTotalNs Some(_), "PauseTotalNs" => line.memstats.as_mut()?.pause_total_ns;
    NumGc Some(_), "NumGC" => line.memstats.as_mut()?.num_gc;
    NumForcedGc Some(_), "NumForcedGC" => line.memstats.as_mut()?.num_forced_gc;
    GcCpuFraction Some(_), "GCCPUFraction" => line.memstats.as_mut()?.gc_cpu_fraction;
    EnableGc Some(_), "EnableGC" => line.memstats.as_mut()?.enable_gc;
    DebugGc Some(_), "DebugGC" => line.memstats.as_mut()?.debug_gc;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"type":"sample","ts":1795410189783600179,"service":"pricing","instance":"pricing-0","version":"v1.8.2","go":"go1.27.3","proc":1,"uptime_ns":220993440,"read_ns":93340,"goroutines":9,"gogc":100,"memlimit":9223372036854775807,"rss":31752192,"cpu_user_us":16657,"cpu_sys_us":8328,"reqs":null,"other":[{"a":-1.5e3}],"memstats":{"Alloc":21033944,"TotalAlloc":21976640,"Sys":0,"NextGC":18446744073709551615,"LastGC":1795410189617085142,"GCCPUFraction":0.324291678520191,"EnableGC":true,"BySize":[1]},"pauses":[[1795410189585639882,17259449],[1795410189617085142,2056649]],"pauses_dropped":0}"#;

    /// Values that a mutation may put in the place of another.
    const VALUES: &[&str] = &[
        "0",
        "00",
        "01",
        "-1",
        "-0",
        "-10",
        "1.5",
        "1e3",
        "1E400",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901",
        "null",
        "true",
        "false",
        "tru",
        "\"x\"",
        "\"\\u00e9\"",
        "\"é\"",
        "\"a\nb\"",
        "[]",
        "[[]]",
        "[[1,2]]",
        "[[1,2],]",
        "[ [1,2] ]",
        "[[1,2,3]]",
        "{}",
        "{\"a\":",
        "",
        " 1",
        "1 ",
        "\"",
        "\"\\\"",
    ];

    /// A line in words, but for the arrays that this format does not want.
    fn shown(line: &JsonLine<'_>) -> String {
        let text = format!("{line:?}");
        let arrays = text.find("pause_ns: ").zip(text.find("}), pauses: "));
        match arrays {
            Some((from, to)) if from < to => format!("{}{}", &text[..from], &text[to..]),
            _ => text,
        }
    }

    /// Whether a line, and each before and after it, is read as serde reads it.
    fn read_as_serde(before: &[&[u8]], text: &[u8]) {
        let mut lines = JsonLines::default();
        for line in before.iter().chain([&text, &LINE.as_bytes(), &text]) {
            let mut room = None;
            match (lines.read(line, &mut room), serde_json::from_slice(line)) {
                (Ok(fast), Ok(slow)) => assert_eq!(shown(fast), shown(&slow)),
                (Err(fast), Err(slow)) => assert_eq!(fast.to_string(), slow.to_string()),
                (fast, slow) => panic!("{fast:?}, by serde {slow:?}"),
            }
        }
    }

    /// Where the values of the line begin and end, roughly: after a colon, comma or bracket.
    fn parts() -> Vec<(usize, usize)> {
        let marks = LINE.char_indices().filter(|(_, c)| ":,[]{}".contains(*c));
        let marks: Vec<usize> = marks.map(|(at, _)| at).collect();
        marks
            .windows(2)
            .map(|pair| (pair[0] + 1, pair[1]))
            .collect()
    }

    #[test]
    fn the_shape_of_a_line_reads_the_next() {
        let mut lines = JsonLines::default();
        lines.read(LINE.as_bytes(), &mut None).unwrap();
        let next = LINE.replace("220993440", "7");
        let at = lines.shapes.read(next.as_bytes(), Field::read).unwrap();
        let line = lines.shapes.line(at);
        assert!(line.uptime_ns.is_some_and(|n| n.0 == 7));
        read_as_serde(&[LINE.as_bytes()], next.as_bytes());
    }

    #[test]
    fn any_value_in_the_place_of_another_is_read_as_serde_reads_it() {
        for (from, to) in parts() {
            for value in VALUES {
                let text = format!("{}{value}{}", &LINE[..from], &LINE[to..]);
                read_as_serde(&[LINE.as_bytes()], text.as_bytes());
                read_as_serde(&[text.as_bytes()], LINE.as_bytes());
            }
        }
    }

    #[test]
    fn memstats_of_another_kind_are_read_as_serde_reads_them() {
        let text = |memstats: &str| format!(r#"{{"type":"sample","ts":1,"memstats":{memstats}}}"#);
        let kinds = [
            "[5]",
            "[7]",
            "[]",
            "5",
            "null",
            "{}",
            r#"{"Alloc":9}"#,
            r#""x""#,
            "true",
            "[1.5]",
            r#"{"Alloc":"bad"}"#,
            r#"{"PauseNs":[1]}"#,
            r#"{"PauseNs":"x","BySize":null}"#,
        ];
        for before in kinds.map(text) {
            for after in kinds.map(text) {
                read_as_serde(&[before.as_bytes()], after.as_bytes());
            }
        }
    }

    #[test]
    fn a_line_too_long_to_keep_is_read_by_serde() {
        let text = |name: usize| {
            format!(
                r#"{{"type":"sample","ts":1,"service":"{}"}}"#,
                "a".repeat(name)
            )
        };
        let mut lines = JsonLines::default();
        lines.read(text(1).as_bytes(), &mut None).unwrap();
        assert!(
            lines
                .shapes
                .read(text(60_000).as_bytes(), Field::read)
                .is_some()
        );
        assert!(
            lines
                .shapes
                .read(text(70_000).as_bytes(), Field::read)
                .is_none()
        );
        read_as_serde(&[text(1).as_bytes()], text(70_000).as_bytes());
    }

    proptest! {
        #[test]
        fn mutated_lines_are_read_as_serde_reads_them(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
        ) {
            let mut text = LINE.as_bytes().to_vec();
            for (at, byte, how) in changes {
                let at = at.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    _ => { text.remove(at); }
                }
            }
            read_as_serde(&[LINE.as_bytes()], &text);
            read_as_serde(&[&text, LINE.as_bytes()], LINE.as_bytes());
        }
    }
}
