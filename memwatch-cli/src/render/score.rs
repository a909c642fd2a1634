//! Scores for people: rules, and the figures over all in words.

use std::io::Write;

use memwatch_core::Nanos;
use memwatch_core::backtest::{LeadTime, Outcome, Score};

use super::backtest::{cut, lasted, title};
use super::table::{Column, Style, draw};
use super::{Output, compared, grouped};

/// How the rules agree with the incidents: each, each severity, all together, and what they are compared with.
pub fn rules(out: &mut Output, outcome: &Outcome, style: Style) -> anyhow::Result<()> {
    title(out, style, "Rules")?;
    let mut columns = vec![Column::text("rule"), Column::number("alerts")];
    let scored = outcome.score.as_ref();
    if scored.is_some() {
        for name in [
            "true",
            "dup",
            "false",
            "other",
            "recall",
            "precision",
            "detect",
        ] {
            columns.push(Column::number(name));
        }
    }
    columns.push(Column::number("unknown"));
    let mut rows = Vec::new();
    let alerting = outcome.rules.iter().enumerate().filter(|(_, r)| r.alerting);
    for (index, rule) in alerting {
        let mut row = vec![cut(&rule.name, 32), grouped(rule.alerts)];
        if let Some((_, score)) = scored.and_then(|s| s.rules.iter().find(|(i, _)| *i == index)) {
            row.extend(figures(score));
        }
        row.push(unknown(rule.unknown, rule.errors, rule.evaluations));
        rows.push(row);
    }
    if let Some(scored) = scored {
        let mut row = vec!["all".to_owned(), grouped(outcome.alerts.len() as u64)];
        row.extend(figures(&scored.all));
        row.push(String::new());
        rows.push(row);
    }
    write!(out, "{}", draw(&columns, &rows, style))?;
    let recording = outcome.rules.iter().filter(|r| !r.alerting).count();
    if recording > 0 {
        let s = if recording == 1 { "" } else { "s" };
        writeln!(out, "and {recording} recording rule{s}")?;
    }
    if let Some(scored) = scored {
        compared::text(out, scored, style)?;
        writeln!(out, "{}", summary(&scored.all))?;
    }
    Ok(())
}

/// The figures over all rules, in words.
fn summary(all: &Score) -> String {
    let mut parts = Vec::new();
    let share = |name: &str, value: Option<f64>, interval: Option<(f64, f64)>| {
        let (value, (low, high)) = (value?, interval?);
        Some(format!("{name} {value:.2} (95 %: {low:.2} to {high:.2})"))
    };
    parts.extend(share("recall", all.recall, all.recall_interval));
    parts.extend(share("precision", all.precision, all.precision_interval));
    if let (Some(skill), chance) = (all.skill, all.chance) {
        parts.push(format!("by chance {chance:.2}, skill {skill:.2}"));
    }
    if let (Some(rate), Some((low, high))) = (all.false_per_series_day, all.false_interval) {
        let per_hour = |v: f64| v / 24.0;
        parts.push(format!(
            "{:.2} false alerts per process-hour ({:.2} to {:.2})",
            per_hour(rate),
            per_hour(low),
            per_hour(high)
        ));
    }
    if let Some(lead) = &all.lead {
        parts.push(lead_time(lead));
    }
    if all.flaps > 0 {
        parts.push(format!("{} flaps", grouped(all.flaps)));
    }
    parts.push(format!(
        "at most {} in an hour, firing {:.1} % of the time",
        grouped(all.storm),
        100.0 * all.firing_share
    ));
    if all.warm_up_share > 0.0 {
        parts.push(format!(
            "warm-up, {:.1} % of the recorded time, is not counted",
            100.0 * all.warm_up_share
        ));
    }
    if all.ignored + all.unscored > 0 {
        parts.push(format!(
            "{} counted for nothing ({} in unlabelled stretches, {} of services without labels)",
            all.ignored + all.unscored,
            all.ignored,
            all.unscored
        ));
    }
    wrapped(&parts, "; ")
}

/// How long before the impact alerts came.
fn lead_time(lead: &LeadTime) -> String {
    let before = |lead: Option<Nanos>| match lead {
        None => "missed".to_owned(),
        Some(lead) if lead.0 < 0 => format!("{} after", lasted(Nanos(-lead.0))),
        Some(lead) => format!("{} before", lasted(lead)),
    };
    let mut text = format!(
        "of {} incidents with a known impact, {:.0} % were told before it (median {}, least {})",
        lead.incidents,
        100.0 * lead.ahead_share,
        before(lead.median),
        before(lead.least),
    );
    if let Some(enough) = lead.enough_share {
        text += &format!(", {:.0} % as long before as needed", 100.0 * enough);
    }
    text
}

/// Parts on as many lines of at most 100 characters as they need.
pub fn wrapped(parts: &[String], between: &str) -> String {
    let mut text = String::new();
    let mut length = 0;
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            let breaks = length + between.len() + part.len() > 100;
            text.push_str(if breaks { ";\n" } else { between });
            length = if breaks { 0 } else { length + between.len() };
        }
        text.push_str(part);
        length += part.len();
    }
    text
}

fn figures(score: &Score) -> [String; 7] {
    let share = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.2}"));
    let detect = match (score.hit, score.detect_median) {
        (0, _) => "–".to_owned(),
        (_, Some(median)) => lasted(median),
        (_, None) => "missed".to_owned(),
    };
    [
        grouped(score.true_alerts),
        grouped(score.duplicates),
        grouped(score.false_alerts),
        grouped(score.other_kind),
        share(score.recall),
        share(score.precision),
        detect,
    ]
}

/// The share of evaluations that could say nothing.
pub fn unknown(unknown: u64, errors: u64, evaluations: u64) -> String {
    let blind = unknown + errors;
    if evaluations == 0 {
        "never run".to_owned()
    } else if blind == 0 {
        "0 %".to_owned()
    } else {
        let share = 100.0 * blind as f64 / evaluations as f64;
        if share < 0.1 {
            "<0.1 %".to_owned()
        } else {
            format!("{share:.1} %")
        }
    }
}
