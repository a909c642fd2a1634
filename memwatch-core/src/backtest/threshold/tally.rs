//! What every threshold would have done, counted in one pass.
//!
//! Where a value rises from one place of the ladder to another, the alerts of all thresholds between the two fire at once. So an edge of the
//! signal is an interval of thresholds, and what all of them hit and when they were wrong is a handful of intervals.

use std::collections::{BTreeMap, VecDeque};

/// No value: below every threshold.
pub(super) const ABSENT: i32 = i32::MIN;

/// A set of places on the ladder: half-open intervals, ascending, apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Places(pub(super) Vec<(i32, i32)>);

impl Places {
    /// Adds an interval; gives what of it was there before.
    pub(super) fn add(&mut self, (from, to): (i32, i32)) -> Places {
        let first = self.0.partition_point(|p| p.1 < from);
        let last = first + self.0[first..].partition_point(|p| p.0 <= to);
        let touched = &self.0[first..last];
        let inside = |p: &(i32, i32)| (p.0.max(from), p.1.min(to));
        let known = touched.iter().map(inside).filter(|p| p.0 < p.1).collect();
        let start = touched.first().map_or(from, |p| p.0.min(from));
        let end = touched.last().map_or(to, |p| p.1.max(to));
        self.0.splice(first..last, [(start, end)]);
        Places(known)
    }
}

/// Which part of the recording something lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What thresholds are found on.
    Training,
    /// What follows, and is only looked at with the one that was found.
    Untouched,
    /// Between the two, so that no window reaches from one into the other.
    Between,
}

/// What the thresholds on one signal did.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// For each incident which of them hit it.
    pub(super) hit: Vec<Places>,
    /// False alerts in each part: at each place how many more there are than at the place before.
    wrong: [BTreeMap<i32, i64>; 3],
}

impl Tally {
    pub(super) fn new(incidents: usize) -> Tally {
        Tally {
            hit: vec![Places::default(); incidents],
            wrong: Default::default(),
        }
    }

    /// The thresholds in `places` fire at a time that lies in these incidents, first things first: each of them hits the first that it
    /// has not hit yet.
    pub(super) fn hits(&mut self, places: (i32, i32), incidents: impl Iterator<Item = usize>) {
        let mut left = Places(vec![places]);
        for incident in incidents {
            let hit = &mut self.hit[incident];
            let known = left.0.into_iter().flat_map(|places| hit.add(places).0);
            left = Places(known.collect());
            if left.0.is_empty() {
                break;
            }
        }
    }

    /// The thresholds in `places` fire where nothing is wrong.
    pub(super) fn is_wrong(&mut self, (from, to): (i32, i32), part: Part) {
        let counts = &mut self.wrong[part as usize];
        *counts.entry(from).or_default() += 1;
        *counts.entry(to).or_default() -= 1;
    }

    /// False alerts of one threshold.
    pub(super) fn wrong_at(&self, place: i32, part: Part) -> u64 {
        let counts = self.wrong[part as usize].range(..=place);
        u64::try_from(counts.map(|(_, more)| more).sum::<i64>()).unwrap_or(0)
    }

    /// The thresholds in runs that did the same in the training part: places, incidents hit (of those that `trained` says) and false
    /// alerts. Those that no value ever fell below, and those that none ever exceeded, are not among them.
    pub(super) fn runs(&self, trained: &[bool]) -> Vec<((i32, i32), u64, u64)> {
        let mut changes: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        for (hit, _) in self
            .hit
            .iter()
            .zip(trained)
            .filter(|(_, trained)| **trained)
        {
            for (from, to) in &hit.0 {
                changes.entry(*from).or_default().0 += 1;
                changes.entry(*to).or_default().0 -= 1;
            }
        }
        for (place, more) in &self.wrong[Part::Training as usize] {
            changes.entry(*place).or_default().1 += more;
        }
        let mut runs = Vec::new();
        let (mut hit, mut wrong) = (0, 0);
        let mut next = changes.iter().peekable();
        while let Some((from, (more_hit, more_wrong))) = next.next() {
            hit += more_hit;
            wrong += more_wrong;
            let Some((to, _)) = next.peek() else { break };
            if *from != ABSENT {
                let count = |n: i64| u64::try_from(n).unwrap_or(0);
                runs.push(((*from, **to), count(hit), count(wrong)));
            }
        }
        runs
    }
}

