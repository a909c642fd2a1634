//! `memwatch retain`.

use std::io::Write as _;

use anyhow::bail;
use memwatch_store::{Retention, Store};

use super::now;
use crate::args::{ReportFormat, RetainArgs};
use crate::exit::Answer;
use crate::render::{Output, json, table::Style, upkeep};

/// Runs the command.
pub fn run(args: &RetainArgs, out: &mut Output) -> anyhow::Result<Answer> {
    if args.older_than.0 <= 0 {
        bail!("--older-than: expected a duration of more than 0");
    }
    let store = Store::open(args.data.or(args.store.as_ref()))?;
    let mut wanted = Retention::before(now().minus(args.older_than));
    wanted.table = args.table;
    wanted.service = args.service.as_deref().map(Into::into);
    let done = if args.dry_run {
        store.plan_retention(&wanted)?
    } else {
        store.retain(&wanted)?
    };
    match args.format {
        ReportFormat::Json => json::document(out, &upkeep::retained_document(&done, args.dry_run))?,
        ReportFormat::Table => write!(
            out,
            "{}",
            upkeep::retained(&done, args.dry_run, Style::Plain)
        )?,
        ReportFormat::Markdown => {
            write!(
                out,
                "{}",
                upkeep::retained(&done, args.dry_run, Style::Markdown)
            )?;
        }
    }
    Ok(Answer::Done)
}
