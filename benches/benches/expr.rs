//! Functions of windows as expressions evaluate them, against looking at each window on its own.
//!
//! `sliding` evaluates at every second over four hours of 200 ms samples (72,000), windows of one and ten minutes: 300 and 3,000 samples.
//! Where a sliding kernel is linear in samples and steps, both take the same time. `naive` gives the same kernel one window at a time, at 1 of 60
//! of the steps: what an instant query for each evaluation would do.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memwatch_core::expr::{EvalOptions, evaluate, parse};
use memwatch_core::series::{MemorySeries, Series};
use memwatch_core::{Nanos, Steps, Timestamp};

const SAMPLES: i64 = 72_000;
const INTERVAL_NS: i64 = 200_000_000;
const NAIVE_SHARE: usize = 60;

/// Functions of a range vector, with `$` for the window.
const CALLS: &[&str] = &[
    "rate(x_total[$])",
    "increase(x_total[$])",
    "delta(x_total[$])",
    "irate(x_total[$])",
    "changes(x_total[$])",
    "resets(x_total[$])",
    "avg_over_time(x_total[$])",
    "sum_over_time(x_total[$])",
    "min_over_time(x_total[$])",
    "max_over_time(x_total[$])",
    "count_over_time(x_total[$])",
    "last_over_time(x_total[$])",
    "stddev_over_time(x_total[$])",
    "quantile_over_time(0.99, x_total[$])",
    "mad_over_time(x_total[$])",
    "deriv(x_total[$])",
    "predict_linear(x_total[$], 60)",
    "double_exponential_smoothing(x_total[$], 0.3, 0.3)",
    "growth(x_total[$])",
];

/// One series: a counter with a restart every ten thousand samples, its increments of all sizes.
fn recording() -> MemorySeries {
    let mut random = 1_u64;
    let mut value = 0.0;
    let values = (0..SAMPLES).map(|i| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        value = if i % 10_000 == 9_999 {
            0.0
        } else {
            value + (random >> 48) as f64
        };
        value
    });
    MemorySeries {
        series: vec![Series {
            labels: [("__name__", "x_total")].into_iter().collect(),
            values: values.collect(),
            at_ns: (0..SAMPLES).map(|i| i * INTERVAL_NS).collect(),
        }],
    }
}

fn windows(c: &mut Criterion) {
    let reader = recording();
    let options = EvalOptions::default();
    let steps = Steps {
        start: Timestamp(0),
        end: Timestamp(SAMPLES * INTERVAL_NS),
        step: Nanos::SECOND,
    };
    for call in CALLS {
        let name = call.split('(').next().unwrap_or(call);
        let mut group = c.benchmark_group(name);
        group
            .throughput(Throughput::Elements(steps.count() as u64))
            .sample_size(10);
        for window in ["1m", "10m"] {
            let Ok(expr) = parse(&call.replace('$', window)) else {
                unreachable!("a table of valid calls")
            };
            group.bench_function(BenchmarkId::new("sliding", window), |b| {
                b.iter(|| black_box(evaluate(&expr, steps, &reader, &options).is_ok()))
            });
        }
        group.throughput(Throughput::Elements((steps.count() / NAIVE_SHARE) as u64));
        let Ok(expr) = parse(&call.replace('$', "1m")) else {
            unreachable!("a table of valid calls")
        };
        group.bench_function(BenchmarkId::new("naive", "1m"), |b| {
            b.iter(|| {
                for at in steps.iter().step_by(NAIVE_SHARE) {
                    let one = Steps::instant(at);
                    black_box(evaluate(&expr, one, &reader, &options).is_ok());
                }
            })
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(std::time::Duration::from_millis(200)).measurement_time(std::time::Duration::from_secs(1));
    targets = windows
}
criterion_main!(benches);
