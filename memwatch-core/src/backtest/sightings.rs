//! What of the recording was seen: which process was recorded when, and which selectors found something of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::series::Series;
pub(crate) use crate::series::owner as who;
use crate::{Labels, Nanos, Timestamp};

/// A recorded process: service and instance. Either is empty when the series do not say.
pub(crate) type Who = (Arc<str>, Arc<str>);

/// How many sampling intervals of silence are a gap.
const MISSED: i64 = 3;

/// How many samples in a row tell the sampling interval.
const RUN: usize = 8;

/// Stretches in which samples came without a gap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    /// First and last sample of each stretch, ascending.
    pub(super) spans: Vec<(i64, i64)>,
    /// Sampling interval: the mean of the last [`RUN`] silences in a row; before there are so many, the first one. 0 before the second
    /// sample.
    interval: i64,
    /// Where the present run of silences began, and how many there are.
    run: (i64, usize),
    /// The silence before the newest sample, when it was a gap.
    gap: i64,
}

impl Pulse {
    /// Takes samples; those not newer than the newest are known already.
    pub(super) fn extend(&mut self, at_ns: &[i64]) {
        let known = self.spans.last().map_or(i64::MIN, |s| s.1);
        let mut rest = &at_ns[at_ns.partition_point(|at| *at <= known)..];
        while let Some((&at, others)) = rest.split_first() {
            match rest.get(..RUN) {
                Some(run) if self.goes_on(run) => rest = &rest[RUN..],
                _ => {
                    self.push(at);
                    rest = others;
                }
            }
        }
    }

    /// Takes a whole run at once, if none has begun and there is no gap in it.
    fn goes_on(&mut self, run: &[i64]) -> bool {
        let Some(last) = self.spans.last_mut().filter(|_| self.run.1 == 0) else {
            return false;
        };
        let longest = self.interval.saturating_mul(MISSED);
        let no_gap = |ok: bool, pair: &[i64]| ok & (pair[1] - pair[0] <= longest);
        let (first, end) = (run[0], run[run.len() - 1]);
        if first - last.1 > longest || !run.windows(2).fold(true, no_gap) {
            return false;
        }
        self.interval = (end - last.1) / RUN as i64;
        (last.1, self.run.0, self.gap) = (end, end, 0);
        true
    }

    fn push(&mut self, at: i64) {
        let Some(last) = self.spans.last_mut() else {
            self.spans.push((at, at));
            self.run = (at, 0);
            return;
        };
        let silence = at - last.1;
        if self.interval == 0 {
            self.interval = silence;
        }
        if silence <= self.interval.saturating_mul(MISSED) {
            self.run.1 += 1;
            if self.run.1 == RUN {
                self.interval = (at - self.run.0) / RUN as i64;
                self.run = (at, 0);
            }
            self.gap = 0;
            last.1 = at;
            return;
        }
        if self.gap > 0 && silence <= self.gap.saturating_mul(MISSED) {
            // Twice in a row: not a gap, but a slower sampling.
            self.interval = silence;
            self.gap = 0;
            last.1 = at;
        } else {
            self.gap = silence;
            self.spans.push((at, at));
        }
        self.run = (at, 0);
    }

    /// The stretches, each with the silence after it that is not a gap yet.
    pub(super) fn alive(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let after = self.interval.saturating_mul(MISSED);
        self.spans
            .iter()
            .map(move |(start, end)| (*start, end.saturating_add(after)))
    }
}

/// Instants that were looked at, with the pulse before and after.
#[derive(Default)]
pub(super) struct Recent<'s>(HashMap<*const i64, (&'s [i64], Pulse, Pulse)>);

impl<'s> Recent<'s> {
    fn extend(&mut self, pulse: &mut Pulse, at_ns: &'s [i64]) {
        if let Some((known, before, after)) = self.0.get(&at_ns.as_ptr())
            && known.len() == at_ns.len()
            && before == pulse
        {
            pulse.clone_from(after);
            return;
        }
        let before = pulse.clone();
        pulse.extend(at_ns);
        self.0
            .insert(at_ns.as_ptr(), (at_ns, before, pulse.clone()));
    }
}

/// What each selector found.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    /// By selector, then process, then series: each has a sampling interval of its own.
    by_selector: BTreeMap<String, BTreeMap<Who, BTreeMap<Labels, Pulse>>>,
}

impl Sightings {
    /// A selector was asked, whether or not it finds anything.
    pub(super) fn asked(&mut self, selector: &str) {
        if !self.by_selector.contains_key(selector) {
            self.by_selector
                .insert(selector.to_owned(), BTreeMap::new());
        }
    }

