//! A comparison of two rule files, for people.

use std::io::Write as _;
use std::path::Path;

use memwatch_core::Nanos;
use memwatch_core::alert::Message;
use memwatch_core::backtest::{
    Change, Diff, MessagePair, Notified, Outcome, Pair, Score, addresses,
};

use super::backtest::{Clock, cut, lasted, title, told_by, was, whose};
use super::table::{Column, Style, draw};
use super::{Output, clean, grouped};
use crate::args::NotifyArgs;
use crate::commands::budget::Budget;

/// Changed alerts that are listed one by one.
const ALERTS_MAX: usize = 60;
/// Changed messages that are listed one by one.
const MESSAGES_MAX: usize = 60;

/// Two outcomes and where they came from.
pub struct Compared<'a> {
    /// The old rules as the user named them.
    pub old_path: &'a Path,
    /// The new rules as the user named them.
    pub new_path: &'a Path,
    /// The data as the user named it.
    pub data_path: &'a Path,
    /// The files that say whom alerts are told, as the user named them.
    pub notify: &'a NotifyArgs,
    /// What the old rules found.
    pub old: &'a Outcome,
    /// What the new rules found.
    pub new: &'a Outcome,
    /// What changed.
    pub diff: &'a Diff,
    /// The limits that were given.
    pub budgets: &'a [Budget],
    /// Which commit of the store was read.
    pub data_commit: u64,
}

/// The comparison.
pub fn text(out: &mut Output, shown: &Compared<'_>, style: Style) -> anyhow::Result<()> {
    let clock = Clock::of(shown.new);
    head(out, shown)?;
    alerts(out, shown, &clock, style)?;
    messages(out, shown, &clock, style)?;
    incidents(out, shown, style)?;
    rules(out, shown, style)?;
    if !shown.budgets.is_empty() {
        title(out, style, "Limits")?;
        for budget in shown.budgets {
            let holds = if budget.holds { "holds" } else { "BROKEN" };
            let bullet = if style == Style::Markdown { "- " } else { " " };
            writeln!(out, "{bullet}{holds}: {} (--{})", budget.words, budget.name)?;
        }
    }
    Ok(())
}

fn head(out: &mut Output, shown: &Compared<'_>) -> anyhow::Result<()> {
    let path = |path: &Path| clean(&path.to_string_lossy(), false).into_owned();
    writeln!(
        out,
        "{} → {} on {} ({})",
        path(shown.old_path),
        path(shown.new_path),
        path(shown.data_path),
        lasted(shown.new.range.duration()),
    )?;
    told_by(out, shown.notify)?;
    let diff = shown.diff;
    writeln!(
        out,
        "{} alerts → {}: {} new, {} lost, {} moved, {} with other labels, {} the same",
        grouped(shown.old.alerts.len() as u64),
        grouped(shown.new.alerts.len() as u64),
        diff.count(|c| c == Change::New),
        diff.count(|c| c == Change::Lost),
        diff.count(|c| matches!(c, Change::Moved { .. })),
        diff.count(|c| c == Change::Relabeled),
        diff.count(|c| c == Change::Same),
    )?;
    if !diff.messages.is_empty() {
        let count = |what: &str| {
            diff.messages
                .iter()
                .filter(|p| message_word(p) == what)
                .count()
        };
        writeln!(
            out,
            "messages: {} new, {} lost, {} moved, {} the same",
            count("new"),
            count("lost"),
            count("moved"),
            count("same")
        )?;
    }
    if let (Some(old), Some(new)) = (&shown.old.score, &shown.new.score) {
        writeln!(
            out,
            "{} of {} incidents caught → {} of {}; {} false alerts → {}",
            old.all.hit,
            old.all.incidents,
            new.all.hit,
            new.all.incidents,
            old.all.false_alerts,
            new.all.false_alerts
        )?;
    }
    Ok(())
}

/// A change in a word.
pub fn word(change: Change) -> &'static str {
    match change {
        Change::New => "new",
        Change::Lost => "lost",
        Change::Moved { .. } => "moved",
        Change::Relabeled => "relabeled",
        Change::Same => "same",
    }
}

