//! The services with their plots, and the buttons that lead to a stretch of one.

use std::fmt::Write as _;

use memwatch_core::Timestamp;
use memwatch_core::backtest::AlertVerdict;

use super::Report;
use super::markup::{Cell, escape, name, tag};
use super::summary::counted;
use crate::render::backtest::Clock;

/// Services that are open when the report is.
const OPEN_MAX: usize = 1;

/// The services with their plots, those that need a look first.
pub fn services(out: &mut String, report: &Report<'_>) {
    let outcome = report.shown.outcome;
    out.push_str(
        "<h2 id=\"services\">Signals</h2>\n<p class=\"soft\">Drag over a plot to zoom, double-click for all. \
         Bands run from the least to the greatest value in each step of time, so no peak is lost; steps are \
         finer around alerts and incidents.</p>\n<input id=\"filter\" class=\"noprint\" type=\"search\" placeholder=\"Filter services\" aria-label=\"Filter services\">\n<div class=\"bar\">\
         <button id=\"in\" title=\"Zoom in\">+</button><button id=\"out\" title=\"Zoom out\">−</button>\
         <button id=\"back\" title=\"Earlier\">◀</button><button id=\"forth\" title=\"Later\">▶</button><button id=\"all\">All</button><output id=\"view\"></output></div>\n",
    );
    let scored = outcome.score.as_ref();
    let trouble = |index: &usize| {
        let page = &report.pages[*index];
        let missed = page
            .incidents
            .iter()
            .filter(|i| scored.is_some_and(|s| s.incidents[**i].detected_by.is_empty()))
            .count();
        let wrong = page
            .alerts
            .iter()
            .filter(|i| {
                scored.is_some_and(|s| {
                    matches!(s.verdicts[**i], AlertVerdict::False | AlertVerdict::Benign)
                })
            })
            .count();
        (missed, wrong)
    };
    let mut order: Vec<usize> = (0..report.pages.len()).collect();
    order.sort_by_key(|i| {
        let (missed, wrong) = trouble(i);
        let page = &report.pages[*i];
        std::cmp::Reverse((missed, wrong, page.incidents.len(), page.alerts.len()))
    });
    for (place, index) in order.into_iter().enumerate() {
        let page = &report.pages[index];
        let (missed, wrong) = trouble(&index);
        let mut about = vec![counted(page.instances.len() as u64, "instance")];
        if !page.incidents.is_empty() {
            about.push(counted(page.incidents.len() as u64, "incident"));
        }
        about.push(counted(page.alerts.len() as u64, "alert"));
        let mut tags = String::new();
        if missed > 0 {
            tags += &tag("missed", &format!("{missed} missed"));
        }
        if wrong > 0 {
            tags += &tag("false", &format!("{wrong} false"));
        }
        let _ = writeln!(
            out,
            "<details class=\"service\" id=\"d{index}\" data-page=\"s{index}\"{}><summary><b>{}</b><span class=\"soft\">{}</span>{tags}</summary><div class=\"plots\"></div></details>",
            if place < OPEN_MAX { " open" } else { "" },
            name(&page.service),
            escape(&about.join(", ")),
        );
    }
    out.push_str("<noscript><p>The plots need JavaScript; everything else is here without it.</p></noscript>\n");
}

/// A time as a button that shows a stretch of a service.
pub fn jump(
    report: &Report<'_>,
    page: Option<usize>,
    at: Timestamp,
    (from, to): (Timestamp, Timestamp),
    clock: &Clock,
) -> Cell {
    let shown = clock.show(at);
    match page.filter(|p| *p < report.pages.len()) {
        Some(page) => Cell::html(format!(
            "<button class=\"link\" data-go=\"s{page} {:.3} {:.3}\">{shown}</button>",
            from.as_seconds(),
            to.as_seconds()
        )),
        None => Cell::number(shown),
    }
}

pub fn page_of_alert(report: &Report<'_>, alert: usize) -> Option<usize> {
    report.pages.iter().position(|p| p.alerts.contains(&alert))
}
