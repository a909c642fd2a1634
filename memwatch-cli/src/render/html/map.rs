//! All services on one time axis: where incidents were and alerts fired. Drawn here, so that it needs no script and prints.

use std::fmt::Write as _;

use memwatch_core::backtest::Outcome;
use memwatch_core::report::Page;
use memwatch_core::{TimeRange, Timestamp};

use super::markup::{escape, name};
use crate::render::backtest::Clock;
use crate::render::backtest_json::verdict;

/// Services without an event that are drawn beside those with one.
const QUIET_MAX: usize = 12;
/// The width of a row in its own units.
const WIDTH: f64 = 1000.0;

/// The map, with a key.
pub fn draw(outcome: &Outcome, pages: &[Page], clock: &Clock) -> String {
    let mut out = String::from(
        "<div class=\"key\"><span><i class=\"k-incident\"></i>incident (labelled)</span>\
         <span><i class=\"k-true\"></i>alert, right</span><span><i class=\"k-again\"></i>again in the same incident</span>\
         <span><i class=\"k-false\"></i>false</span><span><i class=\"k-other\"></i>not judged</span></div>\n<div class=\"map\">\n",
    );
    let mut quiet = 0;
    for (index, page) in pages.iter().enumerate() {
        if page.alerts.is_empty() && page.incidents.is_empty() {
            quiet += 1;
            if quiet > QUIET_MAX {
                continue;
            }
        }
        row(&mut out, outcome, index, page, clock);
    }
    let ticks = |out: &mut String| {
        out.push_str("<div class=\"row\"><span></span><div class=\"ticks\">");
        let TimeRange { start, end } = outcome.range;
        for i in 0..5 {
            let at = Timestamp(start.0 + (end.0 - start.0) / 4 * i);
            let _ = write!(
                out,
                "<span>{}</span>",
                escape(clock.show(at).split('.').next().unwrap_or_default())
            );
        }
        out.push_str("</div></div>\n");
    };
    ticks(&mut out);
    out.push_str("</div>\n");
    if quiet > QUIET_MAX {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} more services without incident or alert are not drawn.</p>",
            quiet - QUIET_MAX
        );
    }
    out
}

fn row(out: &mut String, outcome: &Outcome, index: usize, page: &Page, clock: &Clock) {
    let _ = write!(
        out,
        "<div class=\"row\"><a href=\"#s{index}\" data-go=\"s{index}\" title=\"{title}\">{}</a>\
         <svg viewBox=\"0 0 1000 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{title}: {} incidents, {} alerts\">",
        name(&page.service),
        page.incidents.len(),
        page.alerts.len(),
        title = escape(&page.service),
    );
    let range = outcome.range;
    let scored = outcome.score.as_ref();
    for found in page
        .incidents
        .iter()
        .filter_map(|i| scored.map(|s| &s.incidents[*i]))
    {
        let (x, width) = place(range, found.incident.range.start, found.incident.range.end);
        let class = if found.detected_by.is_empty() {
            "incident missed"
        } else {
            "incident"
        };
        let word = if found.detected_by.is_empty() {
            ", missed"
        } else {
            ""
        };
        let _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"2\" width=\"{width:.2}\" height=\"18\"><title>{}{word}: {} to {}</title></rect>",
            escape(&found.incident.kind),
            clock.show(found.incident.range.start),
            clock.show(found.incident.range.end),
        );
    }
    for &i in &page.alerts {
        let alert = &outcome.alerts[i];
        let end = alert.ended.at().unwrap_or(range.end);
        let (x, width) = place(range, alert.fired_at, end);
        let was = scored.map_or("none", |s| verdict(s.verdicts[i]));
        let _ = write!(
            out,
            "<rect class=\"v-{was}\" x=\"{x:.2}\" y=\"8\" width=\"{width:.2}\" height=\"6\"><title>{}: {} to {}</title></rect>",
            escape(&outcome.rules[alert.rule].name),
            clock.show(alert.fired_at),
            clock.show(end),
        );
    }
    out.push_str("</svg></div>\n");
}

/// Where a stretch begins and how wide it is; wide enough to be seen.
fn place(range: TimeRange, start: Timestamp, end: Timestamp) -> (f64, f64) {
    let length = range.duration().as_seconds().max(1e-9);
    let x = |at: Timestamp| (at.since(range.start).as_seconds() / length).clamp(0.0, 1.0) * WIDTH;
    let (from, to) = (x(start), x(end));
    (from, (to - from).max(1.5))
}
