//! How much of a backtest's result is luck, for people and for programs.

use std::io::Write;

use memwatch_core::Nanos;
use memwatch_core::backtest::{Outcome, Robustness};
use serde::Serialize;

use super::Output;
use super::backtest::{cut, lasted, title};
use super::table::{Column, Style, draw};

/// For people: each incident and rule, then the range of the figures.
pub fn text(
    out: &mut Output,
    outcome: &Outcome,
    robustness: &Robustness,
    style: Style,
) -> anyhow::Result<()> {
    title(out, style, "Robustness")?;
    let runs = robustness.runs.len();
    writeln!(out, "{}", what(robustness))?;
    let percent = |count: u32| format!("{:.0} %", 100.0 * f64::from(count) / runs as f64);
    if !robustness.incidents.is_empty() {
        let columns = [
            Column::text("incident"),
            Column::text("rule"),
            Column::number("undisturbed"),
            Column::number("fires in"),
            Column::number("after"),
        ];
        let mut rows = Vec::new();
        for incident in &robustness.incidents {
            for (i, rule) in incident.rules.iter().enumerate() {
                rows.push(vec![
                    if i == 0 {
                        cut(&incident.id, 38)
                    } else {
                        String::new()
                    },
                    cut(&outcome.rules[rule.rule].name, 32),
                    if rule.undisturbed { "caught" } else { "missed" }.to_owned(),
                    percent(rule.caught),
                    match rule.delay {
                        None => "missed".to_owned(),
                        Some((least, most)) if least == most => lasted(least),
                        Some((least, most)) => format!("{} to {}", lasted(least), lasted(most)),
                    },
                ]);
            }
            if incident.rules.is_empty() {
                rows.push(vec![
                    cut(&incident.id, 38),
                    String::new(),
                    "missed".to_owned(),
                    percent(0),
                    "missed".to_owned(),
                ]);
            }
        }
        write!(out, "{}", draw(&columns, &rows, style))?;
        let lost: Vec<&str> = robustness
            .incidents
            .iter()
            .filter(|i| i.caught == 0)
            .map(|i| &*i.id)
            .collect();
        if !lost.is_empty() {
            writeln!(
                out,
                "missed in every run: {}",
                super::backtest::some(lost.into_iter(), 6)
            )?;
        }
    }
    let range = |values: Vec<f64>, digits: usize| {
        let (least, most) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| {
                (l.min(*v), m.max(*v))
            });
        match values.len() {
            0 => "–".to_owned(),
            _ if least == most => format!("{least:.digits$}"),
            _ => format!("{least:.digits$} to {most:.digits$}"),
        }
    };
    let of = |of: &dyn Fn(&memwatch_core::backtest::Disturbed) -> Option<f64>, digits| {
        range(robustness.runs.iter().filter_map(of).collect(), digits)
    };
    writeln!(
        out,
        "recall {}; precision {}; {} false alerts; {} alerts",
        of(&|r| r.recall, 2),
        of(&|r| r.precision, 2),
        of(&|r| r.false_alerts.map(|n| n as f64), 0),
        of(&|r| Some(r.alerts as f64), 0),
    )?;
    Ok(())
}

/// What was disturbed, in words.
fn what(robustness: &Robustness) -> String {
    let asked = &robustness.disturbance;
    let mut parts = vec![match asked.runs {
        1 => "1 run".to_owned(),
        n => format!("{n} runs at {n} phases of the interval"),
    }];
    if let Some(thin) = asked.thin {
        parts.push(format!("one sample every {thin}"));
    }
    if asked.drop > 0.0 {
        parts.push(format!("{} % of the samples lost", 100.0 * asked.drop));
    }
    parts.join(", ")
}

/// For programs.
#[derive(Serialize)]
pub struct RobustnessJson<'a> {
    runs: usize,
    thin_s: Option<f64>,
    drop: f64,
    each: Vec<RunJson>,
    /// In which share of the runs each alert fires again.
    alerts: Vec<AlertJson<'a>>,
    incidents: Vec<IncidentJson<'a>>,
}

#[derive(Serialize)]
struct RunJson {
    alerts: u64,
    #[serde(rename = "false")]
    false_alerts: Option<u64>,
    hit: Option<u64>,
    recall: Option<f64>,
    precision: Option<f64>,
}

#[derive(Serialize)]
struct AlertJson<'a> {
    id: &'a str,
    share: f64,
}

#[derive(Serialize)]
struct IncidentJson<'a> {
    id: &'a str,
    share: f64,
    rules: Vec<RuleJson<'a>>,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    rule: &'a str,
    undisturbed: bool,
    share: f64,
    delay_least_s: Option<f64>,
    delay_most_s: Option<f64>,
}

/// The `robustness` of `memwatch.backtest/1`.
pub fn json<'a>(outcome: &'a Outcome, robustness: &'a Robustness) -> RobustnessJson<'a> {
    let runs = robustness.runs.len();
    let share = |count: u32| f64::from(count) / runs as f64;
    RobustnessJson {
        runs,
        thin_s: robustness.disturbance.thin.map(Nanos::as_seconds),
        drop: robustness.disturbance.drop,
        each: robustness
            .runs
            .iter()
            .map(|run| RunJson {
                alerts: run.alerts,
                false_alerts: run.false_alerts,
                hit: run.hit,
                recall: run.recall,
                precision: run.precision,
            })
            .collect(),
        alerts: outcome
            .alerts
            .iter()
            .zip(&robustness.alerts)
            .map(|(alert, count)| AlertJson {
                id: &alert.id,
                share: share(*count),
            })
            .collect(),
        incidents: robustness
            .incidents
            .iter()
            .map(|incident| IncidentJson {
                id: &incident.id,
                share: share(incident.caught),
                rules: incident
                    .rules
                    .iter()
                    .map(|rule| RuleJson {
                        rule: &outcome.rules[rule.rule].name,
                        undisturbed: rule.undisturbed,
                        share: share(rule.caught),
                        delay_least_s: rule.delay.map(|d| d.0.as_seconds()),
                        delay_most_s: rule.delay.map(|d| d.1.as_seconds()),
                    })
                    .collect(),
            })
            .collect(),
    }
}
