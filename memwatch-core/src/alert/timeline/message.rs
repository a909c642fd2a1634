//! What the simulation finds: messages, and what became of each alert on its way to each receiver.

use std::collections::BTreeSet;

use crate::{Labels, Nanos, Timestamp};

/// One message that would have been sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// When.
    pub at: Timestamp,
    /// To whom: index into the receivers.
    pub receiver: usize,
    /// How: index into the receiver's integrations.
    pub integration: usize,
    /// Which node of the routing tree, depth first, the root being 0.
    pub route: usize,
    /// Identifies the group across messages, as Alertmanager writes it: `{}/{severity="P1"}:{alertname="X"}`.
    pub group_key: String,
    /// The labels that all alerts of the group share because they make the group.
    pub group_labels: Labels,
    /// Why it was sent.
    pub reason: Reason,
    /// The alerts in it that fire, in the order of messages: index into the alerts given.
    pub firing: Vec<usize>,
    /// The resolved ones.
    pub resolved: Vec<usize>,
    /// Why it did not arrive.
    pub refused: Option<Refusal>,
}

impl Message {
    /// `firing` while any alert in it fires, else `resolved`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.firing.is_empty() {
            "resolved"
        } else {
            "firing"
        }
    }
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

impl Reason {
    /// In a word, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::First => "first",
            Reason::NewAlerts => "new_alerts",
            Reason::AllResolved => "all_resolved",
            Reason::SomeResolved => "some_resolved",
            Reason::Repeat => "repeat",
        }
    }
}

/// Why a message did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The receiver had taken as many messages as it takes within a minute.
    RateLimit {
        /// As many it takes.
        per_minute: usize,
    },
}

/// A resolved alert whose resolution nobody was told, though they had been told that it fires.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LostResolve {
    /// When the group was flushed without telling.
    pub at: Timestamp,
    /// Whom: index into the receivers.
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

/// Why an alert had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wait {
    /// Its group was new and waited for more alerts.
    GroupWait,
    /// Its group had been flushed before: the next flush is `group_interval` after that.
    GroupInterval,
    /// Something kept it back at a flush; until the next one.
    Muted(Muted),
    /// The receiver believed already that it fires, from a message about an earlier alert with the same labels.
    Believed,
    /// The message that told of it did not arrive.
    Refused,
}

impl Wait {
    /// In a word, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Wait::GroupWait => "group_wait",
            Wait::GroupInterval => "group_interval",
            Wait::Muted(muted) => muted.name(),
            Wait::Believed => "believed",
            Wait::Refused => "refused",
        }
    }
}

impl Muted {
    /// In a word, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Muted::Inhibited => "inhibited",
            Muted::Interval => "time_interval",
            Muted::Silenced => "silenced",
        }
    }
}

/// Why nobody was told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Untold {
    /// It ended before its group was flushed.
    EndedFirst,
    /// Something kept it back until it had ended, or until the end of the simulation.
    Muted(Muted),
    /// The receiver believed that it fires, from a message about an earlier alert with the same labels.
    Believed,
    /// The simulation ended before its group was flushed.
    NotYet,
    /// Every message that told of it was refused.
    Refused,
    /// The receiver has no way to be told.
    NoIntegration,
}

impl Untold {
    /// In a word, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Untold::EndedFirst => "ended_first",
            Untold::Muted(muted) => muted.name(),
            Untold::Believed => "believed",
            Untold::NotYet => "not_yet",
            Untold::Refused => "refused",
            Untold::NoIntegration => "no_integration",
        }
    }
}

/// One alert on its way through one route to its receiver.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The alert: index into the alerts given.
    pub alert: usize,
    /// Which node of the routing tree.
    pub route: usize,
    /// To whom: index into the receivers.
    pub receiver: usize,
    /// The first message that told of it and arrived, or why there is none: index into [`Timeline::messages`].
    pub told: Result<usize, Untold>,
    /// What held it back, in the order in which it began, each once: together the time from its firing until that message, or until it
    /// ended or was last looked at.
    pub waits: Vec<(Wait, Nanos)>,
}

impl Delivery {
    /// From its firing until the receiver was told; `None` when it was not.
    #[must_use]
    pub fn delay(&self) -> Option<Nanos> {
        self.told.ok()?;
        Some(Nanos(self.waits.iter().map(|(_, held)| held.0).sum()))
    }
}

/// What a silence did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suppressed {
    /// Which: index into the silences.
    pub silence: usize,
    /// Alerts that it kept back at some flush.
    pub alerts: BTreeSet<usize>,
    /// As many more messages would have told of these alerts while it acted, had it not been there.
    pub messages: usize,
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
    /// For each alert given, in their order, each receiver that it was routed to.
    pub deliveries: Vec<Delivery>,
    /// What each silence did.
    pub suppressed: Vec<Suppressed>,
}
