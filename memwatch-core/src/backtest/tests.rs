//! The replay as a whole: the statements of Prometheus' rule evaluation, and that stretches of time change nothing.

mod random;
mod scores;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::alert::RuleState;
use crate::expr::{Value, evaluate};
use crate::labels::METRIC_NAME;
use crate::rule::Rule;
use crate::series::{MemorySeries, Series, stale_nan};
use crate::{Labels, Steps, Timestamp};

const S: i64 = 1_000_000_000;

/// Series each second from 0 on, from `name{labels} values`, where `_` is no sample and `s` a staleness marker.
fn recording(lines: &[&str]) -> MemorySeries {
    let series = lines
        .iter()
        .map(|line| {
            let (head, values) = line.split_once(' ').unwrap();
            let (name, labels) = head.split_once('{').unwrap_or((head, "}"));
            let labels = Labels::parse(&format!("{{{labels}"))
                .unwrap()
                .with(METRIC_NAME, name);
            let samples: Vec<(i64, f64)> = values
                .split_whitespace()
                .enumerate()
                .filter(|(_, v)| *v != "_")
                .map(|(i, v)| {
                    let value = if v == "s" {
                        stale_nan()
                    } else {
                        v.parse().unwrap()
                    };
                    (i as i64 * S, value)
                })
                .collect();
            Series {
                labels,
                at_ns: samples.iter().map(|s| s.0).collect(),
                values: samples.iter().map(|s| s.1).collect(),
            }
        })
        .collect();
    MemorySeries { series }
}

fn seconds(from: i64, to: i64) -> TimeRange {
    TimeRange {
        start: Timestamp(from * S),
        end: Timestamp(to * S),
    }
}

/// What happened: `rule{labels} pending..fired..ended` in seconds, an alert a line.
fn shown(outcome: &Outcome) -> Vec<String> {
    outcome
        .alerts
        .iter()
        .map(|a| {
            let labels = a.labels.filter(|n| n != "alertname");
            let second = |at: Timestamp| format!("{}", at.0 as f64 / S as f64);
            let end = match a.ended {
                Ended::Open => "open".to_owned(),
                Ended::Resolved(at) => second(at),
                Ended::Cleared(at) => format!("cleared {}", second(at)),
            };
            let (name, pending, fired) = (
                a.labels.get("alertname"),
                second(a.pending_at),
                second(a.fired_at),
            );
            format!("{name}{{{}}} {pending}..{fired}..{end}", labels.canonical())
        })
        .collect()
}

fn run(rules: &str, data: &[&str], range: TimeRange) -> Outcome {
    let file = RuleFile::from_toml("t.toml", rules).unwrap_or_else(|e| panic!("{e}"));
    Backtest::new(&file)
        .range(range)
        .run(&recording(data))
        .unwrap()
}

#[track_caller]
fn check(rules: &str, data: &[&str], range: TimeRange, expected: &[&str]) {
    assert_eq!(shown(&run(rules, data, range)), expected, "{rules}");
}

/// A group with these settings and rules; a rule is `Alert: expr; key = value; …` or `record: …`.
fn group(settings: &str, rules: &[&str]) -> String {
    let mut text = format!("[[group]]\nname = \"g{}\"\n{settings}\n", rules.len());
    for rule in rules {
        let (name, rest) = rule.split_once(": ").unwrap();
        let mut parts = rest.split("; ");
        let expr = parts.next().unwrap();
        let key = if name.starts_with(char::is_uppercase) {
            "alert"
        } else {
            "record"
        };
        text += &format!("[[group.rule]]\n{key} = \"{name}\"\nexpr = '''{expr}'''\n");
        for part in parts {
            text += part;
            text.push('\n');
        }
    }
    text
}

#[test]
fn p1_evaluations_are_at_multiples_of_the_interval_plus_phase() {
    let data = ["x 0 0 0 1 1 1 1 1 1 1 1 1"];
    let at = |settings: &str| {
        let outcome = run(&group(settings, &["A: x > 0"]), &data, seconds(0, 12));
        (
            outcome.alerts[0].fired_at.0 / S,
            outcome.rules[0].evaluations,
        )
    };
    assert_eq!(at("interval = '1s'"), (3, 12));
    assert_eq!(at("interval = '5s'"), (5, 3));
    assert_eq!(at("interval = '5s'\nphase = '4s'"), (4, 2));
    let file = RuleFile::from_toml("t.toml", &group("", &["A: x > 0"])).unwrap();
    let outcome = Backtest::new(&file)
        .range(seconds(0, 12))
        .interval(Nanos(4 * S))
        .phase(Nanos(2 * S))
        .run(&recording(&data))
        .unwrap();
    assert_eq!(outcome.alerts[0].fired_at, Timestamp(6 * S));
    assert_eq!(outcome.rules[0].phase, Nanos(2 * S));
}

