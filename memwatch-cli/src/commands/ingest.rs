//! `memwatch ingest`.

use std::io::Write as _;

use anyhow::bail;
use memwatch_store::Store;
use memwatch_store::ingest::{Ingest, OnError, find};

use super::recording::{time, with_progress};
use super::say;
use crate::args::{self, IngestArgs, ReportFormat};
use crate::exit::Answer;
use crate::progress::Progress;
use crate::render::{Output, ingest_report, json, table::Style};

/// Runs the command.
pub fn run(args: &IngestArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let recording = &args.recording;
    let at = recording.at.as_deref().map(time).transpose()?;
    let starts = recording
        .start
        .iter()
        .map(|text| time(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    // A mistyped name leaves no empty store behind.
    find(&args.inputs)?;
    let store = Store::create(args.data.or(None))?;
    let bar = Progress::bytes(None);
    let ingest = Ingest::new(&store)
        .inputs(&args.inputs)
        .standard_input(std::io::stdin())
        .service(recording.service.as_deref())
        .instance(recording.instance.as_deref())
        .at(at)
        .starts(starts)
        .format(Some(&args.format))
        .on_error(match args.on_error {
            args::OnError::Skip => OnError::Skip,
            args::OnError::Fail => OnError::Fail,
        });
    let result = with_progress(ingest, &bar).run();
    bar.finish();
    let report = result?;
    match args.report {
        ReportFormat::Json => json::document(out, &ingest_report::document(&report))?,
        ReportFormat::Table => write!(out, "{}", ingest_report::text(&report, Style::Plain))?,
        ReportFormat::Markdown => write!(out, "{}", ingest_report::text(&report, Style::Markdown))?,
    }
    out.flush()?;
    let failed = report.failures().count();
    if failed > 0 {
        for (input, why) in report.failures().take(10) {
            say(&format!("failed: {}: {why}", input.input));
        }
        bail!(
            "{failed} of {} inputs could not be read",
            report.inputs.len()
        );
    }
    if report.is_nothing() {
        bail!("nothing was read: no input is of a format that memwatch knows");
    }
    Ok(Answer::Done)
}
