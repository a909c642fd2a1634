//! What holds for expressions as a whole: the scripts, the printed form, bad input, chunks, threads, and each window on its own.

#![allow(clippy::disallowed_methods, clippy::print_stderr)] // Tests read scripts from testdata, and say when they skip.
#![allow(clippy::cast_possible_truncation)] // Of random numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::series::{MemorySeries, Series, stale_nan};
use crate::stats::{counter, moments, quantile, sum};
use crate::{Labels, Nanos, Steps, Timestamp};

const SECOND: i64 = 1_000_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/promql")
}

fn scripts(folder: &Path) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no scripts in {}", folder.display());
    found
}

/// The expressions of the scripts in a folder.
fn expressions(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (_, script) in scripts(folder) {
        for line in script.lines().filter(|l| l.starts_with("eval ")) {
            let words = if line.starts_with("eval instant") {
                4
            } else {
                8
            };
            let mut rest = line;
            for _ in 0..words {
                rest = rest.split_once(char::is_whitespace).unwrap().1.trim_start();
            }
            found.push(rest.to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn our_scripts_pass() {
    let mut total = 0;
    for (name, script) in scripts(&folder()) {
        let report = script::run(&script);
        assert!(
            report.failures.is_empty(),
            "{name}: {}",
            report.failures.join("\n")
        );
        assert_eq!(
            report.passed, report.total,
            "{name}: {:?}",
            report.unsupported
        );
        total += report.total;
    }
    assert!(total >= 300, "{total} cases");
}

#[test]
fn the_shared_scripts_pass() {
    let Some(folder) = std::env::var_os("MEMWATCH_PROMQL_CASES") else {
        eprintln!(
            "skipped: MEMWATCH_PROMQL_CASES does not name a folder of Prometheus' test scripts"
        );
        return;
    };
    for (name, script) in scripts(Path::new(&folder)) {
        let report = script::run(&script);
        assert!(
            report.failures.is_empty(),
            "{name}: {}",
            report.failures.join("\n")
        );
    }
}

#[test]
fn printing_then_parsing_is_identity() {
    let mut parsed = 0;
    for text in expressions(&folder()) {
        let Ok(expr) = parse(&text) else { continue };
        parsed += 1;
        let printed = expr.to_string();
        let again = parse(&printed).unwrap_or_else(|e| panic!("{text} printed as {printed}: {e}"));
        assert_eq!(again, expr, "{text} printed as {printed}");
        assert_eq!(again.to_string(), printed);
    }
    assert!(parsed > 200, "{parsed}");
}

/// Matchers in order, and no empty lists of labels: what the crate does when it prints (and times before 1970 it prints as 0).
fn canonical(expr: &Expr) -> Expr {
    let mut root = (*expr.root).clone();
    root.walk_mut(&mut |node| match &mut node.kind {
        NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => {
            s.alternatives
                .iter_mut()
                .for_each(|list| list.sort_by_key(ToString::to_string));
        }
        NodeKind::Binary(b) if b.matching.labels == Some(Grouping::Except(Vec::new())) => {
            b.matching.labels = None
        }
        NodeKind::Aggregate(a) if a.grouping == Some(Grouping::Only(Vec::new())) => {
            a.grouping = None
        }
        _ => {}
    });
    Expr {
        text: expr.text.clone(),
        root: Arc::new(root),
    }
}

/// The promql-parser crate accepts and rejects what we do, apart from what we add, and means the same: what it prints is for us the
/// same expression.
#[test]
fn the_oracle_agrees_on_what_is_promql() {
    // What only we have.
    let ours = [
        "500k", "0.5M", "Gi", "Ki", "2k", "1k", "3M", "1T", "1M", "5M", "3G", "Ti", "1_000",
        "0x_ff", "1e3k",
    ];
    // What only we check, or read as Prometheus does.
    let stricter = ["info(up_seconds, ", "info(up_seconds{", "smoothed + "];
    let mut corpus = expressions(&folder());
    corpus.retain(|text| !ours.iter().chain(&stricter).any(|o| text.contains(o)));
    let added = |text: &str| {
        let mut functions = RULE_FUNCTIONS.iter();
        functions.any(|f| text.contains(&format!("{}(", f.name)))
    };
    corpus.retain(|text| !added(text));
    if let Some(folder) = std::env::var_os("MEMWATCH_PROMQL_CASES") {
        corpus.extend(expressions(Path::new(&folder)));
    }
    let mut differing = Vec::new();
    let mut same = 0;
    for text in &corpus {
        match (parse(text), promql_parser::parser::parse(text)) {
            (Ok(mine), Ok(theirs)) => {
                let again = parse(&theirs.to_string()).map(|e| canonical(&e));
                if again.as_ref().ok() == Some(&canonical(&mine)) {
                    same += 1;
                } else if !text.contains("@ -") {
                    differing.push(format!("{text}: they mean {theirs}, we {mine}"));
                }
            }
            // What needs native histograms, and texts that are not UTF-8.
            (Err(e), Ok(_)) if e.message.starts_with("unsupported") || text.contains("\\x") => {}
            (Err(e), Ok(_)) if e.message.starts_with("filling in missing series") => {}
            (Err(_), Err(_)) => {}
            (Ok(_), Err(e)) => differing.push(format!("only we: {text}: {e}")),
            (Err(e), Ok(_)) => differing.push(format!("only they: {text}: {e}")),
        }
    }
    assert!(
        differing.is_empty(),
        "{same} are the same, but {}",
        differing.join("\n")
    );
    assert!(same > 200, "{same}");
}

#[test]
fn errors_point_at_the_fault() {
    let params: BTreeMap<String, f64> = [("factor".to_owned(), 2.5)].into();
    let check = |text: &str, expected: &str| {
        let error = parse_with(text, &params).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    };
    check(
        "rate(x[1m]) > $facter",
        "unknown parameter `$facter`\n  rate(x[1m]) > $facter\n                ^^^^^^^\nhelp: did you mean `$factor`?",
    );
    check(
        "sum(histogram_quantle(0.9, x))",
        "unknown function with name \"histogram_quantle\"\n  sum(histogram_quantle(0.9, x))\n      ^^^^^^^^^^^^^^^^^\nhelp: did you mean `histogram_quantile`?",
    );
    check(
        "rate(x) > 1",
        "expected type range vector in call to function \"rate\", got instant vector\n  rate(x) > 1\n       ^\nhelp: a range vector has a window: `name[5m]`",
    );
    check(
        "rate(x[1m]) > 500K",
        "bad number or duration syntax: \"500K\"\n  rate(x[1m]) > 500K\n                ^^^^\nhelp: did you mean `k` (1000) or `Ki` (1024)?",
    );
    check(
        "x > 1 and\n  (y",
        "parse error: unexpected end of input, expected an operator or `)`\n    (y\n      ^",
    );
    check(
        "rate(x[5m] smoothed)",
        "unsupported feature: range modifier `smoothed`\n  rate(x[5m] smoothed)\n             ^^^^^^^^",
    );
    check("", "no expression found in input");
    check(
        "holt_winters(x[1m], 1, 1)",
        "unknown function with name \"holt_winters\"\n  holt_winters(x[1m], 1, 1)\n  ^^^^^^^^^^^^\nhelp: it is called `double_exponential_smoothing`",
    );
}

#[test]
fn nesting_has_a_limit() {
    let inside = |n: usize| format!("{}x{}", "(".repeat(n), ")".repeat(n));
    let chain = |n: usize| vec!["x"; n].join(" + ");
    let signs = |n: usize| format!("{}x", "-".repeat(n));
    let calls = |n: usize| format!("{}x{}", "abs(".repeat(n), ")".repeat(n));
    let reader = MemorySeries::default();
    for make in [&inside as &dyn Fn(usize) -> String, &chain, &signs, &calls] {
        let expr = parse(&make(MAX_DEPTH - 1)).unwrap();
        evaluate(
            &expr,
            Steps::instant(Timestamp(0)),
            &reader,
            &EvalOptions::default(),
        )
        .unwrap();
        for n in [MAX_DEPTH + 1, 10_000] {
            let error = parse(&make(n)).unwrap_err();
            assert!(error.message.contains("nested deeper"), "{error}");
        }
    }
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Series {
    Series {
        labels: labels.iter().copied().collect(),
        at_ns: samples.iter().map(|s| s.0).collect(),
        values: samples.iter().map(|s| s.1).collect(),
    }
}

/// A few series with everything that is awkward; two share their times.
fn awkward(gaps: &[i64], values: &[f64]) -> MemorySeries {
    let at: Arc<[i64]> = gaps
        .iter()
        .scan(0, |t, g| {
            *t += g;
            Some(*t)
        })
        .collect();
    let n = at.len();
    let value = |i: usize, k: usize| values[(i * k + k) % values.len()];
    let counter: Arc<[f64]> = (0..n)
        .scan(0.0, |t, i| {
            *t = if i % 17 == 16 {
                0.0
            } else {
                *t + value(i, 1).abs()
            };
            Some(*t)
        })
        .collect();
    let gauge: Arc<[f64]> = (0..n)
        .map(|i| if i % 23 == 22 { f64::NAN } else { value(i, 3) })
        .collect();
    let ended: Arc<[f64]> = (0..n)
        .map(|i| if i % 7 == 6 { stale_nan() } else { value(i, 5) })
        .collect();
    let labels =
        |name: &str, l: &str| -> Labels { [("__name__", name), ("l", l)].into_iter().collect() };
    MemorySeries {
        series: vec![
            Series {
                labels: labels("c_total", "1"),
                at_ns: at.clone(),
                values: counter.clone(),
            },
            Series {
                labels: labels("c_total", "2"),
                at_ns: at.clone(),
                values: gauge.clone(),
            },
            Series {
                labels: labels("g", "1"),
                at_ns: at.clone(),
                values: gauge,
            },
            Series {
                labels: labels("g", "2"),
                at_ns: at.iter().map(|t| t + 3 * SECOND).collect(),
                values: ended,
            },
            Series {
                labels: [("__name__", "b"), ("l", "1"), ("le", "1")]
                    .into_iter()
                    .collect(),
                at_ns: at.clone(),
                values: counter.clone(),
            },
            Series {
                labels: [("__name__", "b"), ("l", "1"), ("le", "+Inf")]
                    .into_iter()
                    .collect(),
                at_ns: at,
                values: counter.iter().map(|v| v * 2.0).collect(),
            },
        ],
    }
}

const SAMPLED: &[&str] = &[
    "g",
    "g offset 20s",
    "g @ 100",
    "timestamp(g)",
    "rate(c_total[1m])",
    "increase(c_total[47s] offset 13s)",
    "delta(g[1m])",
    "irate(c_total[1m])",
    "idelta(g[1m])",
    "deriv(g[70s])",
    "predict_linear(g[70s], 100)",
    "resets(c_total[1m])",
    "changes(g[1m])",
    "avg_over_time(g[1m])",
    "sum_over_time(g[33s])",
    "min_over_time(g[1m])",
    "max_over_time(g[1m])",
    "count_over_time(g[1m])",
    "stddev_over_time(g[1m])",
    "quantile_over_time(0.9, g[1m])",
    "mad_over_time(g[1m])",
    "last_over_time(g[10s])",
    "absent_over_time(g[10s])",
    "ts_of_max_over_time(g[1m])",
    "double_exponential_smoothing(g[1m], 0.3, 0.4)",
    "growth(c_total[30s])",
    "growth(g[30s])",
    "absent(g)",
    "sum(g)",
    "avg by (l) ({l=~\".+\"})",
    "topk(1, g)",
    "quantile(0.5, g)",
    "stddev(g)",
    "count_values(\"v\", g)",
    "limitk(1, g)",
    "g > c_total",
    "g * on (l) c_total",
    "g and c_total",
    "g or c_total",
    "g unless c_total > 3",
    "max_over_time(g[1m:7s])",
    "rate(c_total[30s]) > 0.5 or absent(g)",
    "histogram_quantile(0.9, rate(b[1m]))",
    "sum_over_time(rate(c_total[20s])[1m:5s])",
    "scalar(g{l=\"1\"}) + time()",
    "label_replace(g, \"n\", \"$1\", \"l\", \"(.)\")",
    "clamp(g, -1, 1)",
    "minute()",
];

fn bits(value: &Value, steps: usize) -> BTreeMap<String, Vec<Option<u64>>> {
    match value {
        Value::Vector(matrix) => matrix
            .series
            .iter()
            .map(|s| {
                (
                    s.labels.to_string(),
                    (0..steps).map(|i| s.get(i).map(f64::to_bits)).collect(),
                )
            })
            .collect(),
        Value::Scalar(values) => [(
            "scalar".to_owned(),
            values.iter().map(|v| Some(v.to_bits())).collect(),
        )]
        .into(),
        _ => panic!("a vector or scalar"),
    }
}

fn step_series(
    bits: BTreeMap<String, Vec<Option<u64>>>,
    offset: usize,
    all: &mut BTreeMap<(String, usize), u64>,
) {
    for (labels, values) in bits {
        for (i, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                all.insert((labels.clone(), offset + i), value);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Evaluated whole, in chunks, or one by one: the same bits. So an instant query, a backtest and a live evaluation agree.
    #[test]
    fn results_do_not_depend_on_chunks(
        gaps in prop::collection::vec(prop_oneof![6 => Just(5 * SECOND), 2 => 1_000_000_000i64..9_000_000_000, 1 => 30 * SECOND..400 * SECOND], 5..60),
        values in prop::collection::vec(prop_oneof![4 => -100.0..100.0f64, 1 => Just(0.0), 1 => Just(1e17)], 1..20),
        chunk in 1usize..12, start in 0i64..200, policy in 0usize..3,
    ) {
        let reader = awkward(&gaps, &values);
        let steps = Steps { start: Timestamp(start * SECOND), end: Timestamp((start + 190) * SECOND), step: Nanos(7 * SECOND) };
        let stale_after = [StaleAfter::Auto, StaleAfter::Lookback, StaleAfter::After(Nanos(25 * SECOND))][policy];
        let options = EvalOptions { stale_after, query_range: Some((steps.start, steps.end)), ..EvalOptions::default() };
        for text in SAMPLED {
            let expr = parse(text).unwrap();
            let mut whole = BTreeMap::new();
            step_series(bits(&evaluate(&expr, steps, &reader, &options).unwrap().value, steps.count()), 0, &mut whole);
            let mut parts = BTreeMap::new();
            for from in (0..steps.count()).step_by(chunk) {
                let count = chunk.min(steps.count() - from);
                let part = Steps { start: steps.at(from), end: steps.at(from + count - 1), step: steps.step };
                step_series(bits(&evaluate(&expr, part, &reader, &options).unwrap().value, count), from, &mut parts);
            }
            prop_assert_eq!(whole, parts, "{}", text);
        }
    }

    /// Each window computed on its own, by the definition.
    #[test]
    fn windows_agree_with_their_definition(
        gaps in prop::collection::vec(prop_oneof![6 => Just(5 * SECOND), 2 => 1_000_000_000i64..9_000_000_000, 1 => 30 * SECOND..90 * SECOND], 2..60),
        values in prop::collection::vec(-100.0..100.0f64, 1..20), width in 4i64..120, step in 1i64..50,
    ) {
        let reader = awkward(&gaps, &values);
        let steps = Steps { start: Timestamp(0), end: Timestamp(300 * SECOND), step: Nanos(step * SECOND) };
        type Naive = fn(&[f64]) -> Option<f64>;
        let cases: [(&str, Naive); 9] = [
            ("sum_over_time", |v| Some(sum::sum(v))),
            ("avg_over_time", |v| Some(sum::mean(v))),
            ("min_over_time", |v| Some(v.iter().copied().fold(f64::NAN, f64::min))),
            ("max_over_time", |v| Some(v.iter().copied().fold(f64::NAN, f64::max))),
            ("stdvar_over_time", |v| Some(moments::variance(v))),
            ("count_over_time", |v| Some(v.len() as f64)),
            ("changes", |v| Some(v.windows(2).filter(|w| counter::changed(w[0], w[1])).count() as f64)),
            ("resets", |v| Some(v.windows(2).filter(|w| w[1] < w[0]).count() as f64)),
            ("mad_over_time", |v| { let mut v = v.to_vec(); v.sort_by(|a, b| quantile::order(*a, *b)); Some(quantile::median_absolute_deviation(&v)) }),
        ];
        for (name, naive) in cases {
            for s in &reader.series {
                let text = format!("{name}({}{{l={:?},le={:?}}}[{width}s])", s.labels.name(), s.labels.get("l"), s.labels.get("le"));
                let result = evaluate(&parse(&text).unwrap(), steps, &reader, &EvalOptions::default()).unwrap();
                let Value::Vector(matrix) = result.value else { panic!("a vector") };
                for (i, t) in steps.iter().enumerate() {
                    let inside: Vec<f64> = (0..s.values.len())
                        .filter(|k| t.0 - width * SECOND < s.at_ns[*k] && s.at_ns[*k] <= t.0 && !crate::series::is_stale(s.values[*k]))
                        .map(|k| s.values[k]).collect();
                    let expected = if inside.is_empty() { None } else { naive(&inside) };
                    let found = matrix.series.first().and_then(|row| row.get(i));
                    let same = match (expected, found) {
                        (None, None) => true,
                        (Some(a), Some(b)) => a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                        _ => false,
                    };
                    prop_assert!(same, "{} at {}: {:?}, found {:?}", text, t.0 / SECOND, expected, found);
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let gaps = vec![5 * SECOND; 2_000];
    let values: Vec<f64> = (0..97).map(|i| f64::from(i) * 0.37 - 11.0).collect();
    let one = awkward(&gaps, &values);
    let mut reader = MemorySeries::default();
    for i in 0..12 {
        for s in &one.series {
            reader.series.push(Series {
                labels: s.labels.with("i", &i.to_string()),
                ..s.clone()
            });
        }
    }
    let steps = Steps {
        start: Timestamp(0),
        end: Timestamp(10_000 * SECOND),
        step: Nanos(5 * SECOND),
    };
    let expr =
        parse("sum by (l) (rate(c_total[1m])) + on (l) avg by (l) (stddev_over_time(g[1m])) > -1")
            .unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let result =
            pool.install(|| evaluate(&expr, steps, &reader, &EvalOptions::default()).unwrap());
        bits(&result.value, steps.count())
    };
    let expected = run(1);
    assert_eq!(expected.len(), 2);
    assert_eq!(run(4), expected);
}

/// Expressions cut, doubled and mixed: no panic, whatever comes out. `MEMWATCH_MUTATIONS` sets how many; CI runs 2,000.
#[test]
fn mutated_expressions_do_not_panic() {
    let count: u64 = std::env::var("MEMWATCH_MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    let corpus = expressions(&folder());
    let reader = awkward(&[5 * SECOND; 30], &[1.0, -3.0, 1e300, 0.0]);
    let options = EvalOptions {
        stale_after: StaleAfter::Auto,
        ..EvalOptions::default()
    };
    let steps = Steps {
        start: Timestamp(60 * SECOND),
        end: Timestamp(120 * SECOND),
        step: Nanos(20 * SECOND),
    };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    let mut evaluated = 0;
    for _ in 0..count {
        let mut text: Vec<char> = corpus[random(corpus.len())].chars().collect();
        for _ in 0..random(4) {
            let other: Vec<char> = corpus[random(corpus.len())].chars().collect();
            let (at, from) = (random(text.len()), random(other.len()));
            match random(5) {
                0 => drop(text.drain(at..(at + 1 + random(4)).min(text.len()))),
                1 => text.insert(
                    at,
                    [
                        '(', ')', '"', '[', ']', '{', '}', '@', '-', '$', '\\', 'é', ':', '\0',
                        '9', '\n',
                    ][random(16)],
                ),
                2 => drop(
                    text.splice(
                        at..at,
                        other[from..(from + random(20)).min(other.len())]
                            .iter()
                            .copied(),
                    ),
                ),
                3 => text.truncate(at),
                _ => {
                    let copy = text[at..(at + random(12)).min(text.len())].to_vec();
                    text.extend(copy);
                }
            }
        }
        let text: String = text.into_iter().collect();
        // Names that the data has, so that there is something to evaluate.
        let text = text
            .replace("x", "g")
            .replace("requests", "c_total")
            .replace("h_bucket", "b");
        match parse(&text) {
            Ok(expr) => {
                evaluated += 1;
                let _ = expr.history(&options);
                let _ = evaluate(&expr, steps, &reader, &options).map_err(|e| e.to_string());
                let instant = Steps::instant(steps.start);
                let _ = evaluate(&expr, instant, &reader, &options).map_err(|e| e.to_string());
                assert_eq!(
                    parse(&expr.to_string()).as_ref().ok(),
                    Some(&expr),
                    "{text}"
                );
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(evaluated > count / 10, "only {evaluated} of {count} parsed");
}

#[test]
fn parameters_are_numbers_that_can_be_changed_later() {
    let params: BTreeMap<String, f64> = [("limit".to_owned(), 2.0)].into();
    let expr = parse_with("g > $limit and g < 10 * $limit", &params).unwrap();
    assert_eq!(expr.params(), params);
    assert_eq!(expr.to_string(), "g > $limit and g < 10 * $limit");
    let reader = MemorySeries {
        series: vec![series(&[("__name__", "g")], &[(0, 5.0)])],
    };
    let matches = |expr: &Expr| {
        let result = evaluate(
            expr,
            Steps::instant(Timestamp(0)),
            &reader,
            &EvalOptions::default(),
        )
        .unwrap();
        matches!(result.value, Value::Vector(m) if m.series.len() == 1)
    };
    assert!(matches(&expr));
    assert!(!matches(
        &expr.with_params(&[("limit".to_owned(), 6.0)].into())
    ));
    assert!(!matches(
        &expr.with_params(&[("limit".to_owned(), 0.1)].into())
    ));
}

#[test]
fn a_silent_series_ends() {
    // Every 10 s, then nothing; and again much later.
    let times = [0, 10, 20, 30, 40, 400, 410, 420];
    let samples: Vec<(i64, f64)> = times.iter().map(|t| (t * SECOND, 1.0)).collect();
    let reader = MemorySeries {
        series: vec![series(&[("__name__", "g")], &samples)],
    };
    let seen = |expr: &str, stale_after| {
        let steps = Steps {
            start: Timestamp(0),
            end: Timestamp(480 * SECOND),
            step: Nanos(10 * SECOND),
        };
        let options = EvalOptions {
            stale_after,
            ..EvalOptions::default()
        };
        let result = evaluate(&parse(expr).unwrap(), steps, &reader, &options).unwrap();
        let Value::Vector(matrix) = result.value else {
            panic!("a vector")
        };
        let present: Vec<usize> = matrix
            .series
            .iter()
            .flat_map(|s| s.present.iter())
            .map(|i| i * 10)
            .collect();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for at in present {
            match runs.last_mut() {
                Some(run) if run.1 + 10 == at => run.1 = at,
                _ => runs.push((at, at)),
            }
        }
        runs
    };
    assert_eq!(seen("g", StaleAfter::Lookback), [(0, 330), (400, 480)]);
    assert_eq!(seen("g", StaleAfter::Auto), [(0, 60), (400, 440)]);
    assert_eq!(
        seen("g", StaleAfter::After(Nanos(15 * SECOND))),
        [(0, 50), (400, 430)]
    );
    assert_eq!(seen("absent(g)", StaleAfter::Auto), [(70, 390), (450, 480)]);
    // Windows skip markers.
    assert_eq!(
        seen("count_over_time(g[1m])", StaleAfter::Auto),
        [(0, 90), (400, 470)]
    );
    assert_eq!(
        seen("count_over_time(g[1m:10s])", StaleAfter::Auto),
        [(0, 110), (400, 480)]
    );
}
