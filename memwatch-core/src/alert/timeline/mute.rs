//! What keeps alerts from being sent, found once for each label set, so that a flush only compares times.

use std::collections::HashMap;
use std::sync::Arc;

use crate::alert::fired::FiredAlert;
use crate::alert::notifications::{Inhibit, Notifications, Route};
use crate::{Labels, Matcher, TimeRange, Timestamp};

use super::message::Muted;

/// Half-open stretches of time, merged and ascending; `None`: without end.
#[derive(Default)]
struct Stretches(Vec<(Timestamp, Option<Timestamp>)>);

impl Stretches {
    fn merged(mut all: Vec<(Timestamp, Option<Timestamp>)>) -> Stretches {
        all.sort_unstable_by_key(|(from, _)| *from);
        let mut kept: Vec<(Timestamp, Option<Timestamp>)> = Vec::with_capacity(all.len());
        for (from, to) in all {
            match kept.last_mut() {
                Some((_, last)) if last.is_none_or(|last| from <= last) => {
                    *last = last.zip(to).map(|(a, b)| a.max(b));
                }
                _ => kept.push((from, to)),
            }
        }
        Stretches(kept)
    }

    fn contain(&self, at: Timestamp) -> bool {
        let begun = self.0.partition_point(|(from, _)| *from <= at);
        begun > 0 && self.0[begun - 1].1.is_none_or(|to| at < to)
    }
}

impl Stretches {
    /// The first time after `now` at which one begins or ends.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let begun = self.0.partition_point(|(from, _)| *from <= now);
        let last = begun.checked_sub(1).and_then(|i| self.0[i].1);
        let next = self.0.get(begun).map(|(from, _)| *from);
        last.filter(|end| *end > now).into_iter().chain(next).min()
    }
}

/// What mutes which label set.
pub(super) struct Mutes<'a> {
    config: &'a Notifications,
    /// When sources fire that agree with each other in the labels `equal` of a rule.
    sources: Vec<Stretches>,
    /// For each label set, the sources that inhibit it.
    inhibited_by: Vec<Vec<u32>>,
    /// For each label set, the silences that match it.
    silenced_by: Vec<Vec<u32>>,
}

impl<'a> Mutes<'a> {
    /// `sets[of[i]]` are the labels of `alerts[i]`.
    pub(super) fn new(
        config: &'a Notifications,
        alerts: &[FiredAlert],
        sets: &[Labels],
        of: &[u32],
    ) -> Mutes<'a> {
        let mut mutes = Mutes {
            config,
            sources: Vec::new(),
            inhibited_by: vec![Vec::new(); sets.len()],
            silenced_by: vec![Vec::new(); sets.len()],
        };
        let mut alerts_of: Vec<Vec<u32>> = vec![Vec::new(); sets.len()];
        for (alert, set) in (0u32..).zip(of) {
            alerts_of[*set as usize].push(alert);
        }
        for rule in &config.inhibits {
            mutes.index(rule, alerts, sets, &alerts_of);
        }
        for (index, silence) in (0u32..).zip(&config.silences) {
            for (set, labels) in sets.iter().enumerate() {
                if all(&silence.matchers, labels) {
                    mutes.silenced_by[set].push(index);
                }
            }
        }
        mutes
    }

    /// Sources count even if they are silenced or inhibited. An alert that matches both sides is not inhibited by another that matches both.
    fn index(
        &mut self,
        rule: &Inhibit,
        alerts: &[FiredAlert],
        sets: &[Labels],
        alerts_of: &[Vec<u32>],
    ) {
        type Fires = Vec<(Timestamp, Option<Timestamp>)>;
        let equal = |labels: &Labels| -> Vec<Arc<str>> {
            rule.equal
                .iter()
                .map(|name| labels.get(name).into())
                .collect()
        };
        // By the labels that must be equal: when any source fires, and when one that is not a target too does.
        let mut by_equal: HashMap<Vec<Arc<str>>, (Fires, Fires)> = HashMap::new();
        for (labels, alerts_of_set) in sets.iter().zip(alerts_of) {
            if !all(&rule.source, labels) {
                continue;
            }
            let found = by_equal.entry(equal(labels)).or_default();
            let only_source = !all(&rule.target, labels);
            for alert in alerts_of_set {
                for stretch in alerts[*alert as usize].firing() {
                    found.0.push(stretch);
                    if only_source {
                        found.1.push(stretch);
                    }
                }
            }
        }
        let mut indexed: HashMap<Vec<Arc<str>>, (u32, u32)> = HashMap::new();
        for (set, labels) in sets.iter().enumerate() {
            if !all(&rule.target, labels) {
                continue;
            }
            let key = equal(labels);
            if let Some((any, only_source)) = by_equal.remove(&key) {
                let first = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
                self.sources.push(Stretches::merged(any));
                self.sources.push(Stretches::merged(only_source));
                indexed.insert(key.clone(), (first, first + 1));
            }
            if let Some((any, only_source)) = indexed.get(&key) {
                let both = all(&rule.source, labels);
                self.inhibited_by[set].push(if both { *only_source } else { *any });
            }
        }
    }

    /// What mutes the label set at a flush, in the order of Alertmanager's pipeline. `outside`: whether its route is outside of its intervals;
    /// `without`: a silence that is left out.
    pub(super) fn of(
        &self,
        set: u32,
        now: Timestamp,
        outside: bool,
        without: Option<usize>,
    ) -> Option<Muted> {
        let inhibits = &self.inhibited_by[set as usize];
        if inhibits
            .iter()
            .any(|source| self.sources[*source as usize].contain(now))
        {
            return Some(Muted::Inhibited);
        }
        if outside {
            return Some(Muted::Interval);
        }
        self.silences(set, now)
            .any(|silence| Some(silence) != without)
            .then_some(Muted::Silenced)
    }

    /// The silences that act on the label set.
    pub(super) fn silences(&self, set: u32, now: Timestamp) -> impl Iterator<Item = usize> {
        self.silenced_by[set as usize]
            .iter()
            .map(|silence| *silence as usize)
            .filter(move |silence| self.config.silences[*silence].range.contains(now))
    }

    /// The first time after `now` at which something else may mute the label set, but for the intervals of its route.
    pub(super) fn next_change(&self, set: u32, now: Timestamp) -> Option<Timestamp> {
        let inhibits = self.inhibited_by[set as usize]
            .iter()
            .filter_map(|source| self.sources[*source as usize].next_change(now));
        let silences = self.silenced_by[set as usize].iter().flat_map(|silence| {
            let range = self.config.silences[*silence as usize].range;
            [range.start, range.end]
        });
        inhibits.chain(silences.filter(|at| *at > now)).min()
    }

    /// When a silence acts.
    pub(super) fn range(&self, silence: usize) -> TimeRange {
        self.config.silences[silence].range
    }

    /// Whether the route is mute or not active.
    pub(super) fn outside(&self, route: &Route, now: Timestamp) -> bool {
        let inside = |name: &Arc<str>| {
            self.config
                .time_intervals
                .iter()
                .any(|i| i.name == *name && i.contains(now))
        };
        let active = route.active_time_intervals.is_empty()
            || route.active_time_intervals.iter().any(inside);
        !active || route.mute_time_intervals.iter().any(inside)
    }
}

