//! The rule on hand-made floors, and its rates on simulated ones (fewer runs than `examples/leak_floors.rs`).

use proptest::prelude::*;

use super::simulated::{LEVEL, Shape, Simulated};
use super::*;
use crate::{Timestamp, Window};

fn floors(values: &[f64]) -> Floors {
    let n = i64::try_from(values.len()).unwrap();
    let at: Vec<i64> = (1..=n).map(|i| i * 60_000_000_000).collect();
    let window = Window {
        after: Timestamp(0),
        until: Timestamp(at[at.len() - 1]),
    };
    Floors::least_per_bucket(&at, values, window, values.len())
}

fn wiggle(i: usize) -> f64 {
    ((i * 7919) % 11) as f64 - 5.0
}

fn rate(simulated: Simulated, runs: u64) -> f64 {
    let found = (0..runs).filter(|seed| {
        leak(&simulated.floors(*seed), &LeakOptions::default())
            .unwrap()
            .leak
    });
    found.count() as f64 / runs as f64
}

#[test]
fn too_little_gives_no_verdict() {
    let options = LeakOptions::default();
    assert_eq!(leak(&floors(&[1.0; 59]), &options), None);
    assert_eq!(
        leak(
            &Floors {
                at_ns: vec![5; 80],
                values: vec![1.0; 80],
                bucket_ns: 1.0,
                window_ns: 80.0
            },
            &options
        ),
        None
    );
}

#[test]
fn the_window_must_be_covered() {
    // 30 floors of a minute in the last half hour of an hour.
    let at: Vec<i64> = (31..=60).map(|i| i * 60_000_000_000).collect();
    let values: Vec<f64> = (0..30).map(|i| 1e6 + 1e4 * f64::from(i)).collect();
    let window = Window {
        after: Timestamp(0),
        until: Timestamp(60 * 60_000_000_000),
    };
    let floors = Floors::least_per_bucket(&at, &values, window, 60);
    for (least_span, judged) in [(0.0, true), (0.5, true), (0.51, false)] {
        let options = LeakOptions {
            least_floors: 20,
            least_span,
            ..LeakOptions::default()
        };
        assert_eq!(leak(&floors, &options).is_some(), judged, "{least_span}");
    }
}

