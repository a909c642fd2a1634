//! The body of the fuzz targets of expressions, rule files and test scripts, which a test calls too.

use super::{EvalOptions, evaluate, parse, script};
use crate::rule::{RuleFile, lint};
use crate::series::{MemorySeries, Series, stale_nan};
use crate::{Nanos, Steps, Timestamp};

const SECOND: i64 = 1_000_000_000;

/// A few series with what is awkward: a counter that begins again, gaps, NaN, infinities, a marker of staleness, buckets.
#[must_use]
pub fn series() -> MemorySeries {
    let of = |labels: &[(&str, &str)], samples: &[(i64, f64)]| Series {
        labels: labels.iter().copied().collect(),
        at_ns: samples.iter().map(|(at, _)| at * SECOND).collect(),
        values: samples.iter().map(|(_, value)| *value).collect(),
    };
    let stale = stale_nan();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    MemorySeries {
        series: vec![
            of(
                &[("__name__", "x_total"), ("l", "1"), ("job", "a")],
                &[(0, 1.0), (10, 5.0), (20, 2.0), (30, 3.0), (90, 8.0)],
            ),
            of(
                &[("__name__", "x_total"), ("l", "2"), ("job", "a")],
                &[(0, 7.0), (10, 7.0), (20, stale), (60, 1e300)],
            ),
            of(
                &[("__name__", "g"), ("l", "1")],
                &[(0, nan), (10, -1.0), (20, inf), (30, -inf), (40, 0.0)],
            ),
            of(&[("__name__", "g"), ("l", "2")], &[(35, -0.0), (50, 5.0)]),
            of(
                &[("__name__", "b"), ("le", "1")],
                &[(0, 1.0), (10, 2.0), (20, 0.0)],
            ),
            of(
                &[("__name__", "b"), ("le", "+Inf")],
                &[(0, 1.0), (10, 4.0), (20, 3.0)],
            ),
            of(&[("__name__", "b"), ("le", "odd")], &[(0, 1.0), (10, 4.0)]),
            of(
                &[("__name__", "target_info"), ("job", "a"), ("version", "1")],
                &[(0, 1.0), (30, 1.0)],
            ),
        ],
    }
}

