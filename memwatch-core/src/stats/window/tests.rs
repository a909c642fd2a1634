//! Both forms against each other to the last bit, and against looking at each window.

use proptest::prelude::*;

use super::*;
use crate::stats::counter::increase;
use crate::stats::moments::variance;
use crate::stats::quantile::{median_absolute_deviation, order, quantile};

/// The naive version: the statistic of the rows of a window.
type Naive = fn(&[i64], &[f64]) -> f64;

fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    same(a, b) || (a - b).abs() <= 1e-9 * scale
}

fn line(at: &[i64], values: &[f64]) -> (f64, f64) {
    if at[0] == at[at.len() - 1] || values.iter().any(|v| !v.is_finite()) {
        return (f64::NAN, f64::NAN);
    }
    let n = at.len() as f64;
    let x: Vec<f64> = at.iter().map(|t| (t - at[0]) as f64 / 1e9).collect();
    let (mx, my) = (x.iter().sum::<f64>() / n, values.iter().sum::<f64>() / n);
    let xx: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    let xy: f64 = x.iter().zip(values).map(|(x, y)| (x - mx) * (y - my)).sum();
    let last = values.len() - 1;
    (xy / xx, values[last] - my - xy / xx * (x[last] - mx))
}

fn least(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    let known = values.iter().copied().filter(|v| !v.is_nan());
    known
        .reduce(|a, b| if better(b, a) { b } else { a })
        .unwrap_or(f64::NAN)
}

/// Windows of each row: first row by count and by time.
fn windows(at: &[i64], rows: usize, width: i64) -> (Vec<usize>, Vec<usize>) {
    let by_count = (0..at.len()).map(|i| (i + 1).saturating_sub(rows));
    let by_time = at
        .iter()
        .map(|t| at.iter().position(|then| *then > t - width).unwrap());
    (by_count.collect(), by_time.collect())
}

#[allow(clippy::too_many_arguments)] // A case in a line.
fn check<F: Fold>(
    fold: F,
    name: &str,
    naive: Naive,
    exact: bool,
    at: &[i64],
    values: &[f64],
    rows: usize,
    width: i64,
) {
    let scale = values
        .iter()
        .copied()
        .filter(|v| v.is_finite())
        .fold(1.0, |s: f64, v| s + v.abs());
    let (by_rows, by_width) = windows(at, rows, width);
    let (mut counted, mut timed) = (vec![0.0; at.len()], vec![0.0; at.len()]);
    by_count_at(fold, at, values, rows, &mut counted);
    by_time(fold, at, values, width, &mut timed);
    for (what, starts, found, width) in [
        ("rows", by_rows, counted, Width::Rows(rows)),
        ("time", by_width, timed, Width::Time(width)),
    ] {
        let mut stream = Stream::new(fold, width);
        for i in 0..at.len() {
            let pushed = stream.push(at[i], values[i]);
            assert!(
                pushed.to_bits() == found[i].to_bits() || pushed.is_nan() && found[i].is_nan(),
                "{name} by {what}, row {i}: stream {pushed}, batch {}",
                found[i]
            );
            let want = naive(&at[starts[i]..=i], &values[starts[i]..=i]);
            let right = if exact {
                same(found[i], want)
            } else {
                near(found[i], want, scale)
            };
            assert!(
                right,
                "{name} by {what}, row {i}: {} instead of {want}",
                found[i]
            );
        }
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (0_u8..20).prop_map(f64::from),
        4 => -1000.0..1000.0_f64,
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0)],
    ]
}

fn column(value: impl Strategy<Value = f64>) -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let step = prop_oneof![6 => Just(1_000_000_000_i64), 2 => 1..3_000_000_000_i64, 1 => Just(0), 1 => Just(60_000_000_000)];
    (prop::collection::vec((step, value), 1..120), -100..100_i64).prop_map(|(rows, start)| {
        let mut now = start * 700_000_000;
        let at = rows.iter().map(|(step, _)| {
            now += step;
            now
        });
        (at.collect(), rows.iter().map(|(_, value)| *value).collect())
    })
}

