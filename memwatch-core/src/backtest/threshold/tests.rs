//! The best static threshold: found, told apart from chance, and judged as the rule that it stands for would be.

use proptest::prelude::*;

use super::*;
use crate::TimeRange;
use crate::backtest::{Backtest, Scored};
use crate::incident::{Incident, Verdict};
use crate::rule::RuleFile;
use crate::series::{MemorySeries, Series};

const S: i64 = 1_000_000_000;

fn incident(service: &str, from: i64, to: i64, verdict: Verdict) -> Incident {
    Incident {
        service: service.into(),
        instance: "".into(),
        kind: "overload".into(),
        range: TimeRange {
            start: Timestamp(from * S),
            end: Timestamp(to * S),
        },
        impact: None,
        detail: "".into(),
        verdict,
    }
}

/// A sample a second.
fn series(name: &str, service: &str, values: impl Iterator<Item = Option<f64>>) -> Series {
    let labels = [("__name__", name), ("service", service), ("instance", "0")];
    let samples: Vec<(i64, f64)> = (0..)
        .zip(values)
        .filter_map(|(i, v)| Some((i * S, v?)))
        .collect();
    Series {
        labels: labels.into_iter().collect(),
        at_ns: samples.iter().map(|s| s.0).collect(),
        values: samples.iter().map(|s| s.1).collect(),
    }
}

fn scored(rules: &str, data: &MemorySeries, incidents: &[Incident], seconds: i64) -> Scored {
    let file = RuleFile::from_toml("t.toml", rules).unwrap();
    let range = TimeRange {
        start: Timestamp(0),
        end: Timestamp(seconds * S),
    };
    let outcome = Backtest::new(&file)
        .range(range)
        .incidents(incidents.to_vec())
        .memory_samples(500)
        .run(data)
        .unwrap();
    outcome.score.unwrap()
}

fn threshold(scored: &Scored) -> &Threshold {
    let row = scored.references.last().unwrap();
    assert_eq!(row.name, "static");
    row.threshold.as_ref().unwrap()
}

