//! Who would have been told what, for programs: part of `memwatch.backtest/1`.

use std::collections::BTreeMap;

use memwatch_core::Nanos;
use memwatch_core::alert::payload::{limits, payload};
use memwatch_core::alert::{Delivery, Integration, Message, Receiver, Refusal};
use memwatch_core::backtest::{Notified, Outcome};
use serde::Serialize;

use super::json::Time;

/// One message.
#[derive(Serialize)]
pub struct NotificationJson<'a> {
    at: Time,
    receiver: &'a str,
    /// Its kind, and which of the receiver's integrations it is.
    integration: &'static str,
    integration_index: usize,
    status: &'static str,
    reason: &'static str,
    group_key: &'a str,
    group_labels: BTreeMap<&'a str, &'a str>,
    /// Ids: those that fire, then those that are resolved.
    alerts: Vec<&'a str>,
    firing: usize,
    /// Why it did not arrive.
    refused: Option<String>,
    /// Of the body; `null` where it is not known exactly.
    bytes: Option<usize>,
    truncated: Option<String>,
    /// The exact body as text; `null` where it is not known exactly.
    payload: Option<String>,
}

/// All messages in the order of time; the bodies are built one by one.
pub fn notifications(outcome: &Outcome) -> impl Iterator<Item = NotificationJson<'_>> {
    outcome.notified.iter().flat_map(|notified| {
        let messages = notified.timeline.messages.iter();
        messages.map(|message| notification(outcome, notified, message))
    })
}

fn notification<'a>(
    outcome: &'a Outcome,
    notified: &'a Notified,
    message: &'a Message,
) -> NotificationJson<'a> {
    let receiver = &notified.config.receivers[message.receiver];
    let body = payload(&notified.config, &notified.alerts, message);
    NotificationJson {
        at: Time(message.at),
        receiver: &receiver.name,
        integration: receiver.integrations[message.integration].kind.name(),
        integration_index: message.integration,
        status: message.status(),
        reason: message.reason.name(),
        group_key: &message.group_key,
        group_labels: message.group_labels.iter().collect(),
        alerts: message
            .firing
            .iter()
            .chain(&message.resolved)
            .map(|alert| &*outcome.alerts[*alert].id)
            .collect(),
        firing: message.firing.len(),
        refused: message.refused.map(refused),
        bytes: body.as_ref().map(|body| body.body.len()),
        truncated: body.as_ref().and_then(|body| body.truncated.clone()),
        payload: body.map(|body| body.body),
    }
}

/// Why a message did not arrive, in words.
pub fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::RateLimit { per_minute } => {
            format!("more than {per_minute} messages in a minute")
        }
    }
}

/// What became of one alert on its way to one receiver.
#[derive(Serialize)]
pub struct DeliveryJson<'a> {
    receiver: &'a str,
    told_at: Option<Time>,
    /// From its firing until the receiver was told.
    delay_s: Option<f64>,
    /// What held it back, in seconds.
    waits: Vec<WaitJson>,
    /// Why the receiver was not told.
    untold: Option<&'static str>,
}

#[derive(Serialize)]
struct WaitJson {
    by: &'static str,
    s: f64,
}

/// For each alert, each receiver that it was routed to.
pub fn deliveries(outcome: &Outcome) -> Vec<Vec<DeliveryJson<'_>>> {
    let mut of: Vec<Vec<DeliveryJson<'_>>> = outcome.alerts.iter().map(|_| Vec::new()).collect();
    if let Some(notified) = &outcome.notified {
        for delivery in &notified.timeline.deliveries {
            of[delivery.alert].push(self::delivery(notified, delivery));
        }
    }
    of
}

