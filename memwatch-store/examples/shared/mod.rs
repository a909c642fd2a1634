//! Rows that say of themselves whether they are right: the time, series and value of a row follow from its number.
#![allow(dead_code)] // Each program uses a part.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink};
use memwatch_core::{TimeRange, Timestamp};
use memwatch_store::{Instances, Snapshot, Store, Table};

/// Rows of one day.
pub(crate) const ROWS_PER_DAY: u64 = 2_000;
const DAY_US: u64 = 86_400_000_000;
/// 2026-01-01.
const BASE_US: u64 = 1_767_225_600_000_000;

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Below `end`, which is more than 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// One time in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The day of a row, counted from the first.
pub(crate) fn day_of(number: u64) -> u64 {
    number / ROWS_PER_DAY
}

/// When that day begins.
pub(crate) fn start_of(day: u64) -> Timestamp {
    Timestamp(i64::try_from((BASE_US + day * DAY_US) * 1_000).unwrap_or(i64::MAX))
}

fn at_us(number: u64) -> i64 {
    let within = number % ROWS_PER_DAY;
    i64::try_from(BASE_US + day_of(number) * DAY_US + within * 1_000).unwrap_or(i64::MAX)
}

fn value(number: u64) -> f64 {
    (mixed(number) >> 12) as f64
}

/// Gives a row to a writer.
pub(crate) fn push(to: &mut impl RecordSink, number: u64) -> memwatch_core::Result<()> {
    let of = Identity {
        service: "s".into(),
        instance: format!("i{}", number % 3).into(),
    };
    let at = Timestamp(at_us(number) * 1_000);
    let name = format!("m{}", number % 4).into();
    to.metric(
        &of,
        &MetricSample::new(at, name, "".into(), value(number), MetricKind::Gauge),
    )
}

/// The numbers of all rows, each with how often it is there; an error when there is a row that nobody gave.
pub(crate) fn rows(snapshot: &Snapshot) -> Result<BTreeMap<u64, u32>, Box<dyn std::error::Error>> {
    let mut found = BTreeMap::new();
    let columns = ["ts", "value"];
    for batch in snapshot.scan(
        Table::Metrics,
        Some(&columns),
        TimeRange::ALL,
        &Instances::All,
    )? {
        let batch = batch?;
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let values = batch.column(1).as_primitive::<Float64Type>();
        for (at, found_value) in times.values().iter().zip(values.values()) {
            let since = u64::try_from(*at)?
                .checked_sub(BASE_US)
                .ok_or("a time before the first")?;
            let number = since / DAY_US * ROWS_PER_DAY + since % DAY_US / 1_000;
            if *at != at_us(number) || value(number).to_bits() != found_value.to_bits() {
                return Err(format!("a phantom: {found_value} at {at} µs").into());
            }
            *found.entry(number).or_insert(0) += 1;
        }
    }
    Ok(found)
}

/// What a store has to hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Promised {
    /// Numbers of the rows that were acknowledged: first and last.
    acknowledged: Vec<(u64, u64)>,
    /// Days before this one were removed.
    gone: u64,
    /// Days before this one may have been removed, all of them or none.
    going: u64,
}

impl Promised {
    pub(crate) fn acknowledge(&mut self, first: u64, last: u64) {
        self.acknowledged.push((first, last));
    }

    pub(crate) fn count(&self) -> u64 {
        self.acknowledged
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    pub(crate) fn going(&mut self, before_day: u64) {
        self.going = self.going.max(before_day);
    }

    /// The day up to which a removal was begun that did not end.
    pub(crate) fn cut_off(&self) -> Option<u64> {
        (self.going > self.gone).then_some(self.going)
    }

    pub(crate) fn gone(&mut self, before_day: u64) {
        self.gone = self.gone.max(before_day);
    }

    /// Compares with what is there: rows that are lost, there twice, or removed only in part.
    pub(crate) fn check(&mut self, found: &BTreeMap<u64, u32>) -> Result<(), String> {
        if let Some((number, times)) = found.iter().find(|(_, times)| **times > 1) {
            return Err(format!("row {number} is there {times} times"));
        }
        if let Some((number, _)) = found.iter().find(|(n, _)| day_of(**n) < self.gone) {
            return Err(format!("row {number} is there, its day was removed"));
        }
        let numbers = || {
            self.acknowledged
                .iter()
                .flat_map(|(first, last)| *first..=*last)
        };
        let missing: Vec<u64> = numbers()
            .filter(|n| day_of(*n) >= self.gone && !found.contains_key(n))
            .collect();
        if let Some(number) = missing.iter().find(|n| day_of(**n) >= self.going) {
            return Err(format!(
                "row {number} was acknowledged and is lost, with {} in all",
                missing.len()
            ));
        }
        if !missing.is_empty() {
            let there = numbers()
                .find(|n| (self.gone..self.going).contains(&day_of(*n)) && found.contains_key(n));
            if let Some(number) = there {
                return Err(format!(
                    "row {} went, row {number} of the same removal did not",
                    missing[0]
                ));
            }
            self.gone = self.going;
        }
        // What is there when a removal was cut off is still there, or goes with the next.
        self.going = self.gone;
        Ok(())
    }
}

/// What is there is what was promised, before and after recovery. Groups and bytes that recovery found.
pub(crate) fn check(
    folder: &Path,
    promised: &mut Promised,
) -> Result<(u64, u64), Box<dyn std::error::Error>> {
    if !Store::is_store(folder) {
        return if promised.count() == 0 {
            Ok((0, 0))
        } else {
            Err("the store is gone".into())
        };
    }
    let store = Store::open(folder)?;
    let before = rows(&store.snapshot()?)?;
    promised.check(&before)?;
    let appender = store.append()?;
    let found = (
        appender.recovered().frames,
        appender.recovered().dropped_bytes,
    );
    drop(appender);
    let after = rows(&store.snapshot()?)?;
    if before != after {
        return Err(format!(
            "{} rows before recovery, {} after",
            before.len(),
            after.len()
        )
        .into());
    }
    let verified = store.verify()?;
    match verified.findings.first() {
        Some(finding) => Err(format!("verify: {finding}").into()),
        None => Ok(found),
    }
}

/// A new folder, in memory where the system has such: nothing here depends on the disk below, and its syncs are slow.
pub(crate) fn folder() -> std::io::Result<tempfile::TempDir> {
    match std::env::var_os("TMPDIR") {
        None if Path::new("/dev/shm").is_dir() => tempfile::tempdir_in("/dev/shm"),
        _ => tempfile::tempdir(),
    }
}

/// The value of `--name N` on the command line.
pub(crate) fn option(name: &str) -> Option<u64> {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == name)?;
    args.get(at + 1)?.parse().ok()
}
