//! What the alerts of a backtest would have made of a configuration of routes and receivers: who would have been told what, and when.

use std::sync::Arc;

use crate::alert::payload::{Payload, payload};
use crate::alert::{End, Evaluations, FiredAlert, HandOver, Notifications, Timeline};
use crate::alert::{hand_overs, simulate};
use crate::rule::Rule;
use crate::{Nanos, TimeRange, Timestamp};

use super::outcome::{Alert, Ended};
use super::runner::RuleRun;

/// Who would have been told what, and when.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notified {
    /// The routes and receivers that the alerts went through.
    pub config: Arc<Notifications>,
    /// The alerts as the receivers hear of them, in the order of [`Outcome::alerts`](super::Outcome::alerts).
    pub alerts: Vec<FiredAlert>,
    /// Messages, delays, and what was not told. Its indices of alerts are those of [`Outcome::alerts`](super::Outcome::alerts).
    pub timeline: Timeline,
}

impl Notified {
    /// The body of a message, by its index in [`Timeline::messages`]; `None` where it is not known exactly. Built when asked for:
    /// together they may be large.
    #[must_use]
    pub fn payload(&self, message: usize) -> Option<Payload> {
        payload(&self.config, &self.alerts, &self.timeline.messages[message])
    }
}

/// What a rule's evaluator said of its alerts, in their order.
pub(super) fn said(run: &RuleRun, interval: Nanos, end: Timestamp) -> Vec<Vec<HandOver>> {
    let evaluations = Evaluations {
        interval,
        failed: &run.failed,
        end,
    };
    run.alerts
        .iter()
        .zip(&run.pending_again)
        .map(|(alert, again)| {
            let end = match alert.ended {
                Ended::Open => End::Open,
                Ended::Resolved(at) => End::Resolved(at, *again),
                Ended::Cleared(at) => End::Cleared(at),
            };
            hand_overs(alert.fired_at, end, &evaluations)
        })
        .collect()
}

/// Plays the alerts through the configuration.
pub(super) fn notified(
    config: Arc<Notifications>,
    rules: &[&Rule],
    alerts: &[Alert],
    said: Vec<Vec<HandOver>>,
    range: TimeRange,
) -> Notified {
    let prometheus = config.prometheus_url.as_deref().unwrap_or("");
    let urls: Vec<Arc<str>> = rules
        .iter()
        .map(|rule| {
            let expr = query_escape(rule.expr().text());
            let prometheus = prometheus.trim_end_matches('/');
            format!("{prometheus}/graph?g0.expr={expr}&g0.tab=1").into()
        })
        .collect();
    let fired: Vec<FiredAlert> = alerts
        .iter()
        .zip(said)
        .map(|(alert, said)| {
            FiredAlert::new(
                alert.labels.clone(),
                alert.annotations.clone(),
                alert.fired_at,
                alert.ended.resolved_at(),
            )
            .handed_over(said)
            .generated_by(urls[alert.rule].clone())
        })
        .collect();
    let timeline = simulate(&config, &fired, range.start, range.end);
    Notified {
        config,
        alerts: fired,
        timeline,
    }
}

/// As Go's `url.QueryEscape`: all but letters, digits and `-_.~` by percent, a space as `+`.
fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped_as_go_does() {
        assert_eq!(
            query_escape("rate(x_total{a=\"é\"}[1m]) > 0.5"),
            "rate%28x_total%7Ba%3D%22%C3%A9%22%7D%5B1m%5D%29+%3E+0.5"
        );
    }
}
