//! A backtest for people: incidents, rules, alerts, what could not be evaluated, settings.

use std::io::Write;
use std::path::Path;

use chrono::DateTime;
use memwatch_core::backtest::{AlertVerdict, Ended, Outcome, Robustness, Scored};
use memwatch_core::report::Page;
use memwatch_core::rule::RuleFile;
use memwatch_core::{Labels, Nanos, Timestamp};

use super::backtest_json::policy;
use super::table::{Column, Style, draw};
use super::{Output, clean, coverage, grouped, notifications, robustness, score, timeline};
use crate::args::NotifyArgs;

/// What evaluates: part of every report, because it decides outcomes.
pub const ENGINE: &str = concat!(
    "memwatch ",
    env!("CARGO_PKG_VERSION"),
    ", PromQL as of Prometheus 3"
);

/// Alerts that are listed one by one.
const ALERTS_MAX: usize = 60;

/// A backtest and where it came from.
pub struct Shown<'a> {
    /// The rule file as the user named it.
    pub rules_path: &'a Path,
    /// The data as the user named it.
    pub data_path: &'a Path,
    /// The files that say whom alerts are told, as the user named them.
    pub notify: &'a NotifyArgs,
    /// The rules.
    pub file: &'a RuleFile,
    /// What was found.
    pub outcome: &'a Outcome,
    /// Which commit of the store was read.
    pub data_commit: u64,
    /// What became of it disturbed, if that was asked for.
    pub robustness: Option<&'a Robustness>,
    /// The services that have a timeline in text.
    pub timeline: &'a [Page],
}

/// The report.
pub fn text(out: &mut Output, shown: &Shown<'_>, style: Style) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let clock = Clock::of(outcome);
    head(out, shown)?;
    if let Some(scored) = &outcome.score {
        incidents(out, outcome, scored, &clock, style)?;
    }
    score::rules(out, outcome, style)?;
    alerts(out, outcome, &clock, style)?;
    timeline::text(out, outcome, shown.timeline, &clock, style)?;
    notifications::text(out, outcome, &clock, style)?;
    if let Some(robustness) = shown.robustness {
        robustness::text(out, outcome, robustness, style)?;
    }
    coverage::text(out, outcome, &clock, style)?;
    settings(out, shown, style)
}

/// A heading.
pub fn title(out: &mut Output, style: Style, text: &str) -> anyhow::Result<()> {
    match style {
        Style::Plain => writeln!(out, "\n{text}")?,
        Style::Markdown => writeln!(out, "\n## {text}\n")?,
    }
    Ok(())
}

fn head(out: &mut Output, shown: &Shown<'_>) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let day = |at: Timestamp| {
        let at = DateTime::from_timestamp_nanos(at.0);
        at.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let services = match outcome.services.len() {
        1 => "1 service".to_owned(),
        n => format!("{n} services"),
    };
    writeln!(
        out,
        "{} on {}: {} to {} UTC ({}), {services}",
        clean(&shown.rules_path.to_string_lossy(), false),
        clean(&shown.data_path.to_string_lossy(), false),
        day(outcome.range.start),
        day(outcome.range.end),
        lasted(outcome.range.duration()),
    )?;
    let fired = outcome.alerts.len();
    let alerts = format!(
        "{} alert{} fired",
        grouped(fired as u64),
        if fired == 1 { "" } else { "s" }
    );
    match outcome.score.as_ref() {
        Some(scored) => {
            let all = &scored.all;
            writeln!(
                out,
                "{alerts}: {} true, {} duplicate, {} false; {} of {} incidents caught",
                all.true_alerts, all.duplicates, all.false_alerts, all.hit, all.incidents
            )?;
        }
        None => writeln!(
            out,
            "{alerts}; no incidents are known, so none is right or wrong (--labels FILE gives some)"
        )?,
    }
    Ok(())
}

