//! Services on a row of characters each: the signal that decided, incidents, alerts and messages.

use std::io::Write as _;

use memwatch_core::TimeRange;
use memwatch_core::backtest::{AlertVerdict, Outcome};
use memwatch_core::report::{Page, Panel, Role, Strip, bar, marks, spark};

use super::backtest::{Clock, cut, lasted, short, title};
use super::table::Style;
use super::{Output, clean};

/// Rules of a service that have a row.
const RULES_MAX: usize = 5;
/// What stands before a row, and behind it.
const NAME: usize = 20;
const RANGE: usize = 20;

/// The services that need a look first: incidents missed, false alerts, then the most events. At most so many, those without an event never.
pub fn worth_showing(outcome: &Outcome, services: usize) -> Vec<String> {
    let mut found: Vec<(usize, usize, usize, &str)> = Vec::new();
    let owner = |labels: &memwatch_core::Labels| match labels.get("service") {
        "" => labels.get("job").to_owned(),
        service => service.to_owned(),
    };
    for service in &outcome.services {
        let scored = outcome.score.as_ref();
        let incidents: Vec<_> = scored
            .iter()
            .flat_map(|s| &s.incidents)
            .filter(|i| i.incident.service == *service)
            .collect();
        let missed = incidents
            .iter()
            .filter(|i| i.detected_by.is_empty())
            .count();
        let alerts = outcome.alerts.iter().enumerate();
        let mine: Vec<usize> = alerts
            .filter(|(_, a)| owner(&a.labels) == **service)
            .map(|(i, _)| i)
            .collect();
        let wrong = mine.iter().filter(|i| {
            let verdict = scored.map(|s| s.verdicts[**i]);
            matches!(verdict, Some(AlertVerdict::False | AlertVerdict::Benign))
        });
        found.push((missed, wrong.count(), incidents.len() + mine.len(), service));
    }
    found.retain(|f| f.2 > 0);
    found.sort_by(|a, b| (b.0, b.1, b.2, a.3).cmp(&(a.0, a.1, a.2, b.3)));
    found
        .into_iter()
        .take(services)
        .map(|f| f.3.to_owned())
        .collect()
}

/// The rows of these pages.
pub fn text(
    out: &mut Output,
    outcome: &Outcome,
    pages: &[Page],
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    if pages.is_empty() {
        return Ok(());
    }
    let width = out.width();
    let strip = Strip {
        range: outcome.range,
        width: width.saturating_sub(NAME + RANGE + 4).max(20),
        ascii: out.is_ascii(),
    };
    title(out, style, "Timeline")?;
    if style == Style::Markdown {
        writeln!(out, "```")?;
    }
    let column = outcome.range.duration().0 / i64::try_from(strip.width).unwrap_or(1);
    writeln!(
        out,
        "{} to {}; a column is {}",
        clock.show(outcome.range.start),
        clock.show(outcome.range.end),
        lasted(memwatch_core::Nanos(column))
    )?;
    for page in pages {
        writeln!(out, " {}", cut(&clean(&page.service, false), width - 2))?;
        for (name, row, behind) in rows(outcome, page, &strip) {
            let name = cut(&clean(&name, false), NAME);
            let line = format!("  {name:NAME$} {row} {behind}");
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    if style == Style::Markdown {
        writeln!(out, "```")?;
    }
    Ok(())
}

/// Name, row, and what stands behind it.
fn rows(outcome: &Outcome, page: &Page, strip: &Strip) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    if let Some(panel) = deciding(outcome, page)
        && let Some(line) = panel.lines.iter().find(|l| l.role == Role::Value)
        && let Some((low, high)) = line.envelope.bounds()
    {
        let name = match panel.rule {
            Some(rule) => format!("value of {}", outcome.rules[rule].name),
            None => panel.title.clone(),
        };
        let behind = format!("{} to {}", short(low), short(high));
        found.push((name, spark(strip, &page.axis, &line.envelope), behind));
    }
    let scored = outcome.score.as_ref();
    if !page.incidents.is_empty() {
        let incidents = page
            .incidents
            .iter()
            .filter_map(|i| scored.map(|s| &s.incidents[*i]));
        let incidents: Vec<_> = incidents.collect();
        let ranges: Vec<_> = incidents.iter().map(|i| (i.incident.range, true)).collect();
        let missed = incidents
            .iter()
            .filter(|i| i.detected_by.is_empty())
            .count();
        let behind = match missed {
            0 => "caught".to_owned(),
            missed => format!("{missed} missed"),
        };
        found.push(("incidents".to_owned(), bar(strip, &ranges), behind));
    }
    let mut rules: Vec<usize> = Vec::new();
    for alert in &page.alerts {
        let rule = outcome.alerts[*alert].rule;
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    for rule in rules.iter().take(RULES_MAX) {
        let alerts: Vec<usize> = page
            .alerts
            .iter()
            .copied()
            .filter(|a| outcome.alerts[*a].rule == *rule)
            .collect();
        let stretches: Vec<(TimeRange, bool)> = alerts
            .iter()
            .flat_map(|a| {
                let alert = &outcome.alerts[*a];
                let end = alert.ended.at().unwrap_or(outcome.range.end);
                let stretch = |start, end| TimeRange { start, end };
                let mut both = vec![(stretch(alert.fired_at, end), true)];
                if alert.pending_at < alert.fired_at {
                    both.push((stretch(alert.pending_at, alert.fired_at), false));
                }
                both
            })
            .collect();
        let wrong = alerts.iter().filter(|a| {
            let verdict = scored.map(|s| s.verdicts[**a]);
            matches!(verdict, Some(AlertVerdict::False | AlertVerdict::Benign))
        });
        let behind = match wrong.count() {
            0 => String::new(),
            wrong => format!("{wrong} FALSE"),
        };
        found.push((
            outcome.rules[*rule].name.to_string(),
            bar(strip, &stretches),
            behind,
        ));
    }
    if rules.len() > RULES_MAX {
        found.push((
            format!("and {} rules more", rules.len() - RULES_MAX),
            String::new(),
            String::new(),
        ));
    }
    let told: Vec<_> = outcome
        .notified
        .iter()
        .flat_map(|n| &n.timeline.messages)
        .filter(|m| {
            m.firing
                .iter()
                .chain(&m.resolved)
                .any(|a| page.alerts.contains(a))
        })
        .map(|m| m.at)
        .collect();
    if !told.is_empty() {
        found.push((
            "messages".to_owned(),
            marks(strip, &told),
            told.len().to_string(),
        ));
    }
    found
}

/// What the first rule compares that fired; else the heap.
fn deciding<'p>(outcome: &Outcome, page: &'p Page) -> Option<&'p Panel> {
    let first = page.alerts.first().map(|a| outcome.alerts[*a].rule);
    let of_rule = page
        .panels
        .iter()
        .find(|p| p.rule.is_some() && p.rule == first);
    of_rule.or(page.panels.first())
}
