//! Why alerts of baselines fired: the numbers behind their scores.

use crate::backtest::{AlertStory, Backtest, Outcome};
use crate::rule::RuleFile;
use crate::series::{MemorySeries, Series};
use crate::{TimeRange, Timestamp};

const S: i64 = 1_000_000_000;

/// 1,000 s of familiar values, but 40 from second 900 on.
fn recording() -> MemorySeries {
    let series = |instance: &str, high: f64| Series {
        labels: [
            ("__name__", "x"),
            ("service", "api"),
            ("instance", instance),
        ]
        .into_iter()
        .collect(),
        at_ns: (0..1000).map(|i| i * S).collect(),
        values: (0..1000)
            .map(|i| {
                if i < 900 {
                    f64::from(i % 7) + f64::from(i % 11) / 10.0
                } else {
                    high
                }
            })
            .collect(),
    };
    MemorySeries {
        series: vec![series("1", 40.0), series("2", 3.0)],
    }
}

fn explained(rules: &str) -> (Outcome, AlertStory) {
    let file = RuleFile::from_toml("t.toml", rules).unwrap();
    let range = TimeRange {
        start: Timestamp(0),
        end: Timestamp(1000 * S),
    };
    let backtest = Backtest::new(&file).range(range);
    let outcome = backtest.run(&recording()).unwrap();
    assert_eq!(outcome.alerts.len(), 1, "{:?}", outcome.alerts);
    let story = backtest.explain_alert(&recording(), &outcome, 0).unwrap();
    (outcome, story)
}

fn check(rules: &str, recorded_by: Option<&str>) {
    let (outcome, story) = explained(rules);
    let alert = &outcome.alerts[0];
    assert_eq!(story.parts[0].at_firing, Some(alert.value));
    assert_eq!(story.baselines.len(), 1, "{:?}", story.baselines);
    let baseline = &story.baselines[0];
    assert_eq!(baseline.recorded_by.as_deref(), recorded_by);
    let surprise = &baseline.surprise;
    assert_eq!(surprise.call, "baseline_deviation(x[5s])");
    assert_eq!(
        (surprise.labels.get("instance"), surprise.at),
        ("1", Timestamp(900 * S))
    );
    let cause = surprise.deviation.cause.unwrap();
    assert_eq!((cause.value, cause.nearest), (40.0, 7.0));
    // The formula gives the score, of which 16 is the most.
    let share = cause.above as f64 / cause.seen as f64;
    let excess = (cause.gap - cause.usual_gap) / (cause.mean_excess * std::f64::consts::LN_10);
    assert_eq!(
        surprise.deviation.surprise,
        (excess - share.log10()).min(16.0)
    );
    assert_eq!(surprise.deviation.surprise, alert.value);
}

#[test]
fn the_numbers_behind_a_baseline_are_told() {
    let rule = "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"New\"\n";
    check(
        &format!("{rule}expr = 'baseline_deviation(x[5s]) > 3.2'\n"),
        None,
    );
    // It fires when the sample has left the window, but not what made it pending.
    let held = "expr = 'baseline_deviation(x[5s]) > 3.2'\nfor = \"4s\"\n";
    check(&format!("{rule}{held}"), None);
}

#[test]
fn a_baseline_that_another_rule_records_is_explained_too() {
    let records = "[[group]]\nname = \"r\"\n[[group.rule]]\nrecord = \"novelty\"\nexpr = 'baseline_deviation(x[5s])'\n";
    let alerts =
        "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"New\"\nexpr = 'novelty > 3.2'\n";
    check(&format!("{records}{alerts}"), Some("novelty"));
}

/// What a baseline remembers of a recorded series begins where the backtest does, also when it is explained.
#[test]
fn a_baseline_of_a_recorded_series_is_the_same_when_explained() {
    let records = "[[group]]\nname = \"r\"\n[[group.rule]]\nrecord = \"twice\"\nexpr = '2 * x'\n";
    let alerts = "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"New\"\nexpr = 'baseline_deviation(twice[5s]) > 3.2'\n";
    let (outcome, story) = explained(&format!("{records}{alerts}"));
    assert_eq!(story.parts[0].at_firing, Some(outcome.alerts[0].value));
    let cause = story.baselines[0].surprise.deviation.cause.unwrap();
    assert_eq!(
        (cause.value, cause.nearest, story.baselines.len()),
        (80.0, 14.0, 1)
    );
}
