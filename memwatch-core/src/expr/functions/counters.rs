//! Differences over a window: `rate` and its relatives.

use super::window::Windows;
use super::{Body, Function, RANGE, VECTOR, WindowKernel};
use crate::expr::rows::{BLOCK, Row};
use crate::stats::counter::{changed, extrapolation, reset_indices};

const fn window(
    name: &'static str,
    run: fn(&Windows<'_>, &mut Row) -> Result<(), String>,
    about: &'static str,
) -> Function {
    Function::new(
        name,
        &[RANGE],
        VECTOR,
        Body::Window(WindowKernel::new(run)),
        about,
    )
}

const fn counter(
    name: &'static str,
    run: fn(&Windows<'_>, &mut Row) -> Result<(), String>,
    about: &'static str,
) -> Function {
    let mut kernel = WindowKernel::new(run);
    kernel.counters_only = true;
    Function::new(name, &[RANGE], VECTOR, Body::Window(kernel), about)
}

pub(super) static FUNCTIONS: &[Function] = &[
    counter(
        "rate",
        |w, row| extrapolated(w, row, true, true),
        "Per-second growth of a counter over the window, restarts counted as such, extended to the window's edges.",
    ),
    counter(
        "increase",
        |w, row| extrapolated(w, row, true, false),
        "Growth of a counter over the window, restarts counted as such, extended to the window's edges.",
    ),
    window(
        "delta",
        |w, row| extrapolated(w, row, false, false),
        "Difference of a gauge over the window, extended to the window's edges.",
    ),
    window(
        "irate",
        |w, row| last_two(w, row, true),
        "Per-second growth of a counter between the last two samples of the window.",
    ),
    window(
        "idelta",
        |w, row| last_two(w, row, false),
        "Difference of the last two samples of the window.",
    ),
    window(
        "resets",
        |w, row| pairs(w, row, |a, b| b < a),
        "How often a counter began again within the window.",
    ),
    window(
        "changes",
        |w, row| pairs(w, row, changed),
        "How often the value changed within the window.",
    ),
];

/// `rate`, `increase` and `delta`. Resets add what was lost, in the order in which Prometheus adds.
///
/// Windows are taken by blocks: what each of a block needs is gathered first, so that the arithmetic is one loop without a branch.
pub(super) fn extrapolated(
    w: &Windows<'_>,
    row: &mut Row,
    counter: bool,
    per_second: bool,
) -> Result<(), String> {
    let resets = if counter {
        reset_indices(w.values)
    } else {
        Vec::new()
    };
    let mut first_reset = 0;
    let seconds = |ns: i64| ns as f64 / 1e9;
    let width_s = if per_second { seconds(w.width_ns) } else { 1.0 };
    let mut out = row.out();
    let mut block = [Edges::default(); BLOCK];
    for start in (0..w.bounds.len()).step_by(BLOCK) {
        let length = BLOCK.min(w.bounds.len() - start);
        let mut there = 0u64;
        for (i, edges) in block[..length].iter_mut().enumerate() {
            let samples = w.bounds.range(start + i);
            if samples.len() < 2 {
                continue;
            }
            there |= 1 << i;
            let (first, last) = (samples.start, samples.end - 1);
            let mut difference = w.values[last] - w.values[first];
            if first_reset < resets.len() {
                while resets.get(first_reset).is_some_and(|i| *i <= first) {
                    first_reset += 1;
                }
                for reset in resets[first_reset..].iter().take_while(|i| **i <= last) {
                    difference += w.values[*reset - 1];
                }
            }
            let until = w.until_ns[start + i];
            *edges = Edges {
                difference,
                first: w.values[first],
                samples: samples.len(),
                sampled_ns: w.at_ns[last] - w.at_ns[first],
                to_start_ns: w.at_ns[first] - until.saturating_sub(w.width_ns),
                to_end_ns: until - w.at_ns[last],
            };
        }
        out.set_block(start, there, length, |i| {
            let e = &block[i];
            let factor = extrapolation(
                e.difference,
                e.samples,
                seconds(e.sampled_ns),
                seconds(e.to_start_ns),
                seconds(e.to_end_ns),
                counter.then_some(e.first),
            );
            e.difference * (factor / width_s)
        });
    }
    Ok(())
}

/// What `rate` needs of a window.
#[derive(Clone, Copy, Default)]
struct Edges {
    difference: f64,
    first: f64,
    samples: usize,
    sampled_ns: i64,
    to_start_ns: i64,
    to_end_ns: i64,
}

fn last_two(w: &Windows<'_>, row: &mut Row, rate: bool) -> Result<(), String> {
    w.each(row, |_, at_ns, values| {
        let [.., before_ns, last_ns] = at_ns else {
            return None;
        };
        let [.., before, last] = values else {
            return None;
        };
        if !rate {
            return Some(last - before);
        }
        let growth = if last < before { *last } else { last - before };
        Some(growth / ((last_ns - before_ns) as f64 / 1e9))
    });
    Ok(())
}

/// How many neighbours within the window `counts` says yes to.
fn pairs(w: &Windows<'_>, row: &mut Row, counts: fn(f64, f64) -> bool) -> Result<(), String> {
    // How many up to each sample.
    let mut before = Vec::with_capacity(w.values.len());
    let mut total = 0u32;
    for i in 0..w.values.len() {
        total += u32::from(i > 0 && counts(w.values[i - 1], w.values[i]));
        before.push(total);
    }
    let mut out = row.out();
    for window in 0..w.bounds.len() {
        let samples = w.bounds.range(window);
        if !samples.is_empty() {
            out.set(
                window,
                f64::from(before[samples.end - 1] - before[samples.start]),
            );
        }
    }
    Ok(())
}
