//! The series of one scrape that make a memory sample: client_golang's names → fields.

use super::decimal::scaled;
use crate::record::MemorySample;
use crate::{Bytes, Nanos, Timestamp};

/// How a series sets a field.
pub(crate) struct Part {
    /// Name of the series.
    name: &'static str,
    set: Set,
}

enum Set {
    /// A whole number.
    Whole(fn(&mut MemorySample, i64)),
    /// A whole number of which 2^63 and more means none.
    Limit(fn(&mut MemorySample, i64)),
    /// GOGC: 2^64-1 is off.
    Gogc,
    /// Seconds, as decimals.
    Seconds(fn(&mut MemorySample, Nanos)),
    /// When the process began, in seconds since the epoch.
    ProcessStart,
    /// A share.
    Fraction(fn(&mut MemorySample, f64)),
    /// The label `version`.
    Version,
}

macro_rules! parts {
    ($($name:literal => $how:ident($field:ident $unit:path),)*) => {
        &[$(Part { name: $name, set: Set::$how(|row, value| row.$field = Some($unit(value))) },)*]
    };
}

fn count(value: i64) -> i64 {
    value
}

fn nanos(value: Nanos) -> Nanos {
    value
}

fn share(value: f64) -> f64 {
    value
}

const FIELDS: &[Part] = parts! {
    "go_memstats_alloc_bytes" => Whole(heap_alloc Bytes),
    "go_memstats_heap_alloc_bytes" => Whole(heap_alloc Bytes),
    "go_memstats_alloc_bytes_total" => Whole(total_alloc Bytes),
    "go_memstats_mallocs_total" => Whole(mallocs_total count),
    "go_memstats_frees_total" => Whole(frees_total count),
    "go_memstats_lookups_total" => Whole(lookups_total count),
    "go_memstats_sys_bytes" => Whole(sys Bytes),
    "go_memstats_heap_sys_bytes" => Whole(heap_sys Bytes),
    "go_memstats_heap_idle_bytes" => Whole(heap_idle Bytes),
    "go_memstats_heap_inuse_bytes" => Whole(heap_inuse Bytes),
    "go_memstats_heap_released_bytes" => Whole(heap_released Bytes),
    "go_memstats_heap_objects" => Whole(heap_objects count),
    "go_memstats_stack_inuse_bytes" => Whole(stack_inuse Bytes),
    "go_memstats_stack_sys_bytes" => Whole(stack_sys Bytes),
    "go_memstats_mspan_inuse_bytes" => Whole(mspan_inuse Bytes),
    "go_memstats_mspan_sys_bytes" => Whole(mspan_sys Bytes),
    "go_memstats_mcache_inuse_bytes" => Whole(mcache_inuse Bytes),
    "go_memstats_mcache_sys_bytes" => Whole(mcache_sys Bytes),
    "go_memstats_buck_hash_sys_bytes" => Whole(buck_hash_sys Bytes),
    "go_memstats_gc_sys_bytes" => Whole(gc_sys Bytes),
    "go_memstats_other_sys_bytes" => Whole(other_sys Bytes),
    "go_memstats_next_gc_bytes" => Limit(next_gc Bytes),
    "go_memstats_last_gc_time_seconds" => Seconds(last_gc nanos),
    "go_memstats_gc_cpu_fraction" => Fraction(gc_cpu_fraction share),
    "go_gc_duration_seconds_sum" => Seconds(pause_total nanos),
    "go_gc_duration_seconds_count" => Whole(num_gc count),
    "go_goroutines" => Whole(goroutines count),
    "go_gc_gomemlimit_bytes" => Limit(memory_limit Bytes),
    "process_resident_memory_bytes" => Whole(rss Bytes),
};

const OTHERS: &[Part] = &[
    Part {
        name: "go_gc_gogc_percent",
        set: Set::Gogc,
    },
    Part {
        name: "process_start_time_seconds",
        set: Set::ProcessStart,
    },
    Part {
        name: "go_info",
        set: Set::Version,
    },
];

/// The field that the series `name` is.
pub(crate) fn part(name: &str) -> Option<&'static Part> {
    FIELDS.iter().chain(OTHERS).find(|part| part.name == name)
}

/// A memory sample that is being put together.
pub(crate) struct Scraped {
    pub(crate) row: MemorySample,
    /// Whether a `go_memstats_…` series is among its parts: without, it is the scrape of another program.
    of_go: bool,
    seen: u64,
    process_start: Option<i64>,
}

impl Scraped {
    pub(crate) fn new(at: Timestamp) -> Self {
        Scraped {
            row: MemorySample {
                at,
                ..MemorySample::default()
            },
            of_go: false,
            seen: 0,
            process_start: None,
        }
    }

    /// Whether this part was already set: then a new scrape has begun.
    pub(crate) fn has(&self, part: &Part) -> bool {
        self.seen & bit(part) != 0
    }

