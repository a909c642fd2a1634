//! A mean that forgets: of irregular samples, by half-life.

use super::window::Windows;
use super::{Body, Function, RANGE, SCALAR, VECTOR, WindowKernel};
use crate::expr::rows::Row;

pub(super) const EWMA_OVER_TIME: Function = Function::new(
    "ewma_over_time",
    &[RANGE, SCALAR],
    VECTOR,
    Body::Window(WindowKernel::new(ewma_over_time)),
    "Exponentially weighted mean of the samples in the window, with the half-life of the second argument (seconds, or a duration): \
     `ewma_over_time(go_memstats_heap_inuse_bytes[10m], 1m)`. The value between two samples counts as that of the later one, so the mean does not \
     depend on how often a steady value was read. NaN and ±Inf are left out.",
);

/// What a sample does to the mean before it: `mean · keep + add`.
#[derive(Debug, Clone, Copy)]
struct Step {
    keep: f64,
    add: f64,
}

impl Step {
    const NOTHING: Step = Step {
        keep: 1.0,
        add: 0.0,
    };

    fn then(self, later: Step) -> Step {
        Step {
            keep: self.keep * later.keep,
            add: self.add * later.keep + later.add,
        }
    }
}

fn ewma_over_time(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    let half_lives = &w.params[0];
    if let Some(bad) = half_lives.iter().find(|h| h.is_nan() || **h <= 0.0) {
        return Err(format!(
            "invalid half-life. Expected: a positive number of seconds, got: {bad}"
        ));
    }
    let finite_from = next_finite(w.values);
    // Parameters hardly ever change between evaluations: one pass for each half-life that occurs.
    let mut distinct: Vec<f64> = half_lives.clone();
    distinct.sort_unstable_by(f64::total_cmp);
    distinct.dedup();
    for half_life in distinct {
        let steps = steps(w.at_ns, w.values, half_life);
        let mut results = Row::empty(row.labels.clone(), w.bounds.len());
        w.summarize(
            &mut results,
            |i| steps[i],
            Step::then,
            |window, all| {
                let samples = w.bounds.range(window);
                match finite_from[samples.start] {
                    // The mean begins with the first finite value, so what its own step did to it does not show.
                    first if first < samples.end => w.values[first] * all.keep + all.add,
                    _ => f64::NAN,
                }
            },
        );
        for window in results.present.iter() {
            if half_lives[window] == half_life {
                row.set(window, results.values[window]);
            }
        }
    }
    Ok(())
}

/// For each sample the index of the first finite one from it on; the length where none follows.
fn next_finite(values: &[f64]) -> Vec<usize> {
    let mut next = values.len();
    let mut found = vec![next; values.len()];
    for (i, value) in values.iter().enumerate().rev() {
        if value.is_finite() {
            next = i;
        }
        found[i] = next;
    }
    found
}

/// What each sample does to the mean; those that are not finite do nothing.
fn steps(at_ns: &[i64], values: &[f64], half_life: f64) -> Vec<Step> {
    let mut last = None;
    let step = |(at, value): (&i64, &f64)| {
        if !value.is_finite() {
            return Step::NOTHING;
        }
        let before = last.replace(*at).unwrap_or(*at);
        let passed = at.saturating_sub(before) as f64 / 1e9;
        let keep = (-passed / half_life).exp2();
        Step {
            keep,
            add: value * (1.0 - keep),
        }
    };
    at_ns.iter().zip(values).map(step).collect()
}