/// Parses a text and, when it is an expression, prints, parses and evaluates it; `true` when it is one.
///
/// # Panics
/// When what is printed is not the same expression.
pub fn any_expression(text: &str, reader: &MemorySeries) -> bool {
    let Ok(expr) = parse(text) else {
        return false;
    };
    let printed = expr.to_string();
    let again = parse(&printed);
    assert_eq!(
        again.as_ref(),
        Ok(&expr),
        "{text:?} is printed as {printed:?}"
    );
    let options = EvalOptions {
        values_max: 20_000,
        ..EvalOptions::default()
    };
    let at = |s: i64| Timestamp(s * SECOND);
    let range = Steps {
        start: at(5),
        end: at(65),
        step: Nanos(20 * SECOND),
    };
    for steps in [Steps::instant(at(45)), range] {
        // Errors are fine; both ways of not answering are.
        if let Err(error) = evaluate(&expr, steps, reader, &options) {
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(expr.history(&options).0 >= 0);
    true
}

/// Reads a text as a rule file in both languages, and looks for what is doubtful in it.
pub fn any_rules(text: &str) {
    for name in ["rules.toml", "rules.yml"] {
        match RuleFile::parse(name, text) {
            Ok(file) => {
                let findings = lint(&file, None).unwrap_or_default();
                assert!(findings.iter().all(|f| !f.problem.to_string().is_empty()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Runs a text as a test script.
pub fn any_script(text: &str) {
    let report = script::run(text);
    assert!(report.passed <= report.total);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{AggregateOp, all_functions};

    /// SplitMix64: the same numbers in every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        }

        #[allow(clippy::cast_possible_truncation)] // Smaller than `n`.
        fn below(&mut self, n: usize) -> usize {
            (self.next() % n as u64) as usize
        }

        fn one<'a>(&mut self, of: &'a [&'a str]) -> &'a str {
            of[self.below(of.len())]
        }
    }

    const WORDS: &[&str] = &[
        "x_total",
        "g",
        "b",
        "target_info",
        "{l=\"1\"}",
        "{l=~\".+\"}",
        "{l!~\"(\"}",
        "[1m]",
        "[5m:10s]",
        "[1h:]",
        "[90s:7s]",
        "offset 10s",
        "offset -5s",
        "@ 30",
        "@ end()",
        "@ start()",
        "(",
        ")",
        "(",
        ")",
        "(",
        ")",
        ",",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "^",
        "==",
        "!=",
        ">",
        "<",
        ">=",
        "<=",
        "bool",
        "and",
        "or",
        "unless",
        "atan2",
        "on (l)",
        "ignoring (l)",
        "group_left ()",
        "group_right (job)",
        "fill(0)",
        "fill_left(-1)",
        "by (l)",
        "without (l)",
        "1",
        "0",
        "0.5",
        "-2",
        "1e308",
        "Inf",
        "NaN",
        "1k",
        "5Mi",
        "2m",
        "\"l\"",
        "\"$1\"",
        "\"(.*)\"",
        "\"\"",
        "`a`",
        "'b'",
        "$p",
        "smoothed",
        "[",
        "]",
        "{",
        "}",
        "=",
        "=~",
        ":",
        "é",
        "\"\\x\"",
        "#",
        "\n",
        "</",
        "[1y:1ms]",
        "[100y]",
        "[290y]",
        "[200y:1y]",
        "@ -9e9",
        "@ 1e15",
        "offset 100y",
        "time()",
        "1_000",
        "0x1F",
    ];

    fn soup(random: &mut Random, functions: &[&str]) -> String {
        let count = 1 + random.below(14);
        let words = (0..count).map(|_| match random.below(4) {
            0 => format!("{}(", random.one(functions)),
            _ => random.one(WORDS).to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// A sentence of the language, most of the time.
    fn sentence(random: &mut Random, functions: &[&str], depth: usize) -> String {
        let part = |random: &mut Random| sentence(random, functions, depth - 1);
        if depth == 0 {
            let selector = random.one(&[
                "x_total",
                "g",
                "b",
                "g{l=\"1\"}",
                "{l=~\".+\"}",
                "1",
                "time()",
                "vector(2)",
            ]);
            return format!(
                "{selector} {}",
                random.one(&["", "", "offset 10s", "@ 30", "@ end()"])
            );
        }
        match random.below(6) {
            0 => format!(
                "({} {} {} {})",
                part(random),
                random.one(&[
                    "+", "-", "*", "/", "%", "^", ">", "== bool", "<= bool", "and", "or", "unless",
                    "atan2"
                ]),
                random.one(&[
                    "",
                    "",
                    "on (l)",
                    "ignoring (l)",
                    "on (l) group_left ()",
                    "on () group_right (l)",
                    "fill(1)"
                ]),
                part(random)
            ),
            1 => format!(
                "{} {}({})",
                random.one(&["sum", "avg", "max", "count", "stddev", "topk", "quantile"]),
                random.one(&["", "by (l)", "without (l, le)"]),
                part(random)
            ),
            2 => format!(
                "{}({}, {})",
                random.one(&[
                    "topk",
                    "quantile",
                    "limitk",
                    "limit_ratio",
                    "bottomk",
                    "count_values"
                ]),
                random.one(&["1", "0.5", "-1", "NaN", "scalar(g)", "\"l\"", "1e30"]),
                part(random)
            ),
            3 => format!(
                "{}(({})[{}:{}])",
                random.one(functions),
                part(random),
                random.one(&["1m", "30s", "1h", "400d"]),
                random.one(&["", "5s", "1m", "13s", "1ms"])
            ),
            4 => format!("{}({})", random.one(functions), part(random)),
            _ => format!(
                "{}({}[{}])",
                random.one(functions),
                random.one(&["x_total", "g", "b"]),
                random.one(&["10s", "1m", "5m", "290y", "290y:1y"])
            ),
        }
    }

    /// Cuts, repeats, swaps or replaces a stretch.
    fn mutated(random: &mut Random, text: &str, other: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let from = random.below(chars.len() + 1);
        let to = (from + random.below(8)).min(chars.len());
        let (before, cut, after) = (&chars[..from], &chars[from..to], &chars[to..]);
        let middle: String = match random.below(5) {
            0 => String::new(),
            1 => cut.iter().chain(cut).chain(cut).collect(),
            2 => cut.iter().rev().collect(),
            3 => random.one(WORDS).to_owned(),
            _ => other.chars().skip(random.below(20)).take(12).collect(),
        };
        before.iter().collect::<String>() + &middle + &after.iter().collect::<String>()
    }

    /// 12,000 texts in three ways: words at random, sentences, and sentences with mistakes in them.
    #[test]
    fn no_text_makes_it_panic_or_hang() {
        let names: Vec<&str> = all_functions()
            .map(|f| f.name)
            .chain(AggregateOp::ALL.iter().map(|op| op.as_str()))
            .collect();
        let reader = series();
        let mut random = Random(3);
        let mut valid = 0;
        let mut before = "x_total".to_owned();
        for i in 0..12_000 {
            let text = match i % 3 {
                0 => soup(&mut random, &names),
                1 => {
                    let depth = random.below(4);
                    sentence(&mut random, &names, depth)
                }
                _ => mutated(
                    &mut random,
                    &before,
                    "sum by (l) (rate(x_total[1m] offset 5s)) > bool 0",
                ),
            };
            valid += usize::from(any_expression(&text, &reader));
            before = text;
        }
        assert!((1_000..9_000).contains(&valid), "{valid} are expressions");
    }

    #[test]
    fn no_text_makes_rule_files_and_scripts_panic() {
        let toml = "[settings]\ninterval = \"1s\"\n[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = '''\nrate(x_total[1m])\n  > $f\n'''\nfor = \"10s\"\nparams = { f = 2 }\nlabels = { severity = \"P1\" }\nannotations = { a = '{{ $labels.l }} {{ printf \"%.1f\" $value }}' }\n[route]\nreceiver = \"r\"\n[[receiver]]\nname = \"r\"\n";
        let yaml = "groups:\n- name: g\n  interval: 15s\n  rules:\n  - alert: A\n    expr: |\n      rate(x_total[1m])\n        > 2\n    for: 1m\n    labels: {severity: \"{{ $labels.l }}\"}\n  - record: a:b\n    expr: sum(x_total)\n";
        let script = "load 1m\n  x{l=\"1\"} 0+1x10 _ stale {{count:1}}\n\neval instant at 5m rate(x[2m])\n  expect info\n  {l=\"1\"} 0.01\n\neval range from 0 to 5m step 1m x > 2\n  x{l=\"1\"} _ _ _ 3 4 5\n";
        any_rules(toml);
        any_rules(yaml);
        any_script(script);
        let mut random = Random(4);
        for _ in 0..600 {
            for text in [toml, yaml, script] {
                let mut wrong = text.to_owned();
                for _ in 0..=random.below(3) {
                    wrong = mutated(&mut random, &wrong, script);
                }
                any_rules(&wrong);
                any_script(&wrong);
            }
        }
    }
}
