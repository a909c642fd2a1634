//! A whole configuration, and what is wrong with others.

use super::*;
use crate::Timestamp;

const WHOLE: &str = r#"
global:
  resolve_timeout: 5m
  smtp_auth_password: hunter2
  pagerduty_url: https://events.pagerduty.com/v2/enqueue
templates: ['/etc/alertmanager/*.tmpl']
route:
  receiver: team
  group_by: [alertname, service]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 1h
  routes:
  - matchers:
    - severity="P1"
    - '{team=~"a|b", service!=""}'
    receiver: oncall
    continue: true
    group_by: ['...']
  - match: {severity: P2}
    match_re:
      service: cart|checkout
    mute_time_intervals: [nights]
    active_time_intervals: [weekdays]
    routes:
    - receiver: quiet
receivers:
- name: team
  webhook_configs:
  - url: http://127.0.0.1:9/secret
    max_alerts: 5
    http_config: {basic_auth: {username: u, password: hunter2}}
  slack_configs:
  - api_url: https://hooks.slack.com/services/T0/B0/hunter2
    channel: '#alerts'
    title: '{{ .CommonLabels.alertname }}'
- name: oncall
  pagerduty_configs:
  - routing_key: hunter2hunter2hunter2hunter2hunt
    send_resolved: false
- name: quiet
inhibit_rules:
- source_match: {severity: P1}
  target_match_re: {severity: P2|P3}
  equal: [instance]
- source_matchers: ['severity = "P2"']
  target_matchers: ['severity = "P3"', 'service=~"c.*"']
time_intervals:
- name: nights
  time_intervals:
  - times:
    - start_time: '22:00'
      end_time: '24:00'
    weekdays: ['monday:friday', 'sunday']
    days_of_month: ['1:5', '-3:-1']
    months: [january, '3:5']
    years: ['2026', 2027]
    location: Asia/Shanghai
mute_time_intervals:
- name: weekdays
  time_intervals:
  - weekdays: ['monday:friday']
"#;

