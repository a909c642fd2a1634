//! `memwatch query --promql`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use memwatch_core::expr::{EvalOptions, evaluate, evaluate_range, parse};
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
    let format = args.format.unwrap_or(if out.is_terminal() {
        RowFormat::Table
    } else {
        RowFormat::Csv
    });
    let is_json = format == RowFormat::Json;
    let expr = match parse(text) {
        Ok(expr) => expr,
        Err(error) => return Err(told(error.into(), false, is_json, out)?),
    };
    let opened = recording::open(&data)?;
    let snapshot = opened.snapshot(args.allow_partial)?;
    let Some(whole) = snapshot.info().series_range() else {
        bail!("{}: expected a recording, found no rows", data.display());
    };
    let options = EvalOptions {
        lookback: args.lookback,
        stale_after: args.stale_after,
        ..EvalOptions::default()
    };
    let (steps, is_range) = steps(args, whole)?;
    let series = snapshot.series();
    // A range of one evaluation is a range none the less: no text, no windows, and in the order of labels.
    let result = match is_range {
        true => evaluate_range(&expr, steps, &series, &options),
        false => evaluate(&expr, steps, &series, &options),
    };
    let result = match result {
        Ok(result) => result,
        Err(error) => return Err(told(error, true, is_json, out)?),
    };
    for annotation in &result.annotations {
        say(&annotation.to_string());
    }
    promql::write(&result, steps, is_range, format, args.max_rows, out)?;
    Ok(Answer::Done)
}

/// A failure, which programs that read JSON are told in the shape of Prometheus' API too.
fn told(
    error: memwatch_core::Error,
    parsed: bool,
    is_json: bool,
    out: &mut Output,
) -> anyhow::Result<anyhow::Error> {
    if let (true, memwatch_core::Error::Expr(error)) = (is_json, &error) {
        promql::write_error(error, parsed, out)?;
        out.flush()?;
    }
    Ok(error.into())
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