fn incidents(
    out: &mut Output,
    outcome: &Outcome,
    scored: &Scored,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    if scored.incidents.is_empty() {
        return Ok(());
    }
    title(out, style, "Incidents")?;
    let columns = [
        Column::text("incident"),
        Column::text("start"),
        Column::number("lasts"),
        Column::number("caught"),
        Column::text("by"),
    ];
    let rows: Vec<Vec<String>> = scored
        .incidents
        .iter()
        .map(|found| {
            let by = &found.detected_by;
            let mut names: Vec<&str> = by.iter().map(|d| &*outcome.rules[d.rule].name).collect();
            let more = names.len().saturating_sub(2);
            names.truncate(2);
            let mut by_text = names.join(", ");
            if more > 0 {
                by_text += &format!(" +{more}");
            }
            vec![
                cut(&found.id, 38),
                clock.show(found.incident.range.start),
                lasted(found.incident.range.duration()),
                by.first()
                    .map_or("missed".to_owned(), |d| format!("+{}", lasted(d.delay))),
                cut(&by_text, 40),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    if scored.outside > 0 {
        writeln!(out, "{} incidents lie outside of the range", scored.outside)?;
    }
    Ok(())
}

fn alerts(out: &mut Output, outcome: &Outcome, clock: &Clock, style: Style) -> anyhow::Result<()> {
    if outcome.alerts.is_empty() {
        return Ok(());
    }
    title(out, style, "Alerts")?;
    let scored = outcome.score.as_ref();
    let mut columns = vec![
        Column::text("id"),
        Column::text("fired"),
        Column::number("for"),
        Column::text("rule"),
        Column::text("of"),
        Column::number("value"),
        Column::number("peak"),
    ];
    if scored.is_some() {
        columns.push(Column::text("was"));
    }
    // When not all fit, those that need a look come first: the false ones.
    let mut listed: Vec<usize> = (0..outcome.alerts.len()).collect();
    let hidden = listed.len().saturating_sub(ALERTS_MAX);
    if hidden > 0 {
        let dull = |i: &usize| match scored.map(|s| s.verdicts[*i]) {
            Some(AlertVerdict::False | AlertVerdict::Benign) => 0,
            Some(AlertVerdict::True(_)) => 1,
            _ => 2,
        };
        listed.sort_by_key(dull);
        listed.truncate(ALERTS_MAX);
        listed.sort_unstable();
    }
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|&i| {
            let alert = &outcome.alerts[i];
            let end = match alert.ended {
                Ended::Open => "open".to_owned(),
                Ended::Resolved(at) => lasted(at.since(alert.fired_at)),
                Ended::Cleared(_) => "cleared".to_owned(),
            };
            let mut row = vec![
                alert.id.to_string(),
                clock.show(alert.fired_at),
                end,
                cut(&outcome.rules[alert.rule].name, 24),
                cut(&whose(&alert.labels), 26),
                short(alert.value),
                short(alert.peak),
            ];
            if let Some(scored) = scored {
                row.push(was(scored, i));
            }
            row
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    if hidden > 0 {
        writeln!(
            out,
            "and {} more: --format json has all",
            grouped(hidden as u64)
        )?;
    }
    Ok(())
}

/// What an alert was, with the incident's kind.
pub fn was(scored: &Scored, alert: usize) -> String {
    let kind = |i: usize| &*scored.incidents[i].incident.kind;
    match scored.verdicts[alert] {
        AlertVerdict::True(i) => kind(i).to_owned(),
        AlertVerdict::Duplicate(i) => format!("again {}", kind(i)),
        AlertVerdict::False => "FALSE".to_owned(),
        AlertVerdict::Benign => "FALSE (benign)".to_owned(),
        AlertVerdict::Ignored => "unlabelled".to_owned(),
        AlertVerdict::Unscored => "no labels".to_owned(),
    }
}

/// Whose alert it is: the instance, with the service where the instance's name does not say it; else all labels.
pub fn whose(labels: &Labels) -> String {
    let service = match labels.get("service") {
        "" => labels.get("job"),
        service => service,
    };
    match (service, labels.get("instance")) {
        ("", "") => labels
            .filter(|n| n != "alertname" && n != "severity")
            .canonical(),
        (service, "") => service.to_owned(),
        (service, instance) if service.is_empty() || instance.contains(service) => {
            instance.to_owned()
        }
        (service, instance) => format!("{service} {instance}"),
    }
}

fn settings(out: &mut Output, shown: &Shown<'_>, style: Style) -> anyhow::Result<()> {
    let settings = &shown.outcome.settings;
    let mut intervals: Vec<(Nanos, Nanos)> = shown
        .outcome
        .rules
        .iter()
        .map(|r| (r.interval, r.phase))
        .collect();
    intervals.sort_unstable();
    intervals.dedup();
    let intervals: Vec<String> = intervals
        .iter()
        .map(|(interval, phase)| format!("{interval} (phase {phase})"))
        .collect();
    title(out, style, "Settings")?;
    let grace = settings
        .grace
        .map_or("1 evaluation".to_owned(), |g| g.to_string());
    writeln!(
        out,
        "evaluated every {}; a silent series ends: {}, lookback {}; grace {grace};\n{ENGINE}{}",
        some(intervals.iter().map(String::as_str), 4),
        policy(settings.stale_after),
        settings.lookback,
        if shown.outcome.notified.is_some() {
            ""
        } else {
            "; no route, so nobody is told"
        },
    )?;
    told_by(out, shown.notify)
}

/// The files beside the rules that say whom alerts are told, a line each.
pub fn told_by(out: &mut Output, args: &NotifyArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.alertmanager {
        writeln!(out, "routes from {}", clean(&path.to_string_lossy(), false))?;
    }
    for path in &args.silences {
        let path = path.to_string_lossy();
        writeln!(out, "silences from {}", clean(&path, false))?;
    }
    Ok(())
}

/// The first `most` names, and how many more.
pub fn some<'n>(names: impl ExactSizeIterator<Item = &'n str>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let mut text = names.take(most).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// How times are shown: without the day when all lie in one.
pub struct Clock {
    with_day: bool,
}

impl Clock {
    /// For the times of this outcome.
    pub fn of(outcome: &Outcome) -> Clock {
        let day = |at: Timestamp| at.0.div_euclid(86_400_000_000_000);
        Clock {
            with_day: day(outcome.range.start) != day(outcome.range.end),
        }
    }

    /// An instant.
    pub fn show(&self, at: Timestamp) -> String {
        let format = if self.with_day {
            "%m-%d %H:%M:%S%.1f"
        } else {
            "%H:%M:%S%.1f"
        };
        // Chrono writes 0, 3, 6 or 9 digits: cut to one.
        let at = DateTime::from_timestamp_nanos(at.0);
        let text = at.format(&format.replace("%.1f", "%.3f")).to_string();
        text[..text.len() - 2].to_owned()
    }
}

/// A duration for people, to about three digits: `7.4 s`, `2m13s`.
pub fn lasted(duration: Nanos) -> String {
    let seconds = duration.as_seconds();
    if seconds < 1.0 {
        format!("{:.0}ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        let step = if seconds < 3_600.0 {
            Nanos::SECOND
        } else {
            Nanos::MINUTE
        };
        Nanos((duration.0 + step.0 / 2) / step.0 * step.0).to_string()
    }
}

/// A number for people, to four digits.
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    let (factor, suffix) = match size {
        s if s >= 1e12 => (1e12, "T"),
        s if s >= 1e9 => (1e9, "G"),
        s if s >= 1e6 => (1e6, "M"),
        s if s >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let scaled = value / factor;
    let digits = match scaled.abs() {
        s if s >= 1000.0 || s == 0.0 => 0,
        s if s >= 100.0 => 1,
        s if s >= 10.0 => 2,
        s if s >= 0.01 => 3,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{suffix}")
}

/// At most `most` characters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_possible_truncation)] // Whole seconds and tenths.
    fn numbers_and_durations_are_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (1234.5, "1234"),
            (12_345.0, "12.35k"),
            (104_857_600.0, "104.9M"),
            (0.0123, "0.012"),
            (0.000_012, "1.20e-5"),
            (-3.25, "-3.25"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
        for (seconds, text) in [
            (0.25, "250ms"),
            (7.44, "7.4s"),
            (133.4, "2m13s"),
            (7_384.0, "2h3m"),
        ] {
            assert_eq!(lasted(Nanos((seconds * 1e9) as i64)), text);
        }
    }
}
