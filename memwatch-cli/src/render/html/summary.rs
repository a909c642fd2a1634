//! What came out, in words and in figures, before everything else.

use std::fmt::Write as _;

use memwatch_core::Timestamp;
use memwatch_core::backtest::{Score, Scored};

use super::markup::{escape, name};
use super::{Report, Told};
use crate::render::backtest::lasted;
use crate::render::grouped;

/// Title, range, and what there is below.
pub fn head(out: &mut String, report: &Report<'_>) {
    let shown = report.shown;
    let outcome = shown.outcome;
    let _ = write!(
        out,
        "<header>\n<h1>{} on {}</h1>\n<p class=\"soft\">{} to {} UTC ({}), {}</p>\n</header>\n\
         <nav aria-label=\"Contents\"><a href=\"#map\">All services</a><a href=\"#services\">Signals</a>",
        name(&shown.rules_path.to_string_lossy()),
        name(&shown.data_path.to_string_lossy()),
        day(outcome.range.start),
        day(outcome.range.end),
        lasted(outcome.range.duration()),
        counted(outcome.services.len() as u64, "service"),
    );
    if outcome.score.is_some() {
        out.push_str("<a href=\"#incidents\">Incidents</a>");
    }
    out.push_str(
        "<a href=\"#rules\">Rules</a><a href=\"#alerts\">Alerts</a><a href=\"#messages\">Messages</a>\
         <a href=\"#coverage\">Not evaluated</a><a href=\"#made\">How it was made</a></nav>\n",
    );
}

/// What came out, in words and in figures.
pub fn summary(out: &mut String, report: &Report<'_>, told: &[Told]) {
    let outcome = report.shown.outcome;
    let mut cards: Vec<(String, &str, String)> = Vec::new();
    let fired = outcome.alerts.len() as u64;
    let mut words = String::new();
    if let Some(scored) = &outcome.score {
        let all = &scored.all;
        words = in_words(scored, fired);
        let class = if all.hit == all.incidents {
            "good"
        } else {
            "bad"
        };
        cards.push((
            format!("{} of {}", all.hit, all.incidents),
            class,
            "incidents caught".to_owned(),
        ));
        let class = if all.false_alerts == 0 { "good" } else { "bad" };
        cards.push((grouped(all.false_alerts), class, "false alerts".to_owned()));
        cards.push((
            all.detect_median.map_or("–".to_owned(), lasted),
            "",
            "half of the incidents were noticed within".to_owned(),
        ));
        if let Some(rate) = all.false_per_series_day {
            cards.push((
                format!("{:.2}", rate / 24.0),
                "",
                "false alerts per process-hour".to_owned(),
            ));
        }
    } else {
        let _ = write!(
            words,
            "{} fired. No incidents are known of this recording, so none of them is right or wrong.",
            counted(fired, "alert")
        );
    }
    cards.push((grouped(fired), "", "alerts fired".to_owned()));
    if report.shown.file.notifications.route.is_some() {
        cards.push((
            grouped(told.len() as u64),
            "",
            "messages would have been sent".to_owned(),
        ));
    }
    let blind = outcome
        .rules
        .iter()
        .filter(|r| r.alerting && r.evaluations <= r.unknown + r.errors)
        .count() as u64;
    if blind > 0 {
        cards.push((
            grouped(blind),
            "bad",
            "rules could not be evaluated at all".to_owned(),
        ));
    }
    let _ = write!(out, "<p class=\"words\">{words}</p>\n<div class=\"cards\">");
    for (figure, class, what) in cards {
        let _ = write!(
            out,
            "<div class=\"card\"><b class=\"{class}\">{}</b><span>{}</span></div>",
            escape(&figure),
            escape(&what)
        );
    }
    out.push_str("</div>\n");
}

/// The score as somebody would say it.
fn in_words(scored: &Scored, fired: u64) -> String {
    let all: &Score = &scored.all;
    let mut words = match (all.hit, all.incidents) {
        (_, 0) => "No incident lies in this stretch.".to_owned(),
        (hit, of) if hit == of => format!("The rules caught {} of {} incidents.", hit, of),
        (0, of) => format!("The rules missed all {of} incidents."),
        (hit, of) => format!(
            "The rules caught {hit} of {of} incidents and missed {}.",
            of - hit
        ),
    };
    if fired == 0 {
        words += " No alert fired.";
        return words;
    }
    let _ = write!(
        words,
        " Of {} {} right, {} told of an incident again, {} false",
        counted(fired, "alert"),
        if all.true_alerts == 1 {
            "1 was".to_owned()
        } else {
            format!("{} were", all.true_alerts)
        },
        all.duplicates,
        if all.false_alerts == 1 {
            "1 was".to_owned()
        } else {
            format!("{} were", all.false_alerts)
        },
    );
    let uncounted = all.ignored + all.unscored;
    if uncounted > 0 {
        let _ = write!(words, ", and {uncounted} cannot be judged");
    }
    words.push('.');
    if let (Some((low, high)), Some(recall)) = (all.recall_interval, all.recall) {
        let _ = write!(
            words,
            " That is {:.0} %; from this many incidents alone the true share may be anything from {:.0} to {:.0} % (95 % interval).",
            recall * 100.0,
            low * 100.0,
            high * 100.0
        );
    }
    words
}

fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

pub fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}
