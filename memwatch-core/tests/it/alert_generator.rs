//! The four cases of the alert generator's compliance suite (Prometheus, specification 1.0), in our own words: what a rule engine must do with
//! samples every 15 s and evaluations every 30 s. Left out is only a template that runs a query, which our templates refuse by name.

use memwatch_core::backtest::{Alert, Backtest, Outcome};
use memwatch_core::expr::StaleAfter;
use memwatch_core::rule::RuleFile;
use memwatch_core::series::{MemorySeries, Series};
use memwatch_core::{Nanos, TimeRange, Timestamp};

const SECOND: i64 = 1_000_000_000;

/// A series of the values, each so many times, one every 15 s.
fn series(labels: &[(&str, &str)], values: &[(f64, usize)]) -> Series {
    let values: Vec<f64> = values
        .iter()
        .flat_map(|(value, times)| std::iter::repeat_n(*value, *times))
        .collect();
    Series {
        labels: [("__name__", "signal")]
            .iter()
            .chain(labels)
            .copied()
            .collect(),
        at_ns: (0i64..)
            .take(values.len())
            .map(|i| i * 15 * SECOND)
            .collect(),
        values: values.into(),
    }
}

fn run(rules: &str, series: Vec<Series>, until_s: i64) -> Outcome {
    let file = RuleFile::from_prometheus_yaml("rules.yml", rules).unwrap();
    Backtest::new(&file)
        .interval(Nanos(30 * SECOND))
        .phase(Nanos(0))
        .stale_after(StaleAfter::Lookback)
        .range(TimeRange {
            start: Timestamp(0),
            end: Timestamp(until_s * SECOND),
        })
        .run(&MemorySeries { series })
        .unwrap()
}

/// Name and variant, and when it became pending, fired and ended, in seconds.
fn told(alert: &Alert) -> String {
    let s = |at: Timestamp| at.0 / SECOND;
    let ended = alert
        .ended
        .at()
        .map_or("-".to_owned(), |at| s(at).to_string());
    let name = format!(
        "{}{}",
        alert.labels.get("alertname"),
        alert.labels.get("variant")
    );
    format!(
        "{name} {} {} {ended}",
        s(alert.pending_at),
        s(alert.fired_at)
    )
}

fn all(outcome: &Outcome) -> Vec<String> {
    outcome.alerts.iter().map(told).collect()
}

#[test]
fn pending_then_firing_then_resolved() {
    let rules = r#"
groups:
- name: g
  interval: 30s
  rules:
  - alert: Simple
    expr: signal > 10
    for: 6m
    labels: {foo: bar}
    annotations: {summary: "the value is {{ $value }} {{ .Value }}"}
"#;
    // Inactive, pending for too short a while, inactive, pending until it fires, resolved, and pending once more at the end.
    let values = [
        (3.0, 8),
        (15.0, 12),
        (9.0, 4),
        (11.0, 40),
        (9.0, 10),
        (19.0, 8),
    ];
    let outcome = run(rules, vec![series(&[], &values)], 1230);
    assert_eq!(all(&outcome), ["Simple 360 720 960"]);
    let alert = &outcome.alerts[0];
    assert_eq!(
        alert.labels.to_string(),
        r#"{alertname="Simple", foo="bar"}"#
    );
    assert_eq!(alert.annotations[0].1, "the value is 11 11");
    // What is pending when the data ends may fire yet.
    assert_eq!(outcome.rules[0].only_pending, 1);
}

#[test]
fn pending_then_resolved_and_always_inactive() {
    let rules = r#"
groups:
- name: g
  interval: 30s
  rules:
  - alert: OnlyPending
    expr: signal > 10
    for: 3m
  - alert: Never
    expr: signal > 99
    for: 3m
"#;
    // Longest for 2m30s at a time.
    let values = [(3.0, 8), (15.0, 10), (9.0, 4), (11.0, 10), (9.0, 20)];
    let outcome = run(rules, vec![series(&[], &values)], 780);
    assert!(outcome.alerts.is_empty());
    assert_eq!(outcome.rules[0].only_pending, 2);
    assert_eq!(outcome.rules[1].only_pending, 0);
}

#[test]
fn no_and_small_for() {
    let rules = r#"
groups:
- name: g
  interval: 30s
  rules:
  - alert: AtOnce
    expr: signal{job="a"} > 10
    annotations:
      numbers: "{{ humanize 2500000 }} {{ humanize1024 2097152 }} {{ humanizeDuration 3661 }} {{ humanizePercentage 0.25 }} {{ humanizeTimestamp 0 }}"
  - alert: Small
    expr: signal{job="b"} > 13
    for: 15s
    annotations:
      texts: '{{ title "a word" }} {{ toUpper "up" }} {{ toLower "DOWN" }} {{ stripPort "[::1]:80" }} {{ parseDuration "1h30m" }} {{ if match "[0-9]+" "x1" }}{{ reReplaceAll "(.)b" "${1}c" "ab" }}{{ end }}{{ if match "^[0-9]+$" "1x" }}no{{ end }}'
"#;
    // Active for three minutes, quiet for longer than resolved alerts are kept, active again for the one without `for`; then the data ends.
    let values = [
        (3.0, 1),
        (5.0, 3),
        (9.0, 4),
        (15.0, 13),
        (9.0, 72),
        (11.0, 13),
    ];
    let outcome = run(
        rules,
        vec![
            series(&[("job", "a")], &values),
            series(&[("job", "b")], &values),
        ],
        2400,
    );
    // The last sample is of 1575 s: after five minutes it is over.
    assert_eq!(
        all(&outcome),
        [
            "AtOnce 120 120 330",
            "Small 120 150 330",
            "AtOnce 1410 1410 1890"
        ]
    );
    assert_eq!(
        outcome.alerts[0].annotations[0].1,
        "2.5M 2Mi 1h 1m 1s 25% 1970-01-01 00:00:00 +0000 UTC"
    );
    assert_eq!(
        outcome.alerts[1].annotations[0].1,
        "A Word UP down ::1 5400 ac"
    );
}

#[test]
fn new_alerts_while_others_fire_and_the_order_of_rules() {
    let rules = r#"
groups:
- name: g
  interval: 30s
  rules:
  - alert: First
    expr: signal > 10
    for: 3m
    labels: {foo: bar}
  - alert: Second
    expr: (ALERTS{alertstate="firing",alertname="First",variant="one"} + ignoring (variant) ALERTS{alertstate="firing",alertname="First",variant="two"}) == 2
    labels: {foo: baz, added: "yes"}
    annotations: {was: "{{ $labels.alertname }} with {{ .Labels.foo }} and {{ $labels.added }}"}
"#;
    let one = [(1.0, 8), (11.0, 65), (9.0, 21)];
    let two = [(1.0, 32), (11.0, 33), (9.0, 21)];
    let outcome = run(
        rules,
        vec![
            series(&[("variant", "one")], &one),
            series(&[("variant", "two")], &two),
        ],
        1260,
    );
    // The second rule sees at the same evaluation what the first one says.
    assert_eq!(
        all(&outcome),
        [
            "Firstone 120 300 1110",
            "Firsttwo 480 660 990",
            "Second 660 660 990"
        ]
    );
    let second = &outcome.alerts[2];
    assert_eq!(
        second.labels.to_string(),
        r#"{added="yes", alertname="Second", alertstate="firing", foo="baz"}"#
    );
    // Templates see the labels of the element, not those that the rule adds or changes.
    assert_eq!(second.annotations[0].1, "First with bar and ");
}
