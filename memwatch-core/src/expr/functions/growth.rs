//! What memwatch adds to PromQL: change of a window against the one before it.

use super::counters::extrapolated;
use super::over_time::average;
use super::window::Windows;
use super::{Body, Function, RANGE, VECTOR, WindowKernel};
use crate::expr::rows::Row;
use crate::stats::sliding::Bounds;

const KERNEL: WindowKernel = {
    let mut kernel = WindowKernel::new(growth);
    kernel.widths = 2;
    kernel
};

pub(super) const GROWTH: Function = Function::new(
    "growth",
    &[RANGE],
    VECTOR,
    Body::Window(KERNEL),
    "Change of this window over the one before it, as a ratio: `growth(x[1m]) > 2.5` is a growth by more than 150 %. Of a counter \
     increase over increase, `increase(x[1m]) / increase(x[1m] offset 1m)`; of a gauge mean over mean. PromQL does not know the kind of \
     a metric, so the name decides: a counter's ends in `_total`, `_count`, `_sum` or `_bucket`, or in `_total` and a unit (as in \
     `pause_total_ns`); everything else, also a subquery without a name, is a gauge. No result unless both windows have one.",
);

/// Whether a metric of this name is taken for a counter.
pub(crate) fn is_counter(name: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"]
        .iter()
        .any(|end| name.ends_with(end))
        || ["_total_ns", "_total_bytes", "_total_seconds"]
            .iter()
            .any(|end| name.ends_with(end))
}

fn growth(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    let earlier_ns: Vec<i64> = w
        .until_ns
        .iter()
        .map(|t| t.saturating_sub(w.width_ns))
        .collect();
    let bounds = Bounds::find(w.at_ns, &earlier_ns, w.width_ns);
    let earlier = Windows {
        until_ns: &earlier_ns,
        bounds: &bounds,
        ..*w
    };
    let mut before = Row::empty(row.labels.clone(), row.values.len());
    let mut now = before.clone();
    for (windows, out) in [(&earlier, &mut before), (w, &mut now)] {
        if is_counter(w.name) {
            extrapolated(windows, out, true, false)?;
        } else {
            average(windows, out)?;
        }
    }
    for (window, after) in now.present.iter().map(|i| (i, now.values[i])) {
        if before.present.get(window) {
            row.set(window, after / before.values[window]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_counter;

    #[test]
    fn the_name_decides() {
        for name in [
            "allocs_total",
            "go_memstats_pause_total_ns",
            "gc_pauses_seconds_count",
            "x_bucket",
            "x_sum",
        ] {
            assert!(is_counter(name), "{name}");
        }
        for name in ["heap_inuse_bytes", "", "total", "totals", "go_goroutines"] {
            assert!(!is_counter(name), "{name}");
        }
    }
}
