//! The replay as a whole: the statements of Prometheus' rule evaluation, and that stretches of time change nothing.

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

/// Rules one evaluation at a time, in the order of time: what Prometheus does.
fn naive(file: &RuleFile, range: TimeRange, data: &MemorySeries) -> Vec<(String, Timestamp, bool)> {
    let options = EvalOptions {
        lookback: file.settings.lookback,
        stale_after: file.settings.stale_after,
        subquery_step: file.settings.interval,
        ..EvalOptions::default()
    };
    let mut all = data.clone();
    let mut events = Vec::new();
    let mut states: BTreeMap<usize, RuleState> = BTreeMap::new();
    let mut before: BTreeMap<usize, Vec<Labels>> = BTreeMap::new();
    let group = &file.groups[0];
    let steps = Steps::aligned(
        range,
        group.interval.unwrap_or(file.settings.interval),
        Nanos(0),
    )
    .unwrap();
    for at in steps.iter() {
        for (i, rule) in group.rules.iter().enumerate() {
            let result = evaluate(rule.expr(), Steps::instant(at), &all, &options).unwrap();
            let Value::Vector(matrix) = result.value else {
                unreachable!()
            };
            match rule {
                Rule::Recording(rule) => {
                    let now: Vec<Labels> = matrix
                        .series
                        .iter()
                        .map(|s| s.labels.with(METRIC_NAME, &rule.record))
                        .collect();
                    let last = before.insert(i, now.clone()).unwrap_or_default();
                    let ended = last
                        .iter()
                        .filter(|l| !now.contains(l))
                        .map(|l| (l.clone(), stale_nan()));
                    let given = matrix
                        .series
                        .iter()
                        .zip(&now)
                        .map(|(s, l)| (l.clone(), s.values[0]));
                    for (labels, value) in ended.chain(given).collect::<Vec<_>>() {
                        let index = all
                            .series
                            .iter()
                            .position(|s| s.labels == labels)
                            .unwrap_or_else(|| {
                                all.series.push(Series {
                                    labels,
                                    at_ns: [].into(),
                                    values: [].into(),
                                });
                                all.series.len() - 1
                            });
                        let series = &mut all.series[index];
                        series.at_ns = series.at_ns.iter().copied().chain([at.0]).collect();
                        series.values = series.values.iter().copied().chain([value]).collect();
                    }
                }
                Rule::Alerting(rule) => {
                    let state = states.entry(i).or_insert_with(|| {
                        RuleState::new(rule.name.clone(), rule.labels.clone(), rule.hold, None)
                    });
                    let found: Vec<(usize, f64, &Labels)> = matrix
                        .series
                        .iter()
                        .map(|s| (state.intern(&s.labels, s.values[0]), s.values[0], &s.labels))
                        .collect();
                    let mut happened = Vec::new();
                    state
                        .step(at, found.iter().copied(), &mut happened)
                        .unwrap();
                    for event in happened {
                        let firing = match event.transition {
                            crate::alert::Transition::Firing => true,
                            crate::alert::Transition::Resolved => false,
                            _ => continue,
                        };
                        events.push((state.alert(event.alert).labels.canonical(), at, firing));
                    }
                }
            }
        }
    }
    events.sort();
    events
}

fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(f)
}

/// What random rules are made of: `$a`, `$b` are parts made before, `$n` is a number.
const GRAMMAR: &[&str] = &[
    "rate(x[10s])",
    "x",
    "r",
    "max_over_time(x[$ns])",
    "avg_over_time(y[12s] offset 3s)",
    "quantile_over_time(0.5, x[$ns])",
    "$a + on (i) $b",
    "$a > $n",
    "$a > $t",
    "$a / $n",
    "$a and on (i) $b",
    "$a or $b",
    "$a unless on (i) $b",
    "sum by (i) ($a)",
    "max($a)",
    "topk(1, $a)",
    "max_over_time(($a)[9s:3s])",
    "$a - on (i) (x @ 30)",
    "absent($a)",
    "label_replace($a, 'z', '$1', 'i', '(.)')",
];