/// The thresholds that hold for a series, each after it held for as many evaluations before as its `for` asks.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    /// Evaluations before the one that fires.
    evaluations: u64,
    /// Least places of the window: evaluation and place, both ascending.
    least: VecDeque<(u64, i32)>,
    now: i32,
}

impl Hold {
    pub(super) fn new(evaluations: u64) -> Hold {
        Hold {
            evaluations,
            least: VecDeque::new(),
            now: ABSENT,
        }
    }

    /// The series lies at `place` at evaluation `at`, one after the last; gives the thresholds that fire.
    pub(super) fn step(&mut self, at: u64, place: i32) -> Option<(i32, i32)> {
        let least = if self.evaluations == 0 {
            place
        } else {
            while self.least.back().is_some_and(|(_, held)| *held >= place) {
                self.least.pop_back();
            }
            self.least.push_back((at, place));
            while let Some((first, _)) = self.least.front()
                && first + self.evaluations < at
            {
                self.least.pop_front();
            }
            // Before the first evaluation nothing held.
            match self.least.front() {
                Some((_, least)) if at >= self.evaluations => *least,
                _ => ABSENT,
            }
        };
        let before = std::mem::replace(&mut self.now, least);
        (least > before).then_some((before, least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn runs_are_what_did_the_same() {
        let mut tally = Tally::new(2);
        tally.hits((ABSENT, 8), [0].into_iter());
        tally.hits((5, 10), [0, 1].into_iter()); // 5 to 8 had hit the first.
        tally.is_wrong((3, 6), Part::Training);
        tally.is_wrong((3, 6), Part::Untouched);
        assert_eq!(tally.hit[0], Places(vec![(ABSENT, 10)]));
        assert_eq!(tally.hit[1], Places(vec![(5, 8)]));
        let runs = tally.runs(&[true, true]);
        assert_eq!(
            runs,
            [
                ((3, 5), 1, 1),
                ((5, 6), 2, 1),
                ((6, 8), 2, 0),
                ((8, 10), 1, 0)
            ]
        );
        assert_eq!(tally.runs(&[false, false]), [((3, 6), 0, 1)]);
        assert_eq!(
            [2, 3, 5, 6].map(|at| tally.wrong_at(at, Part::Untouched)),
            [0, 1, 1, 0]
        );
    }

    proptest! {
        #[test]
        fn places_are_a_set(added in prop::collection::vec((-20i32..20, 1i32..8), 0..20)) {
            let mut places = Places::default();
            let mut naive = BTreeSet::new();
            for (from, length) in added {
                let known: BTreeSet<i32> =
                    places.add((from, from + length)).0.iter().flat_map(|(a, b)| *a..*b).collect();
                let interval: BTreeSet<i32> = (from..from + length).collect();
                prop_assert_eq!(known, naive.intersection(&interval).copied().collect());
                naive.extend(interval);
                let all: BTreeSet<i32> = places.0.iter().flat_map(|(a, b)| *a..*b).collect();
                prop_assert_eq!(&all, &naive);
                prop_assert!(places.0.windows(2).all(|w| w[0].1 < w[1].0));
            }
        }

        /// A threshold fires when it holds at this evaluation and those before, and did not one evaluation earlier.
        #[test]
        fn thresholds_fire_as_rules_do(
            values in prop::collection::vec(prop::option::of(0i32..6), 1..40), held in 0usize..4,
        ) {
            let mut hold = Hold::new(held as u64);
            for threshold in 0..6 {
                let holds = |i: usize| values[i].is_some_and(|v| threshold < v);
                let fires = |i: usize| i >= held && (i - held..=i).all(holds);
                let mut hold = hold.clone();
                for (i, value) in values.iter().enumerate() {
                    let fired = hold.step(i as u64, value.unwrap_or(ABSENT));
                    let fired = fired.is_some_and(|(from, to)| from <= threshold && threshold < to);
                    prop_assert_eq!(fired, fires(i) && (i == 0 || !fires(i - 1)), "{} at {}", threshold, i);
                }
            }
            hold.step(0, 0);
        }
    }
}
