//! How a long time is gone through in stretches that each hold about as much as memory is meant for.

/// The most that a stretch may be longer or shorter than the one before, as a ratio: what one held says little of what a far longer one
/// will.
const CHANGE_MAX: f64 = 4.0;

/// How long the stretch after one of `length` is, which held so many values: such that it holds about as many as `wished`. Any unit.
pub(crate) fn next_length(length: i64, held: usize, wished: usize) -> i64 {
    let ratio = wished as f64 / held.max(1) as f64;
    #[allow(clippy::cast_possible_truncation)] // Saturates; a length.
    let next = (length as f64 * ratio.clamp(1.0 / CHANGE_MAX, CHANGE_MAX)) as i64;
    next
}

#[cfg(test)]
mod tests {
    use super::next_length;

    #[test]
    fn a_stretch_follows_what_the_one_before_held() {
        for (length, held, wished, expected) in [
            (1_000, 50, 50, 1_000),
            (1_000, 100, 50, 500),
            (1_000, 25, 50, 2_000),
            // At most four times as long or short; four times as long where nothing was held.
            (1_000, 1, 50, 4_000),
            (1_000, 0, 50, 4_000),
            (1_000, usize::MAX, 50, 250),
            (1, 100, 50, 0),
            (i64::MAX, 0, 1_000, i64::MAX),
        ] {
            assert_eq!(
                next_length(length, held, wished),
                expected,
                "{held} of {wished}"
            );
        }
    }
}
