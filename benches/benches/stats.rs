//! Kernels of `memwatch_core::stats`, on seeded data. CPU time beside other tools: `peers/windows.py`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memwatch_core::Nanos;
use memwatch_core::stats::baseline::{Baseline, BaselineOptions, Form};
use memwatch_core::stats::leak::simulated::{Shape, Simulated};
use memwatch_core::stats::leak::{LeakOptions, leak};
use memwatch_core::stats::sketch::Sketch;
use memwatch_core::stats::window::{
    EvenSlope, Fold, Max, Mean, Rate, Stddev, by_count, by_count_at, by_time, mad_by_count,
    quantiles_by_count,
};

const ROWS: usize = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// Times 0.5 to 1.5 seconds apart, and a heap that rises and falls.
fn column() -> (Vec<i64>, Vec<f64>) {
    let mut random = 1_u64;
    let (mut at, mut heap) = (0, 50e6);
    let row = |_| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        at += SECOND / 2 + i64::try_from(random >> 34).unwrap_or(0) * SECOND / (1 << 30);
        heap += (random >> 40) as f64 / 160.0;
        if heap > 100e6 {
            heap = 50e6 + (random >> 44) as f64;
        }
        (at, heap)
    };
    (0..ROWS).map(row).unzip()
}

fn windows(c: &mut Criterion) {
    let (at, values) = column();
    let mut out = vec![0.0; ROWS];
    let mut group = c.benchmark_group("window");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .sample_size(10);
    for rows in [300, 18_000] {
        let mut fold = |name: &str, run: &dyn Fn(&mut [f64])| {
            group.bench_function(BenchmarkId::new(name, rows), |b| {
                b.iter(|| run(black_box(&mut out)))
            });
        };
        fold("mean", &|out| by_count(Mean, &values, rows, out));
        fold("max", &|out| by_count(Max, &values, rows, out));
        fold("stddev", &|out| by_count(Stddev, &values, rows, out));
        fold("slope", &|out| by_count(EvenSlope, &values, rows, out));
        fold("rate", &|out| by_count_at(Rate, &at, &values, rows, out));
        fold("p99", &|out| {
            quantiles_by_count(&[0.99], &values, rows, &mut [out])
        });
        fold("mad", &|out| mad_by_count(&values, rows, out));
        fold("mean_by_time", &|out| timed(Mean, &at, &values, rows, out));
        fold("max_by_time", &|out| timed(Max, &at, &values, rows, out));
        fold("rate_by_time", &|out| timed(Rate, &at, &values, rows, out));
    }
    group.finish();
}

fn timed<F: Fold>(fold: F, at: &[i64], values: &[f64], rows: usize, out: &mut [f64]) {
    by_time(
        fold,
        at,
        values,
        i64::try_from(rows).unwrap_or(i64::MAX) * SECOND,
        out,
    );
}

fn folds(c: &mut Criterion) {
    let (at, values) = column();
    let (at, values) = (&at[..100_000], &values[..100_000]);
    let mut group = c.benchmark_group("baseline/3_features");
    group
        .throughput(Throughput::Elements(at.len() as u64))
        .sample_size(10);
    for (name, form) in [("exact", Form::Exact), ("bounded", Form::Bounded)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut baseline =
                    Baseline::new(BaselineOptions::default().form(form).warm_up(150, Nanos(0)));
                at.iter()
                    .zip(values)
                    .map(|(at, x)| baseline.push(*at, *x).score)
                    .sum::<f64>()
            });
        });
    }
    group.finish();
    for count in [120, 288] {
        let floors = Simulated {
            shape: Shape::Leak(0.1),
            count,
            ..Simulated::default()
        }
        .floors(1);
        c.bench_function(&format!("leak/{count}_floors"), |b| {
            b.iter(|| leak(black_box(&floors), &LeakOptions::default()))
        });
    }
    c.bench_function("sketch/100k_accumulated", |b| {
        b.iter(|| {
            let mut sketch = Sketch::new(0.01);
            values.iter().for_each(|v| sketch.accumulate(*v));
            sketch
        });
    });
}

criterion_group!(stats, windows, folds);
criterion_main!(stats);
