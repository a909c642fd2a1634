//! What could not be evaluated, and everything that decides the outcome.

use std::fmt::Write as _;
use std::iter;

use memwatch_core::Nanos;

use super::Report;
use super::markup::{escape, name};
use crate::render::backtest::{Clock, ENGINE};
use crate::render::backtest_json::policy;
use crate::render::{coverage, grouped};

/// What could not be evaluated: never the same as "did not fire".
pub fn coverage(out: &mut String, report: &Report<'_>, clock: &Clock) {
    out.push_str("<h2 id=\"coverage\">Not evaluated</h2>\n");
    let sentences = coverage::sentences(report.shown.outcome, clock);
    if sentences.is_empty() {
        out.push_str("<p>Every rule found what it reads at every evaluation.</p>\n");
        return;
    }
    out.push_str("<p>Where a rule could not see, that it did not fire says nothing.</p>\n<ul>\n");
    for sentence in sentences {
        let _ = writeln!(out, "<li>{}</li>", name(&sentence));
    }
    out.push_str("</ul>\n");
}

/// Everything that decides the outcome.
pub fn made(out: &mut String, report: &Report<'_>) {
    let shown = report.shown;
    let outcome = shown.outcome;
    let settings = &outcome.settings;
    let mut intervals: Vec<(Nanos, Nanos)> = outcome
        .rules
        .iter()
        .map(|r| (r.interval, r.phase))
        .collect();
    intervals.sort_unstable();
    intervals.dedup();
    let intervals: Vec<String> = intervals
        .iter()
        .map(|(interval, phase)| format!("every {interval} (phase {phase})"))
        .collect();
    let buckets = report.pages.iter().map(|p| p.axis.len()).max().unwrap_or(0) as u64;
    let told = shown.notify;
    let own = || "the rule file".to_owned();
    let routes = told.alertmanager.as_ref();
    let silences = told.silences.iter().map(|p| name(&p.to_string_lossy()));
    let silences: Vec<String> = iter::once(own()).chain(silences).collect();
    let rows = [
        (
            "command",
            format!("<code>{}</code>", escape(&report.command)),
        ),
        ("rules", name(&shown.rules_path.to_string_lossy())),
        (
            "routes of",
            routes.map_or_else(own, |p| name(&p.to_string_lossy())),
        ),
        ("silences of", silences.join(", ")),
        (
            "data",
            format!(
                "{}, commit {}",
                name(&shown.data_path.to_string_lossy()),
                shown.data_commit
            ),
        ),
        (
            "range",
            escape(&format!("{} to {}", outcome.range.start, outcome.range.end)),
        ),
        ("evaluated", escape(&intervals.join(", "))),
        (
            "a silent series ends",
            escape(&format!(
                "{}, lookback {}",
                policy(settings.stale_after),
                settings.lookback
            )),
        ),
        (
            "grace after an incident",
            escape(
                &settings
                    .grace
                    .map_or("1 evaluation".to_owned(), |g| g.to_string()),
            ),
        ),
        ("engine", escape(ENGINE)),
        (
            "plots",
            escape(&format!(
                "up to {} steps of time a service; least and greatest value of each kept, to five digits; rates over a second or more",
                grouped(buckets)
            )),
        ),
        (
            "drawn by",
            "uPlot 1.6.32, MIT licence (in this file)".to_owned(),
        ),
    ];
    out.push_str("<h2 id=\"made\">How it was made</h2>\n<dl class=\"made\">\n");
    for (what, how) in rows {
        let _ = writeln!(out, "<dt>{}</dt><dd>{how}</dd>", escape(what));
    }
    out.push_str("</dl>\n<footer>Nothing in this file asks the network for anything.</footer>\n");
}
