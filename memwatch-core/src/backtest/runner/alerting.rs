//! What an alerting rule makes of the results of its expression.
//!
//! Most evaluations change nothing: an alert fires and goes on firing. A full step is made only where a series appears or goes, or where
//! time alone moves an alert on; of the evaluations between only the values are looked at.

use std::collections::HashSet;
use std::ops::Range;

use crate::Timestamp;
use crate::alert::Transition;
use crate::expr::{Bits, Matrix};
use crate::labels::METRIC_NAME;
use crate::rule::Rule;
use crate::rule::template::Data;
use crate::series::stale_nan;

use super::super::outcome::{Alert, Ended, alert_id};
use super::super::plan::{ALERTS, ALERTS_FOR_STATE};
use super::{Runner, Story};

impl Runner<'_> {
    pub(super) fn alert(&mut self, matrix: &Matrix) {
        let any = self.note_given(matrix);
        let count = matrix.steps.count();
        let of_value = self.state.labels_depend_on_value();
        let mut interned: Vec<usize> = Vec::new();
        if !of_value {
            for series in &matrix.series {
                interned.push(self.state.intern(&series.labels, 0.0));
            }
        }
        let mut changes = Bits::none(count);
        for series in &matrix.series {
            series.present.add_changes(&mut changes);
        }
        let mut present = Present::default();
        let mut events = Vec::new();
        // Series, alert and value of each element.
        let mut given: Vec<(usize, usize, f64)> = Vec::new();
        let mut next = 0;
        while next < count {
            let mut i = next;
            if self.state.is_idle() && self.given.is_empty() {
                // Nothing can happen before the next evaluation that gives something.
                match any.next(i) {
                    Some(given) => i = given,
                    None => break,
                }
            }
            next = i + 1;
            let at = self.told_at(matrix, i);
            given.clear();
            for s in present.at(matrix, i) {
                let series = &matrix.series[s];
                let value = series.values[i];
                let alert = if of_value {
                    self.state.intern(&series.labels, value)
                } else {
                    interned[s]
                };
                given.push((s, alert, value));
            }
            events.clear();
            let with_labels = given
                .iter()
                .map(|(s, alert, value)| (*alert, *value, &matrix.series[*s].labels));
            let stepped = self.state.step(at, with_labels, &mut events);
            for event in &events {
                self.tell(event.alert, event.transition, at);
            }
            if let Err(error) = stepped {
                self.fail(error.to_string(), at);
                continue;
            }
            for (_, alert, value) in &given {
                self.note_peak(*alert, &[*value]);
            }
            if self.is_read {
                self.give_states(matrix.steps.at(i));
            } else if !of_value {
                next = self.quiet_until(matrix, next, &changes);
                self.pass(matrix, &given, i + 1..next);
            }
        }
    }

    /// When an evaluation is made that looks at the times of the matrix.
    fn told_at(&self, matrix: &Matrix, i: usize) -> Timestamp {
        matrix.steps.at(i).plus(self.group.query_offset)
    }

    /// The first evaluation from `from` on that may move an alert on: at which a series appears or goes, or for which it is time.
    fn quiet_until(&self, matrix: &Matrix, from: usize, changes: &Bits) -> usize {
        let count = matrix.steps.count();
        let changed = if from < count {
            changes.next(from)
        } else {
            None
        };
        let changed = changed.unwrap_or(count);
        let Some(moves) = self.state.moves_at() else {
            return changed;
        };
        let waits = moves.since(self.told_at(matrix, from)).0.max(0);
        let step = matrix.steps.step.0.max(1);
        let waits = usize::try_from((waits - 1).div_euclid(step) + 1).unwrap_or(count);
        changed.min(from.saturating_add(waits))
    }

    /// Evaluations at which nothing changes but values.
    fn pass(&mut self, matrix: &Matrix, given: &[(usize, usize, f64)], passed: Range<usize>) {
        if passed.is_empty() {
            return;
        }
        for &(s, alert, _) in given {
            let values = &matrix.series[s].values[passed.clone()];
            self.note_peak(alert, values);
            if let Some(last) = values.last() {
                self.state.set_value(alert, *last);
            }
        }
    }

    /// Values of an alert, in the order of time.
    fn note_peak(&mut self, alert: usize, values: &[f64]) {
        let Some(story) = self.stories.get_mut(alert) else {
            return;
        };
        let peak = furthest(story.peak, values, self.least);
        if peak.to_bits() != story.peak.to_bits() {
            story.peak = peak;
            if let Some(index) = story.alert {
                self.run.alerts[index].peak = peak;
            }
        }
    }

    /// Something happened to an alert.
    fn tell(&mut self, index: usize, transition: Transition, at: Timestamp) {
        let Rule::Alerting(rule) = self.rule else {
            return;
        };
        if self.stories.len() <= index {
            self.stories.resize(index + 1, Story::default());
        }
        let alert = self.state.alert(index);
        let story = &mut self.stories[index];
        match transition {
            Transition::Pending => {
                if let Some(before) = story.resolved {
                    self.run.pending_again[before] = Some(at);
                }
                *story = Story {
                    pending_at: at,
                    peak: alert.value,
                    alert: None,
                    resolved: None,
                };
            }
            Transition::Dropped => self.run.only_pending += 1,
            Transition::Firing => {
                let data = Data::new(&alert.element, alert.value);
                let annotations = rule
                    .annotations
                    .iter()
                    .map(|(name, template)| (name.clone(), template.expand_or_error(&data)))
                    .collect();
                story.alert = Some(self.run.alerts.len());
                self.run.pending_again.push(None);
                self.run.alerts.push(Alert {
                    id: alert_id(
                        &self.group.name,
                        &rule.name,
                        &alert.labels,
                        story.pending_at,
                    ),
                    rule: self.id,
                    labels: alert.labels.clone(),
                    annotations,
                    pending_at: story.pending_at,
                    fired_at: at,
                    ended: Ended::Open,
                    value: alert.value,
                    peak: story.peak,
                });
            }
            Transition::Resolved | Transition::Cleared => match story.alert.take() {
                Some(index) => {
                    self.run.alerts[index].ended = match transition {
                        Transition::Resolved => {
                            story.resolved = Some(index);
                            Ended::Resolved(at)
                        }
                        _ => Ended::Cleared(at),
                    };
                }
                None => self.run.only_pending += 1, // Cleared before it fired.
            },
        }
    }

    /// The series `ALERTS` and `ALERTS_FOR_STATE` at an evaluation.
    fn give_states(&mut self, at: Timestamp) {
        let mut now = HashSet::new();
        for (_, alert) in self.state.active() {
            let state = if alert.state.is_firing() {
                "firing"
            } else {
                "pending"
            };
            let shown = alert
                .labels
                .with(METRIC_NAME, ALERTS)
                .with("alertstate", state);
            self.gives.push((shown.clone(), vec![(at, 1.0)]));
            now.insert(shown);
            let since = alert.labels.with(METRIC_NAME, ALERTS_FOR_STATE);
            let seconds = alert
                .state
                .active_at()
                .map_or(0, |at| at.0.div_euclid(1_000_000_000));
            #[allow(clippy::cast_precision_loss)] // Seconds since the epoch.
            let seconds = seconds as f64;
            self.gives.push((since.clone(), vec![(at, seconds)]));
            now.insert(since);
        }
        for ended in self.given.difference(&now) {
            self.gives.push((ended.clone(), vec![(at, stale_nan())]));
        }
        self.given = now;
    }
}