#[test]
fn plain_shapes() {
    type Case = (&'static str, bool, fn(usize) -> f64);
    let shapes: [Case; 7] = [
        ("constant", false, |_| 1e6),
        ("all zero", false, |_| 0.0),
        ("noise", false, |i| 1e6 + 1e4 * wiggle(i)),
        ("line", true, |i| 1e6 + 1e4 * i as f64),
        ("noisy line", true, |i| {
            1e6 + 5e3 * i as f64 + 1e4 * wiggle(i)
        }),
        (
            "step",
            false,
            |i| if i < 50 { 1e6 } else { 2e6 } + 1e4 * wiggle(i),
        ),
        ("fall", false, |i| 3e6 - 1e4 * i as f64),
    ];
    for (name, want, shape) in shapes {
        let values: Vec<f64> = (0..120).map(shape).collect();
        let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
        assert_eq!(verdict.leak, want, "{name}: {verdict:?}");
        assert_eq!(verdict.resolved, !want, "{name}: {verdict:?}");
    }
}

#[test]
fn too_small_a_growth_is_none() {
    let values: Vec<f64> = (0..120).map(|i| 1e9 + 2e5 * i as f64).collect(); // 2.4 %
    let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
    assert!(!verdict.leak && verdict.z_eff > Z_LEAK);
    let lower = LeakOptions {
        least_growth: 0.02,
        ..LeakOptions::default()
    };
    assert!(leak(&floors(&values), &lower).unwrap().leak);
    let amount = LeakOptions {
        least_amount: 1e8,
        ..lower
    };
    assert!(!leak(&floors(&values), &amount).unwrap().leak);
}

#[test]
fn resolves_when_the_floors_come_back() {
    let mut values: Vec<f64> = (0..120).map(|i| 1e6 + 1e4 * i as f64).collect();
    assert!(
        !leak(&floors(&values), &LeakOptions::default())
            .unwrap()
            .resolved
    );
    values[107..].fill(1e6);
    let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
    assert!(
        verdict.resolved && verdict.z_eff > Z_RESOLVED,
        "{verdict:?}"
    );
}

#[test]
fn time_to_limit_by_hand() {
    let values: Vec<f64> = (0..120).map(|i| 1e6 + 6e3 * i as f64).collect();
    let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
    assert!((verdict.slope - 100.0).abs() < 1e-9, "6,000 a minute");
    assert!((verdict.level - values[119]).abs() < 1e-3);
    let left = verdict.time_to_limit(values[119] + 1e6).unwrap();
    assert!((left.seconds - 1e4).abs() < 1e-2, "{left:?}");
    assert!(left.earliest <= left.seconds && left.seconds <= left.latest);
    assert_eq!(
        verdict.time_to_limit(1e6).unwrap().seconds,
        0.0,
        "it is reached already"
    );
    let falling: Vec<f64> = values.iter().rev().copied().collect();
    assert_eq!(
        leak(&floors(&falling), &LeakOptions::default())
            .unwrap()
            .time_to_limit(1e9),
        None
    );
}

#[test]
fn false_alarms_are_rare() {
    let day = Simulated {
        count: 240,
        days: 5.0,
        ..Simulated::default()
    };
    for (name, simulated, limit) in [
        ("independent", Simulated::default(), 0.005),
        (
            "AR 0.6",
            Simulated {
                ar: 0.6,
                ..Simulated::default()
            },
            0.005,
        ),
        (
            "AR 0.9",
            Simulated {
                ar: 0.9,
                ..Simulated::default()
            },
            0.02,
        ),
        (
            "step",
            Simulated {
                shape: Shape::Step(0.1),
                ..Simulated::default()
            },
            0.005,
        ),
        ("240 AR 0.9", Simulated { ar: 0.9, ..day }, 0.02),
        (
            "240 step",
            Simulated {
                shape: Shape::Step(0.1),
                ..day
            },
            0.005,
        ),
        (
            "wave 5 %",
            Simulated {
                shape: Shape::Wave(0.05, 0.0),
                ..day
            },
            0.005,
        ),
        (
            "wave 20 %",
            Simulated {
                shape: Shape::Wave(0.2, 0.0),
                ..day
            },
            0.005,
        ),
    ] {
        let rate = rate(simulated, 60);
        assert!(rate <= limit, "{name}: {rate}");
    }
}

#[test]
fn leaks_are_found() {
    let day = Simulated {
        count: 240,
        days: 5.0,
        ..Simulated::default()
    };
    for (name, simulated, least) in [
        (
            "10 %",
            Simulated {
                shape: Shape::Leak(0.1),
                ..Simulated::default()
            },
            0.96,
        ),
        (
            "240: 5 %",
            Simulated {
                shape: Shape::Leak(0.05),
                ..day
            },
            0.85,
        ),
        (
            "240: 10 %",
            Simulated {
                shape: Shape::Leak(0.1),
                ..day
            },
            0.98,
        ),
        (
            "10 % on a wave",
            Simulated {
                shape: Shape::Wave(0.05, 0.1),
                ..day
            },
            0.98,
        ),
        (
            "30 % on a high wave",
            Simulated {
                shape: Shape::Wave(0.2, 0.3),
                ..day
            },
            0.98,
        ),
    ] {
        let rate = rate(simulated, 50);
        assert!(rate >= least, "{name}: {rate}");
    }
}

#[test]
fn time_to_limit_with_outliers() {
    // A leak from 100 to 200 MB, asked at half of the way.
    let simulated = Simulated {
        shape: Shape::Leak(0.5),
        outliers: 0.05,
        ..Simulated::default()
    };
    let mut errors: Vec<f64> = (0..100)
        .map(|seed| {
            let verdict = leak(&simulated.floors(seed), &LeakOptions::default()).unwrap();
            let left = verdict.time_to_limit(2.0 * LEVEL).unwrap();
            (left.seconds / (6.0 * 3600.0) - 1.0).abs()
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(errors[90] <= 0.1, "p90 is {}", errors[90]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn agrees_with_a_naive_version(values in prop::collection::vec(-20_i32..20, 60..90)) {
        let values: Vec<f64> = values.iter().map(|v| 100.0 + f64::from(*v)).collect();
        let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
        let n = values.len();
        let mut slopes = Vec::new();
        let mut s = 0.0;
        for i in 0..n {
            for j in i + 1..n {
                slopes.push((values[j] - values[i]) / (60.0 * (j - i) as f64));
                s += f64::from(values[j] > values[i]) - f64::from(values[j] < values[i]);
            }
        }
        slopes.sort_by(f64::total_cmp);
        let m = slopes.len();
        let median = if m % 2 == 1 { slopes[m / 2] } else { (slopes[m / 2 - 1] + slopes[m / 2]) / 2.0 };
        prop_assert!((verdict.slope - median).abs() <= 1e-12);
        prop_assert!(verdict.slope_interval.0 <= median && median <= verdict.slope_interval.1);
        prop_assert!(verdict.z.signum() == s.signum() || verdict.z == 0.0);
        let rss = |part: &[f64]| {
            let mean = part.iter().sum::<f64>() / part.len() as f64;
            part.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        let step = (5..=n - 5).map(|i| rss(&values[..i]) + rss(&values[i..])).fold(f64::INFINITY, f64::min);
        prop_assert!((verdict.step_residuals - step).abs() <= 1e-8 * step.max(1.0));
    }

    #[test]
    fn any_floors_give_finite_parts(values in prop::collection::vec(prop_oneof![Just(0.0), -1e15..1e15_f64], 60..80)) {
        let verdict = leak(&floors(&values), &LeakOptions::default()).unwrap();
        prop_assert!(verdict.z_eff.is_finite() && verdict.slope.is_finite() && verdict.level.is_finite());
        prop_assert!((0.0..1.0).contains(&verdict.correlation));
    }
}
