//! Plays cases of alerts, for a comparison with the real programs.
//!
//! `cargo run -p memwatch-core --example alert_cases < cases.ndjson`; `benches/peers/alerts_diff.py` makes the cases.
//!
//! A line is a case, and so is a line of the answer. `{"states": …}`: rules over series, which alerts fire when. `{"timeline": …}`: alerts
//! through routes, which messages go out when.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // It reads standard input, which the library does not.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::process::ExitCode;

use memwatch_core::alert::{FiredAlert, simulate};
use memwatch_core::backtest::Backtest;
use memwatch_core::expr::StaleAfter;
use memwatch_core::rule::RuleFile;
use memwatch_core::series::{MemorySeries, Series, stale_nan};
use memwatch_core::{Labels, Nanos, TimeRange, Timestamp};
use serde::Deserialize;
use serde_json::{Value as Json, json};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Case {
    States(States),
    Timeline(Played),
}

#[derive(Deserialize)]
struct States {
    /// A rule file in Prometheus' YAML.
    rules: String,
    series: Vec<SeriesJson>,
    /// The last evaluation.
    until_ms: i64,
    interval_ms: i64,
}

#[derive(Deserialize)]
struct SeriesJson {
    labels: BTreeMap<String, String>,
    /// Seconds, and a number or `stale`.
    samples: Vec<(i64, String)>,
}

#[derive(Deserialize)]
struct Played {
    /// A rule file in TOML.
    config: String,
    alerts: Vec<AlertJson>,
    start_ms: i64,
    end_ms: i64,
}

#[derive(Deserialize)]
struct AlertJson {
    labels: BTreeMap<String, String>,
    fired_ms: i64,
    resolved_ms: Option<i64>,
}

fn main() -> ExitCode {
    for line in std::io::stdin().lock().lines() {
        let answer = line.map_err(|e| e.to_string()).and_then(|l| answer(&l));
        match answer {
            Ok(answer) => println!("{answer}"),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

fn answer(line: &str) -> Result<Json, String> {
    match serde_json::from_str(line).map_err(|e| e.to_string())? {
        Case::States(case) => states(case),
        Case::Timeline(case) => timeline(&case),
    }
}

fn at_s(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

fn at_ms(ms: i64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect()
}

fn states(case: States) -> Result<Json, String> {
    let rules = RuleFile::parse("rules.yml", &case.rules).map_err(|e| e.to_string())?;
    let mut series = Vec::new();
    for s in case.series {
        let mut values = Vec::new();
        for (_, text) in &s.samples {
            values.push(match text.as_str() {
                "stale" => stale_nan(),
                text => text.parse().map_err(|_| format!("not a number: {text}"))?,
            });
        }
        series.push(Series {
            labels: s.labels.into_iter().collect(),
            at_ns: s.samples.iter().map(|(at, _)| at_s(*at).0).collect(),
            values: values.into(),
        });
    }
    let outcome = Backtest::new(&rules)
        .interval(Nanos(case.interval_ms * 1_000_000))
        .phase(Nanos(0))
        .stale_after(StaleAfter::Lookback)
        .range(TimeRange {
            start: Timestamp(0),
            end: at_ms(case.until_ms + 1),
        })
        .run(&MemorySeries { series })
        .map_err(|e| e.to_string())?;
    let ms = |at: Timestamp| at.0 / 1_000_000;
    let alerts: Vec<Json> = outcome
        .alerts
        .iter()
        .map(|alert| {
            let texts: BTreeMap<&str, &str> = alert
                .annotations
                .iter()
                .map(|(name, text)| (name.as_ref(), text.as_str()))
                .collect();
            json!({
                "labels": pairs(&alert.labels),
                "annotations": texts,
                "pending_ms": ms(alert.pending_at),
                "fired_ms": ms(alert.fired_at),
                "ended_ms": alert.ended.at().map(ms),
            })
        })
        .collect();
    let errors: u64 = outcome.rules.iter().map(|r| r.errors).sum();
    let unknown: u64 = outcome.rules.iter().map(|r| r.unknown).sum();
    Ok(json!({ "alerts": alerts, "errors": errors, "unknown": unknown }))
}

fn timeline(case: &Played) -> Result<Json, String> {
    let file = RuleFile::parse("config.toml", &case.config).map_err(|e| e.to_string())?;
    let alerts: Vec<FiredAlert> = case
        .alerts
        .iter()
        .map(|a| {
            let labels = a.labels.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let resolved = a.resolved_ms.map(at_ms);
            FiredAlert::new(labels.collect(), Vec::new(), at_ms(a.fired_ms), resolved)
        })
        .collect();
    let played = simulate(
        &file.notifications,
        &alerts,
        at_ms(case.start_ms),
        at_ms(case.end_ms),
    );
    let labels = |indices: &[usize]| -> Vec<BTreeMap<String, String>> {
        indices.iter().map(|i| pairs(&alerts[*i].labels)).collect()
    };
    let messages: Vec<Json> = played
        .messages
        .iter()
        .map(|m| {
            let receiver = &file.notifications.receivers[m.receiver];
            json!({
                "at_ms": m.at.0 / 1_000_000,
                "receiver": &*receiver.name,
                "status": m.status(),
                "group": pairs(&m.group_labels),
                "firing": labels(&m.firing),
                "resolved": labels(&m.resolved),
            })
        })
        .collect();
    Ok(json!({ "messages": messages }))
}
