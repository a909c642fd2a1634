//! The exact messages: bodies, sizes and limits of each way to tell somebody.
//!
//! Nothing is sent. Limits are the receivers' own: a body that would be refused or cut is built as it would arrive, and says so.

mod go;
mod pagerduty;
mod webhook;
mod wecom;

pub use webhook::fingerprint;

use std::fmt::Write as _;

use chrono::DateTime;

use crate::{Labels, Nanos, Timestamp};

use super::fired::{FiredAlert, message_order};
use super::notifications::{Integration, IntegrationKind, Notifications};
use super::timeline::Message;

/// What would be posted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Payload {
    /// The body, JSON.
    pub body: String,
    /// How many alerts or characters were left out to keep the receiver's limits, in words.
    pub truncated: Option<String>,
}

/// Builds the body of a message; `None` where it is not known exactly. Secrets are not in it: PagerDuty's routing key is `***`.
#[must_use]
pub fn payload(
    config: &Notifications,
    alerts: &[FiredAlert],
    message: &Message,
) -> Option<Payload> {
    let receiver = &config.receivers[message.receiver];
    let integration = &receiver.integrations[message.integration];
    let url = config.alertmanager_url.as_deref().unwrap_or("");
    let content = Content::new(&receiver.name, url, alerts, message);
    match integration.kind {
        IntegrationKind::Webhook => Some(webhook::build(&content, integration)),
        IntegrationKind::PagerDuty => Some(pagerduty::build(&content)),
        IntegrationKind::WeCom => Some(wecom::build(&content, integration)),
        IntegrationKind::Other(_) => None,
    }
}

/// What the receiver takes at most, in words.
#[must_use]
pub fn limits(integration: &Integration) -> Vec<String> {
    match integration.kind {
        IntegrationKind::Webhook if integration.max_alerts > 0 => {
            vec![format!(
                "{} alerts a message (max_alerts)",
                integration.max_alerts
            )]
        }
        IntegrationKind::Webhook | IntegrationKind::Other(_) => Vec::new(),
        IntegrationKind::PagerDuty => pagerduty::limits(),
        IntegrationKind::WeCom => wecom::limits(integration.markdown),
    }
}

/// What all bodies are made of.
struct Content<'a> {
    receiver: &'a str,
    alertmanager_url: &'a str,
    message: &'a Message,
    firing: Vec<&'a FiredAlert>,
    resolved: Vec<&'a FiredAlert>,
    common_labels: Labels,
    common_annotations: Vec<(&'a str, &'a str)>,
}

impl<'a> Content<'a> {
    fn new(
        receiver: &'a str,
        alertmanager_url: &'a str,
        alerts: &'a [FiredAlert],
        message: &'a Message,
    ) -> Self {
        let pick = |of: &[usize]| of.iter().map(|i| &alerts[*i]).collect::<Vec<&FiredAlert>>();
        let (firing, resolved) = (pick(&message.firing), pick(&message.resolved));
        let all: Vec<&FiredAlert> = firing.iter().chain(&resolved).copied().collect();
        let common_labels = all[0]
            .labels
            .iter()
            .filter(|(n, v)| all.iter().all(|a| a.labels.get(n) == *v))
            .collect();
        let shared = |n: &str, v: &str| {
            all.iter().all(|a| {
                a.annotations
                    .iter()
                    .any(|(name, value)| **name == *n && value == v)
            })
        };
        let annotations = all[0].annotations.iter().map(|(n, v)| (&**n, v.as_str()));
        let mut common_annotations: Vec<_> = annotations.filter(|(n, v)| shared(n, v)).collect();
        common_annotations.sort_unstable();
        Content {
            receiver,
            alertmanager_url,
            message,
            firing,
            resolved,
            common_labels,
            common_annotations,
        }
    }

    /// Firing ones first.
    fn alerts(&self) -> impl Iterator<Item = (&'static str, &'a FiredAlert)> {
        let firing = self.firing.iter().map(|a| ("firing", *a));
        firing.chain(self.resolved.iter().map(|a| ("resolved", *a)))
    }

