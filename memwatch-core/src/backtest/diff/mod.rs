//! What another rule file would have changed: two outcomes over the same recording, side by side.
//!
//! Alerts are paired by their labels, in this order: those that fire at the same instant; those whose stretches (from pending to the end)
//! overlap; and, with other labels, those of the same rule and process that overlap. What has no partner is new or lost.

mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Labels, Nanos, TimeRange, Timestamp};

use super::outcome::{Alert, Outcome};
use super::sightings::who;

pub use messages::MessagePair;

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It fires only under the new rules.
    New,
    /// It fired only under the old rules.
    Lost,
    /// It fires with the same labels at another time, or ends at another.
    Moved {
        /// How much later it fires.
        fires: Nanos,
        /// How much later it ends; `None` when it is open on one side only.
        ends: Option<Nanos>,
    },
    /// It fires with other labels, at the same time or another.
    Relabeled,
    /// It fires as before.
    Same,
}

/// An alert of one outcome, of the other, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// Index in the old outcome's alerts.
    pub old: Option<usize>,
    /// Index in the new outcome's alerts.
    pub new: Option<usize>,
    /// What became of it.
    pub change: Change,
}

/// A rule that is in one file, in the other, or in both; they are known by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RulePair {
    /// The alert's name.
    pub name: Arc<str>,
    /// Index in the old outcome's rules.
    pub old: Option<usize>,
    /// Index in the new outcome's rules.
    pub new: Option<usize>,
}

/// An incident that is caught by one file and not by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncidentChange {
    /// Index in the incidents of both outcomes.
    pub incident: usize,
    /// How long after its start the old rules caught it; `None` when they missed it.
    pub old: Option<Nanos>,
    /// The same of the new rules.
    pub new: Option<Nanos>,
}

/// Two outcomes side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// Every alert of either, by the time at which it fires (the new time where it has one).
    pub alerts: Vec<Pair>,
    /// Every message of either, by its time (the new one where it has one).
    pub messages: Vec<MessagePair>,
    /// Every alerting rule of either: the new file's in its order, then those that are gone.
    pub rules: Vec<RulePair>,
    /// Every incident, when both outcomes were scored.
    pub incidents: Vec<IncidentChange>,
}

impl Diff {
    /// Compares two outcomes. They must be of the same recording, range and incidents, or the comparison says nothing.
    #[must_use]
    pub fn of(old: &Outcome, new: &Outcome) -> Diff {
        Diff {
            alerts: pairs(old, new),
            messages: messages::pairs(old, new),
            rules: rule_pairs(old, new),
            incidents: incident_changes(old, new),
        }
    }

    /// How many alerts became what `is` says.
    #[must_use]
    pub fn count(&self, is: impl Fn(Change) -> bool) -> u64 {
        self.alerts.iter().filter(|p| is(p.change)).count() as u64
    }

    /// Whether nothing changed for any alert or message.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.alerts.iter().all(|p| p.change == Change::Same)
            && self
                .messages
                .iter()
                .all(|p| p.old.is_some() && p.new.is_some() && p.later.0 == 0)
    }
}

fn pairs(old: &Outcome, new: &Outcome) -> Vec<Pair> {
    let mut matching = Matching {
        old: &old.alerts,
        new: &new.alerts,
        ends: (old.range.end, new.range.end),
        of_old: vec![None; old.alerts.len()],
        of_new: vec![None; new.alerts.len()],
    };
    let labels = |alert: &Alert| alert.labels.clone();
    matching.pair(labels, |a, b| a.fired_at == b.fired_at);
    let ends = matching.ends;
    let overlap = |a: &Alert, b: &Alert| {
        let (a, b) = (stretch(a, ends.0), stretch(b, ends.1));
        a.start <= b.end && b.start <= a.end
    };
    matching.pair(labels, overlap);
    let process = |alert: &Alert| {
        let (service, instance) = who(&alert.labels);
        [
            ("alertname", Arc::from(alert.labels.get("alertname"))),
            ("service", service),
            ("instance", instance),
        ]
        .into_iter()
        .collect::<Labels>()
    };
    matching.pair(process, overlap);
    let mut pairs = matching.finish();
    let key = |p: &Pair| {
        let new_alert = p.new.map(|n| &new.alerts[n]);
        let alert = new_alert.or(p.old.map(|o| &old.alerts[o]));
        (alert.map(|a| a.fired_at), p.new, p.old)
    };
    pairs.sort_by_key(key);
    pairs
}

