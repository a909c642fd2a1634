//! How fast the window kernels are: CPU time of this thread a row, for `benches/peers/windows.py` and by itself.
//!
//! `windows VALUES ROWS…` reads values (64-bit floats, little-endian) from a file, or makes 4,000,000 for `-`, and prints for each kernel
//! and window a line `kernel<TAB>rows<TAB>million rows a second`, the best of seven rounds. Kernels ending in `_time` take irregular times
//! that put as many rows into a window on average. Increase and rate are of a counter that adds the values up and begins anew every 99,991
//! rows; those ending in `_falls` are of the values as they are, which fall about as often as they rise. CPU time is read from `/proc` (Linux).
#![allow(clippy::disallowed_methods, clippy::print_stdout)] // The crate opens no files and prints nothing; this program around it does.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;
use std::{env, fs};

use memwatch_core::Nanos;
use memwatch_core::stats::baseline::{Baseline, BaselineOptions, Feature, Form};
use memwatch_core::stats::window::{
    Deviation, EvenSlope, Fold, Increase, Max, Mean, Min, Rate, Slope, Stddev, Sum, by_count,
    by_count_at, by_time, ewma, mad_by_count, mad_by_time, quantiles_by_count, quantiles_by_time,
};

const SECOND: i64 = 1_000_000_000;

struct Column {
    values: Vec<f64>,
    /// Their sums so far, from zero every 99,991 rows.
    counter: Vec<f64>,
    /// A second apart.
    even_ns: Vec<i64>,
    /// A second apart on average.
    uneven_ns: Vec<i64>,
    out: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, windows @ ..] = &arguments[..] else {
        return Err("usage: windows VALUES ROWS…".into());
    };
    let mut column = Column::new(if file == "-" {
        sawtooth(4_000_000)
    } else {
        read(file)?
    });
    for rows in windows {
        let rows: usize = rows.parse()?;
        measure_folds(&mut column, rows)?;
        measure_ranked(&mut column, rows)?;
    }
    measure_limits(&mut column)?;
    measure_baseline(&column)
}

/// What no window kernel is faster than: to copy the column, and to write the running sum of it.
fn measure_limits(column: &mut Column) -> Result<(), Box<dyn Error>> {
    let Column { values, out, .. } = column;
    let n = values.len();
    report("limit_copy", 0, n, || {
        out.copy_from_slice(black_box(values));
    })?;
    report("limit_running_sum", 0, n, || {
        let mut sum = 0.0;
        for (out, value) in out.iter_mut().zip(black_box(&*values)) {
            sum += value;
            *out = sum;
        }
        black_box(&*out);
    })
}

fn measure_folds(column: &mut Column, rows: usize) -> Result<(), Box<dyn Error>> {
    column.fold("mean", Mean, rows)?;
    column.fold("sum", Sum, rows)?;
    column.fold("min", Min, rows)?;
    column.fold("max", Max, rows)?;
    column.fold("stddev", Stddev, rows)?;
    column.fold("rate_falls", Rate, rows)?;
    std::mem::swap(&mut column.values, &mut column.counter);
    column.fold("increase", Increase, rows)?;
    column.fold("rate", Rate, rows)?;
    std::mem::swap(&mut column.values, &mut column.counter);
    column.fold("slope", Slope, rows)?;
    column.fold("deviation", Deviation, rows)?;
    column.fold("even_slope", EvenSlope, rows)?;
    let Column {
        values,
        uneven_ns,
        out,
        ..
    } = column;
    report("ewma", rows, values.len(), || {
        ewma(
            uneven_ns,
            values,
            i64::try_from(rows).unwrap_or(1) * SECOND,
            out,
        );
    })
}

fn measure_ranked(column: &mut Column, rows: usize) -> Result<(), Box<dyn Error>> {
    let width_ns = i64::try_from(rows)? * SECOND;
    let Column {
        values,
        uneven_ns,
        out,
        ..
    } = column;
    let n = values.len();
    report("p99", rows, n, || {
        quantiles_by_count(&[0.99], values, rows, &mut [out])
    })?;
    report("median", rows, n, || {
        quantiles_by_count(&[0.5], values, rows, &mut [out])
    })?;
    report("mad", rows, n, || mad_by_count(values, rows, out))?;
    report("p99_time", rows, n, || {
        quantiles_by_time(&[0.99], uneven_ns, values, width_ns, &mut [out])
    })?;
    report("mad_time", rows, n, || {
        mad_by_time(uneven_ns, values, width_ns, out)
    })
}

