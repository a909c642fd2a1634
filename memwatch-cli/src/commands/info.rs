//! `memwatch info`.

use std::io::Write as _;

use memwatch_store::Store;

use crate::args::{InfoArgs, ReportFormat};
use crate::exit::Answer;
use crate::render::{Output, info, json, table::Style};

/// Runs the command.
pub fn run(args: &InfoArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let store = Store::open(args.data.or(args.store.as_ref()))?;
    let info = store.snapshot()?.info();
    let root = store.root();
    match args.format {
        ReportFormat::Json => json::document(out, &info::document(root, &info))?,
        ReportFormat::Table => write!(out, "{}", info::text(root, &info, Style::Plain))?,
        ReportFormat::Markdown => write!(out, "{}", info::text(root, &info, Style::Markdown))?,
    }
    Ok(Answer::Done)
}
