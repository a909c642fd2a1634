//! PagerDuty Events v2.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Content, Payload, go};

/// Characters of a summary; Alertmanager counts runes.
const SUMMARY_CHARS: usize = 1024;
/// Characters of any other text that is a label's value: so that an event without details is always small enough.
const FIELD_CHARS: usize = 1024;
/// Bytes of a whole event.
const EVENT_BYTES: usize = 512_000;

/// What PagerDuty takes, in words.
pub(super) fn limits() -> Vec<String> {
    vec![
        format!("{SUMMARY_CHARS} characters of summary"),
        format!("{EVENT_BYTES} bytes an event"),
    ]
}

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'a str,
    dedup_key: String,
    payload: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    summary: String,
    source: &'a str,
    severity: &'a str,
    timestamp: String,
    component: &'a str,
    group: &'a str,
    class: &'a str,
    custom_details: BTreeMap<&'a str, String>,
}

pub(super) fn build(content: &Content<'_>) -> Payload {
    let (summary, cut) = go::cut_runes(&content.subject(), SUMMARY_CHARS);
    let mut truncated = cut.then(|| format!("summary cut at {SUMMARY_CHARS} characters"));
    let common = |name: &str| content.common_labels.get(name);
    let first_of = |names: &[&'static str]| {
        names
            .iter()
            .copied()
            .find(|n| !common(n).is_empty())
            .map(|n| go::cut_runes(common(n), FIELD_CHARS).0)
            .unwrap_or_default()
    };
    let source = match first_of(&["instance", "service", "job"]) {
        text if text.is_empty() => "memwatch".to_owned(),
        text => text,
    };
    let component = first_of(&["service", "job"]);
    let class = first_of(&["alertname"]);
    let (group, _) = go::cut_runes(content.receiver, FIELD_CHARS);
    let listed = |alerts: &[&crate::alert::FiredAlert]| {
        let mut text = String::new();
        for alert in alerts {
            let _ = writeln!(text, "Labels:");
            for (name, value) in alert.labels.iter() {
                let _ = writeln!(text, " - {name} = {value}");
            }
            let _ = writeln!(text, "Annotations:");
            for (name, value) in &alert.annotations {
                let _ = writeln!(text, " - {name} = {value}");
            }
        }
        text
    };
    let mut event = Event {
        routing_key: "***",
        // Resolved only when the whole group is.
        event_action: if content.firing.is_empty() {
            "resolve"
        } else {
            "trigger"
        },
        dedup_key: Sha256::digest(content.message.group_key.as_bytes())
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
        payload: Body {
            summary,
            source: &source,
            severity: severity(common("severity")),
            timestamp: go::time(content.message.at),
            component: &component,
            group: &group,
            class: &class,
            custom_details: [
                ("firing", listed(&content.firing)),
                ("resolved", listed(&content.resolved)),
                ("num_firing", content.firing.len().to_string()),
                ("num_resolved", content.resolved.len().to_string()),
            ]
            .into(),
        },
    };
    let mut body = go::json(&event) + "\n";
    if body.len() > EVENT_BYTES {
        truncated = Some(format!(
            "details left out: the event had {} bytes, {EVENT_BYTES} are taken",
            body.len()
        ));
        event.payload.custom_details = [(
            "error",
            "custom details left out: the event was too large".to_owned(),
        )]
        .into();
        body = go::json(&event) + "\n";
    }
    Payload { body, truncated }
}

/// PagerDuty's four words for what the label `severity` says.
fn severity(label: &str) -> &'static str {
    match label.to_ascii_lowercase().as_str() {
        "p1" | "critical" | "page" => "critical",
        "p3" | "warning" | "warn" => "warning",
        "p4" | "p5" | "info" | "none" => "info",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{content_of, one, with_annotation};
    use super::*;

    #[test]
    fn triggers_until_all_are_resolved() {
        let (alerts, mut message) = one();
        let json: serde_json::Value =
            serde_json::from_str(&build(&content_of(&alerts, &message)).body).unwrap();
        assert_eq!(json["event_action"], "trigger");
        assert_eq!(json["payload"]["severity"], "critical");
        assert_eq!(json["payload"]["summary"], "[FIRING:1] Leak (cart P1)");
        assert_eq!(json["dedup_key"].as_str().unwrap().len(), 64);
        message.resolved = std::mem::take(&mut message.firing);
        let json: serde_json::Value =
            serde_json::from_str(&build(&content_of(&alerts, &message)).body).unwrap();
        assert_eq!(json["event_action"], "resolve");
    }

    #[test]
    fn a_large_event_loses_its_details() {
        let (alerts, message) = with_annotation(&"x".repeat(600_000));
        let payload = build(&content_of(&alerts, &message));
        assert!(payload.body.len() < 5_000, "{}", payload.body.len());
        assert!(payload.truncated.unwrap().starts_with("details left out"));
    }
}