#[test]
fn a_whole_configuration_loads() {
    let found = read("am.yml", WHOLE).unwrap_or_else(|e| panic!("{e}"));
    let root = found.route.as_ref().unwrap();
    assert_eq!(root.receiver.as_deref(), Some("team"));
    assert_eq!(root.group_interval, Some(Nanos::MINUTE));
    let texts = |all: &[Matcher]| {
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        texts.join(" ")
    };
    let [first, second] = &root.routes[..] else {
        panic!("two routes")
    };
    assert_eq!(
        texts(&first.matchers),
        r#"severity="P1" team=~"a|b" service!="""#
    );
    assert!(first.continues && first.group_by == Some(GroupBy::All));
    assert_eq!(
        texts(&second.matchers),
        r#"severity="P2" service=~"cart|checkout""#
    );
    assert_eq!(second.mute_time_intervals, ["nights".into()]);
    assert_eq!(second.active_time_intervals, ["weekdays".into()]);
    assert_eq!(second.routes[0].receiver.as_deref(), Some("quiet"));
    let kinds: Vec<Vec<(IntegrationKind, bool)>> = found
        .receivers
        .iter()
        .map(|r| {
            r.integrations
                .iter()
                .map(|i| (i.kind, i.send_resolved))
                .collect()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            vec![
                (IntegrationKind::Webhook, true),
                (IntegrationKind::Other("slack"), false)
            ],
            vec![(IntegrationKind::PagerDuty, false)],
            vec![],
        ]
    );
    assert_eq!(found.receivers[0].integrations[0].max_alerts, 5);
    assert_eq!(texts(&found.inhibits[0].target), r#"severity=~"P2|P3""#);
    assert_eq!(found.inhibits[0].equal, ["instance".into()]);
    assert_eq!(texts(&found.inhibits[1].source), r#"severity="P2""#);
    let nights = &found.time_intervals[0];
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    // 22:30 in Shanghai on Tuesday, 2026-03-31.
    assert!(nights.contains(at("2026-03-31T14:30:00Z")));
    assert!(!nights.contains(at("2026-03-31T22:30:00Z")));
}

#[test]
fn no_secret_is_kept() {
    let found = format!("{:?}", read("am.yml", WHOLE).unwrap());
    for secret in ["hunter2", "127.0.0.1", "hooks.slack"] {
        assert!(!found.contains(secret), "{secret}\n{found}");
    }
}

#[test]
fn no_secret_is_in_a_complaint() {
    let cases = [
        "receivers: [{name: a, webhook_configs: 'http://hunter2'}]",
        "receivers: [{name: a, pagerduty_configs: [hunter2]}]",
        "receivers: [{name: a, webhook_config: [{url: 'http://hunter2'}]}]",
        "receivers: [{name: a, webhook_configs: [{url: 'http://hunter2', send_resolved: 'hunter2'}]}]",
        "receivers: [{name: a, webhook_configs: [{url: hunter2]}]",
        "global: {password: hunter2}\nroute: {receiver: b}\nreceivers: [{name: a, slack_configs: [{api_url: hunter2}]}]",
        "receivers: [{name: a, webhook_configs: [{url: hunter2, max_alerts: hunter2}]}]",
    ];
    for text in cases {
        let error = read("am.yml", text).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("am.yml:"), "{error}");
        assert!(!error.contains("hunter2"), "{text}\n{error}");
    }
}

/// A root with these lines more, and two receivers.
fn config(lines: &str) -> String {
    format!("route:\n  receiver: team\n{lines}\nreceivers:\n- name: team\n- name: oncall\n")
}

#[test]
fn a16_complaints_have_their_place() {
    let cases: Vec<(String, &str)> = vec![
        (config("  group_interval: 0s"), "am.yml:3:19: route: `group_interval`: expected a duration of more than 0, found `0s`"),
        (config("  repeat_interval: 0s"), "am.yml:3:20: route: `repeat_interval`: expected a duration of more than 0"),
        (config("  group_by: [a, b, a]"), "am.yml:3:20: route: `group_by`: `a` is given twice"),
        (config("  group_by: ['...', b]"), "route: `group_by`: `...` stands alone"),
        (config("  group_by: [a-b]"), "am.yml:3:14: route: `group_by`: expected a label name, found `a-b`"),
        (config("  group_wait: soon"), "am.yml:3:15: route: `group_wait`: expected a duration like 30s or 5m, found `soon`"),
        (config("  routes:\n  - receiver: oncal"), "am.yml:4:15: route.routes 1: `receiver`: no receiver is called `oncal`\n  help: did you mean `oncall`?"),
        (config("  routes:\n  - mute_time_intervals: [nights]"), "route.routes 1: `mute_time_intervals`: no time interval is called `nights`"),
        (config("  routes:\n  - matchers: ['a>b']"), "am.yml:4:17: route.routes 1: `matchers`: expected a matcher like"),
        (config("  routes:\n  - match_re: {a: '('}"), "route.routes 1: `match_re`.a: expected a regular expression, found `(`"),
        (config("  group_wat: 1s"), "am.yml:3:3: unknown field `group_wat`"),
        (config("  matchers: [a=b]"), "route: `matchers`: every alert goes through the root: it has no matchers"),
        (config("  continue: true"), "route: `continue`: the root has no siblings"),
        (config("  mute_time_intervals: []"), "route: `mute_time_intervals`: the root cannot be muted"),
        ("route: {group_by: [a]}".into(), "am.yml:1:8: route: `receiver`: expected the name of a receiver, found nothing"),
        ("receivers: [{name: a}]".into(), "am.yml:1:1: `route`: expected a routing tree, found nothing"),
        ("route: {receiver: a}\nreceivers: [{name: a}, {name: a}]".into(), "am.yml:2:31: receiver: a second receiver is called `a`"),
        ("route: {receiver: a}\nreceivers: [{name: a}]\ntime_intervals: [{name: n, time_intervals: [{weekdays: [mon]}]}]".into(),
         "am.yml:3:57: time interval `n`: `weekdays`: expected days of the week"),
        ("route: {receiver: a}\nreceivers: [{name: a}]\ninhibit_rules: [{equal: [a, a]}]".into(), "am.yml:3:29: inhibit_rules 1: `equal`: `a` is given twice"),
    ];
    for (text, expected) in cases {
        let error = read("am.yml", &text).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{text}\n--- expected\n{expected}\n--- found\n{error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(cut in 0usize..3000, flip in 0usize..3000, with in proptest::char::any()) {
        let mut text: String = WHOLE.chars().take(cut).collect();
        let at = flip % (text.chars().count() + 1);
        let byte = text.char_indices().nth(at).map_or(text.len(), |c| c.0);
        text.insert(byte, with);
        let _ = read("am.yml", &text);
    }
}