#[test]
fn p2_later_rules_see_what_earlier_ones_gave_at_the_same_time() {
    let data = ["x 0 1 2 3 4 5 6 7"];
    check(
        &group("", &["double: x * 2", "A: double > 9"]),
        &data,
        seconds(0, 8),
        &["A{} 5..5..open"],
    );
    // Of a later rule only what it gave before.
    check(
        &group("", &["A: double > 9", "double: x * 2"]),
        &data,
        seconds(0, 8),
        &["A{} 6..6..open"],
    );
    // Other groups come before those that read them, wherever they stand.
    let text = group("", &["A: double > 9"]) + &group("", &["double: x * 2", "other: x"]);
    check(&text, &data, seconds(0, 8), &["A{} 5..5..open"]);
    // Windows over what a rule gave.
    check(
        &group("", &["double: x * 2", "A: sum_over_time(double[3s]) >= 30"]),
        &data,
        seconds(0, 8),
        &["A{} 6..6..open"],
    );
}

#[test]
fn p3_expressions_see_the_time_before_by_the_query_offset() {
    check(
        &group("query_offset = '2s'", &["A: x > 0"]),
        &["x 0 0 0 1 1 0 0 0 0 0"],
        seconds(0, 10),
        &["A{} 5..5..7"],
    );
    // ALERTS is stamped with the shifted time: the rule sees its own alert of the evaluation before.
    check(
        &group(
            "query_offset = '2s'",
            &["A: x > 0", "B: ALERTS{alertname='A'} offset 1s"],
        ),
        &["x 0 0 0 1 1 0 0 0 0 0"],
        seconds(0, 10),
        &["A{} 5..5..7", "B{alertstate=\"firing\"} 6..6..8"],
    );
}

#[test]
fn p4_an_alert_for_each_element_with_the_rules_labels() {
    check(
        &group(
            "",
            &["A: x > 0; labels = { instance = 'i-{{ $labels.instance }}', level = 'P1' }"],
        ),
        &["x{instance=\"a\"} 1 1 1", "x{instance=\"b\"} 0 1 0"],
        seconds(0, 3),
        &[
            "A{instance=\"i-a\",level=\"P1\"} 0..0..open",
            "A{instance=\"i-b\",level=\"P1\"} 1..1..2",
        ],
    );
    // Equal labels: the evaluation fails, and nothing changes.
    let outcome = run(
        &group("", &["A: x > 0; labels = { instance = '' }"]),
        &["x{instance=\"a\"} 1 1 1 1", "x{instance=\"b\"} 0 1 0 0"],
        seconds(0, 4),
    );
    assert_eq!(shown(&outcome), ["A{} 0..0..open"]);
    assert_eq!(outcome.rules[0].errors, 1);
    assert!(
        outcome
            .coverage
            .iter()
            .any(|h| matches!(&h.reason, HoleReason::Failed(m) if m.contains("same labels")))
    );
}

#[test]
fn p5_p6_p7_for_and_keep_firing_for() {
    let data = ["x 0 1 1 1 0 1 1 0 0 0 0 0"];
    let rule = |lines: &str| group("", &[&format!("A: x > 0{lines}")]);
    let all = seconds(0, 12);
    check(&rule(""), &data, all, &["A{} 1..1..4", "A{} 5..5..7"]);
    check(&rule("; for = '2s'"), &data, all, &["A{} 1..3..4"]);
    check(
        &rule("; for = '2s'; keep_firing_for = '3s'"),
        &data,
        all,
        &["A{} 1..3..10"],
    );
    let outcome = run(&rule("; for = '2s'"), &data, all);
    assert_eq!(
        (outcome.rules[0].alerts, outcome.rules[0].only_pending),
        (1, 1)
    );
}

#[test]
fn p8_a_failed_evaluation_changes_nothing_and_a_limit_clears() {
    // Matching is many-to-many at second 2 only.
    let outcome = run(
        &group("", &["A: x > 0 and on () (y * on (a) z); for = '3s'"]),
        &[
            "x 1 1 1 1 1 1",
            "y{a=\"1\"} 1 1 1 1 1 1",
            "z{a=\"1\"} 1 1 1 1 1 1",
            "y{a=\"1\",b=\"2\"} _ _ 1 s _ _",
            "z{a=\"1\",b=\"2\"} _ _ 1 s _ _",
        ],
        seconds(0, 6),
    );
    assert_eq!(shown(&outcome), ["A{} 0..3..open"]);
    assert_eq!((outcome.rules[0].errors, outcome.rules[0].unknown), (1, 0));
    check(
        &group("limit = 1", &["A: x > 0"]),
        &["x{i=\"a\"} 1 1 1 1 1", "x{i=\"b\"} 0 0 1 0 0"],
        seconds(0, 5),
        &["A{i=\"a\"} 0..0..cleared 2", "A{i=\"a\"} 3..3..open"],
    );
}

