//! Incidents, rules and alerts, each a row.

use std::fmt::Write as _;

use memwatch_core::backtest::{AlertVerdict, Ended, Score, Scored};

use super::Report;
use super::markup::{Cell, escape, name, table, tag};
use super::services::{jump, page_of_alert};
use super::summary::counted;
use crate::render::backtest::{Clock, lasted, short, was, whose};
use crate::render::backtest_json::verdict;
use crate::render::score::unknown;
use crate::render::{compared, grouped};

/// Alerts that are listed; the false ones first when not all fit.
const ALERTS_MAX: usize = 1_000;

/// Each incident and what caught it.
pub fn incidents(out: &mut String, report: &Report<'_>, clock: &Clock) {
    let outcome = report.shown.outcome;
    let Some(scored) = &outcome.score else {
        return;
    };
    out.push_str("<h2 id=\"incidents\">Incidents</h2>\n");
    let rows: Vec<Vec<Cell>> = scored
        .incidents
        .iter()
        .enumerate()
        .map(|(i, found)| {
            let range = found.incident.range;
            let page = report.pages.iter().position(|p| p.incidents.contains(&i));
            let by: Vec<String> = found
                .detected_by
                .iter()
                .map(|d| {
                    format!(
                        "{} (+{})",
                        name(&outcome.rules[d.rule].name),
                        escape(&lasted(d.delay))
                    )
                })
                .collect();
            vec![
                Cell::text(&found.incident.service),
                Cell::text(&found.incident.kind),
                jump(report, page, range.start, (range.start, range.end), clock),
                Cell::number(lasted(range.duration())),
                match found.detected_by.first() {
                    Some(first) => Cell::number(format!("+{}", lasted(first.delay))),
                    None => Cell::html(tag("missed", "missed")),
                },
                Cell::wide_html(by.join(", ")),
                Cell::wide(&found.incident.detail),
            ]
        })
        .collect();
    out.push_str(&table(
        &[
            "service",
            "incident",
            "start",
            "#lasts",
            "#caught",
            "by",
            "what happened",
        ],
        &rows,
        false,
    ));
    if scored.outside > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} lie outside of the range.</p>",
            counted(scored.outside, "incident")
        );
    }
}

/// Each alerting rule with its score.
pub fn rules(out: &mut String, report: &Report<'_>) {
    let outcome = report.shown.outcome;
    let scored = outcome.score.as_ref();
    out.push_str("<h2 id=\"rules\">Rules</h2>\n");
    let mut headings = vec!["rule", "#alerts"];
    if scored.is_some() {
        headings.extend([
            "#right",
            "#again",
            "#false",
            "#caught",
            "#precision (95 %)",
            "#detects in (median)",
            "#fires",
        ]);
    }
    headings.extend(["#only pending", "#unknown"]);
    let share = |value: Option<f64>, interval: Option<(f64, f64)>| match (value, interval) {
        (Some(v), Some((low, high))) => format!("{v:.2} ({low:.2}–{high:.2})"),
        (Some(v), None) => format!("{v:.2}"),
        (None, _) => "–".to_owned(),
    };
    let figures = |score: &Score| {
        vec![
            Cell::number(grouped(score.true_alerts)),
            Cell::number(grouped(score.duplicates)),
            Cell::number(grouped(score.false_alerts)),
            Cell::number(format!("{} of {}", score.hit, score.incidents)),
            Cell::number(share(score.precision, score.precision_interval)),
            Cell::number(match (score.hit, score.detect_median) {
                (0, _) => "–".to_owned(),
                (_, Some(median)) => lasted(median),
                (_, None) => "missed".to_owned(),
            }),
            Cell::number(format!("{:.1} %", score.firing_share * 100.0)),
        ]
    };
    let mut rows = Vec::new();
    for (index, rule) in outcome.rules.iter().enumerate().filter(|(_, r)| r.alerting) {
        let mut row = vec![Cell::text(&rule.name), Cell::number(grouped(rule.alerts))];
        if let Some((_, score)) = scored.and_then(|s| s.rules.iter().find(|(i, _)| *i == index)) {
            row.extend(figures(score));
        }
        row.push(Cell::number(grouped(rule.only_pending)));
        row.push(Cell::number(unknown(
            rule.unknown,
            rule.errors,
            rule.evaluations,
        )));
        rows.push(row);
    }
    if let Some(scored) = scored {
        let mut row = vec![
            Cell::text("all"),
            Cell::number(grouped(outcome.alerts.len() as u64)),
        ];
        row.extend(figures(&scored.all));
        row.extend([Cell::text(""), Cell::text("")]);
        rows.push(row);
    }
    out.push_str(&table(&headings, &rows, scored.is_some()));
    if let Some(all) = scored.map(|s| &s.all) {
        let skill = all.skill.map_or("–".to_owned(), |s| format!("{s:.2}"));
        let _ = writeln!(
            out,
            "<p class=\"soft\">Right: the first alert of a rule in an incident. Again: later ones in the same incident, which count on neither side. \
             Random alerts would have a precision of {:.2}; skill above that: {skill}.</p>",
            all.chance
        );
    }
    if let Some(scored) = scored {
        compared(out, scored);
    }
}

