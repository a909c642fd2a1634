//! `memwatch query --promql`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use memwatch_core::expr::{EvalOptions, evaluate, parse};
use memwatch_core::{Nanos, Steps, TimeRange};

use super::{recording, say};
use crate::args::{QueryArgs, RowFormat};
use crate::exit::Answer;
use crate::render::{Output, promql};

/// Without --step a range has about as many evaluations as a graph has points.
const DEFAULT_STEPS: i64 = 300;

/// Evaluates an expression: at one time, or from --from to --to.
pub fn run(text: &str, args: &QueryArgs, out: &mut Output) -> anyhow::Result<Answer> {
    if args.file.is_some() || args.store.is_some() {
        bail!("--promql takes no statement: `memwatch query --promql EXPR [DATA]`");
    }
    let data = args.data.or(args.sql.as_ref().map(PathBuf::from).as_ref());
    let expr = parse(text)?;
    let opened = recording::open(&data)?;
    let snapshot = opened.store.snapshot()?;
    let Some(whole) = snapshot.info().series_range() else {
        bail!("{}: expected a recording, found no rows", data.display());
    };
    let options = EvalOptions {
        lookback: args.lookback,
        stale_after: args.stale_after,
        ..EvalOptions::default()
    };
    let (steps, is_range) = steps(args, whole)?;
    let result = evaluate(&expr, steps, &snapshot.series(), &options)?;
    for annotation in &result.annotations {
        say(&annotation.to_string());
    }
    let format = args.format.unwrap_or(if out.is_terminal() {
        RowFormat::Table
    } else {
        RowFormat::Csv
    });
    promql::write(&result, steps, is_range, format, args.max_rows, out)?;
    Ok(Answer::Done)
}

/// The evaluations, and whether they are a range. Times that are not given are the recording's.
fn steps(args: &QueryArgs, whole: TimeRange) -> anyhow::Result<(Steps, bool)> {
    let given = |text: &Option<String>, option: &str| {
        text.as_deref()
            .map(|text| recording::time(text).with_context(|| option.to_owned()))
            .transpose()
    };
    let (from, to) = (given(&args.from, "--from")?, given(&args.to, "--to")?);
    // The last row is inside of the half-open range.
    let to = to.unwrap_or(whole.end.minus(Nanos(1)));
    if from.is_none() && args.step.is_none() {
        return Ok((Steps::instant(to), false));
    }
    let from = from.unwrap_or(whole.start);
    if to < from {
        bail!("expected --from before --to, found {from} and {to}");
    }
    let seconds = to.since(from).0 / DEFAULT_STEPS / Nanos::SECOND.0;
    let step = args.step.unwrap_or(Nanos(seconds.max(1) * Nanos::SECOND.0));
    if step.0 <= 0 {
        bail!("--step: expected a duration of more than 0");
    }
    Ok((
        Steps {
            start: from,
            end: to,
            step,
        },
        true,
    ))
}
