//! Alertmanager's webhook, version 4.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Labels;

use super::{Content, Payload, go};
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
    fn map(labels: &Labels) -> BTreeMap<&str, &str> {
        labels.iter().collect()
    }
    let body = Body {
        receiver: content.receiver,
        status: content.message.status(),
        alerts: content
            .in_order()
            .into_iter()
            .take(kept)
            .map(|(status, alert)| Alert {
                status,
                labels: map(&alert.labels),
                annotations: alert
                    .annotations
                    .iter()
                    .map(|(n, v)| (&**n, v.as_str()))
                    .collect(),
                starts_at: go::time(alert.fired_at),
                // Go's zero time, as Alertmanager writes it while an alert fires.
                ends_at: match alert.ended_at(content.message.at) {
                    Some(end) if status == "resolved" => go::time(end),
                    _ => "0001-01-01T00:00:00Z".to_owned(),
                },
                generator_url: &alert.generator_url,
                fingerprint: format!("{:016x}", fingerprint(&alert.labels)),
            })
            .collect(),
        group_labels: map(&content.message.group_labels),
        common_labels: map(&content.common_labels),
        common_annotations: content.common_annotations.iter().copied().collect(),
        external_url: content.alertmanager_url,
        version: "4",
        group_key: &content.message.group_key,
        truncated_alerts: total - kept,
    };
    Payload {
        // Go's encoder ends what it writes with a line break.
        body: go::json(&body) + "\n",
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
    use super::super::tests_support::{content_of, one, with_annotation};
    use super::*;
    use crate::Timestamp;
    use crate::alert::payload::payload;
    use crate::alert::{FiredAlert, IntegrationKind, simulate};
    use crate::rule::RuleFile;

    #[test]
    fn fingerprints_are_prometheus_own() {
        // Both from the tests of prometheus/common (`model/signature_test.go`).
        assert_eq!(fingerprint(&Labels::default()), 14_695_981_039_346_656_037);
        let labels: Labels = [("name", "garland, briggs"), ("fear", "love is not enough")]
            .into_iter()
            .collect();
        assert_eq!(fingerprint(&labels), 5_799_056_148_416_392_346);
    }

    #[test]
    fn version_four_with_a_cut_list() {
        let (mut alerts, message) = with_annotation("memory & more");
        alerts[0].generator_url = "/graph".into();
        alerts[0].fired_at = Timestamp(250_999_999);
        let mut content = content_of(&alerts, &message);
        content.alertmanager_url = "http://am";
        let mut integration = Integration::new(IntegrationKind::Webhook);
        integration.max_alerts = 1;
        let payload = build(&content, &integration);
        let expected = concat!(
            r#"{"receiver":"team","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Leak","#,
            r#""instance":"cart-0","service":"cart","severity":"P1"},"annotations":{"summary":"memory \u0026 more"},"#,
            r#""startsAt":"1970-01-01T00:00:00.25Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"/graph","#,
            r#""fingerprint":"deddd095c00fd750"}],"groupLabels":{"alertname":"Leak"},"#,
            r#""commonLabels":{"alertname":"Leak","service":"cart","severity":"P1"},"#,
            r#""commonAnnotations":{"summary":"memory \u0026 more"},"externalURL":"http://am","version":"4","#,
            r#""groupKey":"{}:{alertname=\"Leak\"}","truncatedAlerts":1}"#,
            "\n"
        );
        assert_eq!(payload.body, expected);
        assert_eq!(payload.truncated.as_deref(), Some("1 of 2 alerts left out"));
    }
    #[test]
    fn firing_and_resolved_ones_stand_in_alertmanagers_order() {
        let (alerts, mut message) = one();
        (message.firing, message.resolved) = (vec![1], vec![0]);
        let mut ended = alerts.clone();
        ended[0] = FiredAlert::new(
            alerts[0].labels.clone(),
            Vec::new(),
            Timestamp(0),
            Some(Timestamp(1_500_000_000)),
        );
        message.at = Timestamp(2_000_000_000);
        let integration = Integration::new(IntegrationKind::Webhook);
        let body = build(&content_of(&ended, &message), &integration).body;
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["status"], "firing");
        assert_eq!(json["alerts"][0]["labels"]["instance"], "cart-0");
        assert_eq!(json["alerts"][0]["status"], "resolved");
        assert_eq!(json["alerts"][0]["endsAt"], "1970-01-01T00:00:01.5Z");
        assert_eq!(json["alerts"][1]["status"], "firing");
        assert_eq!(json["truncatedAlerts"], 0);
    }
    /// The second message of a group whose first alert was resolved, as Debian's Alertmanager 0.25.0 posted it on 2026-11-26.
    #[test]
    fn the_body_is_alertmanagers_byte_for_byte() {
        let at = |ms: i64| Timestamp((1_795_695_059_000 + ms) * 1_000_000);
        let text = r#"
            [links]
            alertmanager = "http://am.example"
            [route]
            receiver = "team"
            group_by = ["alertname"]
            group_wait = "1s"
            group_interval = "2s"
            [[receiver]]
            name = "team"
            webhook = { url_env = "HOOK" }
        "#;
        let config = RuleFile::from_toml("r.toml", text).unwrap().notifications;
        let alert = |instance: &str, notes: &[(&str, &str)], from: i64, to: Option<i64>| {
            let labels = [
                ("alertname", "Leak <1 & 2>"),
                ("severity", "P1"),
                ("job", "cart"),
                ("instance", instance),
            ];
            let notes = notes.iter().map(|(n, t)| ((*n).into(), (*t).to_owned()));
            FiredAlert::new(
                labels.into_iter().collect(),
                notes.collect(),
                at(from),
                to.map(at),
            )
            .generated_by("http://prometheus.example/graph?g0.expr=a+%3E+1&g0.tab=1")
        };
        let summary = ("summary", "内存 > 1 GB \"now\"");
        let alerts = [
            alert("cart-1", &[summary, ("note", "a\tb")], 250, None),
            alert("cart-0", &[summary], 0, Some(1500)),
        ];
        let played = simulate(&config, &alerts, at(0), at(5000));
        let body = payload(&config, &alerts, &played.messages[1]).unwrap().body;
        assert_eq!(body, include_str!("webhook-0.25.json"));
    }
}
