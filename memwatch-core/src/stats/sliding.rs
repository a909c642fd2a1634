//! Summaries of sliding windows in O(samples + windows).
//!
//! Time is cut at the multiples of the window's width. A window `(t − width, t]` holds exactly one cut, so its summary is that of the
//! samples up to the cut, taken from one running summary that goes backward from the cut, merged with that of the samples after it,
//! taken from one that goes forward (van Herk 1992, Gil and Werman 1993). Because the cuts lie where they lie, a window's summary depends
//! on its samples alone: not on where a calculation begins, nor on the windows before.

/// For each window its samples, as indices `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// First sample of each window.
    pub from: Vec<u32>,
    /// One past the last sample of each window.
    pub to: Vec<u32>,
}

impl Bounds {
    /// Finds the samples of the windows `(until − width, until]`; `at_ns` ascends. Linear when `until_ns` ascends.
    ///
    /// # Panics
    /// With 2³² samples or more.
    #[must_use]
    pub fn find(at_ns: &[i64], until_ns: &[i64], width_ns: i64) -> Bounds {
        assert!(
            u32::try_from(at_ns.len()).is_ok(),
            "fewer than 2^32 samples"
        );
        let mut ends = Search::new(at_ns);
        let to: Vec<u32> = until_ns.iter().map(|t| ends.up_to(*t)).collect();
        let mut begins = Search::new(at_ns);
        let mut other = 0;
        let from = until_ns.iter().enumerate().map(|(window, until)| {
            let after = until.saturating_sub(width_ns);
            while other < window && until_ns[other] < after {
                other += 1;
            }
            // Most windows begin where another one ends.
            if until_ns[other] == after {
                to[other]
            } else {
                begins.up_to(after)
            }
        });
        Bounds {
            from: from.collect(),
            to,
        }
    }

    /// Samples of window `i`.
    #[must_use]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.from[i] as usize..self.to[i] as usize
    }

    /// How many windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.to.len()
    }

    /// Whether there are no windows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }
}

/// Searches instants for edges. Linear in total when edges ascend; where both lie about evenly each takes a look at a few instants around
/// the place that is guessed.
struct Search<'a> {
    at_ns: &'a [i64],
    /// What the last search found, and how much more than the one before.
    found: usize,
    stride: usize,
}

impl<'a> Search<'a> {
    /// How far from the place that is guessed it looks, without a branch.
    const NEAR: usize = 3;

    fn new(at_ns: &'a [i64]) -> Self {
        Search {
            at_ns,
            found: 0,
            stride: 0,
        }
    }

    /// How many instants are at most `edge`.
    #[allow(clippy::cast_possible_truncation)] // `Bounds::find` has asserted it.
    fn up_to(&mut self, edge: i64) -> u32 {
        let before = self.found;
        let guess = before + self.stride;
        let first = guess.saturating_sub(Self::NEAR);
        self.found = match self.at_ns.get(first..first + 2 * Self::NEAR) {
            Some(near) if near[0] <= edge && edge < near[2 * Self::NEAR - 1] => {
                first
                    + near
                        .iter()
                        .map(|at| usize::from(*at <= edge))
                        .sum::<usize>()
            }
            _ if before > 0 && self.at_ns[before - 1] > edge => gallop(self.at_ns, edge),
            _ => before + gallop(&self.at_ns[before..], edge),
        };
        self.stride = self.found.saturating_sub(before);
        self.found as u32
    }
}

