//! Rates of the leak rule on simulated floors: false alarms, leaks found, error of the time to the limit.
//!
//! The last table is of windows with few floors, where growth must be large to count.
//!
//! `leak_floors [RUNS]`, 2,000 by default. Prints a row per case.
#![allow(clippy::print_stdout)] // What it is for.

use std::env;

use memwatch_core::stats::leak::simulated::{LEVEL, Shape, Simulated};
use memwatch_core::stats::leak::{LeakOptions, leak};

fn main() {
    let runs: u64 = env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(2000);
    let options = LeakOptions::default();
    println!("| floors | case | noise | flagged |\n|---|---|---|---|");
    for (count, days) in [(120, 0.25), (240, 5.0)] {
        for (name, shape) in [
            ("no leak", Shape::Flat),
            ("one step of +10 %", Shape::Step(0.1)),
            ("wave of ±5 %", Shape::Wave(0.05, 0.0)),
            ("wave of ±20 %", Shape::Wave(0.2, 0.0)),
            ("leak of +3 %", Shape::Leak(0.03)),
            ("leak of +5 %", Shape::Leak(0.05)),
            ("leak of +10 %", Shape::Leak(0.1)),
            ("leak of +10 % on a wave of ±5 %", Shape::Wave(0.05, 0.1)),
            ("leak of +30 % on a wave of ±20 %", Shape::Wave(0.2, 0.3)),
        ] {
            if days < 2.0 && matches!(shape, Shape::Wave(..)) {
                continue;
            }
            for ar in [0.0, 0.3, 0.6, 0.9] {
                let simulated = Simulated {
                    shape,
                    count,
                    days,
                    ar,
                    outliers: 0.0,
                };
                let flagged = (0..runs).filter(|seed| {
                    leak(&simulated.floors(*seed), &options).is_some_and(|v| v.leak)
                });
                println!(
                    "| {count} | {name} | AR {ar} | {:.4} |",
                    flagged.count() as f64 / runs as f64
                );
            }
        }
    }
    println!(
        "\nTime to the limit of twice the level, 5 % of floors inflated 1.3 times\n\n| way | median | p90 |\n|---|---|---|"
    );
    for way in [0.25, 0.5, 0.75] {
        let simulated = Simulated {
            shape: Shape::Leak(way),
            outliers: 0.05,
            ..Simulated::default()
        };
        let mut errors: Vec<f64> = (0..runs)
            .filter_map(|seed| {
                let left = leak(&simulated.floors(seed), &options)?.time_to_limit(2.0 * LEVEL)?;
                let truth = (1.0 - way) / way * 6.0 * 3600.0;
                Some((left.seconds / truth - 1.0).abs())
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        let percent = |share: usize| 100.0 * errors[(errors.len() - 1) * share / 100];
        println!(
            "| {:.0} % | {:.1} % | {:.1} % |",
            way * 100.0,
            percent(50),
            percent(90)
        );
    }
    few_floors(runs);
}

/// Windows of 10 to 20 floors: what growth must be asked for so that chance is not taken for a leak.
fn few_floors(runs: u64) {
    println!(
        "\nFew floors\n\n| floors | case | noise | 3 % | 50 % | 100 % |\n|---|---|---|---|---|---|"
    );
    for count in [10, 14, 20] {
        for (name, shape) in [
            ("no leak", Shape::Flat),
            ("one step of +100 %", Shape::Step(1.0)),
            ("leak of +50 %", Shape::Leak(0.5)),
            ("leak of +300 %", Shape::Leak(3.0)),
        ] {
            for ar in [0.0, 0.9] {
                let simulated = Simulated {
                    shape,
                    count,
                    days: 0.25,
                    ar,
                    outliers: 0.0,
                };
                let flagged = |least_growth: f64| {
                    let options = LeakOptions {
                        least_floors: 10,
                        least_growth,
                        ..LeakOptions::default()
                    };
                    let found = (0..runs).filter(|seed| {
                        leak(&simulated.floors(*seed), &options).is_some_and(|v| v.leak)
                    });
                    found.count() as f64 / runs as f64
                };
                println!(
                    "| {count} | {name} | AR {ar} | {:.3} | {:.3} | {:.3} |",
                    flagged(0.03),
                    flagged(0.5),
                    flagged(1.0)
                );
            }
        }
    }
}
