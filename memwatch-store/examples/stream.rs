//! Times of the way in for streams: `cargo run --release -p memwatch-store --example stream [-- --megabytes 1000 --segments 10000]`.
//!
//! Rows of `samples` are appended and synced in groups of 10,000 until the WAL has the wished size, none of them in a segment; then the process ends
//! without a flush, and another opens the store, which brings all of them into segments. Then a store of so many segments is opened, and `--rows` rows
//! are written with one commit. Peak memory is that of a process of its own for each.
#![allow(clippy::print_stdout)] // A program.

mod shared;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use memwatch_core::record::{Identity, MemorySample, RecordSink as _};
use memwatch_core::{Bytes, Nanos, Timestamp};
use memwatch_store::{AppendSettings, Store, Table};
use shared::{Random, folder, option};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ROWS_PER_SYNC: u64 = 10_000;
const STEP_NS: i64 = 200_000_000;
const DAY_NS: i64 = 86_400_000_000_000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let store = arguments.get(2).map(Path::new);
    match (arguments.get(1).map(String::as_str), store) {
        (Some("append"), Some(store)) => append(store),
        (Some("recover"), Some(store)) => recover(store),
        (Some("spread"), Some(store)) => spread(store),
        (Some("open"), Some(store)) => open(store),
        (Some("write"), Some(store)) => write(store),
        _ => all(),
    }
}

/// Each part in a process of its own.
fn all() -> Outcome<()> {
    let folder = folder()?;
    let (stream, many) = (folder.path().join("stream"), folder.path().join("many"));
    let written = folder.path().join("written");
    for (part, store) in [
        ("append", &stream),
        ("recover", &stream),
        ("spread", &many),
        ("open", &many),
        ("write", &written),
    ] {
        let mut child = Command::new(std::env::current_exe()?);
        child.arg(part).arg(store).args(std::env::args().skip(1));
        if !child.status()?.success() {
            return Err(format!("{part} failed").into());
        }
    }
    Ok(())
}

/// A reading like those of a busy process.
fn sample(number: u64, random: &mut Random) -> MemorySample {
    let n = i64::try_from(number).unwrap_or(i64::MAX);
    let mut noise = |below: u64| i64::try_from(random.below(below)).unwrap_or(0);
    let mut row = MemorySample::default();
    row.at = Timestamp(1_795_410_189_000_000_000 + n / 20 * STEP_NS);
    row.process = Some(1);
    row.version = Some("v1".into());
    row.go_version = Some("go1.27.3".into());
    row.total_alloc = Some(Bytes(n * 9_000_000 + noise(1_000_000)));
    row.sys = Some(Bytes(90_000_000));
    row.mallocs_total = Some(n * 20_000 + noise(1_000));
    row.frees_total = Some(n * 19_990 + noise(1_000));
    row.heap_alloc = Some(Bytes(20_000_000 + noise(20_000_000)));
    row.heap_sys = Some(Bytes(60_000_000));
    row.heap_idle = Some(Bytes(noise(20_000_000)));
    row.heap_inuse = Some(Bytes(30_000_000 + noise(20_000_000)));
    row.heap_objects = Some(200_000 + noise(100_000));
    row.next_gc = Some(Bytes(40_000_000));
    row.num_gc = Some(n / 50);
    row.pause_total = Some(Nanos(n / 50 * 100_000));
    row.goroutines = Some(40 + noise(10));
    row.rss = Some(Bytes(80_000_000 + noise(1_000_000)));
    row
}

fn of(number: u64) -> Identity {
    Identity {
        service: "checkout".into(),
        instance: format!("checkout-{}", number % 20).into(),
    }
}

