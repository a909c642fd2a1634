//! What would have been sent to whom.

use std::fmt::Write as _;

use memwatch_core::Nanos;

use super::markup::{Cell, escape, name, table, tag};
use super::services::{jump, page_of_alert};
use super::{Report, Told};
use crate::render::backtest::{Clock, Shown, whose};
use crate::render::grouped;
use crate::render::notifications_json::refused;

/// Messages that are listed.
const MESSAGES_MAX: usize = 500;

/// Payloads longer than this are cut.
const PAYLOAD_MAX: usize = 8_000;

/// The messages that would have been sent.
pub fn told(shown: &Shown<'_>) -> Vec<Told> {
    let Some(notified) = &shown.outcome.notified else {
        return Vec::new();
    };
    let messages = notified.timeline.messages.iter().enumerate();
    messages
        .map(|(index, message)| {
            let receiver = &notified.config.receivers[message.receiver];
            let integration = &receiver.integrations[message.integration];
            let body = notified.payload(index).map(|payload| payload.body);
            Told {
                at: message.at,
                receiver: receiver.name.to_string(),
                integration: integration.kind.name().to_owned(),
                firing: !message.firing.is_empty(),
                why: match message.refused {
                    Some(refusal) => format!("refused: {}", refused(refusal)),
                    None => message.reason.name().replace('_', " "),
                },
                alerts: message
                    .firing
                    .iter()
                    .chain(&message.resolved)
                    .copied()
                    .collect(),
                bytes: body.as_ref().map_or(0, String::len),
                payload: body.unwrap_or_else(|| "not known exactly".to_owned()),
            }
        })
        .collect()
}

/// What would have been sent to whom.
pub fn messages(out: &mut String, report: &Report<'_>, told: &[Told], clock: &Clock) {
    let outcome = report.shown.outcome;
    out.push_str("<h2 id=\"messages\">Messages</h2>\n");
    if report.shown.file.notifications.route.is_none() {
        out.push_str(
            "<p>The rule file has no <code>[route]</code>, so nobody would have been told.</p>\n",
        );
        return;
    }
    if told.is_empty() {
        out.push_str("<p>Nobody would have been told anything.</p>\n");
        return;
    }
    let rows: Vec<Vec<Cell>> = told
        .iter()
        .take(MESSAGES_MAX)
        .map(|message| {
            let first = message.alerts.first().copied();
            let until = message.at.plus(Nanos(60 * Nanos::SECOND.0));
            let about: Vec<String> = message
                .alerts
                .iter()
                .map(|i| {
                    let alert = &outcome.alerts[*i];
                    format!("{} {}", name(&outcome.rules[alert.rule].name), name(&whose(&alert.labels)))
                })
                .collect();
            let mut payload: String = message.payload.chars().take(PAYLOAD_MAX).collect();
            if payload.len() < message.payload.len() {
                payload.push('…');
            }
            vec![
                jump(report, first.and_then(|a| page_of_alert(report, a)), message.at, (message.at.minus(Nanos::MINUTE), until), clock),
                Cell::text(&message.receiver),
                Cell::text(&message.integration),
                Cell::html(tag(if message.firing { "none" } else { "duplicate" }, if message.firing { "firing" } else { "resolved" })),
                Cell::text(&message.why),
                Cell::wide_html(about.join("<br>")),
                Cell::number(grouped(message.bytes as u64)),
                Cell::wide_html(format!("<details class=\"payload\"><summary>show</summary><pre class=\"mono\">{}</pre></details>", escape(&payload))),
            ]
        })
        .collect();
    out.push_str(&table(
        &[
            "sent", "to", "by", "status", "because", "about", "#bytes", "message",
        ],
        &rows,
        false,
    ));
    let hidden = told.len().saturating_sub(MESSAGES_MAX);
    if hidden > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">and {} more: <code>--format json</code> has all.</p>",
            grouped(hidden as u64)
        );
    }
}
