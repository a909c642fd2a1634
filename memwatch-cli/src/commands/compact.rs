//! `memwatch compact`.

use std::io::Write as _;

use memwatch_store::{Compaction, Store};

use crate::args::{CompactArgs, ReportFormat};
use crate::exit::Answer;
use crate::render::{Output, json, table::Style, upkeep};

/// Runs the command.
pub fn run(args: &CompactArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let store = Store::open(args.data.or(args.store.as_ref()))?;
    let mut settings = Compaction::default();
    settings.table = args.table;
    let done = if args.dry_run {
        store.plan_compaction(&settings)?
    } else {
        store.compact(&settings)?
    };
    match args.format {
        ReportFormat::Json => json::document(out, &upkeep::compacted_document(&done))?,
        ReportFormat::Table => write!(out, "{}", upkeep::compacted(&done, Style::Plain))?,
        ReportFormat::Markdown => write!(out, "{}", upkeep::compacted(&done, Style::Markdown))?,
    }
    Ok(Answer::Done)
}