proptest! {
    #[test]
    fn sums_and_extremes((at, values) in column(value()), rows in 1_usize..40, width in 1_i64..30) {
        let width = width * 500_000_000;
        check(Count, "count", |_, v| v.len() as f64, true, &at, &values, rows, width);
        check(Sum, "sum", |_, v| v.iter().sum(), false, &at, &values, rows, width);
        check(Mean, "mean", |_, v| v.iter().sum::<f64>() / v.len() as f64, false, &at, &values, rows, width);
        check(Min, "min", |_, v| least(v, |a, b| a < b), true, &at, &values, rows, width);
        check(Max, "max", |_, v| least(v, |a, b| a > b), true, &at, &values, rows, width);
        check(Stddev, "stddev", |_, v| variance(v).sqrt(), false, &at, &values, rows, width);
    }

    #[test]
    fn lines((at, values) in column(-1000.0..1000.0_f64), rows in 1_usize..40, width in 1_i64..30) {
        let width = width * 500_000_000;
        // A line through rows of a nanosecond apart is steep: compared where a second or more is covered.
        let tame = |at: &[i64]| at[at.len() - 1] - at[0] >= 1_000_000_000 || at[0] == at[at.len() - 1];
        prop_assume!(tame(&at));
        let at: Vec<i64> = at.iter().map(|t| t.div_euclid(500_000_000) * 500_000_000).collect();
        check(Slope, "slope", |t, v| line(t, v).0, false, &at, &values, rows, width);
        check(Deviation, "deviation", |t, v| line(t, v).1, false, &at, &values, rows, width);
    }

    #[test]
    fn counters((at, values) in column((0_u16..500).prop_map(f64::from)), rows in 1_usize..40, width in 1_i64..30) {
        let width = width * 500_000_000;
        check(Increase, "increase", |_, v| if v.len() < 2 { f64::NAN } else { increase(v) }, true, &at, &values, rows, width);
        check(
            Rate,
            "rate",
            |t, v| {
                let covered = (t[t.len() - 1] - t[0]) as f64 / 1e9;
                if covered > 0.0 { increase(v) / covered } else { f64::NAN }
            },
            false, &at, &values, rows, width,
        );
    }

    #[test]
    fn quantiles_and_mad((at, values) in column(value()), rows in 1_usize..40, width in 1_i64..30) {
        let width = width * 500_000_000;
        let qs = [0.0, 0.25, 0.5, 0.99, 1.0, -1.0, 2.0, f64::NAN];
        let n = at.len();
        let (by_rows, by_width) = windows(&at, rows, width);
        for (starts, window) in [(by_rows, Width::Rows(rows)), (by_width, Width::Time(width))] {
            let mut columns = vec![vec![0.0; n]; qs.len()];
            let mut mad = vec![0.0; n];
            let mut out: Vec<&mut [f64]> = columns.iter_mut().map(|c| &mut c[..]).collect();
            match window {
                Width::Rows(rows) => {
                    quantiles_by_count(&qs, &values, rows, &mut out);
                    mad_by_count(&values, rows, &mut mad);
                }
                Width::Time(width) => {
                    quantiles_by_time(&qs, &at, &values, width, &mut out);
                    mad_by_time(&at, &values, width, &mut mad);
                }
            }
            let mut stream = RankedStream::new(window);
            for i in 0..n {
                stream.push(at[i], values[i]);
                let mut sorted = values[starts[i]..=i].to_vec();
                sorted.sort_by(|a, b| order(*a, *b));
                for (q, column) in qs.iter().zip(&columns) {
                    let want = quantile(*q, &sorted);
                    prop_assert!(same(column[i], want), "q {q} row {i}: {} {want}", column[i]);
                    prop_assert!(same(stream.quantile(*q), want));
                }
                let want = median_absolute_deviation(&sorted);
                prop_assert!(same(mad[i], want), "mad row {i}: {} {want} of {sorted:?}", mad[i]);
                prop_assert!(same(stream.mad(), want), "mad row {i}: {} {want} of {sorted:?}", stream.mad());
            }
        }
    }

    #[test]
    fn growth_is_a_window_over_the_one_before(values in prop::collection::vec(1.0..100.0_f64, 1..60), rows in 1_usize..10) {
        let at: Vec<i64> = (0..).map(|i| i * 1_000_000_000).take(values.len()).collect();
        let (mut plain, mut timed) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        growth_by_count(Mean, &values, rows, &mut plain);
        growth_by_count_at(Mean, &at, &values, rows, &mut timed);
        for i in 0..values.len() {
            let mean = |end: usize| values[end + 1 - rows..=end].iter().sum::<f64>() / rows as f64;
            let want = if i + 1 >= 2 * rows { mean(i) / mean(i - rows) } else { f64::NAN };
            prop_assert!(near(plain[i], want, 1.0) && same(plain[i], timed[i]));
        }
    }

    #[test]
    fn ewma_is_a_weighted_mean((at, values) in column(-100.0..100.0_f64), half_life in 1_i64..60) {
        let half_life = half_life * 1_000_000_000;
        let mut out = vec![0.0; at.len()];
        ewma(&at, &values, half_life, &mut out);
        for i in 0..at.len() {
            let decay = |j: usize| (-((at[i] - at[j]) as f64) / half_life as f64).exp2();
            let want: f64 = decay(0) * values[0] + (1..=i).map(|j| (decay(j) - decay(j - 1)) * values[j]).sum::<f64>();
            prop_assert!((out[i] - want).abs() <= 1e-9, "row {i}: {} {want}", out[i]);
        }
    }
}