#[test]
fn p8_a_failed_recording_gives_nothing_and_ends_nothing() {
    let outcome = run(
        &group("limit = 1", &["r: x > 0", "A: r > 0"]),
        &["x{i=\"a\"} 1 1 1 0", "x{i=\"b\"} 0 1 0 0"],
        seconds(0, 4),
    );
    // At second 1 there are too many: r{i="a"} stays what it was.
    assert_eq!(shown(&outcome), ["A{i=\"a\"} 0..0..3"]);
    assert_eq!(outcome.rules[0].errors, 1);
    let outcome = run(
        &group(
            "",
            &["r: label_replace(x > 0, 'i', '', '', '')", "A: r > 0"],
        ),
        &["x{i=\"a\"} 1 0 0 2", "x{i=\"b\"} 0 1 0 2"],
        seconds(0, 4),
    );
    // Two series become one, each at its own time; at second 3 both at once.
    assert_eq!(shown(&outcome), ["A{} 0..0..2"]);
    assert_eq!(outcome.rules[0].errors, 1);
}

#[test]
fn p12_alerts_are_series_for_later_rules() {
    let data = ["x{i=\"a\"} 0 1 1 1 0 0"];
    check(
        &group(
            "",
            &[
                "A: x > 0; for = '1s'",
                "B: ALERTS{alertname='A',alertstate='firing'}",
                "P: ALERTS{alertname='A',alertstate='pending'}",
                "C: time() - ALERTS_FOR_STATE{alertname='A'} >= 2",
            ],
        ),
        &data,
        seconds(0, 6),
        &[
            // A changed state ends the series of the old one at once.
            "P{alertstate=\"pending\",i=\"a\"} 1..1..2",
            "A{i=\"a\"} 1..2..4",
            "B{alertstate=\"firing\",i=\"a\"} 2..2..4",
            "C{i=\"a\"} 3..3..4",
        ],
    );
    // A rule that asks for its own alert sees the evaluation before: once fired, it does not fire again at once.
    check(
        &group(
            "",
            &["A: x > 0 unless on (i) ALERTS{alertname='A'} offset 1s"],
        ),
        &["x{i=\"a\"} 0 1 1 1 1 1"],
        seconds(0, 6),
        &[
            "A{i=\"a\"} 1..1..2",
            "A{i=\"a\"} 3..3..4",
            "A{i=\"a\"} 5..5..open",
        ],
    );
}

#[test]
fn p14_windows_are_open_on_the_left() {
    let lookback = "[settings]\nstale_after = 'lookback'\nlookback = '3s'\n";
    let alive = |data: &str, rule: &str| {
        let text = lookback.to_owned() + &group("", &[rule]);
        shown(&run(&text, &[data], seconds(0, 10)))
    };
    // The sample at 2 s is seen at T − 3 s < 2 s, so up to but not at 5 s.
    assert_eq!(alive("x 1 1 1", "A: x > 0"), ["A{} 0..0..5"]);
    assert_eq!(
        alive("x 1 1 1", "A: count_over_time(x[2s]) > 0"),
        ["A{} 0..0..4"]
    );
    assert_eq!(alive("x 1 1 1", "A: x offset 2s > 0"), ["A{} 2..2..7"]);
    // A marker ends it at once.
    assert_eq!(alive("x 1 1 s", "A: x > 0"), ["A{} 0..0..2"]);
}

#[test]
fn p15_without_markers_the_policy_says_when_a_series_ends() {
    let data = ["x 1 1 1 1 1 1"];
    let resolved = |policy: &str| {
        let text = format!("[settings]\nstale_after = '{policy}'\n") + &group("", &["A: x > 0"]);
        shown(&run(&text, &data, seconds(0, 400)))
    };
    assert_eq!(resolved("lookback"), ["A{} 0..0..305"]);
    assert_eq!(resolved("auto"), ["A{} 0..0..8"]); // Three intervals after the last sample.
    assert_eq!(resolved("10s"), ["A{} 0..0..15"]);
}

#[test]
fn p16_comparisons_filter() {
    let all = seconds(0, 4);
    check(
        &group("", &["A: x == 0"]),
        &["x 0 1 NaN 0"],
        all,
        &["A{} 0..0..1", "A{} 3..3..open"],
    );
    check(
        &group("", &["A: x > bool 5"]),
        &["x 0 1 2 9"],
        all,
        &["A{} 0..0..open"],
    );
    check(
        &group("", &["A: x"]),
        &["x NaN NaN 0 0"],
        all,
        &["A{} 0..0..open"],
    );
    // A scalar is an element without labels.
    check(&group("", &["A: 1"]), &["x 0"], all, &["A{} 0..0..open"]);
}

