//! An alert as Alertmanager hears of it: when it fired, when it ended, and what the evaluator said in between.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::{Labels, Timestamp};

/// An alert from the moment it fires until it is resolved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FiredAlert {
    /// All labels, `alertname` included.
    pub labels: Labels,
    /// Texts for people, by name.
    pub annotations: Vec<(Arc<str>, String)>,
    /// When it fired (`startsAt`).
    pub fired_at: Timestamp,
    /// When it was resolved; `None` while it fires still.
    pub resolved_at: Option<Timestamp>,
    /// Where the expression can be looked at (`generatorURL`); may be empty.
    pub generator_url: Arc<str>,
    handed: Vec<HandOver>,
}

/// What the evaluator says of an alert at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// When.
    pub at: Timestamp,
    /// When the alert ends (`endsAt`): in the past for one that is resolved. `None`: it is said again and again before that time comes.
    pub ends_at: Option<Timestamp>,
}

impl FiredAlert {
    /// An alert of which the evaluator speaks without interruption while it fires, and once when it is resolved.
    #[must_use]
    pub fn new(
        labels: Labels,
        annotations: Vec<(Arc<str>, String)>,
        fired_at: Timestamp,
        resolved_at: Option<Timestamp>,
    ) -> Self {
        let first = HandOver {
            at: fired_at,
            ends_at: None,
        };
        let last = resolved_at.map(|at| HandOver {
            at,
            ends_at: Some(at),
        });
        FiredAlert {
            labels,
            annotations,
            fired_at,
            resolved_at,
            generator_url: "".into(),
            handed: [first].into_iter().chain(last).collect(),
        }
    }

    /// The same alert as an evaluator tells of it that was silent for a while, or repeats that it is resolved.
    ///
    /// `handed` ascends in time and begins when the alert fired; of repetitions that change nothing it needs none.
    #[must_use]
    pub fn handed_over(mut self, handed: Vec<HandOver>) -> Self {
        if !handed.is_empty() {
            self.handed = handed;
        }
        self
    }

    /// With a place where the expression can be looked at.
    #[must_use]
    pub fn generated_by(mut self, url: impl Into<Arc<str>>) -> Self {
        self.generator_url = url.into();
        self
    }

    /// When the evaluator spoke of it and changed something by that.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Timestamp> {
        self.handed.iter().map(|handed| handed.at)
    }

    /// The stretches `[from, to)` in which Alertmanager takes it for firing; `None`: without end.
    pub(super) fn firing(&self) -> impl Iterator<Item = (Timestamp, Option<Timestamp>)> {
        let next = self.handed.iter().skip(1).map(|h| Some(h.at)).chain([None]);
        self.handed.iter().zip(next).filter_map(|(handed, next)| {
            let end = match (handed.ends_at, next) {
                (Some(end), Some(next)) => Some(end.min(next)),
                (end, next) => end.or(next),
            };
            end.is_none_or(|end| handed.at < end)
                .then_some((handed.at, end))
        })
    }

    /// Whether Alertmanager takes it for firing.
    pub(super) fn fires(&self, now: Timestamp) -> bool {
        let known = self.handed.partition_point(|handed| handed.at <= now);
        known > 0
            && self.handed[known - 1]
                .ends_at
                .is_none_or(|ends_at| now < ends_at)
    }

    /// When it ends by what Alertmanager knows at `now`, if it fires.
    pub(super) fn lapses_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.ended_at(now).filter(|ends_at| *ends_at > now)
    }

    /// The end that Alertmanager knows at `now` of an alert that it takes for ended.
    pub(super) fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        let known = self.handed.partition_point(|handed| handed.at <= now);
        self.handed.get(known.checked_sub(1)?)?.ends_at
    }
}

/// The order of alerts in a message, Alertmanager's: by `job`, by `instance`, those without last, then by the whole label set, small sets first.
pub(super) fn message_order(a: &Labels, b: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let (a, b) = (a.get(name), b.get(name));
        let order = a.is_empty().cmp(&b.is_empty()).then(a.cmp(b));
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len()).then_with(|| {
        // The first name that only one of them has, or whose values differ, decides.
        for ((a_name, a_value), (b_name, b_value)) in a.iter().zip(b.iter()) {
            let order = match a_name.cmp(b_name) {
                // Alertmanager walks the names of both in order and takes the set that lacks one for the smaller.
                Ordering::Less => Ordering::Greater,
                Ordering::Greater => Ordering::Less,
                Ordering::Equal => a_value.cmp(b_value),
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp(s * 1_000_000_000)
    }

    #[test]
    fn what_was_said_last_counts() {
        let alert = FiredAlert::new(Labels::default(), Vec::new(), at(10), Some(at(90)));
        for (now, fires) in [(9, false), (10, true), (89, true), (90, false), (99, false)] {
            assert_eq!(alert.fires(at(now)), fires, "{now}");
        }
        // The evaluator was silent from 20 on, so the alert ended at 40; at 60 it spoke again.
        let say = |at_s: i64, ends: Option<i64>| HandOver {
            at: at(at_s),
            ends_at: ends.map(at),
        };
        let alert = alert.handed_over(vec![
            say(10, Some(40)),
            say(60, None),
            say(90, Some(90)),
            say(151, Some(90)),
        ]);
        for (now, fires) in [
            (39, true),
            (40, false),
            (59, false),
            (60, true),
            (90, false),
            (151, false),
        ] {
            assert_eq!(alert.fires(at(now)), fires, "{now}");
        }
        assert_eq!(alert.ended_at(at(50)), Some(at(40)));
        assert_eq!(alert.ended_at(at(160)), Some(at(90)));
        let stretches: Vec<_> = alert.firing().collect();
        assert_eq!(stretches, [(at(10), Some(at(40))), (at(60), Some(at(90)))]);
    }

    #[test]
    fn messages_are_in_alertmanagers_order() {
        let labels = |text: &str| Labels::parse(text).unwrap();
        let sorted = [
            r#"job="a",instance="1",z="1""#,
            r#"job="a",instance="2""#,
            r#"job="a""#,
            r#"job="b",instance="1""#,
            r#"instance="1""#,
            r#"b="1""#, // It lacks the first name of both.
            r#"a="1""#,
            r#"a="1",b="2""#,
            r#"a="1",b="3""#,
        ];
        for pair in sorted.windows(2) {
            let order = message_order(&labels(pair[0]), &labels(pair[1]));
            assert_eq!(order, Ordering::Less, "{pair:?}");
        }
    }
}
