//! How far the newest sample is from the line through its window.

use super::trend::lines;
use super::window::Windows;
use super::{Body, Function, RANGE, VECTOR, WindowKernel};
use crate::expr::rows::Row;

pub(super) const LINE_DEVIATION: Function = Function::new(
    "line_deviation",
    &[RANGE],
    VECTOR,
    Body::Window(WindowKernel::new(line_deviation)),
    "The newest sample of the window less the height, at its time, of the straight line through all of them (least squares; its slope is `deriv`): \
     what a trend does not explain.",
);

fn line_deviation(w: &Windows<'_>, row: &mut Row) -> Result<(), String> {
    lines(w, row, |window, points, cut| {
        let newest = w.bounds.range(window).end - 1;
        w.values[newest] - points.at((w.at_ns[newest] - cut) as f64 / 1e9)
    });
    Ok(())
}