fn append(at: &Path) -> Outcome<()> {
    let wished = option("--megabytes").unwrap_or(1_000) * 1_000_000;
    let store = Store::create(at)?;
    let mut settings = AppendSettings::default();
    settings.flush_rows = u64::MAX;
    settings.flush_after = Duration::from_secs(86_400);
    let mut appender = store.append_with(settings)?;
    let instances: Vec<Identity> = (0..20).map(of).collect();
    let (mut random, mut number, mut spent) = (Random(1), 0, Duration::ZERO);
    while bytes(&at.join("wal"))? < wished {
        let rows: Vec<MemorySample> = (number..number + ROWS_PER_SYNC)
            .map(|n| sample(n, &mut random))
            .collect();
        let began = Instant::now();
        for (row, of) in rows.iter().zip(instances.iter().cycle()) {
            appender.sample(of, row)?;
        }
        appender.sync()?;
        spent += began.elapsed();
        number += ROWS_PER_SYNC;
    }
    let rate = number as f64 / spent.as_secs_f64() / 1e6;
    println!(
        "append: {number} rows in {:.1} s, {rate:.2} M rows/s, synced at each {ROWS_PER_SYNC}; WAL of {} MB; peak {} MB",
        spent.as_secs_f64(),
        bytes(&at.join("wal"))? / 1_000_000,
        peak()?
    );
    // As a crash would: no flush.
    std::process::exit(0)
}

fn recover(at: &Path) -> Outcome<()> {
    let wal = bytes(&at.join("wal"))?;
    let began = Instant::now();
    let store = Store::open(at)?;
    let writer = store.writer()?;
    let spent = began.elapsed().as_secs_f64();
    let table = &store.snapshot()?.info().tables[Table::Samples as usize];
    println!(
        "recover: {} groups, {} rows from {} MB in {spent:.1} s, {:.0} MB/s; peak {} MB",
        writer.recovered().frames,
        table.rows,
        wal / 1_000_000,
        wal as f64 / spent / 1e6,
        peak()?
    );
    Ok(())
}

/// A row a day: as many segments in one commit.
fn spread(at: &Path) -> Outcome<()> {
    let segments = option("--segments").unwrap_or(10_000);
    let store = Store::create(at)?;
    let mut writer = store.writer()?;
    let mut random = Random(2);
    for number in 0..segments {
        let mut row = sample(number, &mut random);
        row.at = Timestamp(i64::try_from(number)? * DAY_NS);
        writer.sample(&of(number), &row)?;
    }
    writer.commit(&[])?;
    Ok(())
}

fn open(at: &Path) -> Outcome<()> {
    let began = Instant::now();
    let snapshot = Store::open(at)?.snapshot()?;
    let spent = began.elapsed().as_secs_f64();
    println!(
        "open: {} segments in {:.0} ms; peak {} MB",
        snapshot.segments(Table::Samples).len(),
        spent * 1e3,
        peak()?
    );
    Ok(())
}

/// Rows that are there become segments, in one commit and on one thread.
fn write(at: &Path) -> Outcome<()> {
    let rows = option("--rows").unwrap_or(2_000_000);
    let store = Store::create(at)?;
    let mut writer = store.writer()?;
    let instances: Vec<Identity> = (0..20).map(of).collect();
    let (mut random, mut spent) = (Random(3), Duration::ZERO);
    for first in (0..rows).step_by(usize::try_from(ROWS_PER_SYNC)?) {
        let rows: Vec<MemorySample> = (first..rows.min(first + ROWS_PER_SYNC))
            .map(|n| sample(n, &mut random))
            .collect();
        let began = Instant::now();
        for (row, of) in rows.iter().zip(instances.iter().cycle()) {
            writer.sample(of, row)?;
        }
        spent += began.elapsed();
    }
    let began = Instant::now();
    writer.commit(&[])?;
    spent += began.elapsed();
    let (seconds, size) = (spent.as_secs_f64(), bytes_below(&at.join("samples"))?);
    println!(
        "write: {rows} rows in {seconds:.2} s, {:.2} M rows/s, {:.1} bytes a row",
        rows as f64 / seconds / 1e6,
        size as f64 / rows as f64
    );
    Ok(())
}

/// Of all files of all folders in a folder.
fn bytes_below(folder: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for folder in fs::read_dir(folder)? {
        sum += bytes(&folder?.path())?;
    }
    Ok(sum)
}

/// Of all files below a folder.
fn bytes(folder: &Path) -> Outcome<u64> {
    let Ok(files) = fs::read_dir(folder) else {
        return Ok(0);
    };
    let mut sum = 0;
    for file in files {
        sum += file?.metadata()?.len();
    }
    Ok(sum)
}

/// Peak memory of this process in MB, where the system says it.
fn peak() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|l| l.trim().strip_suffix(" kB"));
    Ok(kb.map_or(Ok(0), str::parse::<u64>)? / 1_000)
}
