//! Bytes per row of every table and column: `cargo run -p memwatch-store --no-default-features --example sizes -- INPUT…`
//!
//! Takes recordings into a temporary store and sums what its segments hold. This is how encodings are chosen.

#![allow(clippy::print_stdout)] // It is what it is for.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::time::Instant;

use memwatch_store::ingest::Ingest;
use memwatch_store::{Store, Table};
use parquet::file::reader::{FileReader, SerializedFileReader};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("memwatch-sizes-{}", std::process::id()));
    let store = Store::create(&dir)?;
    let began = Instant::now();
    let report = Ingest::new(&store).inputs(std::env::args().skip(1)).run()?;
    println!(
        "{} new rows in {:.1} s",
        report.new_rows(),
        began.elapsed().as_secs_f64()
    );
    let snapshot = store.snapshot()?;
    for table in Table::all() {
        let segments = snapshot.segments(table);
        let rows: u64 = segments.iter().map(|s| s.rows).sum();
        if rows == 0 {
            continue;
        }
        let bytes: u64 = segments.iter().map(|s| s.bytes).sum();
        let mut columns: BTreeMap<usize, i64> = BTreeMap::new();
        for segment in segments {
            let file = SerializedFileReader::new(File::open(snapshot.path(segment))?)?;
            for group in file.metadata().row_groups() {
                for (at, column) in group.columns().iter().enumerate() {
                    *columns.entry(at).or_default() += column.compressed_size();
                }
            }
        }
        let per_row = |bytes: f64| bytes / rows as f64;
        let data: i64 = columns.values().sum();
        println!(
            "{}: {rows} rows, {} segments, {:.2} bytes a row, {:.2} of them columns",
            table.name(),
            segments.len(),
            per_row(bytes as f64),
            per_row(data as f64)
        );
        for (at, bytes) in columns {
            let column = &table.def().columns[at];
            println!(
                "  {:26} {:8.3}  {:?}",
                column.name,
                per_row(bytes as f64),
                column.encoding
            );
        }
    }
    drop(store);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
