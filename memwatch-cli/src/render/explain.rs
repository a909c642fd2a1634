//! Why an alert fired, or how near each rule came to an incident: for people.

use std::io::Write;

use memwatch_core::backtest::{AlertStory, Fate, IncidentStory};

use memwatch_core::stats::baseline::Cause;

use super::backtest::{Clock, Shown, cut, lasted, short, title, was, whose};
use super::table::{Column, Style, draw};
use super::{Output, clean, grouped};

/// Series that are listed.
const INPUTS_MAX: usize = 20;

/// Why an alert fired.
pub fn alert(
    out: &mut Output,
    shown: &Shown<'_>,
    story: &AlertStory,
    style: Style,
) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let clock = Clock::of(outcome);
    let alert = &outcome.alerts[story.alert];
    let rule = &outcome.rules[alert.rule];
    let verdict = outcome
        .score
        .as_ref()
        .map(|scored| was(scored, story.alert));
    writeln!(
        out,
        "{} {} of {}{}",
        alert.id,
        clean(&rule.name, false),
        clean(&whose(&alert.labels), false),
        verdict.map_or_else(String::new, |was| format!(": {}", clean(&was, false))),
    )?;
    title(out, style, "What happened")?;
    let bullet = if style == Style::Markdown { "- " } else { " " };
    for (at, what) in &story.transitions {
        let more = match *what {
            "pending" => format!(
                "the condition held for the first time; it had to for {}",
                story.needed
            ),
            "firing" => format!(
                "after {}, value {}",
                lasted(at.since(alert.pending_at)),
                short(alert.value)
            ),
            "resolved" => format!(
                "after {}, at most {}",
                lasted(at.since(alert.fired_at)),
                short(alert.peak)
            ),
            "open" => "still firing at the last evaluation".to_owned(),
            _ => "forgotten, because its rule had more alerts than its group's limit".to_owned(),
        };
        writeln!(out, "{bullet}{} {what}: {more}", clock.show(*at))?;
    }
    title(out, style, "Parts of the condition")?;
    let columns = [
        Column::text("part"),
        Column::number("pending"),
        Column::number("firing"),
        Column::number("limit"),
        Column::number("margin"),
    ];
    let value = |value: Option<f64>| value.map_or("–".to_owned(), short);
    let rows: Vec<Vec<String>> = story
        .parts
        .iter()
        .map(|part| {
            vec![
                cut(&format!("{}{}", "  ".repeat(part.depth), part.text), 64),
                value(part.at_pending),
                value(part.compared.map(|c| c.0).or(part.at_firing)),
                value(part.compared.map(|c| c.1)),
                part.margin.map_or(String::new(), |m| format!("×{m:.2}")),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    baselines(out, story, &clock, style)?;
    title(out, style, "What it read")?;
    let columns = [
        Column::text("series"),
        Column::number("samples"),
        Column::text("last values"),
    ];
    let rows: Vec<Vec<String>> = story
        .inputs
        .iter()
        .take(INPUTS_MAX)
        .map(|input| {
            let last: Vec<String> = input.last.iter().map(|(_, v)| short(*v)).collect();
            vec![
                cut(&input.labels.to_string(), 60),
                grouped(input.samples),
                cut(&last.join(" "), 48),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    if story.inputs.len() > INPUTS_MAX {
        writeln!(out, "and {} more series", story.inputs.len() - INPUTS_MAX)?;
    }
    Ok(())
}

/// What its baselines found unusual, and how the score comes about.
fn baselines(
    out: &mut Output,
    story: &AlertStory,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    if story.baselines.is_empty() {
        return Ok(());
    }
    title(out, style, "What its baselines found unusual")?;
    let columns = [
        Column::text("series"),
        Column::text("at"),
        Column::text("feature"),
        Column::number("value"),
        Column::number("nearest before"),
        Column::number("apart"),
        Column::number("surprise"),
    ];
    let rows: Vec<Vec<String>> = story
        .baselines
        .iter()
        .map(|story| {
            let surprise = &story.surprise;
            let cause = surprise.deviation.cause;
            let number = |of: fn(&Cause) -> f64| cause.map_or("–".to_owned(), |c| short(of(&c)));
            let metric = match surprise.labels.name() {
                "" => &surprise.call,
                name => name,
            };
            let series = match &story.recorded_by {
                Some(rule) => format!("{metric} ({rule})"),
                None => metric.to_owned(),
            };
            vec![
                cut(&series, 44),
                clock.show(surprise.at),
                cause.map_or("–".to_owned(), |c| c.feature.to_string()),
                number(|c| c.value),
                number(|c| c.nearest),
                number(|c| c.gap),
                short(surprise.deviation.surprise),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    let bullet = if style == Style::Markdown { "- " } else { " " };
    for story in &story.baselines {
        let deviation = &story.surprise.deviation;
        let Some(cause) = &deviation.cause else {
            continue;
        };
        writeln!(
            out,
            "{bullet}{} = -log10({}/{}) + ({} - {}) / ({} * ln 10), at most 16",
            short(deviation.surprise),
            cause.above,
            cause.seen,
            short(cause.gap),
            short(cause.usual_gap),
            short(cause.mean_excess),
        )?;
        writeln!(
            out,
            "{bullet}{} of {} distances were above {}, by {} on average; the median is {}",
            grouped(cause.above),
            grouped(cause.seen),
            short(cause.usual_gap),
            short(cause.mean_excess),
            short(cause.level),
        )?;
    }
    Ok(())
}

/// How near each rule came to an incident.
pub fn incident(
    out: &mut Output,
    shown: &Shown<'_>,
    story: &IncidentStory,
    style: Style,
) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let clock = Clock::of(outcome);
    let Some(scored) = &outcome.score else {
        return Ok(());
    };
    let found = &scored.incidents[story.incident];
    let range = found.incident.range;
    writeln!(
        out,
        "{} from {} for {}{}",
        clean(&found.id, false),
        clock.show(range.start),
        lasted(range.duration()),
        match &*found.incident.detail {
            "" => String::new(),
            detail => format!(": {}", clean(detail, false)),
        }
    )?;
    let by = found.detected_by.len();
    writeln!(
        out,
        "{}",
        match by {
            0 => "missed by every rule".to_owned(),
            1 => "caught by 1 rule".to_owned(),
            n => format!("caught by {n} rules"),
        }
    )?;
    title(out, style, "Each rule")?;
    let columns = [
        Column::text("rule"),
        Column::text("meant"),
        Column::text("what it did"),
    ];
    let rows: Vec<Vec<String>> = story
        .rules
        .iter()
        .map(|rule| {
            vec![
                cut(&outcome.rules[rule.rule].name, 28),
                match rule.of_kind {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "any",
                }
                .to_owned(),
                fate(shown, &rule.fate, &clock),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    Ok(())
}

/// What became of a rule, in words.
pub fn fate(shown: &Shown<'_>, fate: &Fate, clock: &Clock) -> String {
    let alert = |index: usize| &shown.outcome.alerts[index];
    match fate {
        Fate::Caught {
            alert: index,
            delay,
        } => {
            format!("caught it after {} ({})", lasted(*delay), alert(*index).id)
        }
        Fate::Elsewhere { alert: index } => {
            format!(
                "fired ({}), and counts for another incident",
                alert(*index).id
            )
        }
        Fate::Already { alert: index } => format!(
            "was firing already, since {} ({})",
            clock.show(alert(*index).fired_at),
            alert(*index).id
        ),
        Fate::Held {
            longest,
            needed,
            from,
        } => format!(
            "held for {} of the {} needed, from {}",
            lasted(*longest),
            lasted(*needed),
            clock.show(*from)
        ),
        Fate::Near {
            at,
            share,
            part,
            value,
            limit,
        } => {
            let part = cut(part, 56);
            match (value, limit) {
                (Some(value), Some(limit)) => format!(
                    "reached {share:.2} of `{part}` at {} ({} against {})",
                    clock.show(*at),
                    short(*value),
                    short(*limit)
                ),
                _ => format!("no value of `{part}`"),
            }
        }
        Fate::Unknown { missing } if missing.is_empty() => {
            "unknown: the recording is too short for its windows".to_owned()
        }
        Fate::Unknown { missing } => {
            // By name; the labels asked for are in the JSON of the backtest.
            let mut names: Vec<&str> = missing
                .iter()
                .map(|n| n.split_once('{').map_or(&**n, |(name, _)| name))
                .collect();
            names.dedup();
            format!(
                "unknown: {} not recorded",
                super::backtest::some(names.into_iter(), 2)
            )
        }
        Fate::Failed(message) => format!("failed: {message}"),
        Fate::NotEvaluated => "was not evaluated in this time".to_owned(),
    }
}