fn measure_baseline(column: &Column) -> Result<(), Box<dyn Error>> {
    let n = column.values.len().min(500_000);
    for (name, form, features) in [
        ("baseline_1", Form::Bounded, &[Feature::Value][..]),
        (
            "baseline_3",
            Form::Bounded,
            &[Feature::Value, Feature::Mean(3), Feature::Mean(30)],
        ),
        ("baseline_1_exact", Form::Exact, &[Feature::Value]),
    ] {
        report(name, 0, n, || {
            let options = BaselineOptions::default()
                .form(form)
                .features(features, 0.98)
                .warm_up(150, Nanos(0));
            let mut baseline = Baseline::new(options);
            for i in 0..n {
                black_box(baseline.push(column.uneven_ns[i], column.values[i]));
            }
        })?;
    }
    Ok(())
}

impl Column {
    fn new(values: Vec<f64>) -> Column {
        let mut random = 7_u64;
        let (mut even, mut uneven) = (0, 0);
        let counter = values.chunks(99_991).flat_map(|chunk| {
            chunk.iter().scan(0.0, |total, value| {
                *total += value / 1e6;
                Some(*total)
            })
        });
        let mut column = Column {
            counter: counter.collect(),
            even_ns: Vec::with_capacity(values.len()),
            uneven_ns: Vec::with_capacity(values.len()),
            out: vec![0.0; values.len()],
            values,
        };
        for _ in 0..column.values.len() {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            even += SECOND;
            // 0.5 to 1.5 seconds.
            uneven += SECOND / 2 + i64::try_from(random >> 34).unwrap_or(0) * SECOND / (1 << 30);
            column.even_ns.push(even);
            column.uneven_ns.push(uneven);
        }
        column
    }

    fn fold<F: Fold>(&mut self, name: &str, fold: F, rows: usize) -> Result<(), Box<dyn Error>> {
        let width_ns = i64::try_from(rows)? * SECOND;
        let Column {
            values,
            even_ns,
            uneven_ns,
            out,
            ..
        } = self;
        let n = values.len();
        report(name, rows, n, || by_count(fold, values, rows, out))?;
        report(&format!("{name}_at"), rows, n, || {
            by_count_at(fold, even_ns, values, rows, out)
        })?;
        report(&format!("{name}_time"), rows, n, || {
            by_time(fold, uneven_ns, values, width_ns, out)
        })
    }
}

/// Runs it for seven rounds and prints the best.
///
/// Of a round that is its CPU time a run, or the shortest time that a run took by the clock if that is less: nothing else ran then.
fn report(
    name: &str,
    window: usize,
    rows: usize,
    mut run: impl FnMut(),
) -> Result<(), Box<dyn Error>> {
    // The kernel counts CPU time in ticks of some milliseconds, so a round is many of them long.
    const ROUND_NS: u64 = 50_000_000;
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let before = cpu_ns()?;
        let (mut runs, mut taken) = (0.0, 0);
        while taken < ROUND_NS {
            let began = Instant::now();
            run();
            best = best.min(began.elapsed().as_nanos() as f64);
            runs += 1.0;
            taken = cpu_ns()? - before;
        }
        best = best.min(taken as f64 / runs);
    }
    println!("{name}\t{window}\t{:.1}", rows as f64 / best * 1e3);
    Ok(())
}

/// CPU time of this thread.
fn cpu_ns() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(first.parse()?)
}

fn read(path: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (numbers, rest) = bytes.as_chunks::<8>();
    if numbers.is_empty() || !rest.is_empty() {
        return Err(format!(
            "{path}: expected 64-bit floats, found {} bytes",
            bytes.len()
        )
        .into());
    }
    Ok(numbers
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect())
}

/// A heap: rises from 50 to 100 MB in some 1000 steps and falls, with noise.
fn sawtooth(count: usize) -> Vec<f64> {
    let mut random = 1_u64;
    let mut heap = 50e6;
    let step = |_| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        heap += (random >> 40) as f64 / (1 << 24) as f64 * 100e3;
        if heap > 100e6 {
            heap = 50e6 + (random >> 44) as f64;
        }
        heap
    };
    (0..count).map(step).collect()
}
