//! Exponentially weighted mean over irregular times.

/// A mean in which a row weighs half after each half-life.
///
/// The value between two rows counts as that of the later one, so the mean does not depend on how often a steady value was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ewma {
    half_life_ns: f64,
    last_ns: Option<i64>,
    mean: f64,
}

impl Ewma {
    /// A mean of nothing.
    ///
    /// # Panics
    /// When the half-life is not positive.
    #[must_use]
    pub fn new(half_life_ns: i64) -> Ewma {
        assert!(half_life_ns > 0, "a positive half-life");
        Ewma {
            half_life_ns: half_life_ns as f64,
            last_ns: None,
            mean: f64::NAN,
        }
    }

    /// Takes the next row, not older than the one before; gives the mean. NaN and ±Inf are skipped.
    pub fn push(&mut self, at_ns: i64, value: f64) -> f64 {
        if !value.is_finite() {
            return self.mean;
        }
        match self.last_ns {
            None => self.mean = value,
            Some(last) => {
                let passed = at_ns.saturating_sub(last) as f64;
                self.mean += (value - self.mean) * (1.0 - (-passed / self.half_life_ns).exp2());
            }
        }
        self.last_ns = Some(at_ns);
        self.mean
    }
}

/// [`Ewma`] after each row; NaN before the first finite one.
///
/// ```
/// # use memwatch_core::stats::window::ewma;
/// let mut out = [0.0; 3];
/// ewma(&[0, 10, 30], &[8.0, 0.0, 0.0], 10, &mut out);
/// assert_eq!(out, [8.0, 4.0, 1.0]);
/// ```
///
/// # Panics
/// When the lengths differ or the half-life is not positive.
pub fn ewma(at_ns: &[i64], values: &[f64], half_life_ns: i64, out: &mut [f64]) {
    assert!(
        values.len() == at_ns.len() && values.len() == out.len(),
        "one result a value, one value a time"
    );
    let mut mean = Ewma::new(half_life_ns);
    for ((at, value), out) in at_ns.iter().zip(values).zip(out) {
        *out = mean.push(*at, *value);
    }
}