/// The furthest of a peak and the values after it: the least or the greatest, of equal ones the first; NaN gives way to any number.
fn furthest(mut peak: f64, mut values: &[f64], least: bool) -> f64 {
    while let (true, Some((first, others))) = (peak.is_nan(), values.split_first()) {
        (peak, values) = (*first, others);
    }
    // Several at once, for one after the other waits for each comparison.
    const LANES: usize = 8;
    let sign = if least { -1.0 } else { 1.0 };
    let further = |a: f64, b: f64| if sign * b > sign * a { b } else { a };
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    let mut lanes = [peak; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = further(*lane, *value);
        }
    }
    let best = lanes.iter().chain(rest).fold(peak, |a, b| further(a, *b));
    #[allow(clippy::float_cmp)] // The very same, or the other zero.
    let same = |value: &&f64| **value == best;
    if same(&&peak) {
        return peak;
    }
    values.iter().find(same).copied().unwrap_or(best)
}

/// Which series have a value, evaluation after evaluation.
#[derive(Default)]
struct Present {
    /// Series with a value among 64 evaluations, with which of these.
    words: Vec<(usize, u64)>,
    /// Which 64, counted from one.
    of: usize,
}

impl Present {
    /// The series with a value at evaluation `i`, ascending.
    fn at(&mut self, matrix: &Matrix, i: usize) -> impl Iterator<Item = usize> + '_ {
        if self.of != i / 64 + 1 {
            self.of = i / 64 + 1;
            self.words.clear();
            let words = matrix.series.iter().map(|s| s.present.word(i / 64));
            let words = words.enumerate().filter(|(_, word)| *word != 0);
            self.words.extend(words);
        }
        let there = move |word: u64| word >> (i % 64) & 1 == 1;
        let present = self.words.iter().filter(move |(_, word)| there(*word));
        present.map(|(s, _)| *s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_furthest_is_that_of_one_after_the_other(
            start in prop_oneof![Just(f64::NAN), -3.0..3.0f64],
            values in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), (-4i8..4).prop_map(f64::from)], 0..40),
            least in any::<bool>(), cut in 0usize..40,
        ) {
            let naive = values.iter().fold(start, |peak, v| {
                let further = if least { *v < peak } else { *v > peak };
                if further || peak.is_nan() { *v } else { peak }
            });
            prop_assert_eq!(furthest(start, &values, least).to_bits(), naive.to_bits());
            let (a, b) = values.split_at(cut.min(values.len()));
            prop_assert_eq!(furthest(furthest(start, a, least), b, least).to_bits(), naive.to_bits());
        }
    }
}
