//! A store, or raw recordings read into a temporary one: what DATA may be.

use std::path::Path;

use anyhow::{Context as _, bail};
use memwatch_core::Timestamp;
use memwatch_store::ingest::{Ingest, IngestReport, Outcome, open_or_ingest};
use memwatch_store::{Snapshot, Store};
use tempfile::TempDir;

use super::{now, say};
use crate::progress::Progress;
use crate::render::{clean, grouped};

/// A store that is open, with the temporary folder that holds it, if it is one.
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What reading raw recordings gave, when DATA was a folder of them.
    #[allow(dead_code)] // Not every command looks.
    pub report: Option<IngestReport>,
    _scratch: TempDir,
}

impl Opened {
    /// What is in the store. With `allow_partial` without what is damaged; what is missing is then said on standard error.
    pub fn snapshot(&self, allow_partial: bool) -> anyhow::Result<Snapshot> {
        if !allow_partial {
            return Ok(self.store.snapshot()?);
        }
        let (snapshot, left_out) = self.store.snapshot_without_damage()?;
        for file in &left_out {
            say(&format!("warning: the answer is partial: {file}"));
        }
        Ok(snapshot)
    }
}

/// Opens DATA: a store, or a folder of raw recordings, which is read into a temporary store first.
///
/// Says on standard error what was read and what could not be.
pub fn open(data: &Path) -> anyhow::Result<Opened> {
    let scratch = tempfile::Builder::new()
        .prefix("memwatch-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let bar = Progress::bytes(None);
    let (store, report) = open_or_ingest(data, &scratch.path().join("store"), |ingest| {
        with_progress(ingest, &bar)
    })?;
    bar.finish();
    if let Some(report) = &report {
        for (input, why) in report.failures() {
            say(&format!("warning: {}: {why}", input.input));
        }
        if report.is_nothing() {
            bail!(
                "{}: expected a store or recordings, found nothing to read",
                data.display()
            );
        }
        let read = report
            .inputs
            .iter()
            .filter(|i| i.outcome == Outcome::Read)
            .count();
        let rejected = match report.rejected() {
            0 => String::new(),
            n => format!(", {} rejected (`memwatch ingest` shows them)", grouped(n)),
        };
        say(&format!(
            "read {} rows from {read} files of {}{rejected}",
            grouped(report.new_rows()),
            data.display(),
        ));
    }
    Ok(Opened {
        store,
        report,
        _scratch: scratch,
    })
}

/// An ingest that moves a bar.
pub fn with_progress<'a>(ingest: Ingest<'a>, bar: &'a Progress) -> Ingest<'a> {
    ingest.progress(|at| {
        bar.set(
            at.bytes,
            at.bytes_total,
            format!("{} rows  {}", grouped(at.rows), clean(at.input, false)),
        );
    })
}

/// A time that the user typed.
pub fn time(text: &str) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::parse_user(text, now())?)
}