/// How many of the first values are at most `edge`: steps that double, then halving.
fn gallop(at_ns: &[i64], edge: i64) -> usize {
    let mut step = 1;
    let mut low = 0;
    while low + step <= at_ns.len() && at_ns[low + step - 1] <= edge {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(at_ns.len());
    low + at_ns[low..high].partition_point(|at| *at <= edge)
}

/// The newest cut that is not after `until_ns`.
#[must_use]
pub fn cut_before(until_ns: i64, width_ns: i64) -> i64 {
    until_ns.div_euclid(width_ns).saturating_mul(width_ns)
}

/// Calls `each(window, summary)` for every window that has a sample.
///
/// `bounds` are those of [`Bounds::find`] for the same `at_ns`, `until_ns` (which ascends) and `width_ns`; `of(i, cut)` is the summary of
/// sample `i` alone, seen from the window's cut (`cut_before(until, width)`), `merge(earlier, later)` that of both.
pub fn summarize<S: Copy>(
    at_ns: &[i64],
    until_ns: &[i64],
    width_ns: i64,
    bounds: &Bounds,
    of: impl Fn(usize, i64) -> S,
    merge: impl Fn(S, S) -> S,
    mut each: impl FnMut(usize, S),
) {
    let mut cut = None;
    // Summaries of the samples `backward_from + i .. cut_index`.
    let mut backward: Vec<S> = Vec::new();
    let (mut backward_from, mut cut_index) = (0, 0);
    let mut forward: Option<S> = None;
    let mut forward_to = 0;
    for (window, until) in until_ns.iter().enumerate() {
        let samples = bounds.range(window);
        if samples.is_empty() {
            continue;
        }
        let this_cut = cut_before(*until, width_ns);
        if cut != Some(this_cut) {
            cut = Some(this_cut);
            backward_from = samples.start;
            cut_index =
                samples.start + at_ns[samples.clone()].partition_point(|at| *at <= this_cut);
            backward.clear();
            for i in (backward_from..cut_index).rev() {
                let this = of(i, this_cut);
                backward.push(match backward.last() {
                    Some(later) => merge(this, *later),
                    None => this,
                });
            }
            forward = None;
            forward_to = cut_index;
        }
        while forward_to < samples.end {
            let this = of(forward_to, this_cut);
            forward = Some(forward.map_or(this, |earlier| merge(earlier, this)));
            forward_to += 1;
        }
        debug_assert!(samples.start >= backward_from, "windows ascend");
        let before = (samples.start < cut_index).then(|| backward[cut_index - 1 - samples.start]);
        let summary = match (before, forward) {
            (Some(a), Some(b)) => merge(a, b),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        each(window, summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sum::Sum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_looking_at_each_window(
            gaps in prop::collection::vec(1i64..40, 0..80), start in -300i64..300, first in -300i64..900, step in 1i64..60, width in 1i64..200, windows in 0usize..40,
        ) {
            let at: Vec<i64> = gaps.iter().scan(start, |t, g| { *t += g; Some(*t) }).collect();
            let values: Vec<f64> = (0..at.len()).map(|i| ((i * 7919) % 1000) as f64).collect();
            let until: Vec<i64> = (0..windows).map(|i| first + step * i as i64).collect();
            let bounds = Bounds::find(&at, &until, width);
            let check = |skip: usize| {
                let until = &until[skip.min(until.len())..];
                let bounds = Bounds::find(&at, until, width);
                let mut found = vec![None; until.len()];
                summarize(&at, until, width, &bounds, |i, _| (Sum::of(values[i]), values[i]), |a, b| (a.0.merge(b.0), a.1.max(b.1)), |w, s| found[w] = Some((s.0.total(), s.1)));
                found
            };
            let found = check(0);
            for (w, t) in until.iter().enumerate() {
                let inside: Vec<usize> = (0..at.len()).filter(|i| t - width < at[*i] && at[*i] <= *t).collect();
                prop_assert_eq!(bounds.range(w).collect::<Vec<_>>(), inside.clone());
                let naive = (!inside.is_empty()).then(|| (inside.iter().map(|i| values[*i]).sum::<f64>(), inside.iter().map(|i| values[*i]).fold(f64::MIN, f64::max)));
                prop_assert_eq!(found[w], naive);
            }
            // Beginning later changes nothing.
            prop_assert_eq!(&check(5)[..], &found[5.min(found.len())..]);
        }
    }
}
