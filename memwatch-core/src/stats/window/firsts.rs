//! Where the windows of many rows begin.

use std::ops::Range;

/// Stretches that are walked side by side, because each answer waits for the one before it.
const STRETCHES: usize = 4;

/// The first row of the window `(t − width, t]` of each of `rows`; none is before `low`.
pub(super) fn find_firsts(
    at_ns: &[i64],
    low: usize,
    rows: Range<usize>,
    width_ns: i64,
    firsts: &mut Vec<usize>,
) {
    let times = &at_ns[rows.clone()];
    // Times ascend: if the edge of the first is a time, so are all.
    let stretch = match at_ns[low].checked_sub(width_ns) {
        Some(_) => times.len() / STRETCHES,
        None => 0,
    };
    // Each is written below.
    firsts.resize(times.len(), 0);
    let mut left = [low; STRETCHES];
    if stretch > 0 {
        let (one, rest) = firsts.split_at_mut(stretch);
        let (two, rest) = rest.split_at_mut(stretch);
        let (three, rest) = rest.split_at_mut(stretch);
        let four = &mut rest[..stretch];
        let walked: [&[i64]; STRETCHES] = std::array::from_fn(|c| &times[c * stretch..][..stretch]);
        for c in 1..STRETCHES {
            let older = &at_ns[low..rows.start + c * stretch];
            let edge = walked[c][0] - width_ns;
            left[c] = low + older.partition_point(|then| *then <= edge);
        }
        let [mut a, mut b, mut c, mut d] = left;
        for k in 0..stretch {
            a = leave(at_ns, a, walked[0][k].wrapping_sub(width_ns));
            b = leave(at_ns, b, walked[1][k].wrapping_sub(width_ns));
            c = leave(at_ns, c, walked[2][k].wrapping_sub(width_ns));
            d = leave(at_ns, d, walked[3][k].wrapping_sub(width_ns));
            (one[k], two[k], three[k], four[k]) = (a, b, c, d);
        }
        left[STRETCHES - 1] = d;
    }
    let mut left = left[STRETCHES - 1];
    let done = stretch * STRETCHES;
    for (first, at) in firsts[done..].iter_mut().zip(&times[done..]) {
        left = leave(at_ns, left, at.saturating_sub(width_ns));
        *first = left;
    }
}

/// The first row, from `left` on, that is after `edge`; there is one.
#[inline(always)]
fn leave(at_ns: &[i64], left: usize, edge: i64) -> usize {
    // Where times are irregular it is chance whether none, one or two rows leave: counted without a branch. More are rare.
    if let Some([a, b, c]) = at_ns
        .get(left..left + 3)
        .and_then(|rows| rows.first_chunk())
        && *c > edge
    {
        return left + usize::from(*a <= edge) + usize::from(*b <= edge);
    }
    leave_many(at_ns, left, edge)
}

#[cold]
#[inline(never)]
fn leave_many(at_ns: &[i64], left: usize, edge: i64) -> usize {
    let stay = at_ns[left..].iter().position(|then| *then > edge);
    left + stay.expect("the window's last row is in it")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_looking_from_the_beginning(
            steps in prop::collection::vec(prop_oneof![4 => Just(0_i64), 4 => 1..4_i64, 1 => 0..90_i64], 1..200),
            start in prop_oneof![Just(i64::MIN), Just(0), Just(i64::MAX - 20_000)],
            width in 1..60_i64,
            low in 0..200_usize,
        ) {
            let at: Vec<i64> = steps.iter().scan(start, |at, step| { *at += step; Some(*at) }).collect();
            let first = |i: usize| (0..=i).find(|j| at[*j] > at[i].saturating_sub(width)).unwrap_or(i);
            let naive: Vec<usize> = (0..at.len()).map(first).collect();
            let from = low % at.len();
            // No window of the rows begins before `low`.
            let low = naive[from];
            let mut found = vec![7; 3];
            prop_assume!(at[from] > i64::MIN); // No window holds that instant.
            find_firsts(&at, low, from..at.len(), width, &mut found);
            prop_assert_eq!(&found[..], &naive[from..]);
        }
    }
}