    /// Sets a field. `Err` says what is expected instead of `text`.
    pub(crate) fn set(
        &mut self,
        part: &'static Part,
        text: &[u8],
        version: Option<&std::sync::Arc<str>>,
    ) -> Result<(), &'static str> {
        self.seen |= bit(part);
        self.of_go |= part.name.starts_with("go_memstats_");
        match &part.set {
            Set::Whole(set) => match whole(text) {
                Number::Fits(value) => set(&mut self.row, value),
                _ => return Err("a whole number below 2^63"),
            },
            Set::Limit(set) => match whole(text) {
                Number::Fits(value) => set(&mut self.row, value),
                Number::TooLarge => set(&mut self.row, i64::MAX),
                Number::NotWhole => return Err("a whole number"),
            },
            Set::Gogc => match whole(text) {
                Number::Fits(percent) => self.row.gogc = Some(percent),
                Number::TooLarge => self.row.gogc = Some(-1),
                Number::NotWhole => return Err("GOGC in percent"),
            },
            Set::Seconds(set) => match scaled(text, 9) {
                Some(ns) => set(&mut self.row, Nanos(ns)),
                None => return Err("seconds that fit 64 bits of nanoseconds"),
            },
            Set::ProcessStart => match scaled(text, 9) {
                Some(ns) => self.process_start = Some(ns),
                None => return Err("seconds since the epoch"),
            },
            Set::Fraction(set) => match std::str::from_utf8(text).map(str::parse) {
                Ok(Ok(value)) => set(&mut self.row, value),
                _ => return Err("a number"),
            },
            Set::Version => self.row.go_version = version.cloned(),
        }
        Ok(())
    }

    /// The finished sample; `None` when no `go_memstats_…` series was among its parts.
    pub(crate) fn finish(mut self) -> Option<MemorySample> {
        self.row.uptime = self
            .process_start
            .filter(|start| *start > 0 && *start <= self.row.at.0)
            .map(|start| self.row.at.since(Timestamp(start)));
        self.of_go.then_some(self.row)
    }
}

fn bit(part: &Part) -> u64 {
    let index = FIELDS
        .iter()
        .chain(OTHERS)
        .position(|p| std::ptr::eq(p, part))
        .unwrap_or(63);
    1 << index
}

enum Number {
    Fits(i64),
    /// 2^63 or more.
    TooLarge,
    NotWhole,
}

/// A whole number that may be written as `1.0469376e+07`.
fn whole(text: &[u8]) -> Number {
    if let Some(exact) = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()) {
        return Number::Fits(exact);
    }
    let value: f64 = match std::str::from_utf8(text).map(str::parse) {
        Ok(Ok(value)) => value,
        _ => return Number::NotWhole,
    };
    #[allow(clippy::cast_possible_truncation)] // The range and the fraction are checked first.
    match value {
        v if v >= 9_223_372_036_854_775_808.0 => Number::TooLarge,
        v if v.fract() == 0.0 && v > -9_223_372_036_854_775_808.0 => Number::Fits(v as i64),
        _ => Number::NotWhole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_distinct_and_fit_the_set() {
        let all: Vec<&str> = FIELDS.iter().chain(OTHERS).map(|p| p.name).collect();
        assert!(all.len() < 63);
        for name in &all {
            assert_eq!(all.iter().filter(|n| *n == name).count(), 1, "{name}");
            assert_eq!(part(name).map(|p| p.name), Some(*name));
        }
    }

    #[test]
    fn numbers_keep_their_meaning() {
        let mut scraped = Scraped::new(Timestamp(1_795_410_236_032_000_000));
        let mut set = |name, text: &str| scraped.set(part(name).unwrap(), text.as_bytes(), None);
        for (name, text) in [
            ("go_memstats_heap_inuse_bytes", "1.0469376e+07"),
            ("go_memstats_mallocs_total", "9007199254740993"),
            ("go_memstats_next_gc_bytes", "1.8446744073709552e+19"),
            ("go_memstats_last_gc_time_seconds", "1.7954102358590598e+09"),
            ("go_gc_duration_seconds_sum", "0.00115677"),
            ("go_gc_duration_seconds_count", "4"),
            ("go_gc_gogc_percent", "1.8446744073709552e+19"),
            ("go_gc_gomemlimit_bytes", "9.223372036854776e+18"),
            ("process_start_time_seconds", "1.79541023574e+09"),
        ] {
            assert_eq!(set(name, text), Ok(()), "{name}");
        }
        assert!(set("go_memstats_frees_total", "NaN").is_err());
        assert!(set("go_memstats_frees_total", "1.5").is_err());
        assert!(set("go_memstats_frees_total", "1e19").is_err());
        let row = scraped.finish().unwrap();
        assert_eq!(row.heap_inuse, Some(Bytes(10_469_376)));
        assert_eq!(row.mallocs_total, Some(9_007_199_254_740_993));
        assert_eq!(row.frees_total, None);
        assert_eq!(row.next_gc, Some(Bytes(i64::MAX)));
        assert_eq!(row.last_gc, Some(Nanos(1_795_410_235_859_059_800)));
        assert_eq!(row.pause_total, Some(Nanos(1_156_770)));
        assert_eq!(row.num_gc, Some(4));
        assert_eq!(row.gogc, Some(-1));
        assert_eq!(row.memory_limit, Some(Bytes(i64::MAX)));
        assert_eq!(row.uptime, Some(Nanos(292_000_000)));
    }
}
