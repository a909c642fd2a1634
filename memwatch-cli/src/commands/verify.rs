//! `memwatch verify`.

use std::io::Write as _;

use memwatch_store::Store;

use crate::args::{ReportFormat, VerifyArgs};
use crate::exit::Answer;
use crate::render::{Output, json, table::Style, upkeep};

/// Runs the command.
pub fn run(args: &VerifyArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let store = Store::open(args.data.or(args.store.as_ref()))?;
    let verified = if args.repair {
        store.repair()?
    } else {
        store.verify()?
    };
    match args.format {
        ReportFormat::Json => json::document(out, &upkeep::verified_document(&verified))?,
        ReportFormat::Table => write!(out, "{}", upkeep::verified(&verified, Style::Plain))?,
        ReportFormat::Markdown => write!(out, "{}", upkeep::verified(&verified, Style::Markdown))?,
    }
    Ok(if verified.is_whole() {
        Answer::Done
    } else {
        Answer::No
    })
}
