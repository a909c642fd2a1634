//! How far the newest sample is from the median of its window, in robust standard deviations.

use super::over_time::sorted;
use super::window::Windows;
use super::{Body, Function, RANGE, SCALAR, VECTOR, WindowKernel};
use crate::expr::rows::Row;
use crate::stats::robust_z::{LeastScale, robust_z_sorted};

pub(super) const ROBUST_Z: Function = Function::new(
    "robust_z",
    &[RANGE, SCALAR],
    VECTOR,
    Body::Window(WindowKernel::new(robust_z)),
    "How many robust standard deviations the newest sample of the window is above (below: negative) their median: \
     `(x − median) / max(1.4826 · MAD, 1.2533 · mean |v − median|, least)`, least being a share of the median: the second argument, 0.01 without it. \
     0 when the sample is the median; nothing when it is NaN. A figure that explains; for an alert over many series take `baseline_deviation`.",
)
.optional(1);

fn robust_z(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    let least = |window: usize| LeastScale {
        relative: w
            .params
            .first()
            .map_or(LeastScale::default().relative, |shares| shares[window]),
        absolute: 0.0,
    };
    let mut found = Row::empty(row.labels.clone(), w.bounds.len());
    sorted(w, &mut found, |window, values| {
        let newest = w.values[w.bounds.range(window).end - 1];
        if newest.is_nan() {
            return f64::NAN;
        }
        let numbers = values.partition_point(|v| v.is_nan());
        robust_z_sorted(newest, &values[numbers..], least(window)).unwrap_or(f64::NAN)
    })?;
    for window in found.present.iter() {
        if !found.values[window].is_nan() {
            row.set(window, found.values[window]);
        }
    }
    Ok(())
}