/// A rule file from choices: later rules are made of parts of earlier ones, so that much occurs twice.
fn random_rules(choices: &[(usize, usize, usize, u8)]) -> String {
    let mut parts = vec!["x".to_owned(), "y".to_owned()];
    let mut rules = vec!["r: rate(y[8s])".to_owned()];
    for (i, (form, a, b, n)) in choices.iter().enumerate() {
        let part = GRAMMAR[form % GRAMMAR.len()]
            .replace("$a", &parts[a % parts.len()])
            .replace("$b", &parts[b % parts.len()])
            .replace("$ns", &format!("{}s", n % 9 + 1))
            .replace("$n", &(n % 5).to_string());
        if part.len() < 300 {
            parts.push(format!("({part})"));
        }
        let hold = ["for = '4s'", "keep_firing_for = '3s'", "for = '0s'"][i % 3];
        rules.push(match form % 7 {
            // A rule that records has no parameters.
            0 => format!("r{i}: {}", part.replace("$t", "2")),
            _ => format!("A{i}: {part}; {hold}; params = {{ t = {n} }}"),
        });
    }
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    "[settings]\nlookback = '20s'\n".to_owned() + &group("interval = '2s'", &rules)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever rules share, however time is cut, on however many threads: the same outcome, to the last bit.
    #[test]
    fn sharing_and_threads_change_nothing(
        columns in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, 0u8..6), 40..90), 4),
        choices in prop::collection::vec((0usize..100, 0usize..100, 0usize..100, 0u8..250), 2..14),
        first in 1i64..40,
        samples in 1usize..4_000,
    ) {
        let file = RuleFile::from_toml("t.toml", &random_rules(&choices)).unwrap();
        let series = columns.iter().enumerate().map(|(i, column)| {
            let present: Vec<(i64, f64)> = column.iter().enumerate()
                .filter_map(|(t, v)| v.map(|v| (t as i64 * S, f64::from(v)))).collect();
            Series {
                labels: [("__name__", ["x", "y"][i / 2].to_owned()), ("i", (i % 2).to_string())].into_iter().collect(),
                at_ns: present.iter().map(|s| s.0).collect(),
                values: present.iter().map(|s| s.1).collect(),
            }
        });
        let data = MemorySeries { series: series.collect() };
        let mut backtest = Backtest::new(&file).range(seconds(3, 95));
        backtest.chunking = Chunking { samples: 1_000_000, first: Nanos(1_000 * S), shares: false };
        let alone = on_threads(1, || backtest.run(&data).unwrap());
        for threads in [1, 2, 4] {
            backtest.chunking = Chunking { samples, first: Nanos(first * S), shares: true };
            let shared = on_threads(threads, || backtest.run(&data).unwrap());
            // Debug prints every digit, and NaN as equal to itself.
            prop_assert_eq!(format!("{:?}", alone.alerts), format!("{:?}", shared.alerts));
            prop_assert_eq!(&alone.rules, &shared.rules);
            prop_assert_eq!(&alone.coverage, &shared.coverage);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However time is cut into stretches, the outcome is the same, and what single evaluations in the order of time give.
    #[test]
    fn stretches_change_nothing(
        columns in prop::collection::vec(prop::collection::vec(prop::option::weighted(0.85, 0u8..6), 60..160), 2..4),
        first in 1i64..40,
        samples in 1usize..400,
        stale in 0usize..3,
    ) {
        let rules = format!("[settings]\nstale_after = '{}'\nlookback = '20s'\n", ["auto", "lookback", "4s"][stale])
            + &group("interval = '2s'", &[
                "r: rate(x[10s])",
                "s: sum by (i) (r) + 0 * x",
                "A: r > 0.3; for = '4s'; keep_firing_for = '6s'",
                "B: max_over_time(s[12s]) > 0.5 unless on (i) (x offset 6s > 4)",
                "C: x > 4; labels = { v = '{{ $value }}' }",
                "D: avg_over_time(x[20s:4s]) > 3",
                "E: absent(x{i=\"0\"})",
                // Variants: of these only the comparisons, or nothing, are evaluated for each.
                "F: r > 0.4; for = '2s'",
                "G: max_over_time(s[12s]) > 0.5 unless on (i) (x offset 6s > 4); for = '4s'",
                "H: avg_over_time(x[20s:4s]) + r > 3 or r > 0.3",
            ]);
        let file = RuleFile::from_toml("t.toml", &rules).unwrap();
        let series = columns.iter().enumerate().map(|(i, column)| {
            let present: Vec<(i64, f64)> = column.iter().enumerate()
                .filter_map(|(t, v)| v.map(|v| (t as i64 * S, f64::from(v)))).collect();
            Series {
                labels: [("__name__", "x".to_owned()), ("i", i.to_string())].into_iter().collect(),
                at_ns: present.iter().map(|s| s.0).collect(),
                values: present.iter().map(|s| s.1).collect(),
            }
        });
        let data = MemorySeries { series: series.collect() };
        let range = seconds(3, 170);
        let mut backtest = Backtest::new(&file).range(range);
        backtest.chunking = Chunking { samples: 1_000_000, first: Nanos(1_000 * S), shares: false };
        let whole = backtest.run(&data).unwrap();
        backtest.chunking = Chunking { samples, first: Nanos(first * S), shares: true };
        let cut = backtest.run(&data).unwrap();
        prop_assert_eq!(&whole.alerts, &cut.alerts);
        prop_assert_eq!(&whole.rules, &cut.rules);
        prop_assert_eq!(&whole.coverage, &cut.coverage);

        let mut events: Vec<(String, Timestamp, bool)> = Vec::new();
        for alert in &whole.alerts {
            events.push((alert.labels.canonical(), alert.fired_at, true));
            events.extend(alert.ended.resolved_at().map(|at| (alert.labels.canonical(), at, false)));
        }
        events.sort();
        prop_assert_eq!(events, naive(&file, range, &data));
    }
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