#[test]
fn chunks_of_ranks_do_not_show() {
    // More rows than a chunk holds, with windows shorter and longer than it.
    let mut state = 1_u64;
    let values: Vec<f64> = (0..30_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 40) % 5000) as f64
        })
        .collect();
    for rows in [7, 300, 6000] {
        let (mut p99, mut mad) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        quantiles_by_count(&[0.99], &values, rows, &mut [&mut p99]);
        mad_by_count(&values, rows, &mut mad);
        for i in (0..values.len()).step_by(997) {
            let mut window = values[(i + 1).saturating_sub(rows)..=i].to_vec();
            window.sort_by(f64::total_cmp);
            assert_eq!(p99[i], quantile(0.99, &window), "row {i}");
            assert_eq!(mad[i], median_absolute_deviation(&window), "row {i}");
        }
    }
}

#[test]
fn nothing_drifts() {
    // Around 10⁹, with values of 10¹⁵ now and then that a running sum would keep rounding of.
    let n = 1_000_000;
    let values: Vec<f64> = (0..n)
        .map(|i| {
            if i % 99_991 == 7 {
                1e15
            } else {
                1e9 + f64::from(i % 997) * 0.1
            }
        })
        .collect();
    let mut mean = vec![0.0; values.len()];
    by_count(Mean, &values, 300, &mut mean);
    let last: f64 = values[values.len() - 300..]
        .iter()
        .map(|v| v - 1e9)
        .sum::<f64>()
        / 300.0;
    assert!((mean[values.len() - 1] / (1e9 + last) - 1.0).abs() <= 1e-14);
}