    /// A selector found samples. `recent`: what was found in the same reading, for series of one process have the same instants.
    pub(super) fn found<'s>(
        &mut self,
        selector: &str,
        series: &'s [Series],
        recent: &mut Recent<'s>,
    ) {
        let found = self.by_selector.entry(selector.to_owned()).or_default();
        for one in series {
            let of_process = found.entry(who(&one.labels)).or_default();
            let pulse = of_process.entry(one.labels.clone()).or_default();
            recent.extend(pulse, &one.at_ns);
        }
    }

    /// When each process was recorded: by any selector.
    pub(super) fn alive(&self) -> BTreeMap<Who, Spans> {
        let mut all: BTreeMap<Who, Vec<(i64, i64)>> = BTreeMap::new();
        for found in self.by_selector.values() {
            for (who, series) in found {
                let spans = all.entry(who.clone()).or_default();
                spans.extend(series.values().flat_map(Pulse::alive));
            }
        }
        all.into_iter()
            .map(|(who, spans)| (who, Spans::of(spans)))
            .collect()
    }

    /// The processes of which a selector found something, each with its first sample.
    pub(super) fn of(&self, selector: &str) -> impl Iterator<Item = (&Who, Timestamp)> {
        self.by_selector
            .get(selector)
            .into_iter()
            .flatten()
            .filter_map(|(who, series)| {
                let firsts = series.values().filter_map(|p| p.spans.first());
                Some((who, Timestamp(firsts.map(|s| s.0).min()?)))
            })
    }
}

/// A set of instants: closed stretches, ascending, apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(pub(super) Vec<(i64, i64)>);

impl Spans {
    pub(super) fn all() -> Spans {
        Spans(vec![(i64::MIN, i64::MAX)])
    }

    pub(super) fn of(mut spans: Vec<(i64, i64)>) -> Spans {
        spans.retain(|s| s.0 <= s.1);
        spans.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.0 <= last.1 => last.1 = last.1.max(span.1),
                _ => merged.push(span),
            }
        }
        Spans(merged)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn or(mut self, other: &Spans) -> Spans {
        self.0.extend_from_slice(&other.0);
        Spans::of(self.0)
    }

    pub(super) fn and(&self, other: &Spans) -> Spans {
        let (mut i, mut j, mut found) = (0, 0, Vec::new());
        while let (Some(a), Some(b)) = (self.0.get(i), other.0.get(j)) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start <= end {
                found.push((start, end));
            }
            if a.1 < b.1 {
                i += 1;
            } else {
                j += 1;
            }
        }
        Spans(found)
    }

    /// From `after` on.
    pub(super) fn from(&self, after: Timestamp) -> Spans {
        self.and(&Spans(vec![(after.0, i64::MAX)]))
    }

    /// Each stretch `shift` later, and `longer` longer.
    pub(super) fn moved(&self, shift: Nanos, longer: Nanos) -> Spans {
        Spans::of(
            self.0
                .iter()
                .map(|(start, end)| {
                    let end = end.saturating_add(shift.0).saturating_add(longer.0);
                    (start.saturating_add(shift.0), end)
                })
                .collect(),
        )
    }

    /// How much of `(start, end)` it covers, in nanoseconds.
    pub(super) fn length_within(&self, start: i64, end: i64) -> i64 {
        self.and(&Spans(vec![(start, end)]))
            .0
            .iter()
            .map(|s| s.1 - s.0)
            .sum()
    }

    /// What lies between the stretches.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.windows(2).map(|w| (w[0].1, w[1].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gap_is_more_than_three_intervals_of_silence() {
        let mut pulse = Pulse::default();
        pulse.extend(&[0, 10, 20, 30]);
        pulse.extend(&[20, 30, 40, 100, 110, 120]); // Some of it again.
        assert_eq!(pulse.spans, [(0, 40), (100, 120)]);
        let mut slower = Pulse::default();
        slower.extend(&[0, 10, 20, 120, 220, 320]);
        assert_eq!(slower.spans, [(0, 20), (120, 320)]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_samples_come(
            silences in prop::collection::vec(prop_oneof![8 => 8i64..13, 1 => 1i64..200], 0..120), cuts in prop::collection::vec(0usize..120, 0..6),
        ) {
            let at: Vec<i64> = silences.iter().scan(0, |t, s| { *t += s; Some(*t) }).collect();
            let mut one_by_one = Pulse::default();
            at.iter().for_each(|at| one_by_one.push(*at));
            let mut in_pieces = Pulse::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(at.len())).chain([0, at.len()]).collect();
            cuts.sort_unstable();
            for cut in cuts.windows(2) {
                in_pieces.extend(&at[cut[0]..cut[1]]);
            }
            prop_assert_eq!(in_pieces, one_by_one);
        }
    }

    #[test]
    fn spans_are_sets() {
        let a = Spans::of(vec![(10, 20), (0, 5), (18, 30)]);
        assert_eq!(a.0, [(0, 5), (10, 30)]);
        let b = Spans::of(vec![(4, 12), (25, 40)]);
        assert_eq!(a.and(&b).0, [(4, 5), (10, 12), (25, 30)]);
        assert_eq!(a.clone().or(&b).0, [(0, 40)]);
        assert_eq!(a.from(Timestamp(15)).0, [(15, 30)]);
        assert_eq!(a.moved(Nanos(1), Nanos(6)).0, [(1, 37)]);
        assert_eq!(a.gaps().collect::<Vec<_>>(), [(5, 10)]);
        assert_eq!(a.length_within(3, 12), 4);
        assert_eq!(a.and(&Spans::all()), a);
    }
}
