//! What would have been sent to whom: alerts through Alertmanager's routes, groups, inhibitions, silences and intervals.
//!
//! A simulation of events in their order; nothing is sent and no clock is read. Where the real program has a race, this one chooses:
//!
//! - An alert that begins or ends at the instant of a flush is seen by that flush.
//! - A message takes no time to send, and arrives unless its receiver has taken as many as it takes ([`Refusal`]).
//! - `repeat_interval` is compared strictly, so that at an exact multiple of `group_interval` the message goes out at the next tick.
//! - A group that became empty is forgotten at the next whole multiple of 30 s since the beginning, as Alertmanager's maintenance does; an
//!   alert that comes before joins the old group and its timer.
//!
//! Groups know nothing of each other, so each is played alone: what connects alerts of different groups, inhibition, depends on alerts only.

mod group;
mod message;
mod mute;
mod refusal;
mod routing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::{Labels, Nanos, Timestamp};

use super::fired::{FiredAlert, message_order};
use super::notifications::Notifications;
use group::{Group, Lived, Shared, live};
use mute::Mutes;
use routing::Routing;

pub use message::{
    Delivery, LostResolve, Message, Muted, Reason, Refusal, Suppressed, Timeline, Untold, Wait,
};

/// How often Alertmanager forgets groups without alerts.
const MAINTENANCE: Nanos = Nanos(30 * Nanos::SECOND.0);
/// How often Alertmanager drops what it need not remember any more (`--data.maintenance-interval`); until then it is remembered.
const LOG_MAINTENANCE: Nanos = Nanos(15 * Nanos::MINUTE.0);
/// How long Alertmanager remembers what it sent (`--data.retention`), at most.
const RETENTION: Nanos = Nanos(120 * Nanos::HOUR.0);

/// Plays `alerts` through `config` from `start` until `end`, flushes at `end` included.
///
/// Without a route nothing is sent. Two alerts with equal labels must not overlap in time.
///
/// ```
/// # use memwatch_core::{alert::{FiredAlert, simulate}, rule::RuleFile, Timestamp};
/// let file = RuleFile::from_toml("rules.toml", r#"
///     [route]
///     receiver = "team"
///     group_by = ["alertname"]
///     group_wait = "30s"
///     [[receiver]]
///     name = "team"
///     webhook = { url_env = "TEAM_HOOK" }
/// "#).unwrap();
/// let at = |s: i64| Timestamp(s * 1_000_000_000);
/// let leak = FiredAlert::new([("alertname", "Leak")].into_iter().collect(), Vec::new(), at(5), Some(at(400)));
/// let timeline = simulate(&file.notifications, &[leak], at(0), at(1000));
/// let sent: Vec<_> = timeline.messages.iter().map(|m| (m.at, m.status())).collect();
/// assert_eq!(sent, [(at(35), "firing"), (at(635), "resolved")]);
/// ```
#[must_use]
pub fn simulate(
    config: &Notifications,
    alerts: &[FiredAlert],
    start: Timestamp,
    end: Timestamp,
) -> Timeline {
    play(config, alerts, start, end, false)
}

fn play(
    config: &Notifications,
    alerts: &[FiredAlert],
    start: Timestamp,
    end: Timestamp,
    every_flush: bool,
) -> Timeline {
    let mut timeline = Timeline {
        muted: vec![BTreeSet::new(); alerts.len()],
        ..Timeline::default()
    };
    timeline.suppressed = (0..config.silences.len())
        .map(|silence| Suppressed {
            silence,
            alerts: BTreeSet::new(),
            messages: 0,
        })
        .collect();
    let Some(root) = &config.route else {
        return timeline;
    };
    let routing = Routing::new(config, root);
    let (sets, set_of) = number(alerts);
    let shared = Shared {
        alerts,
        set_of: &set_of,
        mutes: Mutes::new(config, alerts, &sets, &set_of),
        start,
        end,
        every_flush,
    };
    let groups = groups(config, &routing, alerts, &sets, &set_of);
    let lives: Vec<Lived> = groups
        .iter()
        .map(|group| live(&shared, group, None))
        .collect();
    let mut kept_back: Vec<BTreeMap<usize, BTreeSet<usize>>> =
        vec![BTreeMap::new(); config.silences.len()];
    for (group, life) in lives.iter().enumerate() {
        for (silence, alert) in &life.silenced {
            let of = kept_back[*silence].entry(group).or_default();
            of.insert(*alert);
        }
    }
    for (silence, kept_back) in timeline.suppressed.iter_mut().zip(kept_back) {
        for (group, alerts) in kept_back {
            count_suppressed(&shared, &groups[group], &lives[group], alerts, silence);
        }
    }
    let mut deliveries: BTreeMap<(usize, usize), Delivery> = BTreeMap::new();
    for (group, life) in groups.iter().zip(lives) {
        timeline.messages.extend(life.messages);
        timeline.lost_resolves.extend(life.lost_resolves);
        for (alert, by) in life.muted {
            timeline.muted[alert].insert(by);
        }
        for (alert, (waits, untold)) in group.members.iter().zip(life.waits) {
            let delivery = Delivery {
                alert: *alert,
                route: group.route,
                receiver: group.node.receiver,
                told: Err(untold),
                waits,
            };
            deliveries.insert((*alert, group.route), delivery);
        }
    }
    // Groups are in the order of their route and labels, and stay so within one instant.
    timeline.messages.sort_by_key(|message| message.at);
    timeline.lost_resolves.sort_by_key(|lost| lost.at);
    refusal::refuse(config, &mut timeline.messages);
    for (index, message) in timeline.messages.iter().enumerate() {
        for alert in message.firing.iter().chain(&message.resolved) {
            if let Some(delivery) = deliveries.get_mut(&(*alert, message.route)) {
                tell(delivery, &timeline.messages, index, alerts[*alert].fired_at);
            }
        }
    }
    timeline.deliveries = deliveries.into_values().collect();
    timeline
}