fn stretch(alert: &Alert, range_end: Timestamp) -> TimeRange {
    TimeRange {
        start: alert.pending_at,
        end: alert.ended.at().unwrap_or(range_end),
    }
}

struct Matching<'a> {
    old: &'a [Alert],
    new: &'a [Alert],
    ends: (Timestamp, Timestamp),
    /// For each old alert its new one, and the other way round.
    of_old: Vec<Option<usize>>,
    of_new: Vec<Option<usize>>,
}

impl Matching<'_> {
    /// Pairs what is left over, has the same key, and fits; each with the first that does, in the order of time.
    fn pair(&mut self, key: impl Fn(&Alert) -> Labels, fits: impl Fn(&Alert, &Alert) -> bool) {
        let mut waiting: BTreeMap<Labels, Vec<usize>> = BTreeMap::new();
        for (i, alert) in self.new.iter().enumerate() {
            if self.of_new[i].is_none() {
                waiting.entry(key(alert)).or_default().push(i);
            }
        }
        for (o, alert) in self.old.iter().enumerate() {
            if self.of_old[o].is_some() {
                continue;
            }
            let Some(candidates) = waiting.get_mut(&key(alert)) else {
                continue;
            };
            if let Some(place) = candidates.iter().position(|n| fits(alert, &self.new[*n])) {
                let n = candidates.remove(place);
                self.of_old[o] = Some(n);
                self.of_new[n] = Some(o);
            }
        }
    }

    fn finish(self) -> Vec<Pair> {
        let both = self.of_old.iter().enumerate().map(|(o, n)| Pair {
            old: Some(o),
            new: *n,
            change: n.map_or(Change::Lost, |n| change(&self.old[o], &self.new[n])),
        });
        let alone = self.of_new.iter().enumerate().filter(|(_, o)| o.is_none());
        both.chain(alone.map(|(n, _)| Pair {
            old: None,
            new: Some(n),
            change: Change::New,
        }))
        .collect()
    }
}

fn change(old: &Alert, new: &Alert) -> Change {
    if old.labels != new.labels {
        return Change::Relabeled;
    }
    if (old.fired_at, old.ended) == (new.fired_at, new.ended) {
        return Change::Same;
    }
    let ends = match (old.ended.at(), new.ended.at()) {
        (Some(old), Some(new)) => Some(new.since(old)),
        (None, None) => Some(Nanos(0)),
        _ => None,
    };
    Change::Moved {
        fires: new.fired_at.since(old.fired_at),
        ends,
    }
}

fn rule_pairs(old: &Outcome, new: &Outcome) -> Vec<RulePair> {
    let alerting = |outcome: &Outcome| -> Vec<(usize, Arc<str>)> {
        let rules = outcome.rules.iter().enumerate();
        rules
            .filter(|(_, r)| r.alerting)
            .map(|(i, r)| (i, r.name.clone()))
            .collect()
    };
    let mut left = alerting(old);
    let mut found = Vec::new();
    for (index, name) in alerting(new) {
        // A name may stand in several groups: the first with the first.
        let place = left.iter().position(|(_, n)| *n == name);
        let before = place.map(|place| left.remove(place).0);
        found.push(RulePair {
            name,
            old: before,
            new: Some(index),
        });
    }
    found.extend(left.into_iter().map(|(index, name)| RulePair {
        name,
        old: Some(index),
        new: None,
    }));
    found
}

