//! The life of one group of alerts: its timer, what it holds, and what its receiver was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::fired::FiredAlert;
use crate::alert::notifications::{Integration, Receiver};
use crate::{Labels, Nanos, Timestamp};

use super::message::{LostResolve, Message, Muted, Reason, Untold, Wait};
use super::mute::Mutes;
use super::routing::Node;
use super::{LOG_MAINTENANCE, MAINTENANCE, RETENTION};

/// What all groups of a simulation share.
pub(super) struct Shared<'a> {
    pub(super) alerts: &'a [FiredAlert],
    /// For each alert, its label set: numbered in the order of messages.
    pub(super) set_of: &'a [u32],
    pub(super) mutes: Mutes<'a>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Whether flushes at which nothing can happen are played all the same; a test compares.
    pub(super) every_flush: bool,
}

/// A group and who hears of it.
pub(super) struct Group<'a> {
    pub(super) node: &'a Node<'a>,
    pub(super) route: usize,
    pub(super) labels: Labels,
    pub(super) receiver: Option<&'a Receiver>,
    /// Its alerts, in the order given.
    pub(super) members: Vec<usize>,
}

/// What became of a group.
#[derive(Default)]
pub(super) struct Lived {
    pub(super) messages: Vec<Message>,
    pub(super) lost_resolves: Vec<LostResolve>,
    pub(super) muted: BTreeSet<(usize, Muted)>,
    /// The silences that acted, and on which alert.
    pub(super) silenced: BTreeSet<(usize, usize)>,
    /// For each member, in their order, what held it back until the first message of it, and why there was none.
    pub(super) waits: Vec<(Vec<(Wait, Nanos)>, Untold)>,
}

/// A message as far as it says something: to compare what would have been sent under other circumstances.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) at: Timestamp,
    integration: usize,
    firing: usize,
    /// Firing ones first.
    pub(super) alerts: Vec<usize>,
}

impl Told {
    pub(super) fn of(message: &Message) -> Told {
        Told {
            at: message.at,
            integration: message.integration,
            firing: message.firing.len(),
            alerts: message
                .firing
                .iter()
                .chain(&message.resolved)
                .copied()
                .collect(),
        }
    }
}

/// What was last sent to one integration about the group.
struct Entry {
    at: Timestamp,
    firing: BTreeSet<u32>,
    resolved: BTreeSet<u32>,
}

/// How long one alert has been waiting for its first message.
#[derive(Clone)]
struct Waiting {
    since: Timestamp,
    by: Wait,
    waits: Vec<(Wait, Nanos)>,
    /// What would be the reason if nothing more came.
    untold: Untold,
    told: bool,
}

impl Waiting {
    /// Adds the time since it was looked at last to what held it back.
    fn held_until(&mut self, now: Timestamp) {
        let held = now.since(self.since);
        if held.0 <= 0 {
            return;
        }
        match self.waits.iter_mut().find(|(by, _)| *by == self.by) {
            Some((_, sum)) => sum.0 += held.0,
            None => self.waits.push((self.by, held)),
        }
        self.since = now;
    }
}

struct Life<'s, 'a> {
    shared: &'s Shared<'a>,
    group: &'s Group<'a>,
    without: Option<usize>,
    /// Current alert of each label set.
    alerts: BTreeMap<u32, usize>,
    next_flush: Option<Timestamp>,
    has_flushed: bool,
    /// Since when it has no alerts.
    empty_since: Option<Timestamp>,
    log: Vec<Option<Entry>>,
    /// For each member.
    waiting: Vec<Waiting>,
    /// Alerts of which the receiver still believes that they fire.
    lost: BTreeMap<u32, LostResolve>,
    lived: Lived,
}