fn all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notifications::parse_matchers;

    fn at(s: i64) -> Timestamp {
        Timestamp(s * 1_000_000_000)
    }

    /// As the statement has it, looking at every alert.
    fn naive(rules: &[Inhibit], alerts: &[FiredAlert], labels: &Labels, now: Timestamp) -> bool {
        rules.iter().any(|rule| {
            all(&rule.target, labels)
                && alerts.iter().any(|source| {
                    source.fires(now)
                        && all(&rule.source, &source.labels)
                        && rule
                            .equal
                            .iter()
                            .all(|name| source.labels.get(name) == labels.get(name))
                        && !(all(&rule.source, labels) && all(&rule.target, &source.labels))
                })
        })
    }

    proptest::proptest! {
        #[test]
        fn the_index_agrees_with_looking_at_every_alert(
            spans in proptest::collection::vec((0usize..3, 0usize..3, 0i64..40, 0i64..20), 1..15),
            rules in proptest::collection::vec((0usize..6, 0usize..6, 0usize..3), 0..4),
        ) {
            let sides = ["s=\"0\"", "s=\"1\"", "s=~\"0|1\"", "s!=\"\"", "i=\"1\"", "s=\"2\", i!=\"0\""];
            let equals: [&[&str]; 3] = [&[], &["i"], &["i", "absent"]];
            let alerts: Vec<FiredAlert> = spans
                .iter()
                .map(|(s, i, from, lasts)| {
                    let labels = [("s", s.to_string()), ("i", i.to_string())].into_iter().collect();
                    let end = (*lasts > 0).then(|| at(from + lasts));
                    FiredAlert::new(labels, Vec::new(), at(*from), end)
                })
                .collect();
            let config = Notifications {
                inhibits: rules
                    .iter()
                    .map(|(source, target, equal)| {
                        Inhibit::new(
                            parse_matchers(sides[*source]).unwrap(),
                            parse_matchers(sides[*target]).unwrap(),
                            equals[*equal].iter().map(|name| Arc::from(*name)).collect(),
                        )
                    })
                    .collect(),
                ..Notifications::default()
            };
            let mut sets: Vec<Labels> = alerts.iter().map(|a| a.labels.clone()).collect();
            sets.sort();
            sets.dedup();
            let of: Vec<u32> = alerts
                .iter()
                .map(|a| u32::try_from(sets.binary_search(&a.labels).unwrap()).unwrap())
                .collect();
            let mutes = Mutes::new(&config, &alerts, &sets, &of);
            for (set, labels) in (0u32..).zip(&sets) {
                for now in 0..62 {
                    let found = mutes.of(set, at(now), false, None).is_some();
                    let expected = naive(&config.inhibits, &alerts, labels, at(now));
                    proptest::prop_assert_eq!(found, expected, "{} at {}", labels, now);
                }
            }
        }
    }
}