/// The rules beside what they are compared with.
fn compared(out: &mut String, scored: &Scored) {
    out.push_str("<h3>Compared</h3>\n");
    let rows: Vec<Vec<Cell>> = compared::rows(scored)
        .iter()
        .map(|row| {
            let (name, figures) = (Cell::text(&row[0]), &row[1..]);
            let figures = figures.iter().map(Cell::number);
            std::iter::once(name).chain(figures).collect()
        })
        .collect();
    out.push_str(&table(&compared::HEADINGS, &rows, false));
    if let Some(words) = compared::threshold(scored) {
        let _ = writeln!(out, "<p class=\"soft\">{}.</p>", name(&words.join("; ")));
    }
}

/// Each alert.
pub fn alerts(out: &mut String, report: &Report<'_>, clock: &Clock) {
    let outcome = report.shown.outcome;
    let scored = outcome.score.as_ref();
    out.push_str("<h2 id=\"alerts\">Alerts</h2>\n");
    if outcome.alerts.is_empty() {
        out.push_str("<p>None fired.</p>\n");
        return;
    }
    let mut listed: Vec<usize> = (0..outcome.alerts.len()).collect();
    let hidden = listed.len().saturating_sub(ALERTS_MAX);
    if hidden > 0 {
        listed.sort_by_key(|i| match scored.map(|s| s.verdicts[*i]) {
            Some(AlertVerdict::False | AlertVerdict::Benign) => 0,
            Some(AlertVerdict::True(_)) => 1,
            _ => 2,
        });
        listed.truncate(ALERTS_MAX);
        listed.sort_unstable();
    }
    let mut headings = vec!["fired", "#for", "rule", "severity", "of", "#value", "#peak"];
    if scored.is_some() {
        headings.push("was");
    }
    headings.extend(["text", "id"]);
    let rows: Vec<Vec<Cell>> = listed
        .into_iter()
        .map(|i| {
            let alert = &outcome.alerts[i];
            let end = alert.ended.at().unwrap_or(outcome.range.end);
            let mut row = vec![
                jump(
                    report,
                    page_of_alert(report, i),
                    alert.fired_at,
                    (alert.pending_at, end),
                    clock,
                ),
                Cell::number(match alert.ended {
                    Ended::Open => "open".to_owned(),
                    Ended::Resolved(at) => lasted(at.since(alert.fired_at)),
                    Ended::Cleared(_) => "cleared".to_owned(),
                }),
                Cell::text(&outcome.rules[alert.rule].name),
                Cell::text(alert.labels.get("severity")),
                Cell::wide(&whose(&alert.labels)),
                Cell::number(short(alert.value)),
                Cell::number(short(alert.peak)),
            ];
            if let Some(scored) = scored {
                row.push(Cell::html(tag(
                    verdict(scored.verdicts[i]),
                    &was(scored, i),
                )));
            }
            let text = alert
                .annotations
                .iter()
                .find(|(name, _)| &**name == "summary");
            let text = text.or(alert.annotations.first());
            row.push(Cell::wide(text.map_or("", |(_, text)| text)));
            row.push(Cell::html(format!("<code>{}</code>", escape(&alert.id))));
            row
        })
        .collect();
    out.push_str(&table(&headings, &rows, false));
    if hidden > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">and {} more: <code>--format json</code> has all.</p>",
            grouped(hidden as u64)
        );
    }
}
