//! Random rule files over random recordings: nothing depends on how they are evaluated.

use super::*;

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
        backtest.chunking = Chunking { samples: Some(1_000_000), first: Nanos(1_000 * S), shares: false };
        let alone = on_threads(1, || backtest.run(&data).unwrap());
        for threads in [1, 2, 4] {
            backtest.chunking = Chunking { samples: Some(samples), first: Nanos(first * S), shares: true };
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
        backtest.chunking = Chunking { samples: Some(1_000_000), first: Nanos(1_000 * S), shares: false };
        let whole = backtest.run(&data).unwrap();
        backtest.chunking = Chunking { samples: Some(samples), first: Nanos(first * S), shares: true };
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