fn signed(by: Nanos) -> String {
    match by.0 {
        0 => "=".to_owned(),
        by if by > 0 => format!("+{}", lasted(Nanos(by))),
        by => format!("-{}", lasted(Nanos(-by))),
    }
}

fn alerts(
    out: &mut Output,
    shown: &Compared<'_>,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    let changed: Vec<&Pair> = shown
        .diff
        .alerts
        .iter()
        .filter(|p| p.change != Change::Same)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    title(out, style, "Alerts that changed")?;
    let mut columns = vec![
        Column::text("change"),
        Column::text("rule"),
        Column::text("of"),
        Column::text("fired"),
        Column::number("fires"),
        Column::number("ends"),
    ];
    let scored = shown.old.score.is_some() && shown.new.score.is_some();
    if scored {
        columns.push(Column::text("was"));
    }
    let rows: Vec<Vec<String>> = changed
        .iter()
        .take(ALERTS_MAX)
        .filter_map(|pair| {
            let (outcome, index) = match (pair.new, pair.old) {
                (Some(new), _) => (shown.new, new),
                (None, Some(old)) => (shown.old, old),
                (None, None) => return None,
            };
            let alert = &outcome.alerts[index];
            let (fires, ends) = match pair.change {
                Change::Moved { fires, ends } => {
                    (signed(fires), ends.map_or("open".to_owned(), signed))
                }
                _ => (String::new(), String::new()),
            };
            let mut row = vec![
                word(pair.change).to_owned(),
                cut(&outcome.rules[alert.rule].name, 24),
                cut(&whose(&alert.labels), 26),
                clock.show(alert.fired_at),
                fires,
                ends,
            ];
            if scored {
                row.push(
                    outcome
                        .score
                        .as_ref()
                        .map_or(String::new(), |s| was(s, index)),
                );
            }
            Some(row)
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    let hidden = changed.len().saturating_sub(ALERTS_MAX);
    if hidden > 0 {
        writeln!(
            out,
            "and {} more: --format json has all",
            grouped(hidden as u64)
        )?;
    }
    Ok(())
}

/// What became of a message, in a word.
pub fn message_word(pair: &MessagePair) -> &'static str {
    match (pair.old, pair.new) {
        (None, _) => "new",
        (_, None) => "lost",
        _ if pair.later.0 != 0 => "moved",
        _ => "same",
    }
}

/// The message of a pair, the new one where there is one, with what it was sent through.
pub fn message_of<'a>(
    shown: &Compared<'a>,
    pair: &MessagePair,
) -> Option<(&'a Notified, &'a Message)> {
    let (outcome, index) = match (pair.new, pair.old) {
        (Some(new), _) => (shown.new, new),
        (None, old) => (shown.old, old?),
    };
    let notified = outcome.notified.as_ref()?;
    Some((notified, notified.timeline.messages.get(index)?))
}

