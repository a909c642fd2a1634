//! A recording that rules are about to run over: what `backtest` and its relatives do before they differ.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use memwatch_core::TimeRange;
use memwatch_core::backtest::Backtest;
use memwatch_core::rule::RuleFile;
use memwatch_store::Snapshot;

use super::recording::{self, Opened};
use super::truth::{self, Truth};
use crate::args::{ReplayArgs, TruthArgs};

/// An open recording, the stretch of it that is evaluated, and what is known to have happened in it.
pub struct Replay<'a> {
    /// The data as the user named it.
    pub data: PathBuf,
    /// What of the store is read: one commit of it.
    pub snapshot: Snapshot,
    /// What is evaluated.
    pub range: TimeRange,
    /// What is known to have happened; `None` when nobody says.
    pub truth: Option<Truth>,
    replay: &'a ReplayArgs,
    counts: &'a TruthArgs,
    /// Dropped last: it may hold the store in a temporary folder.
    _opened: Opened,
}

impl<'a> Replay<'a> {
    /// Reads labels, opens the data and decides what is evaluated.
    pub fn open(replay: &'a ReplayArgs, counts: &'a TruthArgs) -> anyhow::Result<Replay<'a>> {
        if replay.interval.is_some_and(|interval| interval.0 <= 0) {
            bail!("--interval: expected a duration of more than 0");
        }
        let labels = truth::read_label_files(&counts.labels)?;
        let data = replay.data.or(replay.store.as_ref());
        let opened = recording::open(&data)?;
        let snapshot = opened.snapshot(replay.allow_partial)?;
        let Some(whole) = snapshot.info().series_range() else {
            bail!("{}: expected a recording, found no rows", data.display());
        };
        let range = range(replay, whole)?;
        let truth = match labels {
            Some(labels) => Some(labels),
            None => truth::of_store(&snapshot)?,
        };
        let truth = truth::with_marked(truth, &counts.incidents, &snapshot)?;
        Ok(Replay {
            data,
            snapshot,
            range,
            truth,
            replay,
            counts,
            _opened: opened,
        })
    }

    /// These rules over it, with the settings that the user gave.
    pub fn backtest<'r>(&self, file: &'r RuleFile) -> Backtest<'r> {
        let mut backtest = Backtest::new(file)
            .range(self.range)
            .recorded(self.snapshot.info().processes());
        if let Some(truth) = &self.truth {
            backtest = backtest.incidents(truth.incidents.clone());
            if let Some(services) = &truth.services {
                backtest = backtest.labelled(services.iter().cloned());
            }
        }
        if let Some(interval) = self.replay.interval {
            backtest = backtest.interval(interval);
        }
        if let Some(phase) = self.replay.phase {
            backtest = backtest.phase(phase);
        }
        if let Some(policy) = self.replay.stale_after {
            backtest = backtest.stale_after(policy);
        }
        if let Some(grace) = self.counts.grace {
            backtest = backtest.grace(grace);
        }
        if let Some(lead) = self.counts.lead {
            backtest = backtest.lead(lead);
        }
        if let Some(needed) = self.counts.lead_needed {
            backtest = backtest.lead_needed(needed);
        }
        backtest
    }
}

fn range(args: &ReplayArgs, whole: TimeRange) -> anyhow::Result<TimeRange> {
    let given = |text: &Option<String>, option: &str| {
        text.as_deref()
            .map(|text| recording::time(text).with_context(|| option.to_owned()))
            .transpose()
    };
    let range = TimeRange {
        start: given(&args.from, "--from")?.unwrap_or(whole.start),
        end: given(&args.to, "--to")?.unwrap_or(whole.end),
    };
    if range.is_empty() {
        bail!(
            "expected --from before --to, found {} and {}",
            range.start,
            range.end
        );
    }
    if range.end <= whole.start || range.start >= whole.end {
        bail!(
            "the recording goes from {} to {}, --from and --to ask for {} to {}",
            whole.start,
            whole.end,
            range.start,
            range.end
        );
    }
    Ok(range)
}
