//! Who would have been told what, for people: the messages in their order, what they waited for, and what was never told.

use std::collections::BTreeMap;
use std::io::Write as _;

use memwatch_core::alert::payload::limits;
use memwatch_core::alert::{Delivery, Message, Reason, Untold, Wait};
use memwatch_core::backtest::{Notified, Outcome};
use memwatch_core::{Matcher, Nanos};

use super::backtest::{Clock, cut, lasted, some, title, whose};
use super::notifications_json::{receiver_name, refused};
use super::table::{Column, Style, draw};
use super::{Output, clean, grouped};

/// Messages that are listed one by one.
const MESSAGES_MAX: usize = 60;

/// The section, when there is a route.
pub fn text(
    out: &mut Output,
    outcome: &Outcome,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    let Some(notified) = &outcome.notified else {
        return Ok(());
    };
    title(out, style, "Notifications")?;
    let timeline = &notified.timeline;
    let lines = [
        receivers(notified),
        delays(outcome, notified),
        untold(outcome, notified),
        lost(outcome, notified),
    ];
    messages(out, outcome, notified, clock, style)?;
    for line in lines.into_iter().flatten().chain(limit_lines(notified)) {
        bullet(out, style, &line)?;
    }
    for did in &timeline.suppressed {
        let silence = &notified.config.silences[did.silence];
        let name = silence
            .id
            .as_deref()
            .map_or(String::new(), |id| format!(" `{id}`"));
        let why = silence
            .comment
            .as_deref()
            .map_or(String::new(), |c| format!(" ({c})"));
        let did = if did.alerts.is_empty() {
            "kept nothing back".to_owned()
        } else {
            format!(
                "kept {} back; without it {} more would have been sent",
                count(did.alerts.len(), "alert"),
                count(did.messages, "message"),
            )
        };
        let line = format!(
            "silence{name} of {} from {} to {}{why}: {did}",
            matchers(&silence.matchers),
            clock.show(silence.range.start),
            clock.show(silence.range.end),
        );
        bullet(out, style, &line)?;
    }
    Ok(())
}

