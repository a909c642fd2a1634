//! Tuning as a whole, on recordings whose best settings are known.

use std::sync::Arc;

use super::*;
use crate::backtest::Backtest;
use crate::incident::{Incident, Verdict};
use crate::rule::RuleFile;
use crate::series::{MemorySeries, Series};
use crate::{TimeRange, Timestamp};

const S: i64 = 1_000_000_000;

/// A sample a second: 1, but `high` for 20 s from each of these times on.
fn recording(moments: &[(i64, f64)], seconds: i64) -> MemorySeries {
    let value = |t: i64| {
        let at = moments
            .iter()
            .find(|(from, _)| (*from..from + 20).contains(&t));
        at.map_or(1.0, |(_, high)| *high)
    };
    MemorySeries {
        series: vec![Series {
            labels: [("__name__", "load"), ("service", "api")]
                .into_iter()
                .collect(),
            at_ns: (0..seconds).map(|t| t * S).collect(),
            values: (0..seconds).map(value).collect(),
        }],
    }
}

fn incidents(starts: impl IntoIterator<Item = i64>) -> Vec<Incident> {
    let incident = |start: i64| Incident {
        service: "api".into(),
        instance: "".into(),
        kind: "overload".into(),
        range: TimeRange {
            start: Timestamp(start * S),
            end: Timestamp((start + 20) * S),
        },
        impact: None,
        detail: "".into(),
        verdict: Verdict::Wrong,
    };
    starts.into_iter().map(incident).collect()
}

fn rules(limit: f64) -> RuleFile {
    let text = format!(
        "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"High\"\nexpr = \"load > $limit\"\n\
         params = {{ limit = {limit} }}\ntune = {{ limit = [2, 4, 6, 8, 12], for = [\"0s\", \"5s\"] }}\n"
    );
    RuleFile::from_toml("r.toml", &text).unwrap()
}

fn tune(limit: f64, moments: &[(i64, f64)], incidents: Vec<Incident>, seconds: i64) -> Tuning {
    let file = rules(limit);
    let range = TimeRange {
        start: Timestamp(0),
        end: Timestamp(seconds * S),
    };
    let backtest = Backtest::new(&file).range(range).incidents(incidents);
    Tune::new(backtest)
        .run(&recording(moments, seconds))
        .unwrap()
}

/// Ten incidents of height 10 and between them ten harmless rises of height 5.
fn history() -> (Vec<(i64, f64)>, Vec<Incident>) {
    let starts: Vec<i64> = (0..10).map(|i| 200 * i + 50).collect();
    let mut moments: Vec<(i64, f64)> = starts.iter().map(|s| (*s, 10.0)).collect();
    moments.extend(starts.iter().map(|s| (s + 100, 5.0)));
    (moments, incidents(starts))
}

#[test]
fn a_limit_that_tells_both_apart_is_found_and_holds() {
    let (moments, incidents) = history();
    let Tuning::Done(tuned) = tune(2.0, &moments, incidents, 2000) else {
        panic!("refused");
    };
    let rule = &tuned.rules[0];
    let changes: Vec<_> = rule
        .changes()
        .map(|(knob, _, new)| (knob.clone(), new))
        .collect();
    // 6 and 8 are equally good: the stricter one.
    assert_eq!(changes, [(Knob::Param(Arc::from("limit")), 8.0)]);
    assert_eq!(tuned.trials, 5 * 2);
    assert_eq!(
        (tuned.training_incidents, tuned.untouched_incidents),
        (8, 2)
    );
    let (old, new) = tuned.untouched;
    assert_eq!((old.hit, old.false_alerts), (2, 2));
    assert_eq!((new.hit, new.false_alerts), (2, 0));
    assert!(tuned.is_better() && tuned.changes_anything());
    assert_eq!(tuned.walk_forward.out_of_fold, 1.0);
    let map = rule.heat_map.as_ref().unwrap();
    assert_eq!(
        (&map.columns[..], &map.rows[..]),
        (&[2.0, 4.0, 6.0, 8.0, 12.0][..], &[0.0, 5.0][..])
    );
    assert_eq!(tuned.front.len(), 1);
}

#[test]
fn a_setting_that_is_as_good_as_the_best_stays() {
    let (moments, incidents) = history();
    let Tuning::Done(tuned) = tune(6.0, &moments, incidents, 2000) else {
        panic!("refused");
    };
    assert!(!tuned.changes_anything() && !tuned.is_better());
}

#[test]
fn the_search_sees_nothing_of_the_untouched_stretch() {
    // After the cut everything is turned around: the choice is the same, and the test says that it is worse.
    let (mut moments, known) = history();
    for (start, high) in &mut moments {
        if *start >= 1640 {
            *high = if *high == 10.0 { 5.0 } else { 11.0 };
        }
    }
    let Tuning::Done(turned) = tune(2.0, &moments, known, 2000) else {
        panic!("refused");
    };
    let changes: Vec<f64> = turned.rules[0].changes().map(|c| c.2).collect();
    assert_eq!(changes, [8.0]);
    assert_eq!(turned.untouched.1.hit, 0);
    assert!(!turned.is_better());
}

#[test]
fn few_incidents_are_refused() {
    let (moments, known) = history();
    for few in [0, 1, 5] {
        let found = tune(2.0, &moments, known[..few].to_vec(), 2000);
        assert!(matches!(found, Tuning::Refused { incidents } if incidents == few));
    }
}

#[test]
fn what_cannot_be_tuned_is_an_error() {
    let file = rules(2.0);
    let (moments, incidents) = history();
    let reader = recording(&moments, 100);
    let range = TimeRange {
        start: Timestamp(0),
        end: Timestamp(100 * S),
    };
    let backtest = Backtest::new(&file).range(range).incidents(incidents);
    let tune = Tune::new(backtest);
    let message = |tune: Tune<'_>| tune.run(&reader).unwrap_err().to_string();
    assert!(message(tune.clone().only([Arc::from("Hihg")])).contains("did you mean High?"));
    let many = tune
        .clone()
        .range(None, Knob::KeepFiringFor, (0..999).map(f64::from).collect());
    assert!(message(many).contains("at most 2000 combinations"));
    let unknown = tune.range(Some("High".into()), Knob::parse("limti"), vec![1.0]);
    assert!(message(unknown).contains("High.limti"));
}
