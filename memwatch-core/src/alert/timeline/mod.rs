//! What would have been sent to whom: alerts through Alertmanager's routes, groups, inhibitions, silences and intervals.
//!
//! A simulation of events in their order; nothing is sent and no clock is read. Where the real program has a race, this one chooses:
//!
//! - An alert that begins or ends at the instant of a flush is seen by that flush.
//! - A message takes no time to send and always arrives.
//! - `repeat_interval` is compared strictly, so that at an exact multiple of `group_interval` the message goes out at the next tick.
//! - A group that became empty is forgotten at the next whole multiple of 30 s since the beginning, as Alertmanager's maintenance does; an
//!   alert that comes before joins the old group and its timer.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use crate::{Labels, Nanos, Timestamp};

use super::notifications::{GroupBy, Integration, Notifications, Route};

/// How often Alertmanager forgets groups without alerts.
const MAINTENANCE: Nanos = Nanos(30 * Nanos::SECOND.0);
/// How long Alertmanager remembers what it sent (`--data.retention`), at most.
const RETENTION: Nanos = Nanos(120 * Nanos::HOUR.0);

/// An alert from the moment it fires until it is resolved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FiredAlert {
    /// All labels, `alertname` included.
    pub labels: Labels,
    /// Texts for people, by name.
    pub annotations: Vec<(Arc<str>, String)>,
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it was resolved; `None` while it fires still.
    pub resolved_at: Option<Timestamp>,
}

impl FiredAlert {
    /// An alert.
    #[must_use]
    pub fn new(
        labels: Labels,
        annotations: Vec<(Arc<str>, String)>,
        fired_at: Timestamp,
        resolved_at: Option<Timestamp>,
    ) -> Self {
        FiredAlert {
            labels,
            annotations,
            fired_at,
            resolved_at,
        }
    }

    fn fires(&self, now: Timestamp) -> bool {
        self.fired_at <= now && self.resolved_at.is_none_or(|end| now < end)
    }
}

/// One message that would have been sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// When.
    pub at: Timestamp,
    /// To whom: index into [`Notifications::receivers`].
    pub receiver: usize,
    /// How: index into the receiver's integrations.
    pub integration: usize,
    /// Identifies the group across messages, as Alertmanager writes it: `{}/{severity="P1"}:{alertname="X"}`.
    pub group_key: String,
    /// The labels that all alerts of the group share because they make the group.
    pub group_labels: Labels,
    /// Why it was sent.
    pub reason: Reason,
    /// The alerts in it, firing ones first, each in the order of its labels: index into the alerts given.
    pub firing: Vec<usize>,
    /// The resolved ones.
    pub resolved: Vec<usize>,
}

/// Why a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The first message of the group.
    First,
    /// An alert fires that the message before did not hold.
    NewAlerts,
    /// Nothing fires any more.
    AllResolved,
    /// Some alerts were resolved.
    SomeResolved,
    /// Nothing changed for `repeat_interval`.
    Repeat,
}

/// A resolved alert whose resolution nobody was told, though they had been told that it fires.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LostResolve {
    /// When the group was flushed without telling.
    pub at: Timestamp,
    /// Whom: index into [`Notifications::receivers`].
    pub receiver: usize,
    /// The alert: index into the alerts given.
    pub alert: usize,
    /// What kept it back.
    pub by: Muted,
}

/// What kept an alert from being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Muted {
    /// Another alert inhibits it.
    Inhibited,
    /// The route is outside of its active intervals, or inside of a mute one.
    Interval,
    /// A silence.
    Silenced,
}

/// All that would have been sent, and what was not.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Timeline {
    /// Messages in the order of their time.
    pub messages: Vec<Message>,
    /// Resolutions that nobody was told.
    pub lost_resolves: Vec<LostResolve>,
    /// For each alert given, what kept it from being sent at some flush.
    pub muted: Vec<BTreeSet<Muted>>,
}