#[test]
fn nothing_drifts_in_ten_million_rows() {
    const ROWS: usize = 300;
    let value = |i: u32| {
        if i % 99_991 == 7 {
            1e15
        } else {
            1e9 + f64::from(i % 997) * 0.1
        }
    };
    let mut mean = Stream::new(Mean, Width::Rows(ROWS));
    let mut checked = 0;
    for i in 0..10_000_000_u32 {
        let found = mean.push(i64::from(i) * 1_000_000_000, value(i));
        if i % 999_983 == 999_982 {
            let window = i + 1 - 300..=i;
            let excess: f64 = window.map(|j| value(j) - 1e9).sum();
            let want = 1e9 + excess / ROWS as f64;
            assert!(
                (found / want - 1.0).abs() <= 1e-12,
                "row {i}: {found} {want}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 10);
}

/// A column of many chunks: noise, resets, equal times, gaps of 30 days, and what is no number.
fn long_column() -> (Vec<i64>, Vec<f64>) {
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64
    };
    let mut at = 0;
    (0..6000)
        .map(|i| {
            at += match random() % 1000 {
                0 => 30 * 86_400_000_000_000,
                1..300 => 0,
                _ => 500_000_000 + random() % 1_000_000_000,
            };
            let value = match i {
                1700 | 4100 => f64::NAN,
                2500 => f64::INFINITY,
                3000..3400 => 7e8,
                _ => 1e9 + (random() % 100_000) as f64 / 3.0,
            };
            (at, value)
        })
        .unzip()
}

fn both_forms<F: Fold>(fold: F, name: &str, at: &[i64], values: &[f64]) {
    let mut out = vec![0.0; at.len()];
    for rows in [1, 2, 256, 257, 300, 2999] {
        let time = i64::try_from(rows).unwrap() * 700_000_000;
        for width in [Width::Rows(rows), Width::Time(time)] {
            match width {
                Width::Rows(rows) => by_count_at(fold, at, values, rows, &mut out),
                Width::Time(time) => by_time(fold, at, values, time, &mut out),
            }
            let mut stream = Stream::new(fold, width);
            for i in 0..at.len() {
                let pushed = stream.push(at[i], values[i]);
                assert!(
                    pushed.to_bits() == out[i].to_bits() || pushed.is_nan() && out[i].is_nan(),
                    "{name} of {width:?}, row {i}: stream {pushed}, batch {}",
                    out[i]
                );
            }
        }
    }
}

#[test]
fn chunks_of_a_block_do_not_show() {
    let (at, values) = long_column();
    both_forms(Count, "count", &at, &values);
    both_forms(Sum, "sum", &at, &values);
    both_forms(Mean, "mean", &at, &values);
    both_forms(Min, "min", &at, &values);
    both_forms(Max, "max", &at, &values);
    both_forms(Stddev, "stddev", &at, &values);
    both_forms(Increase, "increase", &at, &values);
    both_forms(Rate, "rate", &at, &values);
    both_forms(Slope, "slope", &at, &values);
    both_forms(Deviation, "deviation", &at, &values);
}

#[test]
fn rows_without_times_are_a_second_apart() {
    fn agree<F: Fold>(fold: F, even: &[i64], values: &[f64]) {
        let (mut out, mut timed) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        for rows in [1, 2, 255, 300, 2000] {
            by_count(fold, values, rows, &mut out);
            by_count_at(fold, even, values, rows, &mut timed);
            let mut stream = Stream::new(fold, Width::Rows(rows));
            for i in 0..values.len() {
                assert!(same(out[i], timed[i]), "{rows} rows, row {i}");
                assert!(
                    same(out[i], stream.push(even[i], values[i])),
                    "{rows} rows, row {i}"
                );
            }
        }
    }
    let (_, values) = long_column();
    let even: Vec<i64> = (0..)
        .map(|i| i * 1_000_000_000)
        .take(values.len())
        .collect();
    agree(Rate, &even, &values);
    agree(Slope, &even, &values);
    agree(EvenSlope, &even, &values);
    agree(Deviation, &even, &values);
}

#[test]
fn a_spread_keeps_its_digits_far_from_zero() {
    // Around 10⁹, then around a tenth of it, then rising, with outliers: a spread of 30, 3 and 3000 beside them.
    let n = 1_000_000;
    let value = |i: usize| {
        let noise = (i * 7919 % 997) as f64 * 0.125;
        match i {
            _ if i % 99_991 == 7 => 1e15,
            0..300_000 => 1e9 + noise,
            300_000..600_000 => 1e8 + noise / 8.0,
            _ => 1e9 + (i - 600_000) as f64 * 32.0 + noise,
        }
    };
    let values: Vec<f64> = (0..n).map(value).collect();
    let mut out = vec![0.0; n];
    for rows in [300, 18_000] {
        by_count(Stddev, &values, rows, &mut out);
        for i in (rows..n)
            .step_by(9973)
            .chain(300_000..300_010)
            .chain(300_290..300_310)
        {
            let window = &values[i + 1 - rows..=i];
            // Differences of near values are exact.
            let from = window[rows / 2];
            let mean = window.iter().map(|v| v - from).sum::<f64>() / rows as f64;
            let squares: f64 = window.iter().map(|v| (v - from - mean).powi(2)).sum();
            let want = (squares / rows as f64).sqrt();
            assert!(
                (out[i] / want - 1.0).abs() <= 1e-12,
                "{rows} rows, row {i}: {} {want}",
                out[i]
            );
        }
    }
}

#[test]
fn even_slopes_are_slopes() {
    let values: Vec<f64> = (0..200).map(|i| 1e9 + f64::from(i * i % 97)).collect();
    let (mut even, mut any) = (vec![0.0; 200], vec![0.0; 200]);
    for rows in [1, 2, 7, 60, 300] {
        by_count(EvenSlope, &values, rows, &mut even);
        by_count(Slope, &values, rows, &mut any);
        for i in 0..200 {
            assert!(
                near(even[i], any[i], 1.0),
                "{rows} rows, row {i}: {} {}",
                even[i],
                any[i]
            );
        }
    }
}

#[test]
fn windows_of_nothing_but_nan() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let values = [
        nan, nan, 1.0, nan, nan, nan, -inf, nan, nan, nan, inf, nan, nan,
    ];
    let want = [
        nan, nan, 1.0, 1.0, nan, nan, -inf, -inf, nan, nan, inf, inf, nan,
    ];
    let mut out = [0.0; 13];
    by_count(Max, &values, 2, &mut out);
    assert!(out.iter().zip(&want).all(|(a, b)| same(*a, *b)), "{out:?}");
    by_count(Min, &values, 2, &mut out);
    assert!(out.iter().zip(&want).all(|(a, b)| same(*a, *b)), "{out:?}");
}

#[test]
fn empty_columns() {
    by_count(Sum, &[], 3, &mut []);
    by_time(Sum, &[], &[], 3, &mut []);
    quantiles_by_count(&[0.5], &[], 3, &mut [&mut []]);
    mad_by_time(&[], &[], 3, &mut []);
}