fn messages(
    out: &mut Output,
    shown: &Compared<'_>,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    let changed = || {
        shown
            .diff
            .messages
            .iter()
            .filter(|p| message_word(p) != "same")
    };
    if changed().next().is_none() {
        return Ok(());
    }
    title(out, style, "Messages that changed")?;
    let columns = [
        Column::text("change"),
        Column::text("sent"),
        Column::number("later"),
        Column::text("to"),
        Column::text("by"),
        Column::text("status"),
        Column::text("group"),
    ];
    let rows: Vec<Vec<String>> = changed()
        .take(MESSAGES_MAX)
        .filter_map(|pair| {
            let (notified, message) = message_of(shown, pair)?;
            let receiver = &notified.config.receivers[message.receiver];
            let later = if pair.later.0 == 0 {
                String::new()
            } else {
                signed(pair.later)
            };
            Some(vec![
                message_word(pair).to_owned(),
                clock.show(message.at),
                later,
                cut(&receiver.name, 16),
                receiver.integrations[message.integration]
                    .kind
                    .name()
                    .to_owned(),
                message.status().to_owned(),
                cut(&message.group_labels.to_string(), 34),
            ])
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    let hidden = changed().count().saturating_sub(MESSAGES_MAX);
    if hidden > 0 {
        writeln!(
            out,
            "and {} more: --format json has all",
            grouped(hidden as u64)
        )?;
    }
    Ok(())
}

fn incidents(out: &mut Output, shown: &Compared<'_>, style: Style) -> anyhow::Result<()> {
    let changed = shown.diff.incidents.iter().filter(|i| i.old != i.new);
    let names = addresses(shown.new);
    let caught =
        |delay: Option<Nanos>| delay.map_or("missed".to_owned(), |d| format!("+{}", lasted(d)));
    let rows: Vec<Vec<String>> = changed
        .map(|change| {
            let what = match (change.old, change.new) {
                (None, Some(_)) => "caught now",
                (Some(_), None) => "MISSED NOW",
                (Some(old), Some(new)) if new < old => "sooner",
                _ => "later",
            };
            vec![
                cut(&names[change.incident], 44),
                caught(change.old),
                caught(change.new),
                what.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    title(out, style, "Incidents that changed")?;
    let columns = [
        Column::text("incident"),
        Column::number("old"),
        Column::number("new"),
        Column::text(""),
    ];
    write!(out, "{}", draw(&columns, &rows, style))?;
    Ok(())
}

fn rules(out: &mut Output, shown: &Compared<'_>, style: Style) -> anyhow::Result<()> {
    let score = |outcome: &Outcome, rule: Option<usize>| -> Option<Score> {
        let scored = outcome.score.as_ref()?;
        let found = scored.rules.iter().find(|(i, _)| Some(*i) == rule)?;
        Some(found.1.clone())
    };
    let both = |old: Option<String>, new: Option<String>| match (old, new) {
        (Some(old), Some(new)) if old == new => new,
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (None, Some(new)) => format!("– → {new}"),
        (Some(old), None) => format!("{old} → –"),
        (None, None) => "–".to_owned(),
    };
    let mut rows = Vec::new();
    let mut same = 0;
    for pair in &shown.diff.rules {
        let alerts =
            |outcome: &Outcome, rule: Option<usize>| rule.map(|r| grouped(outcome.rules[r].alerts));
        let (old, new) = (score(shown.old, pair.old), score(shown.new, pair.new));
        let unchanged = shown.diff.alerts.iter().all(|p| {
            let of = |outcome: &Outcome, alert: Option<usize>, rule: Option<usize>| {
                alert.is_some_and(|a| Some(outcome.alerts[a].rule) == rule)
            };
            p.change == Change::Same
                || !(of(shown.old, p.old, pair.old) || of(shown.new, p.new, pair.new))
        });
        if unchanged && pair.old.is_some() && pair.new.is_some() {
            same += 1;
            continue;
        }
        let figure = |of: fn(&Score) -> Option<String>| {
            both(old.as_ref().and_then(of), new.as_ref().and_then(of))
        };
        rows.push(vec![
            cut(&pair.name, 32),
            both(alerts(shown.old, pair.old), alerts(shown.new, pair.new)),
            figure(|s| Some(format!("{} of {}", s.hit, s.incidents))),
            figure(|s| s.precision.map(|p| format!("{p:.2}"))),
            figure(|s| Some(grouped(s.false_alerts))),
            figure(|s| s.detect_median.map(lasted)),
        ]);
    }
    if !rows.is_empty() {
        title(out, style, "Rules that changed")?;
        let columns = [
            Column::text("rule"),
            Column::number("alerts"),
            Column::number("caught"),
            Column::number("precision"),
            Column::number("false"),
            Column::number("detect"),
        ];
        write!(out, "{}", draw(&columns, &rows, style))?;
    }
    if same > 0 {
        let s = if same == 1 { "" } else { "s" };
        writeln!(out, "{same} rule{s} with the same alerts")?;
    }
    Ok(())
}
