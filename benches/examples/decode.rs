//! The limit of a backtest: only decoding columns of `samples`, on two threads, without looking at a value:
//! `cargo run --release -p memwatch-benches --example decode -- DIR ts,mallocs_total`.
#![allow(clippy::print_stdout)] // A program.

use std::error::Error;
use std::time::Instant;

use memwatch_core::{TimeRange, Timestamp};
use memwatch_store::{Instances, Snapshot, Store, Table};

const THREADS: i64 = 2;

fn rows(snapshot: &Snapshot, columns: &[&str], range: TimeRange) -> memwatch_store::Result<usize> {
    let scan = snapshot.scan(Table::Samples, Some(columns), range, &Instances::All)?;
    scan.map(|batch| batch.map(|b| b.num_rows())).sum()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, columns] = arguments.as_slice() else {
        return Err("a store and columns, separated by commas".into());
    };
    let columns: Vec<&str> = columns.split(',').collect();
    let began = Instant::now();
    let snapshot = Store::open(folder)?.snapshot()?;
    let whole = snapshot.info().series_range().ok_or("an empty store")?;
    let length = whole.duration().0 / THREADS + 1;
    let parts = (0..THREADS).map(|i| TimeRange {
        start: Timestamp(whole.start.0 + i * length),
        end: Timestamp(whole.end.0.min(whole.start.0 + (i + 1) * length)),
    });
    let (snapshot, columns) = (&snapshot, &columns);
    let found: memwatch_store::Result<Vec<usize>> = std::thread::scope(|threads| {
        let started: Vec<_> = parts
            .map(|part| threads.spawn(move || rows(snapshot, columns, part)))
            .collect();
        let finished = started.into_iter().map(|thread| thread.join());
        finished.map(|rows| rows.unwrap_or(Ok(0))).collect()
    });
    let rows: usize = found?.iter().sum();
    println!("{rows} rows in {:.3} s", began.elapsed().as_secs_f64());
    Ok(())
}
