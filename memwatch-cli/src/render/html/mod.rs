//! A backtest as one HTML file that needs nothing else: no network, no other file, no script from elsewhere.
//!
//! Everything but the plots is markup made here, so that it can be read and printed without the script. Names from outside are text:
//! they are escaped in markup, and inert data for the script, which only ever sets them as text.

mod data;
mod made;
mod map;
mod markup;
mod messages;
mod services;
mod shell;
mod summary;
mod tables;
pub mod tune;

use std::fmt::Write as _;

use memwatch_core::Timestamp;
use memwatch_core::report::Page;

use super::backtest::{Clock, Shown};

/// A backtest, and what is drawn of it.
pub struct Report<'a> {
    /// The backtest.
    pub shown: &'a Shown<'a>,
    /// A page for each service.
    pub pages: &'a [Page],
    /// The command that makes this report again.
    pub command: String,
}

/// A message that would have been sent.
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// To whom.
    pub receiver: String,
    /// How.
    pub integration: String,
    /// Whether something in it fires.
    pub firing: bool,
    /// Why it was sent.
    pub why: String,
    /// Its alerts: indices into those of the outcome.
    pub alerts: Vec<usize>,
    /// What is sent.
    pub payload: String,
    /// Its size.
    pub bytes: usize,
}

/// The document.
pub fn document(report: &Report<'_>) -> anyhow::Result<String> {
    let outcome = report.shown.outcome;
    let clock = Clock::of(outcome);
    let told = messages::told(report.shown);
    let mut body = String::new();
    summary::head(&mut body, report);
    body.push_str("<main>\n");
    summary::summary(&mut body, report, &told);
    let _ = write!(
        body,
        "<h2 id=\"map\">All services</h2>\n{}",
        map::draw(outcome, report.pages, &clock)
    );
    services::services(&mut body, report);
    tables::incidents(&mut body, report, &clock);
    tables::rules(&mut body, report);
    tables::alerts(&mut body, report, &clock);
    messages::messages(&mut body, report, &told, &clock);
    made::coverage(&mut body, report, &clock);
    made::made(&mut body, report);
    body.push_str("</main>\n");
    let mut islands = shell::island("report", &data::Head::of(outcome.range))?;
    for (index, page) in report.pages.iter().enumerate() {
        let data = data::service(outcome, page, &told)?;
        islands.push_str(&shell::island(&format!("s{index}"), &data)?);
    }
    let title = format!(
        "memwatch: {} on {}",
        report.shown.rules_path.display(),
        report.shown.data_path.display()
    );
    Ok(shell::document(&title, &body, &islands))
}