    /// In the order of messages, those that fire among those that are resolved.
    fn in_order(&self) -> Vec<(&'static str, &'a FiredAlert)> {
        let mut all: Vec<_> = self.alerts().collect();
        all.sort_by(|(_, a), (_, b)| message_order(&a.labels, &b.labels));
        all
    }

    /// One alert in a line for people: its summary, the labels that tell it from the others of the message, since when.
    fn story(&self, status: &str, alert: &FiredAlert) -> String {
        let own = alert
            .labels
            .filter(|name| self.common_labels.get(name).is_empty());
        let mut text = match (self.summary(alert), own.is_empty()) {
            (Some(summary), true) => summary.to_owned(),
            (Some(summary), false) => format!("{summary} {{{}}}", own.canonical()),
            (None, true) => alert.labels.get("alertname").to_owned(),
            (None, false) => format!("{{{}}}", own.canonical()),
        };
        let clock = |at: Timestamp| {
            DateTime::from_timestamp_nanos(at.0)
                .format("%m-%d %H:%M:%S UTC")
                .to_string()
        };
        match alert.ended_at(self.message.at) {
            Some(end) if status == "resolved" => {
                let whole = end.since(alert.fired_at).0 / Nanos::SECOND.0 * Nanos::SECOND.0;
                let _ = write!(text, " ended {} after {}", clock(end), Nanos(whole));
            }
            _ => {
                let _ = write!(text, " since {}", clock(alert.fired_at));
            }
        }
        text
    }

    fn summary<'t>(&self, alert: &'t FiredAlert) -> Option<&'t str> {
        let summary = alert
            .annotations
            .iter()
            .find(|(name, _)| &**name == "summary");
        summary.map(|(_, text)| text.as_str())
    }

    /// What else an alert says.
    fn notes<'t>(&self, alert: &'t FiredAlert) -> impl Iterator<Item = &'t str> {
        let others = alert
            .annotations
            .iter()
            .filter(|(name, _)| &**name != "summary");
        others.map(|(_, text)| text.as_str())
    }

    /// Alertmanager's subject: `[FIRING:2] PauseGrowth (checkout-api P2)`.
    fn subject(&self) -> String {
        let mut text = if self.firing.is_empty() {
            "[RESOLVED]".to_owned()
        } else {
            format!("[FIRING:{}]", self.firing.len())
        };
        let group = &self.message.group_labels;
        for (_, value) in group.iter() {
            let _ = write!(text, " {value}");
        }
        let rest: Vec<&str> = self
            .common_labels
            .iter()
            .filter(|(n, _)| group.get(n).is_empty())
            .map(|(_, v)| v)
            .collect();
        if !rest.is_empty() {
            let _ = write!(text, " ({})", rest.join(" "));
        }
        text
    }
}

/// The longest prefix of at most `limit` bytes that ends on a character boundary.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How many messages one receiver takes in one minute, where it has a limit.
#[must_use]
pub fn rate_limit(integration: &Integration) -> Option<usize> {
    // What comes on top is refused with an error code and HTTP status 200.
    (integration.kind == IntegrationKind::WeCom).then_some(wecom::PER_MINUTE)
}

/// Which of these message times are over a limit of `limit` in any minute: indices into `at`, which ascends.
#[must_use]
pub fn over_limit(at: &[Timestamp], limit: usize) -> Vec<usize> {
    let mut taken: Vec<Timestamp> = Vec::new();
    let mut over = Vec::new();
    for (i, now) in at.iter().enumerate() {
        let recent = taken
            .iter()
            .rev()
            .take_while(|t| **t > now.minus(Nanos::MINUTE))
            .count();
        if recent >= limit {
            over.push(i)
        } else {
            taken.push(*now)
        }
    }
    over
}

#[cfg(test)]
mod tests_support {
    use super::*;
    use crate::alert::Reason;

    /// Two alerts of which the first is in the message as firing and the second as resolved.
    pub(super) fn one() -> (Vec<FiredAlert>, Message) {
        with_annotation("memory grows")
    }

