//! A line of samples NDJSON: read by serde, or by comparing it with the shape of the lines before.

use serde::Deserialize;

use super::json::{Capped, Gogc, Text, Whole};
use super::json_shape::{Cursor, Fraction, Shape, Shapes};
use super::memstats::MemStats;

/// A line as serde reads it.
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
    shapes: Shapes<Field>,
}

impl JsonLines {
    /// Reads a line into `line`, in which nothing is yet.
    pub(super) fn read<'a>(
        &mut self,
        text: &'a [u8],
        line: &mut JsonLine<'a>,
    ) -> serde_json::Result<()> {
        if self
            .shapes
            .read(|shape, fraction| of_shape(shape, text, fraction, line))
            .is_some()
        {
            return Ok(());
        }
        *line = serde_json::from_slice(text)?;
        if self.shapes.learns() {
            let shape = Shape::learn(text, Field::of, |key| key == MEMSTATS);
            self.shapes.learn(shape);
        }
        Ok(())
    }
}

const MEMSTATS: &str = "memstats";

fn of_shape<'a>(
    shape: &Shape<Field>,
    text: &'a [u8],
    fraction: &mut Fraction,
    line: &mut JsonLine<'a>,
) -> Option<()> {
    if shape.opened {
        line.memstats = Some(MemStats::default());
    }
    let read = shape.read(text, fraction, |field, cursor| field.read(cursor, line));
    if read.is_none() {
        *line = JsonLine::default();
    }
    read
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
            fn read<'a>(
                self,
                cursor: &mut Cursor<'a, '_>,
                $line: &mut JsonLine<'a>,
            ) -> Option<()> {
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
    PauseNs Some(_), "PauseNs" => line.memstats.as_mut()?.pause_ns;
    PauseEnd Some(_), "PauseEnd" => line.memstats.as_mut()?.pause_end;
    BySize Some(_), "BySize" => line.memstats.as_mut()?.by_size;
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

    /// Whether a line is read as serde reads it, the shapes of the lines before known.
    fn read_as_serde(before: &[&[u8]], text: &[u8]) {
        let mut lines = JsonLines::default();
        for line in before {
            let _ = lines.read(line, &mut JsonLine::default());
        }
        let mut fast = JsonLine::default();
        let read = lines.read(text, &mut fast);
        match (read, serde_json::from_slice::<JsonLine<'_>>(text)) {
            (Ok(()), Ok(slow)) => assert_eq!(format!("{fast:?}"), format!("{slow:?}")),
            (Err(fast), Err(slow)) => assert_eq!(fast.to_string(), slow.to_string()),
            (read, slow) => panic!("{read:?} {fast:?}, by serde {slow:?}"),
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
        let (mut lines, mut line) = (JsonLines::default(), JsonLine::default());
        lines.read(LINE.as_bytes(), &mut line).unwrap();
        let next = LINE.replace("220993440", "7");
        let found = lines
            .shapes
            .read(|shape, fraction| of_shape(shape, next.as_bytes(), fraction, &mut line));
        assert!(found.is_some() && line.uptime_ns.is_some_and(|n| n.0 == 7));
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
