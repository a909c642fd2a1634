//! Writes a seeded recording through the library, and one of its columns as text for other programs:
//! `cargo run --release -p memwatch-benches --example recording -- DIR [INSTANCES] [HOURS] [TEXT] [INTERVAL]`.
//!
//! Instances are read every INTERVAL, 200 ms if not given; four make a service. TEXT, unless it is `-`, gets `go_memstats_mallocs_total` of each reading, with milliseconds, as Prometheus' text format.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use memwatch_benches::generate::Process;
use memwatch_core::record::RecordSink;
use memwatch_core::{Nanos, Timestamp};
use memwatch_store::Store;

const START: &str = "2026-11-01T00:00:00Z";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("a folder for the store")?;
    let number = |i: usize, default: i64| arguments.get(i).map_or(Ok(default), |a| a.parse());
    let (instances, hours) = (number(1, 20)?, number(2, 24)?);
    let mut text = match arguments.get(3) {
        Some(path) if path != "-" => Some(BufWriter::new(File::create(path)?)),
        _ => None,
    };
    let interval = match arguments.get(4) {
        Some(text) => {
            Nanos::parse(text).filter(|interval| (1..=Nanos::HOUR.0).contains(&interval.0))
        }
        None => Some(Nanos(200_000_000)),
    };
    let interval = interval.ok_or("expected an interval like 15s")?;
    let store = Store::create(folder)?;
    let mut writer = store.writer()?;
    let start = Timestamp::parse_rfc3339(START)?;
    let mut processes: Vec<Process> = (0..instances.unsigned_abs())
        .map(|n| Process::new(1, n, start, interval))
        .collect();
    let mut pauses = Vec::new();
    let an_hour = Nanos::HOUR.0 / interval.0;
    for reading in 0..hours * an_hour {
        for process in &mut processes {
            let sample = process.read(&mut pauses).clone();
            let of = &process.identity;
            writer.sample(of, &sample)?;
            for pause in &pauses {
                writer.gc_pause(of, pause)?;
            }
            if let Some(text) = &mut text {
                writeln!(
                    text,
                    "go_memstats_mallocs_total{{job=\"{0}\",service=\"{0}\",instance=\"{1}\"}} {2} {3}",
                    of.service,
                    of.instance,
                    sample.mallocs_total.unwrap_or(0),
                    sample.at.0 / 1_000_000
                )?;
            }
        }
        if reading % (24 * an_hour) == 24 * an_hour - 1 {
            writer.commit(&[])?;
        }
    }
    writer.commit(&[])?;
    Ok(())
}