/// Plays `alerts` through `config` from `start` until `end`, flushes at `end` included.
///
/// Without a route nothing is sent. Two alerts with equal labels must not overlap in time.
#[must_use]
pub fn simulate(
    config: &Notifications,
    alerts: &[FiredAlert],
    start: Timestamp,
    end: Timestamp,
) -> Timeline {
    let Some(root) = &config.route else {
        return Timeline {
            muted: vec![BTreeSet::new(); alerts.len()],
            ..Timeline::default()
        };
    };
    let mut run = Run {
        config,
        alerts,
        start,
        routes: Vec::new(),
        groups: BTreeMap::new(),
        queue: BinaryHeap::new(),
        log: BTreeMap::new(),
        timeline: Timeline {
            muted: vec![BTreeSet::new(); alerts.len()],
            ..Timeline::default()
        },
    };
    run.flatten(root, None);
    for (i, alert) in alerts.iter().enumerate() {
        run.queue.push(Reverse((alert.fired_at, Event::Fires(i))));
    }
    while let Some(Reverse((now, event))) = run.queue.pop() {
        if now > end {
            break;
        }
        match event {
            Event::Fires(i) => run.fires(now, i),
            Event::Flush(key) => run.flush(now, &key),
        }
    }
    run.timeline
}

/// In this order at one instant: alerts come before flushes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Fires(usize),
    Flush(GroupKey),
}

type GroupKey = (usize, Labels);

/// A node of the routing tree with what it inherits.
struct Node<'a> {
    route: &'a Route,
    receiver: usize,
    group_by: GroupBy,
    group_wait: Nanos,
    group_interval: Nanos,
    repeat_interval: Nanos,
    key: String,
    children: Vec<usize>,
}

#[derive(Default)]
struct Group {
    /// Current alert of each label set.
    alerts: BTreeMap<Labels, usize>,
    next_flush: Timestamp,
    /// Since when it has no alerts.
    empty_since: Option<Timestamp>,
}

/// What was last sent to one integration about one group.
struct Entry {
    at: Timestamp,
    firing: BTreeSet<Labels>,
    resolved: BTreeSet<Labels>,
}

struct Run<'a> {
    config: &'a Notifications,
    alerts: &'a [FiredAlert],
    start: Timestamp,
    routes: Vec<Node<'a>>,
    groups: BTreeMap<GroupKey, Group>,
    queue: BinaryHeap<Reverse<(Timestamp, Event)>>,
    log: BTreeMap<(GroupKey, usize), Entry>,
    timeline: Timeline,
}

impl<'a> Run<'a> {
    fn flatten(&mut self, route: &'a Route, parent: Option<usize>) -> usize {
        let inherited = parent.map(|p| &self.routes[p]);
        let named = route
            .receiver
            .as_ref()
            .and_then(|name| self.config.receivers.iter().position(|r| r.name == *name));
        let mut matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        matchers.sort();
        let own_key = format!("{{{}}}", matchers.join(","));
        let node = Node {
            route,
            receiver: named.or(inherited.map(|p| p.receiver)).unwrap_or(0),
            group_by: route
                .group_by
                .clone()
                .or(inherited.map(|p| p.group_by.clone()))
                .unwrap_or(GroupBy::Labels(Vec::new())),
            group_wait: route
                .group_wait
                .or(inherited.map(|p| p.group_wait))
                .unwrap_or(Nanos(30 * Nanos::SECOND.0)),
            group_interval: route
                .group_interval
                .or(inherited.map(|p| p.group_interval))
                .unwrap_or(Nanos(5 * Nanos::MINUTE.0)),
            repeat_interval: route
                .repeat_interval
                .or(inherited.map(|p| p.repeat_interval))
                .unwrap_or(Nanos(4 * Nanos::HOUR.0)),
            key: inherited.map_or(own_key.clone(), |p| format!("{}/{own_key}", p.key)),
            children: Vec::new(),
        };
        let index = self.routes.len();
        self.routes.push(node);
        for child in &route.routes {
            let child = self.flatten(child, Some(index));
            self.routes[index].children.push(child);
        }
        index
    }

    /// Depth first: the first matching child wins unless it says `continue`; a node is meant itself only if no child matched.
    fn route(&self, node: usize, labels: &Labels, found: &mut Vec<usize>) -> bool {
        let this = &self.routes[node];
        if !this.route.matchers.iter().all(|m| m.matches(labels)) {
            return false;
        }
        let before = found.len();
        for &child in &this.children {
            if self.route(child, labels, found) && !self.routes[child].route.continues {
                break;
            }
        }
        if found.len() == before {
            found.push(node);
        }
        true
    }