fn found(scored: &Scored) -> &StaticThreshold {
    match threshold(scored) {
        Threshold::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

fn rule(expr: &str, hold: &str) -> String {
    format!(
        "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"A\"\nexpr = '{expr}'\nfor = \"{hold}\"\n"
    )
}

/// Ten incidents: `load` rises to 80 in them, and to 50 for longer between them; `noise` says nothing.
fn history(turned: bool) -> (MemorySeries, Vec<Incident>) {
    let load = |t: i64| match (t % 100, turned && t >= 820) {
        (20..40, false) | (60..85, true) => 80.0,
        (60..85, false) | (20..40, true) => 50.0,
        _ => 5.0 + (t % 3) as f64,
    };
    let data = MemorySeries {
        series: vec![
            series("load", "api", (0..1000).map(|t| Some(load(t)))),
            series(
                "noise",
                "api",
                (0..1000).map(|t| Some(((t * 7) % 11) as f64)),
            ),
        ],
    };
    let incidents = (0..10).map(|i| incident("api", 100 * i + 20, 100 * i + 40, Verdict::Wrong));
    (data, incidents.collect())
}

#[test]
fn the_limit_that_tells_incidents_apart_is_found() {
    let (data, incidents) = history(false);
    let scored = scored(
        &rule("noise > 100 or load > 1000", "0s"),
        &data,
        &incidents,
        1000,
    );
    let found = found(&scored);
    // Halfway between 50 and 80, where both ends are equally far.
    assert_eq!(found.to_string(), "load > 65");
    // The eighth lies where no window may reach from training into the test.
    assert_eq!((found.training.hit, found.training.false_alerts), (7, 0));
    assert_eq!((found.untouched.hit, found.untouched.incidents), (2, 2));
    assert_eq!(
        (
            found.rules_untouched.hit,
            found.rules_untouched.false_alerts
        ),
        (0, 0)
    );
    assert_eq!((found.metrics, found.interval), (2, Nanos::SECOND));
    let row = scored.references.last().unwrap();
    assert_eq!(
        (row.hit, row.precision, row.f05),
        (Some(10.0), Some(1.0), Some(1.0))
    );
}

#[test]
fn the_search_sees_nothing_of_the_untouched_part() {
    let (data, incidents) = history(true);
    let scored = scored(
        &rule("noise > 100 or load > 1000", "0s"),
        &data,
        &incidents,
        1000,
    );
    let found = found(&scored);
    assert_eq!(found.to_string(), "load > 65");
    assert_eq!((found.untouched.hit, found.untouched.false_alerts), (0, 2));
    assert_eq!((found.whole.hit, found.whole.false_alerts), (8, 2));
}

#[test]
fn a_low_value_can_be_what_is_wrong_and_a_short_one_be_harmless() {
    let value = |t: i64| match t % 100 {
        20..50 => 3.0,
        70..75 => 2.0, // Lower, but short.
        _ => 400.0,
    };
    let data = MemorySeries {
        series: vec![series("free", "api", (0..1000).map(|t| Some(value(t))))],
    };
    let incidents: Vec<Incident> = (0..10)
        .map(|i| incident("api", 100 * i + 20, 100 * i + 50, Verdict::Wrong))
        .collect();
    let scored = scored(&rule("free < 1", "0s"), &data, &incidents, 1000);
    let found = found(&scored);
    assert_eq!(found.to_string(), "free < 200 for 10s");
    assert_eq!((found.whole.hit, found.whole.false_alerts), (10, 0));
}

#[test]
fn few_incidents_and_nothing_to_try_are_told() {
    let (data, incidents) = history(false);
    let of = |expr: &str, incidents: &[Incident]| {
        threshold(&scored(&rule(expr, "0s"), &data, incidents, 1000)).clone()
    };
    assert_eq!(of("load > 1", &incidents[..3]), Threshold::TooFew(3));
    assert_eq!(of("load > 1", &[]), Threshold::TooFew(0));
    assert_eq!(of("vector(1)", &incidents), Threshold::NothingToTry);
    assert_eq!(of("missing > 1", &incidents), Threshold::NothingToTry);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever is found: the rule that it stands for catches as much and is wrong as often.
    #[test]
    fn what_is_found_does_what_its_rule_does(
        values in prop::collection::vec(prop::option::weighted(0.9, -50i32..50), 300..400),
        starts in prop::collection::btree_set(0i64..380, 9..16),
        others in prop::collection::vec((0i64..380, prop::bool::ANY), 0..4),
        lengths in prop::collection::vec(1i64..30, 16),
    ) {
        let halves = [values.iter().step_by(2), values[1..].iter().step_by(2)];
        let stretched = |values: std::iter::StepBy<std::slice::Iter<'_, Option<i32>>>| {
            let values: Vec<Option<f64>> = values.map(|v| v.map(f64::from)).collect();
            values.into_iter().flat_map(|v| [v, v, v])
        };
        let [a, b] = halves;
        let data = MemorySeries {
            series: vec![series("x", "a", stretched(a)), series("x", "b", stretched(b))],
        };
        let mut incidents: Vec<Incident> = starts
            .iter()
            .zip(lengths)
            .map(|(from, length)| {
                let service = if from % 3 == 0 { "a" } else { "b" };
                incident(service, *from, from + length, Verdict::Wrong)
            })
            .collect();
        for (from, benign) in others {
            let verdict = if benign { Verdict::Benign } else { Verdict::Unlabelled };
            incidents.push(incident("a", from, from + 20, verdict));
        }
        let compared = scored(&rule("x > 1000", "0s"), &data, &incidents, 600);
        if let Threshold::Found(found) = threshold(&compared) {
            let expr = format!("{} {} {}", found.signal, found.op, found.limit);
            let same = scored(&rule(&expr, &found.hold.to_string()), &data, &incidents, 600);
            prop_assert_eq!(
                (found.whole.hit, found.whole.false_alerts),
                (same.all.hit, same.all.false_alerts),
                "{}", found
            );
            // And the same in the untouched part, where its own rule is what is compared.
            if let Threshold::Found(again) = threshold(&same) {
                prop_assert_eq!(again.rules_untouched, found.untouched);
            }
        }
    }
}
