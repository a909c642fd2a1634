//! Messages of two outcomes, side by side: paired when they tell the same receiver, in the same way, of the same group, with the same
//! status; first those of the same instant, then, in the order of time, those at most ten minutes apart.

use std::collections::BTreeMap;

use crate::alert::Message;
use crate::{Nanos, Timestamp};

use super::super::notified::Notified;
use super::super::outcome::Outcome;

/// Messages further apart than this are not the same one at another time.
const APART_MAX: Nanos = Nanos(10 * Nanos::MINUTE.0);

/// A message of one outcome, of the other, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagePair {
    /// Index in the old timeline's messages.
    pub old: Option<usize>,
    /// Index in the new timeline's messages.
    pub new: Option<usize>,
    /// How much later it is sent; 0 for one that stayed, is new or lost.
    pub later: Nanos,
}

/// Receiver, integration, group, and whether it fires.
type Key = (String, String, String, bool);

fn key(notified: &Notified, message: &Message) -> Key {
    let receiver = &notified.config.receivers[message.receiver];
    let kind = receiver.integrations[message.integration].kind.name();
    (
        receiver.name.to_string(),
        kind.to_owned(),
        message.group_labels.to_string(),
        !message.firing.is_empty(),
    )
}

fn messages(outcome: &Outcome) -> Vec<(usize, Key, Timestamp)> {
    let Some(notified) = &outcome.notified else {
        return Vec::new();
    };
    let all = notified.timeline.messages.iter().enumerate();
    all.map(|(i, m)| (i, key(notified, m), m.at)).collect()
}

/// Pairs in the order of the new time, where there is one.
pub(super) fn pairs(old: &Outcome, new: &Outcome) -> Vec<MessagePair> {
    let (old, new) = (messages(old), messages(new));
    let mut of_old: Vec<Option<usize>> = vec![None; old.len()];
    let mut free: BTreeMap<&Key, Vec<usize>> = BTreeMap::new();
    for (i, key, _) in &new {
        free.entry(key).or_default().push(*i);
    }
    for apart in [Nanos(0), APART_MAX] {
        for (i, key, at) in &old {
            let fits = |n: &usize| new[*n].2.since(*at).0.abs() <= apart.0;
            if of_old[*i].is_none()
                && let Some(candidates) = free.get_mut(key)
                && let Some(place) = candidates.iter().position(fits)
            {
                of_old[*i] = Some(candidates.remove(place));
            }
        }
    }
    let both = of_old.iter().enumerate().map(|(o, n)| MessagePair {
        old: Some(o),
        new: *n,
        later: n.map_or(Nanos(0), |n| new[n].2.since(old[o].2)),
    });
    let alone = free.into_values().flatten().map(|n| MessagePair {
        old: None,
        new: Some(n),
        later: Nanos(0),
    });
    let mut found: Vec<MessagePair> = both.chain(alone).collect();
    let at = |p: &MessagePair| match (p.new, p.old) {
        (Some(n), _) => Some(new[n].2),
        (None, o) => o.map(|o| old[o].2),
    };
    found.sort_by_key(|p| (at(p), p.new, p.old));
    found
}