#[test]
fn p17_absent_has_labels_from_equality_matchers() {
    check(
        &group("", &["A: absent(x{job='api', i=~'a|b'})"]),
        &["x{job=\"api\",i=\"a\"} 1 1 s _ _ 1 1"],
        seconds(0, 7),
        &["A{job=\"api\"} 2..2..5"],
    );
}

#[test]
fn p18_start_and_end_are_the_evaluation_itself() {
    check(
        &group("", &["A: x - (x @ start()) > 0 or (x @ end()) > 3"]),
        &["x 0 1 2 3 4 5"],
        seconds(0, 6),
        &["A{} 4..4..open"],
    );
    // Subqueries look at multiples of their step, however the group is phased.
    check(
        &group(
            "interval = '2s'\nphase = '1s'",
            &["A: count_over_time(x[4s:2s]) == 2 and max_over_time(x[4s:2s]) == 4"],
        ),
        &["x 0 1 2 3 4 5 6 7 8"],
        seconds(0, 9),
        &["A{} 5..5..7"],
    );
}

#[test]
fn values_peaks_and_texts_are_those_of_the_alert() {
    let outcome = run(
        &group(
            "",
            &[
                "A: x > 2; for = '1s'; annotations = { s = 'is {{ $value }}' }",
                "B: x < 2",
            ],
        ),
        &["x 3 4 9 5 1 0"],
        seconds(0, 6),
    );
    let a = &outcome.alerts[0];
    assert_eq!((a.value, a.peak), (4.0, 9.0));
    assert_eq!(a.annotations, [("s".into(), "is 4".to_owned())]);
    // A rule that compares with `<` peaks at the least.
    assert_eq!(
        (outcome.alerts[1].value, outcome.alerts[1].peak),
        (1.0, 0.0)
    );
}

#[test]
fn what_was_not_recorded_is_unknown_and_not_silence() {
    let data = [
        "x{service=\"a\",instance=\"a-0\"} 1 1 1 1 1 1 1 1 1 1",
        "x{service=\"b\",instance=\"b-0\"} 1 1 1 1 _ _ _ _ _ 1",
        "y{service=\"a\",instance=\"a-0\"} 1 1 1 1 1 1 1 1 1 1",
    ];
    let text = group(
        "",
        &[
            "Both: x > 5 and y > 5",
            "None: nothing > 5",
            "Absent: absent(nothing)",
            "Or: nothing > 1 or x > 5",
        ],
    );
    let outcome = run(&text, &data, seconds(0, 10));
    let unknown: Vec<u64> = outcome.rules.iter().map(|r| r.unknown).collect();
    assert_eq!(unknown, [0, 10, 0, 0]);
    assert!(outcome.evaluated_anything());
    let found: Vec<String> = outcome
        .coverage
        .iter()
        .map(|h| {
            format!(
                "{:?} {} {:?}",
                h.rule,
                h.service.as_deref().unwrap_or("*"),
                h.reason
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "Some(0) b NotRecorded([\"y\"])",
            "Some(1) * NotRecorded([\"nothing\"])",
            "None b Gap",
        ]
    );
    // Before the recording begins nothing is known either.
    let outcome = run(&group("", &["A: x > 5"]), &data, seconds(-10, 10));
    assert_eq!(
        (outcome.rules[0].evaluations, outcome.rules[0].unknown),
        (20, 10)
    );
    let outcome = run(&group("", &["A: nothing > 5"]), &data, seconds(0, 10));
    assert!(!outcome.evaluated_anything());
    // A rule knows what the rule that it reads knows.
    let outcome = run(
        &group("", &["r: nothing > 5", "A: r > 1"]),
        &data,
        seconds(0, 10),
    );
    assert_eq!(outcome.rules[1].unknown, 10);
}

#[test]
fn the_same_input_gives_the_same_outcome() {
    let text = group("", &["A: x > 1; labels = { s = 'P1' }", "B: x < 1"]);
    let data = ["x{i=\"a\"} 0 2 0 2", "x{i=\"b\"} 2 0 2 0"];
    let one = run(&text, &data, seconds(0, 4));
    let two = run(&text, &data, seconds(0, 4));
    assert_eq!(one.alerts, two.alerts);
    let ids: std::collections::BTreeSet<Arc<str>> =
        one.alerts.iter().map(|a| a.id.clone()).collect();
    assert_eq!(ids.len(), one.alerts.len());
}