fn incident_changes(old: &Outcome, new: &Outcome) -> Vec<IncidentChange> {
    let (Some(old), Some(new)) = (&old.score, &new.score) else {
        return Vec::new();
    };
    old.incidents
        .iter()
        .zip(&new.incidents)
        .enumerate()
        .map(|(incident, (old, new))| IncidentChange {
            incident,
            old: old.detected_by.first().map(|d| d.delay),
            new: new.detected_by.first().map(|d| d.delay),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Backtest;
    use crate::rule::RuleFile;
    use crate::series::{MemorySeries, Series};

    const SECOND: i64 = 1_000_000_000;

    /// What rules find in a series `x` of one process: a value a second.
    fn outcome(rules: &[(&str, &str, &str)], values: &[f64]) -> Outcome {
        let mut text = "[[group]]\nname = \"g\"\ninterval = \"1s\"\n".to_owned();
        for (name, expr, more) in rules {
            text += &format!("[[group.rule]]\nalert = \"{name}\"\nexpr = \"{expr}\"\n{more}\n");
        }
        replay(&RuleFile::from_toml("t.toml", &text).unwrap(), values)
    }

    fn replay(file: &RuleFile, values: &[f64]) -> Outcome {
        let recording = MemorySeries {
            series: vec![Series {
                labels: [("__name__", "x"), ("service", "api"), ("instance", "api-0")]
                    .into_iter()
                    .collect(),
                at_ns: (0..).take(values.len()).map(|i| i * SECOND).collect(),
                values: values.into(),
            }],
        };
        let end = i64::try_from(values.len()).unwrap() * SECOND;
        Backtest::new(file)
            .range(TimeRange {
                start: Timestamp(0),
                end: Timestamp(end),
            })
            .run(&recording)
            .unwrap()
    }

    const VALUES: [f64; 12] = [0., 5., 7., 9., 9., 0., 0., 3., 3., 0., 9., 9.];

    #[test]
    fn alerts_stay_move_appear_and_vanish() {
        let check = |old: &[(&str, &str, &str)], new: &[(&str, &str, &str)], expected: &[&str]| {
            let (old, new) = (outcome(old, &VALUES), outcome(new, &VALUES));
            let diff = Diff::of(&old, &new);
            let shown: Vec<String> = diff
                .alerts
                .iter()
                .map(|p| {
                    let at = |alerts: &[Alert], i: Option<usize>| {
                        i.map_or("-".to_owned(), |i| {
                            (alerts[i].fired_at.0 / SECOND).to_string()
                        })
                    };
                    let what = match p.change {
                        Change::New => "new".to_owned(),
                        Change::Lost => "lost".to_owned(),
                        Change::Relabeled => "relabeled".to_owned(),
                        Change::Same => "same".to_owned(),
                        Change::Moved { fires, ends } => {
                            let ends = ends.map_or("?".to_owned(), |e| (e.0 / SECOND).to_string());
                            format!("moved {} {ends}", fires.0 / SECOND)
                        }
                    };
                    format!(
                        "{} {} {what}",
                        at(&old.alerts, p.old),
                        at(&new.alerts, p.new)
                    )
                })
                .collect();
            assert_eq!(shown, expected, "{:?}", new.rules);
            assert_eq!(diff.is_same(), shown.iter().all(|s| s.ends_with("same")));
        };
        let base = ("A", "x > 4", "");
        check(&[base], &[base], &["1 1 same", "10 10 same"]);
        check(
            &[base],
            &[("A", "x > 8", "")],
            &["1 3 moved 2 0", "10 10 same"],
        );
        check(
            &[base],
            &[("A", "x > 4", "for = \"2s\"")],
            &["1 3 moved 2 0", "10 - lost"],
        );
        check(
            &[base],
            &[("A", "x > 2", "keep_firing_for = \"3s\"")],
            // The second and third stretch are one now.
            &["1 1 moved 0 ?", "10 - lost"],
        );
        check(
            &[base],
            &[("B", "x > 4", "")],
            &["1 - lost", "- 1 new", "10 - lost", "- 10 new"],
        );
        check(
            &[base],
            &[("A", "x > 8", "labels = { severity = \"P1\" }")],
            &["1 3 relabeled", "10 10 relabeled"],
        );
        check(&[], &[base], &["- 1 new", "- 10 new"]);
    }

    #[test]
    fn messages_stay_move_appear_and_vanish() {
        let told = |rule: &str, wait: &str| {
            let text = format!(
                "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"A\"\nexpr = \"{rule}\"\n\
                 [route]\nreceiver = \"team\"\ngroup_by = [\"alertname\"]\ngroup_wait = \"{wait}\"\ngroup_interval = \"1s\"\n\
                 [[receiver]]\nname = \"team\"\nwebhook = {{ url = \"http://localhost/\" }}\n"
            );
            replay(&RuleFile::from_toml("t.toml", &text).unwrap(), &VALUES)
        };
        let check = |old: &Outcome, new: &Outcome, expected: &[&str]| {
            let shown: Vec<String> = Diff::of(old, new)
                .messages
                .iter()
                .map(|p| match (p.old, p.new) {
                    (Some(_), Some(_)) => format!("{}", p.later),
                    (Some(_), None) => "lost".to_owned(),
                    _ => "new".to_owned(),
                })
                .collect();
            assert_eq!(shown, expected);
        };
        let old = told("x > 4", "0s");
        check(&old, &old, &["0s", "0s", "0s"]);
        // The group lives on, so its second firing does not wait again.
        check(&old, &told("x > 4", "1s"), &["1s", "0s", "0s"]);
        check(&old, &told("x > 99", "0s"), &["lost", "lost", "lost"]);
        check(&told("x > 99", "0s"), &old, &["new", "new", "new"]);
    }

    #[test]
    fn rules_are_known_by_their_names() {
        let old = outcome(
            &[
                ("A", "x > 4", ""),
                ("Gone", "x > 1", ""),
                ("B", "x > 1", ""),
            ],
            &VALUES,
        );
        let new = outcome(
            &[
                ("B", "x > 2", ""),
                ("A", "x > 4", ""),
                ("More", "x > 1", ""),
            ],
            &VALUES,
        );
        let found: Vec<_> = Diff::of(&old, &new)
            .rules
            .iter()
            .map(|r| (r.name.to_string(), r.old, r.new))
            .collect();
        let expected = [
            ("B", Some(2), Some(0)),
            ("A", Some(0), Some(1)),
            ("More", None, Some(2)),
            ("Gone", Some(1), None),
        ];
        assert_eq!(found, expected.map(|(n, o, w)| (n.to_owned(), o, w)));
    }

    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// Every alert of both outcomes is in exactly one pair, and comparing the other way round swaps new and lost.
            #[test]
            fn no_alert_is_lost_or_told_twice(
                values in prop::collection::vec(0u8..6, 5..60), a in 0u8..5, b in 0u8..5, hold in 0u8..4,
            ) {
                let values: Vec<f64> = values.into_iter().map(f64::from).collect();
                let old = outcome(&[("A", &format!("x > {a}"), "")], &values);
                let new = outcome(&[("A", &format!("x > {b}"), &format!("for = \"{hold}s\""))], &values);
                let diff = Diff::of(&old, &new);
                let mut olds: Vec<usize> = diff.alerts.iter().filter_map(|p| p.old).collect();
                let mut news: Vec<usize> = diff.alerts.iter().filter_map(|p| p.new).collect();
                olds.sort_unstable();
                news.sort_unstable();
                prop_assert_eq!(olds, (0..old.alerts.len()).collect::<Vec<_>>());
                prop_assert_eq!(news, (0..new.alerts.len()).collect::<Vec<_>>());
                let back = Diff::of(&new, &old);
                let same = |d: &Diff| d.count(|c| c == Change::Same);
                prop_assert_eq!(same(&diff), same(&back));
                prop_assert_eq!(diff.count(|c| c == Change::New) + old.alerts.len() as u64, diff.count(|c| c == Change::Lost) + new.alerts.len() as u64);
            }
        }
    }
}
