//! What a backtest could not evaluate.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use memwatch_core::backtest::{Hole, HoleReason, Outcome};

use super::backtest::{Clock, lasted, some, title};
use super::table::Style;
use super::{Output, clean, grouped};

/// Gaps of the recording that are listed one by one.
const GAPS_MAX: usize = 8;

/// Selectors that find nothing.
type Names = Vec<Arc<str>>;

/// For people: what is blind and why, failures, and gaps of the recording; nothing when all was evaluated.
pub fn text(
    out: &mut Output,
    outcome: &Outcome,
    clock: &Clock,
    style: Style,
) -> anyhow::Result<()> {
    let lines = sentences(outcome, clock);
    if lines.is_empty() {
        return Ok(());
    }
    title(out, style, "Not evaluated")?;
    for line in lines {
        let bullet = if style == Style::Markdown { "- " } else { " " };
        let line = clean(&line, false);
        let folded = fold(&line, 98);
        let rest = format!("\n{}", " ".repeat(bullet.len() + 2));
        writeln!(out, "{bullet}{}", folded.join(&rest))?;
    }
    Ok(())
}

/// A sentence for each thing that could not be evaluated.
pub fn sentences(outcome: &Outcome, clock: &Clock) -> Vec<String> {
    // The same selector is missing for the same services in several rules: told once.
    let mut missing: BTreeMap<(Names, Vec<usize>), BTreeSet<Arc<str>>> = BTreeMap::new();
    let mut by_hole: BTreeMap<(Names, Option<Arc<str>>), Vec<usize>> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut gaps = Vec::new();
    let mut warming: BTreeMap<usize, Vec<&Hole>> = BTreeMap::new();
    for hole in &outcome.coverage {
        match (&hole.reason, hole.rule) {
            (HoleReason::NotRecorded(names), Some(rule)) => by_hole
                .entry((names.clone(), hole.service.clone()))
                .or_default()
                .push(rule),
            (HoleReason::NeverTogether, Some(rule)) => by_hole
                .entry((Vec::new(), hole.service.clone()))
                .or_default()
                .push(rule),
            (HoleReason::WarmingUp, Some(rule)) => warming.entry(rule).or_default().push(hole),
            (HoleReason::Failed(message), Some(rule)) => lines.push(format!(
                "{}: {} evaluations failed: {message}",
                outcome.rules[rule].name,
                grouped(hole.evaluations)
            )),
            _ => gaps.push(hole),
        }
    }
    for ((names, service), rules) in by_hole {
        let services = missing.entry((names, rules)).or_default();
        services.insert(service.unwrap_or_else(|| "any service".into()));
    }
    for ((names, rules), services) in missing {
        let rules: Vec<&str> = rules.iter().map(|r| &*outcome.rules[*r].name).collect();
        let why = if names.is_empty() {
            "the recording is too short for its windows".to_owned()
        } else {
            // By name; the labels asked for are in the JSON.
            let names: BTreeSet<&str> = names
                .iter()
                .map(|n| n.split_once('{').map_or(&**n, |(name, _)| name))
                .collect();
            format!("not recorded: {}", some(names.into_iter(), 2))
        };
        lines.push(format!(
            "{}: blind for {}; {why}",
            some(rules.into_iter(), 3),
            some(services.iter().map(AsRef::as_ref), 4),
        ));
    }
    for (rule, holes) in warming {
        lines.push(warm_up(outcome, rule, &holes));
    }
    for rule in &outcome.rules {
        if let Some(warning) = rule.warnings.first() {
            lines.push(format!("{}: {warning}", rule.name));
        }
    }
    let hidden = gaps.len().saturating_sub(GAPS_MAX);
    for hole in gaps.iter().take(GAPS_MAX) {
        if let Some(range) = hole.range {
            lines.push(format!(
                "{}: not recorded from {} for {}",
                hole.instance
                    .as_deref()
                    .filter(|i| !i.is_empty())
                    .or(hole.service.as_deref())
                    .unwrap_or(""),
                clock.show(range.start),
                lasted(range.duration())
            ));
        }
    }
    if hidden > 0 {
        lines.push(format!(
            "and {} more gaps: --format json has all",
            grouped(hidden as u64)
        ));
    }
    lines
}

/// How long the baselines of a rule were warming up, as a share of what was recorded in the range, and how much they remembered at its
/// beginning.
fn warm_up(outcome: &Outcome, rule: usize, holes: &[&Hole]) -> String {
    let baselines = || outcome.baselines.iter().filter(|b| b.rule == rule);
    let (samples, warming) = baselines().fold((0, 0), |(samples, warming), b| {
        (samples + b.samples, warming + b.warming)
    });
    let history = baselines().map(|b| b.history).max().unwrap_or_default();
    let services: BTreeSet<&str> = holes.iter().filter_map(|h| h.service.as_deref()).collect();
    format!(
        "{}: its baselines were warming up for {} of {} samples ({}); they began with {}",
        outcome.rules[rule].name,
        grouped(warming),
        grouped(samples),
        some(services.into_iter(), 4),
        match history.0 {
            0 => "no history".to_owned(),
            _ => format!("up to {} of history", lasted(history)),
        }
    )
}

/// Lines of at most `width` characters, broken at spaces.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("one at least");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}
