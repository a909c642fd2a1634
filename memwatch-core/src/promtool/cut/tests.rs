use super::*;
use crate::incident::{Incident, Verdict};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_795_410_189_570_570_934;

/// Two processes for four minutes, a reading each 200 ms or so; the heap of the first doubles for a while.
fn recording() -> MemorySeries {
    let series = |instance: &str, high: bool| {
        let at: Vec<i64> = (0..1200)
            .map(|i| START + i * SECOND / 5 + (i * 7919 % 11) * 1_000_000)
            .collect();
        Series {
            labels: [
                ("__name__", "heap"),
                ("service", "api"),
                ("instance", instance),
            ]
            .into_iter()
            .collect(),
            values: (0..1200)
                .map(|i| {
                    if high && (800..900).contains(&i) {
                        2e6
                    } else {
                        1e6 + f64::from(i)
                    }
                })
                .collect(),
            at_ns: at.into(),
        }
    };
    MemorySeries {
        series: vec![series("api-0", true), series("api-1", false)],
    }
}

fn run(rules: &str) -> (RuleFile, Outcome, MemorySeries) {
    let file = RuleFile::from_toml("t.toml", rules).unwrap();
    let recording = recording();
    let incident = Incident {
        service: "api".into(),
        instance: "api-0".into(),
        kind: "heap_step".into(),
        range: TimeRange {
            start: Timestamp(START + 158 * SECOND),
            end: Timestamp(START + 185 * SECOND),
        },
        detail: "".into(),
        impact: None,
        verdict: Verdict::Wrong,
    };
    let outcome = Backtest::new(&file)
        .range(TimeRange {
            start: Timestamp(START),
            end: Timestamp(START + 240 * SECOND),
        })
        .stale_after(StaleAfter::Auto)
        .incidents(vec![incident])
        .run(&recording)
        .unwrap();
    (file, outcome, recording)
}

#[test]
fn a_case_is_small_and_shows_the_alert() {
    let (file, outcome, recording) = run("[[group]]\nname = \"g\"\ninterval = \"1s\"\n\
         [[group.rule]]\nrecord = \"svc:heap\"\nexpr = \"max by (service, instance) (heap)\"\n\
         [[group.rule]]\nalert = \"High\"\nexpr = \"svc:heap > $limit and avg_over_time(heap[10s]) > $limit\"\n\
         params = { limit = 1.5e6 }\nfor = \"2s\"\nlabels = { severity = \"P1\" }\n\
         annotations = { summary = \"{{ $labels.instance }} is high\" }\ndetects = [\"heap_step\"]\n\
         [[group.rule]]\nalert = \"Other\"\nexpr = \"heap < 0\"\n");
    assert_eq!(outcome.alerts.len(), 1);
    let subject = Subject::incident(&file, &outcome, 0).unwrap();
    assert_eq!(
        subject,
        Subject {
            title: subject.title.clone(),
            ..Subject::alert(&outcome, 0)
        }
    );
    let case = cut(&file, &outcome, &subject, &recording).unwrap();
    assert_eq!(case.series(), 1, "the other process is not needed");
    assert_eq!(case.checks(), 3);
    assert!(case.moved_most < Nanos(SECOND / 10), "{}", case.moved_most);
    assert!(
        case.rules
            .contains("expr: \"svc:heap > 1500000 and avg_over_time(heap[10s]) > 1500000\""),
        "{}",
        case.rules
    );
    assert!(
        case.rules.contains("record: \"svc:heap\"") && !case.rules.contains("Other"),
        "{}",
        case.rules
    );
    let test = case.test("high.rules.yml");
    for expected in [
        "rule_files:\n  - \"high.rules.yml\"\n",
        "evaluation_interval: 1s\n",
        "exp_alerts: []\n",
        "exp_labels: {\"instance\": \"api-0\", \"service\": \"api\", \"severity\": \"P1\"}\n",
        "exp_annotations: {\"summary\": \"api-0 is high\"}\n",
    ] {
        assert!(test.contains(expected), "{expected}\n{test}");
    }
    // Ten seconds of window, some evaluations, and not the minutes before.
    assert!(case.samples < 400, "{}", case.samples);
    assert_eq!(
        test,
        cut(&file, &outcome, &subject, &recording)
            .unwrap()
            .test("high.rules.yml")
    );
}

#[test]
fn a_missed_incident_is_a_case_without_alerts() {
    let (file, outcome, recording) = run(
        "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"High\"\nexpr = \"heap > 9e9\"\ndetects = [\"heap_step\"]\n",
    );
    let subject = Subject::incident(&file, &outcome, 0).unwrap();
    let case = cut(&file, &outcome, &subject, &recording).unwrap();
    let test = case.test("r.yml");
    assert_eq!(test.matches("exp_alerts: []").count(), 5, "{test}");
    assert!(test.contains("as long as the incident is missed"), "{test}");
}

#[test]
fn what_only_memwatch_computes_becomes_a_series() {
    let (file, outcome, recording) = run(
        "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"Grows\"\nexpr = \"growth(heap[10s]) > 1.5\"\ndetects = [\"heap_step\"]\n",
    );
    let Some(alert) = outcome.alerts.first() else {
        panic!("growth of the heap");
    };
    assert_eq!(&*outcome.rules[alert.rule].name, "Grows");
    let case = cut(&file, &outcome, &Subject::alert(&outcome, 0), &recording).unwrap();
    assert!(
        case.rules.contains("expr: \"memwatch_part_1 > 1.5\""),
        "{}",
        case.rules
    );
    assert!(
        case.test("r")
            .contains("memwatch_part_1 holds the values of growth(heap[10s])")
    );
}