    pub(super) fn with_annotation(text: &str) -> (Vec<FiredAlert>, Message) {
        let labels: Labels = [
            ("alertname", "Leak"),
            ("severity", "P1"),
            ("service", "cart"),
            ("instance", "cart-0"),
        ]
        .into_iter()
        .collect();
        let notes = vec![("summary".into(), text.to_owned())];
        let alerts = vec![
            FiredAlert::new(labels.clone(), notes.clone(), Timestamp(0), None),
            FiredAlert::new(
                labels.with("instance", "cart-1"),
                notes,
                Timestamp(0),
                Some(Timestamp(5)),
            ),
        ];
        let message = Message {
            at: Timestamp(10),
            receiver: 0,
            integration: 0,
            route: 0,
            group_key: r#"{}:{alertname="Leak"}"#.to_owned(),
            group_labels: [("alertname", "Leak")].into_iter().collect(),
            reason: Reason::First,
            firing: vec![0],
            resolved: vec![1],
            refused: None,
        };
        (alerts, message)
    }

    pub(super) fn content_of<'a>(alerts: &'a [FiredAlert], message: &'a Message) -> Content<'a> {
        Content::new("team", "", alerts, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_on_character_boundaries() {
        assert_eq!(cut("内存泄漏", 7), "内存");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 9), "abc");
        assert_eq!(cut("é", 1), "");
    }

    #[test]
    fn refused_messages_do_not_count_against_the_limit() {
        let at: Vec<Timestamp> = [0, 1, 2, 3, 60, 61, 62]
            .iter()
            .map(|s| Timestamp(s * Nanos::SECOND.0))
            .collect();
        assert_eq!(over_limit(&at, 2), [2, 3, 6]);
        assert_eq!(over_limit(&at, 20), Vec::<usize>::new());
    }
    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// No body is larger than its receiver takes, whatever stands in labels and annotations; and it is valid JSON.
        #[test]
        fn no_limit_is_exceeded(
            names in proptest::collection::vec("(内存|é|a|<|\\u{1f525}){0,300}", 1..4),
            texts in proptest::collection::vec("(泄漏|ü|b|&|\"|\n){0,900}", 1..3),
            mentions in proptest::collection::vec("[a-z]{1,40}", 0..200),
            markdown: bool,
            times in 1usize..20,
        ) {
            let mut alerts = Vec::new();
            for i in 0..names.len() * times {
                let name = &names[i % names.len()];
                let labels: Labels = [
                    ("alertname".to_owned(), name.clone()),
                    ("instance".to_owned(), format!("{name}{i}")),
                ].into_iter().collect();
                let notes = texts.iter().enumerate().map(|(n, text)| {
                    let key = if n == 0 { "summary".into() } else { format!("note{n}").into() };
                    (key, text.clone())
                }).collect();
                alerts.push(FiredAlert::new(labels, notes, Timestamp(0), None));
            }
            let (_, mut message) = tests_support::one();
            message.firing = (0..alerts.len()).collect();
            message.resolved = Vec::new();
            message.group_labels = alerts[0].labels.clone();
            let content = tests_support::content_of(&alerts, &message);
            let mut wecom = Integration::new(IntegrationKind::WeCom);
            wecom.markdown = markdown;
            wecom.mentions = mentions.iter().map(|m| m.as_str().into()).collect();
            let body: serde_json::Value =
                serde_json::from_str(&wecom::build(&content, &wecom).body).unwrap();
            let (kind, limit) = if markdown { ("markdown", 4096) } else { ("text", 2048) };
            let text = body[kind]["content"].as_str().unwrap();
            proptest::prop_assert!(text.len() <= limit, "{} bytes", text.len());
            let broken = text.contains(char::REPLACEMENT_CHARACTER);
            proptest::prop_assert!(!broken);
            let body = pagerduty::build(&content).body;
            proptest::prop_assert!(body.len() <= 512_000, "{} bytes", body.len());
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            let summary = body["payload"]["summary"].as_str().unwrap();
            proptest::prop_assert!(summary.chars().count() <= 1024);
            proptest::prop_assert!(body["dedup_key"].as_str().unwrap().len() <= 255);
            let hook = Integration::new(IntegrationKind::Webhook);
            let body: serde_json::Value =
                serde_json::from_str(&webhook::build(&content, &hook).body).unwrap();
            proptest::prop_assert_eq!(body["alerts"].as_array().unwrap().len(), alerts.len());
        }
    }
}