/// Plays a group from its first alert to the end; `without`: a silence that is left out.
pub(super) fn live(shared: &Shared<'_>, group: &Group<'_>, without: Option<usize>) -> Lived {
    let mut arrivals: Vec<(Timestamp, usize)> = group
        .members
        .iter()
        .enumerate()
        .flat_map(|(member, alert)| shared.alerts[*alert].arrivals().map(move |at| (at, member)))
        .filter(|(at, _)| *at <= shared.end)
        .collect();
    arrivals.sort_unstable();
    let integrations = group.receiver.map_or(0, |r| r.integrations.len());
    let mut life = Life {
        shared,
        group,
        without,
        alerts: BTreeMap::new(),
        next_flush: None,
        has_flushed: false,
        empty_since: None,
        log: std::iter::repeat_with(|| None).take(integrations).collect(),
        waiting: group
            .members
            .iter()
            .map(|alert| Waiting {
                since: shared.alerts[*alert].fired_at,
                by: Wait::GroupWait,
                waits: Vec::new(),
                untold: Untold::NotYet,
                told: false,
            })
            .collect(),
        lost: BTreeMap::new(),
        lived: Lived::default(),
    };
    let mut arrivals = arrivals.into_iter().peekable();
    loop {
        // At one instant alerts come before flushes.
        let flush = life.next_flush.filter(|at| *at <= shared.end);
        match (arrivals.peek().copied(), flush) {
            (Some((at, member)), flush) if flush.is_none_or(|flush| at <= flush) => {
                arrivals.next();
                life.arrive(at, member);
            }
            (None, Some(_)) if life.alerts.is_empty() => break,
            (next, Some(at)) => life.flush(at, next.map(|(at, _)| at)),
            (_, None) => break,
        }
    }
    life.finish()
}

impl Life<'_, '_> {
    fn arrive(&mut self, now: Timestamp, member: usize) {
        let node = self.group.node;
        let index = self.group.members[member];
        let alert = &self.shared.alerts[index];
        if self.is_forgotten(now) {
            self.next_flush = None;
        }
        let due = alert.fired_at.plus(node.group_wait);
        match self.next_flush {
            None => {
                // The wait is over already for an alert that fired long ago.
                self.next_flush = Some(if due < now {
                    now
                } else {
                    now.plus(node.group_wait)
                });
                self.has_flushed = false;
            }
            Some(_) if !self.has_flushed && due < now => self.next_flush = Some(now),
            Some(_) => {}
        }
        self.alerts.insert(self.shared.set_of[index], index);
        self.empty_since = None;
        let waiting = &mut self.waiting[member];
        if now == alert.fired_at && self.has_flushed {
            waiting.by = Wait::GroupInterval;
        }
    }

