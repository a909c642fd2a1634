//! What scores do not depend on.

use super::*;
use crate::incident::{Incident, Verdict};

fn incident(kind: &str, from: i64, to: i64) -> Incident {
    Incident {
        service: "api".into(),
        instance: "".into(),
        kind: kind.into(),
        range: seconds(from, to),
        impact: None,
        detail: "".into(),
        verdict: Verdict::Wrong,
    }
}

/// A metric of the first 600 s and one of 1,200 s.
fn data() -> MemorySeries {
    let values = |n: usize| {
        let value = |i: usize| {
            if (21..24).contains(&(i % 70)) {
                "9"
            } else {
                "1"
            }
        };
        (0..n).map(value).collect::<Vec<_>>().join(" ")
    };
    let short = format!("short{{service=\"api\"}} {}", values(600));
    let long = format!("long{{service=\"api\"}} {}", values(1200));
    recording(&[&short, &long])
}

fn scored(rules: &str) -> Scored {
    let file = RuleFile::from_toml("t.toml", rules).unwrap();
    let outcome = Backtest::new(&file)
        .range(seconds(0, 1200))
        .incidents(
            (0..10)
                .map(|i| incident("a", 100 * i + 10, 100 * i + 40))
                .collect(),
        )
        .run(&data())
        .unwrap();
    outcome.score.unwrap()
}

/// However much longer what another rule reads was recorded: alerts are as right as before, over as much time.
#[test]
fn a_recording_rule_changes_no_score() {
    let alerting = ["High: short > 5"];
    let alone = scored(&group("interval = \"1s\"", &alerting));
    let with = |more: &[&str]| {
        let more = group("interval = \"5s\"", more).replacen("name = \"g", "name = \"more", 1);
        scored(&(group("interval = \"1s\"", &alerting) + &more))
    };
    for more in [
        &["recorded: long * 2", "other: sum(recorded)"][..],
        &["recorded: short"],
        &["recorded: missing"],
    ] {
        let both = with(more);
        assert_eq!(both.all, alone.all, "{more:?}");
        assert_eq!(both.rules[0], alone.rules[0], "{more:?}");
        assert_eq!(both.severities, alone.severities, "{more:?}");
        assert_eq!(both.references, alone.references, "{more:?}");
        assert_eq!(both.series_days, alone.series_days, "{more:?}");
    }
    assert_eq!(alone.references.len(), 3);
    assert!(alone.references[2].hit.is_some());
    // The process was recorded for 1,200 s, although what the rule reads was for 600 s only.
    assert_eq!((alone.series_days * 86_400.0).round(), 1200.0);
    assert!((alone.all.chance - 310.0 / 1200.0).abs() < 1e-9);
}
