//! How far is a value from the median, in robust standard deviations? The figure that explains; not one to alert on alone.

use super::quantile::quantile;

/// Least scales of [`robust_z`], where the values hardly differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastScale {
    /// Share of the median.
    pub relative: f64,
    /// In the unit of the values: their resolution.
    pub absolute: f64,
}

impl Default for LeastScale {
    /// 1 % of the median.
    fn default() -> LeastScale {
        LeastScale {
            relative: 0.01,
            absolute: 0.0,
        }
    }
}

/// `(x − median)/scale`, scale = max(1.4826·MAD, 1.2533·mean |v − median|, least) of the values of a window (1000 samples are usual).
///
/// Both factors make the scale of normal noise its standard deviation; the mean helps where the MAD is 0 because most values are
/// equal. NaN values are left out. `None` without values; 0 when `x` is the median and the scale 0.
///
/// ```
/// # use memwatch_core::stats::robust_z::{robust_z, LeastScale};
/// let window = [9.0, 10.0, 10.0, 11.0, 12.0, 10.0, 9.0];
/// let z = robust_z(20.0, &window, LeastScale::default()).unwrap();
/// assert!((z - 10.0 / 1.4826).abs() < 1e-12);
/// ```
#[must_use]
pub fn robust_z(x: f64, window: &[f64], least: LeastScale) -> Option<f64> {
    let mut values: Vec<f64> = window.iter().copied().filter(|v| !v.is_nan()).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    robust_z_sorted(x, &values, least)
}

/// [`robust_z`] of values that ascend, without NaN: the same, to the last bit.
#[must_use]
pub fn robust_z_sorted(x: f64, sorted: &[f64], least: LeastScale) -> Option<f64> {
    if sorted.is_empty() {
        return None;
    }
    let median = quantile(0.5, sorted);
    let mut distances: Vec<f64> = sorted.iter().map(|v| (v - median).abs()).collect();
    let mean_distance = distances.iter().sum::<f64>() / distances.len() as f64;
    distances.sort_unstable_by(f64::total_cmp);
    let scale = (1.4826 * quantile(0.5, &distances))
        .max(1.2533 * mean_distance)
        .max(least.relative * median.abs())
        .max(least.absolute);
    let distance = x - median;
    Some(if distance == 0.0 {
        0.0
    } else {
        distance / scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        let none = LeastScale {
            relative: 0.0,
            absolute: 0.0,
        };
        let z = |x, window: &[f64], least| robust_z(x, window, least);
        assert_eq!(z(1.0, &[], none), None);
        assert_eq!(z(1.0, &[f64::NAN], none), None);
        assert_eq!(z(5.0, &[5.0; 9], none), Some(0.0));
        assert_eq!(z(6.0, &[5.0; 9], none), Some(f64::INFINITY));
        assert_eq!(
            z(
                6.0,
                &[5.0; 9],
                LeastScale {
                    relative: 0.0,
                    absolute: 0.5
                }
            ),
            Some(2.0)
        );
        assert_eq!(z(-90.0, &[100.0; 9], LeastScale::default()), Some(-190.0));
        // Mostly equal: the MAD is 0, the mean distance 10/9.
        let spiky = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 10.0];
        assert!((z(10.0, &spiky, none).unwrap() - 9.0 / 1.2533).abs() < 1e-12);
    }
}