/// The label sets in the order of messages, and the number of each alert's.
fn number(alerts: &[FiredAlert]) -> (Vec<Labels>, Vec<u32>) {
    let mut order: Vec<usize> = (0..alerts.len()).collect();
    order.sort_by(|a, b| message_order(&alerts[*a].labels, &alerts[*b].labels));
    let mut sets: Vec<Labels> = Vec::new();
    let mut set_of = vec![0; alerts.len()];
    for index in order {
        let labels = &alerts[index].labels;
        if sets.last() != Some(labels) {
            sets.push(labels.clone());
        }
        set_of[index] = u32::try_from(sets.len() - 1).unwrap_or(u32::MAX);
    }
    (sets, set_of)
}

/// Which alerts make which groups, in the order of routes and labels.
fn groups<'a>(
    config: &'a Notifications,
    routing: &'a Routing<'a>,
    alerts: &[FiredAlert],
    sets: &[Labels],
    set_of: &[u32],
) -> Vec<Group<'a>> {
    let routed: Vec<Vec<(usize, Labels)>> = sets
        .iter()
        .map(|labels| {
            let nodes = routing.of(labels).into_iter();
            nodes
                .map(|node| (node, routing.group_labels(node, labels)))
                .collect()
        })
        .collect();
    let mut members: BTreeMap<(usize, Labels), Vec<usize>> = BTreeMap::new();
    for alert in 0..alerts.len() {
        for key in &routed[set_of[alert] as usize] {
            members.entry(key.clone()).or_default().push(alert);
        }
    }
    members
        .into_iter()
        .map(|((route, labels), members)| Group {
            node: &routing.nodes[route],
            route,
            labels,
            receiver: config.receivers.get(routing.nodes[route].receiver),
            members,
        })
        .collect()
}

/// How many more messages of a group there would have been without a silence that kept these alerts back: it is played once more.
fn count_suppressed(
    shared: &Shared<'_>,
    group: &Group<'_>,
    life: &Lived,
    kept_back: BTreeSet<usize>,
    silence: &mut Suppressed,
) {
    let told = |life: &Lived| -> BTreeSet<group::Told> {
        life.messages.iter().map(group::Told::of).collect()
    };
    let range = shared.mutes.range(silence.silence);
    let without = told(&live(shared, group, Some(silence.silence)));
    silence.messages += without
        .difference(&told(life))
        .filter(|message| range.contains(message.at))
        .filter(|message| message.alerts.iter().any(|a| kept_back.contains(a)))
        .count();
    silence.alerts.extend(kept_back);
}

/// A message tells of an alert for the first time, unless it was refused.
fn tell(delivery: &mut Delivery, messages: &[Message], index: usize, fired_at: Timestamp) {
    if delivery.told.is_ok() {
        return;
    }
    let message = &messages[index];
    if message.refused.is_some() {
        delivery.told = Err(Untold::Refused);
        return;
    }
    if delivery.told == Err(Untold::Refused) {
        let waited: i64 = delivery.waits.iter().map(|(_, held)| held.0).sum();
        let rest = Nanos(message.at.since(fired_at).0 - waited);
        delivery.waits.push((Wait::Refused, rest));
    }
    delivery.told = Ok(index);
}