    fn fires(&mut self, now: Timestamp, alert: usize) {
        let labels = self.alerts[alert].labels.clone();
        let mut routes = Vec::new();
        self.route(0, &labels, &mut routes);
        for node in routes {
            let group_labels = match &self.routes[node].group_by {
                GroupBy::All => labels.clone(),
                GroupBy::Labels(names) => {
                    labels.filter(|name| names.iter().any(|n| n.as_ref() == name))
                }
            };
            let key = (node, group_labels);
            if self.groups.get(&key).is_some_and(|g| {
                g.empty_since
                    .is_some_and(|since| self.forgotten(since) <= now)
            }) {
                self.groups.remove(&key);
            }
            let group = self.groups.entry(key.clone()).or_insert_with(|| {
                let next_flush = now.plus(self.routes[node].group_wait);
                self.queue.push(Reverse((next_flush, Event::Flush(key))));
                Group {
                    next_flush,
                    ..Group::default()
                }
            });
            group.alerts.insert(labels.clone(), alert);
            group.empty_since = None;
        }
    }

    /// When a group that is empty since then is forgotten.
    fn forgotten(&self, since: Timestamp) -> Timestamp {
        let ticks = since.since(self.start).0.div_euclid(MAINTENANCE.0) + 1;
        self.start.plus(Nanos(ticks * MAINTENANCE.0))
    }

    fn flush(&mut self, now: Timestamp, key: &GroupKey) {
        // An event of a group that was forgotten, and perhaps made anew with another timer.
        let Some(group) = self.groups.get(key).filter(|g| g.next_flush == now) else {
            return;
        };
        if group
            .empty_since
            .is_some_and(|since| self.forgotten(since) <= now)
        {
            self.groups.remove(key);
            return;
        }
        let node = &self.routes[key.0];
        let (receiver, group_interval) = (node.receiver, node.group_interval);
        let current: Vec<(Labels, usize)> =
            group.alerts.iter().map(|(l, a)| (l.clone(), *a)).collect();
        let mut sent: Vec<(Labels, usize)> = Vec::new();
        let mut kept_back: Vec<(Labels, usize, Muted)> = Vec::new();
        for (labels, alert) in &current {
            match self.muted(node.route, labels, now) {
                None => sent.push((labels.clone(), *alert)),
                Some(by) => {
                    self.timeline.muted[*alert].insert(by);
                    kept_back.push((labels.clone(), *alert, by));
                }
            }
        }
        let integrations = self
            .config
            .receivers
            .get(receiver)
            .map_or(&[][..], |r| &r.integrations);
        for (labels, alert, by) in &kept_back {
            let told = |entry: &Entry| entry.firing.contains(labels);
            let somebody =
                (0..integrations.len()).any(|i| self.log.get(&(key.clone(), i)).is_some_and(told));
            if somebody && !self.alerts[*alert].fires(now) {
                self.timeline.lost_resolves.push(LostResolve {
                    at: now,
                    receiver,
                    alert: *alert,
                    by: *by,
                });
            }
        }
        // With every alert muted the pipeline ends before it looks at the log.
        if !sent.is_empty() {
            for (i, integration) in integrations.iter().enumerate() {
                self.notify(now, key, i, integration, &sent);
            }
        }
        let group = self.groups.get_mut(key).expect("looked up above");
        // Resolved alerts leave the group after a flush, told or not.
        group
            .alerts
            .retain(|_, alert| self.alerts[*alert].fires(now));
        if group.alerts.is_empty() {
            group.empty_since.get_or_insert(now);
        }
        group.next_flush = now.plus(group_interval);
        self.queue
            .push(Reverse((group.next_flush, Event::Flush(key.clone()))));
    }

