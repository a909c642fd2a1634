//! Alertmanager's webhook, version 4.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Labels;

use super::{Content, Payload};
use crate::alert::notifications::Integration;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: &'a str,
    alerts: Vec<Alert<'a>>,
    group_labels: BTreeMap<&'a str, &'a str>,
    common_labels: BTreeMap<&'a str, &'a str>,
    common_annotations: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'a str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

pub(super) fn build(content: &Content<'_>, integration: &Integration) -> Payload {
    let total = content.firing.len() + content.resolved.len();
    let kept = if integration.max_alerts == 0 {
        total
    } else {
        integration.max_alerts.min(total)
    };
    let map = |labels: &Labels| {
        labels
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let (group, common) = (
        map(&content.message.group_labels),
        map(&content.common_labels),
    );
    fn borrowed(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
        map.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
    let body = Body {
        receiver: content.receiver,
        status: content.status(),
        alerts: content
            .alerts()
            .take(kept)
            .map(|(status, alert)| Alert {
                status,
                labels: alert.labels.iter().collect(),
                annotations: alert
                    .annotations
                    .iter()
                    .map(|(n, v)| (&**n, v.as_str()))
                    .collect(),
                starts_at: alert.fired_at.to_string(),
                // Go's zero time, as Alertmanager writes it while an alert fires.
                ends_at: match alert.resolved_at {
                    Some(end) if status == "resolved" => end.to_string(),
                    _ => "0001-01-01T00:00:00Z".to_owned(),
                },
                generator_url: "",
                fingerprint: format!("{:016x}", fingerprint(&alert.labels)),
            })
            .collect(),
        group_labels: borrowed(&group),
        common_labels: borrowed(&common),
        common_annotations: content.common_annotations.iter().copied().collect(),
        external_url: "",
        version: "4",
        group_key: &content.message.group_key,
        truncated_alerts: total - kept,
    };
    Payload {
        body: serde_json::to_string(&body).expect("strings and numbers"),
        truncated: (kept < total).then(|| format!("{} of {total} alerts left out", total - kept)),
    }
}

/// Prometheus' fingerprint of a label set: FNV-1a over names and values, each closed by a byte 255.
#[must_use]
pub fn fingerprint(labels: &Labels) -> u64 {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    for (name, value) in labels.iter() {
        name.bytes().for_each(&mut add);
        add(255);
        value.bytes().for_each(&mut add);
        add(255);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{content_of, one};
    use super::*;
    use crate::Timestamp;
    use crate::alert::IntegrationKind;

    #[test]
    fn fingerprints_are_prometheus_own() {
        // From the source of prometheus/common: an empty set, and FNV-1a of `a 255 1 255`.
        assert_eq!(fingerprint(&Labels::default()), 14_695_981_039_346_656_037);
        let labels: Labels = [("name", "garland, briggs"), ("fruit", "banana")]
            .into_iter()
            .collect();
        assert_ne!(
            fingerprint(&labels),
            fingerprint(&labels.with("fruit", "apple"))
        );
    }

    #[test]
    fn version_four_with_a_cut_list() {
        let (alerts, message) = one();
        let content = content_of(&alerts, &message);
        let mut integration = Integration::new(IntegrationKind::Webhook);
        integration.max_alerts = 1;
        let payload = build(&content, &integration);
        let json: serde_json::Value = serde_json::from_str(&payload.body).unwrap();
        assert_eq!(json["version"], "4");
        assert_eq!(json["status"], "firing");
        assert_eq!(json["truncatedAlerts"], 1);
        assert_eq!(json["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
        assert_eq!(json["alerts"][0]["startsAt"], Timestamp(0).to_string());
        assert_eq!(json["groupKey"], r#"{}:{alertname="Leak"}"#);
        assert_eq!(json["commonLabels"]["alertname"], "Leak");
        assert_eq!(payload.truncated.as_deref(), Some("1 of 2 alerts left out"));
    }
}