    /// Whether it has been empty for so long that Alertmanager's maintenance removed it.
    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.empty_since.is_some_and(|since| {
            let ticks = since.since(self.shared.start).0.div_euclid(MAINTENANCE.0) + 1;
            self.shared.start.plus(Nanos(ticks * MAINTENANCE.0)) <= now
        })
    }

    /// When the log loses an entry: the first time that it is cleaned once the entry has expired.
    fn forgotten_at(&self, entry: &Entry, repeat: Nanos) -> Timestamp {
        let kept_for = Nanos(repeat.0.saturating_mul(2)).min(RETENTION);
        let expires = entry.at.plus(kept_for);
        let ticks = expires.since(self.shared.start).0.max(0) + LOG_MAINTENANCE.0 - 1;
        let ticks = ticks.div_euclid(LOG_MAINTENANCE.0);
        self.shared.start.plus(Nanos(ticks * LOG_MAINTENANCE.0))
    }

    /// `arrival`: when the next alert comes.
    fn flush(&mut self, now: Timestamp, arrival: Option<Timestamp>) {
        if self.is_forgotten(now) {
            self.next_flush = None;
            return;
        }
        let outside = self.shared.mutes.outside(self.group.node.route, now);
        let current: Vec<(u32, usize)> = self.alerts.iter().map(|(set, i)| (*set, *i)).collect();
        let mut kept_back: Vec<(u32, usize, Muted)> = Vec::new();
        let mut let_through: Vec<(u32, usize)> = Vec::new();
        for &(set, alert) in &current {
            match self.shared.mutes.of(set, now, outside, self.without) {
                None => let_through.push((set, alert)),
                Some(by) => kept_back.push((set, alert, by)),
            }
        }
        for &(set, alert, by) in &kept_back {
            self.keep_back(now, set, alert, by);
        }
        let mut told: BTreeSet<usize> = BTreeSet::new();
        // With every alert muted the pipeline ends before it looks at the log.
        if !let_through.is_empty()
            && let Some(receiver) = self.group.receiver
        {
            for (i, integration) in receiver.integrations.iter().enumerate() {
                self.notify(now, i, integration, &let_through, &mut told);
            }
        }
        self.account(now, &told, &kept_back);
        let alerts = self.shared.alerts;
        // Resolved alerts leave the group after a flush, told or not.
        self.alerts.retain(|_, alert| alerts[*alert].fires(now));
        if self.alerts.is_empty() {
            self.empty_since.get_or_insert(now);
        }
        self.has_flushed = true;
        let interval = self.group.node.group_interval;
        let quiet = match self.quiet_until(now, arrival) {
            Some(until) if !self.shared.every_flush => until.since(now).0,
            _ => 0,
        };
        // The first flush at which anything can differ from this one: at least the next.
        let ticks = (quiet.saturating_sub(1) / interval.0.max(1) + 1).max(1);
        self.next_flush = Some(now.plus(Nanos(interval.0.saturating_mul(ticks))));
    }

    /// Until when every flush would do the same as the one at `now` did. `None`: not known.
    fn quiet_until(&self, now: Timestamp, arrival: Option<Timestamp>) -> Option<Timestamp> {
        if self.alerts.is_empty() {
            return None; // Forgotten soon.
        }
        let mut until = arrival.unwrap_or(self.shared.end.plus(Nanos(1)));
        for (set, alert) in &self.alerts {
            let lapses_at = self.shared.alerts[*alert].lapses_at(now);
            let mutes = self.shared.mutes.next_change(*set, now);
            until = lapses_at.into_iter().chain(mutes).fold(until, Ord::min);
        }
        let node = self.group.node;
        let repeat = node.repeat_interval;
        for entry in self.log.iter().flatten() {
            let repeated = entry.at.plus(repeat).plus(Nanos(1));
            until = until.min(repeated).min(self.forgotten_at(entry, repeat));
        }
        let route = node.route;
        if !(route.mute_time_intervals.is_empty() && route.active_time_intervals.is_empty()) {
            // Intervals begin and end at whole minutes.
            let minute = Nanos::MINUTE.0;
            let next = Timestamp((now.0.div_euclid(minute) + 1).saturating_mul(minute));
            until = until.min(next);
        }
        Some(until)
    }

    /// An alert is muted at this flush.
    fn keep_back(&mut self, now: Timestamp, set: u32, alert: usize, by: Muted) {
        self.lived.muted.insert((alert, by));
        if by == Muted::Silenced {
            for silence in self.shared.mutes.silences(set, now) {
                self.lived.silenced.insert((silence, alert));
            }
        }
        let told = |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| e.firing.contains(&set));
        if self.log.iter().any(told) && !self.shared.alerts[alert].fires(now) {
            self.lost.entry(set).or_insert(LostResolve {
                at: now,
                receiver: self.group.node.receiver,
                alert,
                by,
            });
        }
    }

    /// Notes for every alert of the group how long it waited and for what.
    fn account(
        &mut self,
        now: Timestamp,
        told: &BTreeSet<usize>,
        kept_back: &[(u32, usize, Muted)],
    ) {
        let muted: BTreeMap<usize, Muted> = kept_back.iter().map(|(_, a, by)| (*a, *by)).collect();
        for alert in self.alerts.values() {
            // Members ascend.
            let Ok(member) = self.group.members.binary_search(alert) else {
                continue;
            };
            let waiting = &mut self.waiting[member];
            if waiting.told {
                continue;
            }
            waiting.held_until(now);
            if told.contains(alert) {
                waiting.told = true;
                continue;
            }
            (waiting.by, waiting.untold) = match muted.get(alert) {
                Some(by) => (Wait::Muted(*by), Untold::Muted(*by)),
                None if self.shared.alerts[*alert].fires(now) => (Wait::Believed, Untold::Believed),
                // What kept it back while it fired is why, also when that is over by now.
                None => match waiting.untold {
                    by @ Untold::Muted(_) => (Wait::GroupInterval, by),
                    _ => (Wait::GroupInterval, Untold::EndedFirst),
                },
            };
        }
    }

    fn notify(
        &mut self,
        now: Timestamp,
        index: usize,
        integration: &Integration,
        alerts: &[(u32, usize)],
        told: &mut BTreeSet<usize>,
    ) {
        let node = self.group.node;
        let (firing, resolved): (Vec<_>, Vec<_>) = alerts
            .iter()
            .copied()
            .partition(|(_, alert)| self.shared.alerts[*alert].fires(now));
        let entry = self.log[index]
            .as_ref()
            .filter(|entry| now < self.forgotten_at(entry, node.repeat_interval));
        let Some(reason) = reason(
            entry,
            &firing,
            &resolved,
            integration.send_resolved,
            now,
            node.repeat_interval,
        ) else {
            return;
        };
        let sets = |alerts: &[(u32, usize)]| alerts.iter().map(|(set, _)| *set).collect();
        self.log[index] = Some(Entry {
            at: now,
            firing: sets(&firing),
            resolved: sets(&resolved),
        });
        if integration.send_resolved {
            for (set, _) in &resolved {
                self.lost.remove(set);
            }
        }
        let indices = |alerts: &[(u32, usize)]| alerts.iter().map(|(_, alert)| *alert).collect();
        let firing: Vec<usize> = indices(&firing);
        let resolved: Vec<usize> = if integration.send_resolved {
            indices(&resolved)
        } else {
            Vec::new()
        };
        if firing.is_empty() && resolved.is_empty() {
            return; // Logged as sent: `send_resolved` is off and nothing else is left.
        }
        told.extend(firing.iter().chain(&resolved));
        self.lived.messages.push(Message {
            at: now,
            receiver: node.receiver,
            integration: index,
            route: self.group.route,
            group_key: format!("{}:{}", node.key, set(&self.group.labels)),
            group_labels: self.group.labels.clone(),
            reason,
            firing,
            resolved,
            refused: None,
        });
    }

    fn finish(mut self) -> Lived {
        let nobody = self.log.is_empty();
        self.lived.lost_resolves = self.lost.into_values().collect();
        let shared = self.shared;
        let ends = |alert: &usize| {
            let last = shared.alerts[*alert].firing().last();
            let end = last.and_then(|(_, end)| end).unwrap_or(shared.end);
            end.min(shared.end)
        };
        self.lived.waits = self
            .waiting
            .into_iter()
            .zip(self.group.members.iter().map(ends))
            .map(|(mut waiting, ends)| {
                if !waiting.told {
                    // It waited in vain until it ended.
                    waiting.held_until(ends);
                }
                if nobody {
                    (Vec::new(), Untold::NoIntegration)
                } else {
                    (waiting.waits, waiting.untold)
                }
            })
            .collect();
        self.lived
    }
}

/// Whether and why to send, by what was last sent.
fn reason(
    last: Option<&Entry>,
    firing: &[(u32, usize)],
    resolved: &[(u32, usize)],
    send_resolved: bool,
    now: Timestamp,
    repeat: Nanos,
) -> Option<Reason> {
    let Some(last) = last else {
        return (!firing.is_empty()).then_some(Reason::First);
    };
    if !firing.iter().all(|(set, _)| last.firing.contains(set)) {
        return Some(if last.firing.is_empty() {
            Reason::First
        } else {
            Reason::NewAlerts
        });
    }
    if firing.is_empty() {
        return (!last.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved && !resolved.iter().all(|(set, _)| last.resolved.contains(set)) {
        return Some(Reason::SomeResolved);
    }
    (last.at < now.minus(repeat)).then_some(Reason::Repeat)
}

/// A label set as Alertmanager prints it: `{a="b", c="d"}`.
fn set(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