    fn notify(
        &mut self,
        now: Timestamp,
        key: &GroupKey,
        index: usize,
        integration: &Integration,
        alerts: &[(Labels, usize)],
    ) {
        let node = &self.routes[key.0];
        let (firing, resolved): (Vec<_>, Vec<_>) = alerts
            .iter()
            .cloned()
            .partition(|(_, alert)| self.alerts[*alert].fires(now));
        let kept_for = Nanos(node.repeat_interval.0.saturating_mul(2)).min(RETENTION);
        let slot = (key.clone(), index);
        let entry = self.log.get(&slot).filter(|e| now.since(e.at) < kept_for);
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
        let names = |alerts: &[(Labels, usize)]| alerts.iter().map(|(l, _)| l.clone()).collect();
        let entry = Entry {
            at: now,
            firing: names(&firing),
            resolved: names(&resolved),
        };
        self.log.insert(slot, entry);
        let told = |alerts: Vec<(Labels, usize)>| -> Vec<usize> {
            alerts.into_iter().map(|(_, alert)| alert).collect()
        };
        let (firing, resolved) = (
            told(firing),
            if integration.send_resolved {
                told(resolved)
            } else {
                Vec::new()
            },
        );
        if firing.is_empty() && resolved.is_empty() {
            return; // Logged as sent: `send_resolved` is off and nothing else is left.
        }
        self.timeline.messages.push(Message {
            at: now,
            receiver: node.receiver,
            integration: index,
            group_key: format!("{}:{}", node.key, set(&key.1)),
            group_labels: key.1.clone(),
            reason,
            firing,
            resolved,
        });
    }

    fn muted(&self, route: &Route, labels: &Labels, now: Timestamp) -> Option<Muted> {
        if self.inhibited(labels, now) {
            return Some(Muted::Inhibited);
        }
        let inside = |name: &Arc<str>| {
            self.config
                .time_intervals
                .iter()
                .any(|i| i.name == *name && i.contains(now))
        };
        let active = route.active_time_intervals.is_empty()
            || route.active_time_intervals.iter().any(inside);
        if !active || route.mute_time_intervals.iter().any(inside) {
            return Some(Muted::Interval);
        }
        let silenced = |s: &super::notifications::Silence| {
            s.range.contains(now) && s.matchers.iter().all(|m| m.matches(labels))
        };
        self.config
            .silences
            .iter()
            .any(silenced)
            .then_some(Muted::Silenced)
    }

    /// Whether an alert that fires matches the source of a rule whose target these labels match, and agrees in the labels `equal`. Sources count
    /// even if they are silenced or inhibited. An alert that matches both sides is not inhibited by another that matches both.
    fn inhibited(&self, labels: &Labels, now: Timestamp) -> bool {
        let all = |matchers: &[crate::Matcher], labels: &Labels| {
            matchers.iter().all(|m| m.matches(labels))
        };
        self.config
            .inhibits
            .iter()
            .filter(|rule| all(&rule.target, labels))
            .any(|rule| {
                let both = all(&rule.source, labels);
                self.alerts
                    .iter()
                    .filter(|alert| alert.fires(now))
                    .any(|alert| {
                        all(&rule.source, &alert.labels)
                            && rule
                                .equal
                                .iter()
                                .all(|name| alert.labels.get(name) == labels.get(name))
                            && !(both && all(&rule.target, &alert.labels))
                    })
            })
    }
}

/// Whether and why to send, by what was last sent.
fn reason(
    last: Option<&Entry>,
    firing: &[(Labels, usize)],
    resolved: &[(Labels, usize)],
    send_resolved: bool,
    now: Timestamp,
    repeat: Nanos,
) -> Option<Reason> {
    let Some(last) = last else {
        return (!firing.is_empty()).then_some(Reason::First);
    };
    if !firing
        .iter()
        .all(|(labels, _)| last.firing.contains(labels))
    {
        return Some(if last.firing.is_empty() {
            Reason::First
        } else {
            Reason::NewAlerts
        });
    }
    if firing.is_empty() {
        return (!last.firing.is_empty()).then_some(Reason::AllResolved);
    }
    if send_resolved
        && !resolved
            .iter()
            .all(|(labels, _)| last.resolved.contains(labels))
    {
        return Some(Reason::SomeResolved);
    }
    (last.at < now.minus(repeat)).then_some(Reason::Repeat)
}

/// A label set as Alertmanager prints it: `{a="b", c="d"}`.
fn set(labels: &Labels) -> String {
    format!(
        "{{{}}}",
        labels
            .iter()
            .map(|(n, v)| format!("{n}={v:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    )
}
