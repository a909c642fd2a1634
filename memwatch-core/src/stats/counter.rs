//! Counters: values that only grow, except that a restart begins them again at zero.

/// Growth over the values, a fall counted as a restart from zero; 0 of fewer than two values.
///
/// Formula: the counter-reset rule of Prometheus' `increase`, without its extrapolation.
///
/// ```
/// # use memwatch_core::stats::counter::increase;
/// assert_eq!(increase(&[5.0, 25.0, 10.0]), 30.0); // 20, then 10 since the restart
/// ```
#[must_use]
pub fn increase(values: &[f64]) -> f64 {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return 0.0;
    };
    let lost: f64 = values
        .windows(2)
        .filter(|w| w[1] < w[0])
        .map(|w| w[0])
        .sum();
    last - first + lost
}

/// The indices `i` at which `values[i]` is less than the value before it.
#[must_use]
pub fn reset_indices(values: &[f64]) -> Vec<usize> {
    // Falls are rare: whole blocks are looked over without a branch.
    const BLOCK: usize = 256;
    let mut found = Vec::new();
    for start in (0..values.len().saturating_sub(1)).step_by(BLOCK) {
        let block = &values[start..values.len().min(start + BLOCK + 1)];
        let later = &block[1..];
        let falls = |(before, after): (&f64, &f64)| after < before;
        if block
            .iter()
            .zip(later)
            .fold(false, |any, pair| any | falls(pair))
        {
            let pairs = block.iter().zip(later).enumerate();
            found.extend(
                pairs
                    .filter(|(_, pair)| falls(*pair))
                    .map(|(i, _)| start + i + 1),
            );
        }
    }
    found
}

/// Whether two neighbouring values differ; NaN equals NaN.
#[must_use]
pub fn changed(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

/// The factor by which Prometheus extends a difference to the edges of its window (`rate`, `increase`, `delta`).
///
/// The samples lie `sampled_s` apart from first to last, `samples - 1` intervals; the first is `to_start_s` after the window's
/// start, the last `to_end_s` before its end. An edge is reached when it is no further than 1.1 mean intervals, else the difference
/// is extended by half an interval. `counter_first` is the first value of a counter, which is not extended below zero.
#[must_use]
pub fn extrapolation(
    difference: f64,
    samples: usize,
    sampled_s: f64,
    to_start_s: f64,
    to_end_s: f64,
    counter_first: Option<f64>,
) -> f64 {
    let interval = sampled_s / (samples as f64 - 1.0);
    let limit = interval * 1.1;
    let mut before = if to_start_s >= limit {
        interval / 2.0
    } else {
        to_start_s
    };
    if let Some(first) = counter_first
        && difference > 0.0
        && first >= 0.0
    {
        before = before.min(sampled_s * (first / difference));
    }
    let after = if to_end_s >= limit {
        interval / 2.0
    } else {
        to_end_s
    };
    (sampled_s + before + after) / sampled_s
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_are_reached_when_near() {
        // Ten intervals of 1 s; the window begins 0.5 s earlier and ends 3 s later.
        assert_eq!(extrapolation(10.0, 11, 10.0, 0.5, 3.0, None), 1.1);
        // A counter that began at 0.1 cannot have grown before.
        assert_eq!(extrapolation(10.0, 11, 10.0, 0.5, 0.0, Some(0.1)), 1.01);
    }

    proptest! {
        #[test]
        fn increase_sums_the_steps_upward(values in prop::collection::vec(0u32..1000, 0..50)) {
            let floats: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let naive: u32 = values.windows(2).map(|w| if w[1] < w[0] { w[1] } else { w[1] - w[0] }).sum();
            prop_assert_eq!(increase(&floats), f64::from(naive));
            prop_assert_eq!(reset_indices(&floats).len(), values.windows(2).filter(|w| w[1] < w[0]).count());
        }
    }
}