fn delivery<'a>(notified: &'a Notified, delivery: &Delivery) -> DeliveryJson<'a> {
    let messages = &notified.timeline.messages;
    DeliveryJson {
        receiver: receiver_name(notified, delivery.receiver),
        told_at: delivery.told.ok().map(|index| Time(messages[index].at)),
        delay_s: delivery.delay().map(Nanos::as_seconds),
        waits: delivery
            .waits
            .iter()
            .map(|(by, held)| WaitJson {
                by: by.name(),
                s: held.as_seconds(),
            })
            .collect(),
        untold: delivery.told.err().map(|untold| untold.name()),
    }
}

/// The name of a receiver; a rule file may name one that it does not describe.
pub fn receiver_name(notified: &Notified, receiver: usize) -> &str {
    let described = notified.config.receivers.get(receiver);
    match (described, &notified.config.route) {
        (Some(receiver), _) => &receiver.name,
        (None, Some(root)) => root.receiver.as_deref().unwrap_or("?"),
        (None, None) => "?",
    }
}

/// A resolution of which a receiver that had been told of the alert never heard.
#[derive(Serialize)]
pub struct LostResolveJson<'a> {
    at: Time,
    receiver: &'a str,
    alert: &'a str,
    by: &'static str,
}

/// All of them.
pub fn lost_resolves(outcome: &Outcome) -> Vec<LostResolveJson<'_>> {
    outcome
        .notified
        .iter()
        .flat_map(|notified| {
            notified
                .timeline
                .lost_resolves
                .iter()
                .map(|lost| LostResolveJson {
                    at: Time(lost.at),
                    receiver: receiver_name(notified, lost.receiver),
                    alert: &outcome.alerts[lost.alert].id,
                    by: lost.by.name(),
                })
        })
        .collect()
}

/// A silence and what it did.
#[derive(Serialize)]
pub struct SilenceJson<'a> {
    from: Time,
    to: Time,
    matchers: Vec<String>,
    id: Option<&'a str>,
    comment: Option<&'a str>,
    /// Ids of alerts that it kept back at some flush.
    alerts: Vec<&'a str>,
    /// As many more messages would have told of these, had it not been there.
    suppressed_messages: usize,
}

/// Each silence, in the order given.
pub fn silences(outcome: &Outcome) -> Vec<SilenceJson<'_>> {
    let all = outcome.notified.iter().flat_map(|notified| {
        let silences = &notified.config.silences;
        notified.timeline.suppressed.iter().map(|did| {
            let silence = &silences[did.silence];
            SilenceJson {
                from: Time(silence.range.start),
                to: Time(silence.range.end),
                matchers: silence.matchers.iter().map(ToString::to_string).collect(),
                id: silence.id.as_deref(),
                comment: silence.comment.as_deref(),
                alerts: did.alerts.iter().map(|a| &*outcome.alerts[*a].id).collect(),
                suppressed_messages: did.messages,
            }
        })
    });
    all.collect()
}

/// Somebody to tell.
#[derive(Serialize)]
pub struct ReceiverJson<'a> {
    name: &'a str,
    integrations: Vec<IntegrationJson<'a>>,
}

#[derive(Serialize)]
struct IntegrationJson<'a> {
    kind: &'a str,
    /// The variable that holds the address or key; never what is in it.
    secret_env: Option<&'a str>,
    send_resolved: bool,
    /// What the receiver takes, in words.
    limits: Vec<String>,
    exact_payload: bool,
}

/// Each receiver of the configuration.
pub fn receivers(outcome: &Outcome) -> Vec<ReceiverJson<'_>> {
    let all = outcome.notified.iter().flat_map(|n| &n.config.receivers);
    all.map(|receiver: &Receiver| ReceiverJson {
        name: &receiver.name,
        integrations: receiver.integrations.iter().map(integration).collect(),
    })
    .collect()
}

fn integration(integration: &Integration) -> IntegrationJson<'_> {
    IntegrationJson {
        kind: integration.kind.name(),
        secret_env: integration.secret_env.as_deref(),
        send_resolved: integration.send_resolved,
        limits: limits(integration),
        exact_payload: integration.kind.has_payload(),
    }
}