fn bullet(out: &mut Output, style: Style, line: &str) -> anyhow::Result<()> {
    let line = clean(line, false);
    match style {
        Style::Markdown => writeln!(out, "- {line}")?,
        Style::Plain => {
            // At most 100 characters a line, broken at spaces.
            let mut width = 0;
            for (i, word) in line.split(' ').enumerate() {
                let length = word.chars().count();
                if i == 0 {
                    write!(out, "{word}")?;
                    width = length;
                } else if width + 1 + length > 100 {
                    write!(out, "\n  {word}")?;
                    width = 2 + length;
                } else {
                    write!(out, " {word}")?;
                    width += 1 + length;
                }
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn messages(
    out: &mut Output,
    outcome: &Outcome,
    notified: &Notified,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    let all = &notified.timeline.messages;
    if all.is_empty() {
        writeln!(out, "no message would have been sent")?;
        return Ok(());
    }
    let columns = [
        Column::text("sent"),
        Column::text("to"),
        Column::text("what"),
        Column::number("bytes"),
        Column::text("note"),
    ];
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(MESSAGES_MAX)
        .enumerate()
        .map(|(index, message)| {
            let receiver = &notified.config.receivers[message.receiver];
            let kind = receiver.integrations[message.integration].kind.name();
            let body = notified.payload(index);
            vec![
                clock.show(message.at),
                cut(&format!("{} {kind}", receiver.name), 20),
                cut(&what(outcome, message), 42),
                body.as_ref()
                    .map_or("?".to_owned(), |body| grouped(body.body.len() as u64)),
                cut(&note(message, body.and_then(|b| b.truncated)), 14),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    let hidden = all.len().saturating_sub(MESSAGES_MAX);
    if hidden > 0 {
        let hidden = grouped(hidden as u64);
        writeln!(out, "and {hidden} more: --format json has all")?;
    }
    Ok(())
}

/// `FIRING 2: GcThrash cart-0, cart-1`.
fn what(outcome: &Outcome, message: &Message) -> String {
    let (status, alerts) = if message.firing.is_empty() {
        ("RESOLVED", &message.resolved)
    } else {
        ("FIRING", &message.firing)
    };
    let mut of: Vec<(&str, Vec<String>)> = Vec::new();
    for alert in alerts {
        let labels = &outcome.alerts[*alert].labels;
        let (name, whose) = (labels.get("alertname"), whose(labels));
        match of.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.push(whose),
            None => of.push((name, vec![whose])),
        }
    }
    let names: Vec<String> = of
        .iter()
        .map(|(name, whose)| format!("{name} {}", whose.join(", ")))
        .collect();
    format!("{status} {}: {}", alerts.len(), names.join("; "))
}

fn note(message: &Message, truncated: Option<String>) -> String {
    if message.refused.is_some() {
        "REFUSED".to_owned()
    } else if truncated.is_some() {
        "cut".to_owned()
    } else {
        match message.reason {
            Reason::First | Reason::AllResolved => String::new(),
            Reason::NewAlerts => "more alerts".to_owned(),
            Reason::SomeResolved => "some resolved".to_owned(),
            Reason::Repeat => "repeated".to_owned(),
        }
    }
}

/// How many messages each receiver would have had.
fn receivers(notified: &Notified) -> Option<String> {
    let mut sent: BTreeMap<(usize, usize), (usize, usize, usize)> = BTreeMap::new();
    let messages = &notified.timeline.messages;
    for (index, message) in messages.iter().enumerate() {
        let entry = sent
            .entry((message.receiver, message.integration))
            .or_default();
        entry.0 += 1;
        entry.1 += usize::from(message.refused.is_some());
        entry.2 += usize::from(
            notified
                .payload(index)
                .is_some_and(|b| b.truncated.is_some()),
        );
    }
    let parts: Vec<String> = sent
        .iter()
        .map(|((receiver, integration), (all, refused, cut))| {
            let receiver = &notified.config.receivers[*receiver];
            let kind = receiver.integrations[*integration].kind.name();
            let mut text = format!("{} {kind} {}", receiver.name, grouped(*all as u64));
            if *cut > 0 {
                text += &format!(" ({cut} cut to the limit)");
            }
            if *refused > 0 {
                text += &format!(" ({refused} refused)");
            }
            text
        })
        .collect();
    let refusal = messages.iter().find_map(|m| m.refused).map(refused);
    (!parts.is_empty()).then(|| {
        let refusal = refusal.map_or(String::new(), |why| {
            format!("; refused: {why}, so what they told is lost")
        });
        format!(
            "{} to {}{refusal}",
            count(messages.len(), "message"),
            parts.join(", ")
        )
    })
}

/// How long the first message of each alert took, and what held the slowest back.
fn delays(outcome: &Outcome, notified: &Notified) -> Option<String> {
    let deliveries = &notified.timeline.deliveries;
    let mut told: Vec<(Nanos, &Delivery)> = deliveries
        .iter()
        .filter_map(|d| Some((d.delay()?, d)))
        .collect();
    told.sort_by_key(|(delay, _)| *delay);
    let (slowest, delivery) = *told.last()?;
    let waits: Vec<String> = delivery
        .waits
        .iter()
        .map(|(by, held)| format!("{} {}", wait(*by), lasted(*held)))
        .collect();
    let labels = &outcome.alerts[delivery.alert].labels;
    Some(format!(
        "from firing to the first message: median {}, slowest {} ({} {} to {}: {})",
        lasted(told[told.len() / 2].0),
        lasted(slowest),
        labels.get("alertname"),
        whose(labels),
        receiver_name(notified, delivery.receiver),
        if waits.is_empty() {
            "no wait".to_owned()
        } else {
            waits.join(", ")
        },
    ))
}

fn wait(by: Wait) -> &'static str {
    match by {
        Wait::GroupWait => "group_wait",
        Wait::GroupInterval => "group_interval",
        Wait::Muted(muted) => match muted {
            memwatch_core::alert::Muted::Inhibited => "inhibited",
            memwatch_core::alert::Muted::Interval => "outside of its time intervals",
            memwatch_core::alert::Muted::Silenced => "silenced",
        },
        Wait::Believed => "believed to fire already",
        Wait::Refused => "message refused",
    }
}

/// The alerts that a receiver was never told, by what the reason is.
fn untold(outcome: &Outcome, notified: &Notified) -> Option<String> {
    let mut by: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut all = 0;
    for delivery in &notified.timeline.deliveries {
        let Err(untold) = delivery.told else { continue };
        let reason = match untold {
            Untold::EndedFirst => "ended before its group was flushed",
            Untold::Muted(muted) => wait(Wait::Muted(muted)),
            Untold::Believed => "believed to fire already",
            Untold::NotYet => "not flushed before the end",
            Untold::Refused => "message refused",
            Untold::NoIntegration => "a receiver without integrations",
        };
        let labels = &outcome.alerts[delivery.alert].labels;
        let to = receiver_name(notified, delivery.receiver);
        all += 1;
        by.entry(reason).or_default().push(format!(
            "{} {} to {to}",
            labels.get("alertname"),
            whose(labels)
        ));
    }
    let parts: Vec<String> = by
        .iter()
        .map(|(reason, names)| {
            let shown = some(names.iter().map(String::as_str), 3);
            format!("{reason}: {} ({shown})", names.len())
        })
        .collect();
    (all > 0).then(|| format!("never told {}: {}", count(all, "alert"), parts.join("; ")))
}

fn lost(outcome: &Outcome, notified: &Notified) -> Option<String> {
    let lost = &notified.timeline.lost_resolves;
    let names: Vec<String> = lost
        .iter()
        .map(|lost| {
            let labels = &outcome.alerts[lost.alert].labels;
            format!(
                "{} {} to {} ({})",
                labels.get("alertname"),
                whose(labels),
                receiver_name(notified, lost.receiver),
                wait(Wait::Muted(lost.by))
            )
        })
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} never told, to a receiver that was told of the alert: {}",
            count(lost.len(), "resolve"),
            some(names.iter().map(String::as_str), 4)
        )
    })
}

/// What each kind of integration in use takes.
fn limit_lines(notified: &Notified) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut unknown: Vec<&str> = Vec::new();
    let receivers = &notified.config.receivers;
    for integration in receivers.iter().flat_map(|r| &r.integrations) {
        let name = integration.kind.name();
        let taken = limits(integration);
        if !taken.is_empty() {
            parts.push(format!("{name} {}", taken.join(", ")));
        } else if !integration.kind.has_payload() && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    parts.sort();
    parts.dedup();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        parts.push(format!(
            "what {} gets exactly is not simulated",
            unknown.join(", ")
        ));
    }
    (!parts.is_empty()).then(|| format!("limits: {}", parts.join("; ")))
}

fn matchers(all: &[Matcher]) -> String {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    format!("{{{}}}", texts.join(", "))
}

fn count(n: usize, thing: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {thing}{s}", grouped(n as u64))
}
