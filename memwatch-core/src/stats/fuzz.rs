//! The body of the fuzz target of states that are kept as bytes, which a test calls too.

use super::baseline::Baseline;
use super::sketch::Sketch;

/// Reads any bytes as a sketch and as a baseline, and goes on with what was read.
///
/// # Panics
/// When what was read is not kept as the same bytes again.
pub fn any_state(bytes: &[u8]) {
    if let Ok(mut sketch) = Sketch::from_bytes(bytes) {
        let again = Sketch::from_bytes(&sketch.to_bytes()).expect("its own bytes");
        assert_eq!(again.to_bytes(), sketch.to_bytes());
        sketch.merge(&again);
        sketch.accumulate(1.5);
        for q in [0.0, 0.5, 1.0] {
            let _ = sketch.quantile(q);
        }
        let _ = sketch.mean();
    }
    if let Ok(mut baseline) = Baseline::from_bytes(bytes) {
        let kept = baseline.to_bytes();
        let again = Baseline::from_bytes(&kept).expect("its own bytes");
        assert_eq!(again.to_bytes(), kept);
        let last = baseline.span_ns().map_or(0, |(_, last)| last);
        for (step, value) in [(1, 1.0), (2, 3.0), (2, f64::NAN), (60, -1e9), (61, 1e300)] {
            let at_ns = last.saturating_add(step * 1_000_000_000);
            baseline.push(at_ns, value);
        }
        baseline.restart();
        baseline.push(last.saturating_add(90_000_000_000), 2.0);
        assert!(Baseline::from_bytes(&baseline.to_bytes()).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::stats::baseline::BaselineOptions;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            samples in 0i32..40,
            changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        ) {
            let mut sketch = Sketch::new(0.01);
            let mut baseline = Baseline::new(BaselineOptions::default());
            for i in 0..samples {
                sketch.accumulate(f64::from(i % 7 - 3));
                baseline.push(i64::from(i) * 1_000_000_000, f64::from(i % 7));
            }
            for mut bytes in [sketch.to_bytes(), baseline.to_bytes()] {
                for (at, value) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *value;
                }
                any_state(&bytes);
            }
        }
    }
}
