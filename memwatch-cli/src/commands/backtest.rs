//! `memwatch backtest`.

use anyhow::bail;
use memwatch_core::backtest::{Addressed, Backtest, find};
use memwatch_core::series::SeriesReader;

use super::replay::Replay;
use super::{budget, check, new_file, notify, report, say};
use crate::args::{BacktestArgs, BacktestFormat};
use crate::exit::Answer;
use crate::render::backtest::Shown;
use crate::render::table::Style;
use crate::render::{self, Output, backtest_json, explain_json, junit};

/// Runs the command.
pub fn run(args: &BacktestArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let file = check::load(&args.rules)??;
    let told = notify::notifications(&args.notify, &file)?;
    notify::say_doubts(&args.notify, &[&told]);
    let replay = Replay::open(&args.replay, &args.truth)?;
    let backtest = replay.backtest(&file).notifications(told);
    let series = replay.snapshot.series();
    let outcome = backtest.run(&series)?;
    let robustness = match args.robustness.disturbance() {
        Some(disturbance) => Some(backtest.robustness(&series, disturbance, &outcome)?),
        None => None,
    };
    // What is not printed is not read.
    let in_text = args.explain.is_none()
        && matches!(
            args.format,
            BacktestFormat::Table | BacktestFormat::Markdown
        );
    let timeline = if in_text {
        report::timeline(args.timeline, &file, &outcome, &replay)?
    } else {
        Vec::new()
    };
    let shown = Shown {
        rules_path: &args.rules,
        data_path: &replay.data,
        notify: &args.notify,
        file: &file,
        outcome: &outcome,
        data_commit: replay.snapshot.version(),
        robustness: robustness.as_ref(),
        timeline: &timeline,
    };
    if let Some(id) = &args.explain {
        explain(args, &backtest, &series, &shown, id, out)?;
        return Ok(Answer::Done);
    }
    match args.format {
        BacktestFormat::Table => render::backtest::text(out, &shown, Style::Plain)?,
        BacktestFormat::Markdown => render::backtest::text(out, &shown, Style::Markdown)?,
        BacktestFormat::Json => backtest_json::document(out, &shown)?,
        BacktestFormat::Ndjson => backtest_json::lines(out, &shown)?,
    }
    if let Some(path) = &args.report {
        report::write(path, &shown, &replay)?;
    }
    let (limits, cannot) = budget::of_backtest(args, &outcome);
    if let Some(path) = &args.junit {
        new_file::write(path, junit::of_backtest(&shown, &limits).as_bytes())?;
    }
    if !outcome.evaluated_anything() {
        bail!(
            "nothing could be evaluated: no alerting rule found what it reads; that no alert fired \
             means nothing"
        );
    }
    if let Some(why) = cannot {
        return Err(why);
    }
    let mut answer = Answer::Done;
    for broken in limits.iter().filter(|limit| !limit.holds) {
        say(&format!("{} (--{})", broken.words, broken.name));
        answer = Answer::No;
    }
    Ok(answer)
}

/// Says why an alert fired, or how near each rule came to an incident.
fn explain(
    args: &BacktestArgs,
    backtest: &Backtest<'_>,
    series: &dyn SeriesReader,
    shown: &Shown<'_>,
    id: &str,
    out: &mut Output,
) -> anyhow::Result<()> {
    let style = match args.format {
        BacktestFormat::Table => Some(Style::Plain),
        BacktestFormat::Markdown => Some(Style::Markdown),
        BacktestFormat::Json | BacktestFormat::Ndjson => None,
    };
    let found = find(shown.outcome, id).map_err(|why| anyhow::anyhow!("--explain {id}: {why}"))?;
    match found {
        Addressed::Alert(index) => {
            let story = backtest.explain_alert(series, shown.outcome, index)?;
            match style {
                Some(style) => render::explain::alert(out, shown, &story, style),
                None => explain_json::alert(out, shown, &story),
            }
        }
        Addressed::Incident(index) => {
            let story = backtest.explain_incident(series, shown.outcome, index)?;
            match style {
                Some(style) => render::explain::incident(out, shown, &story, style),
                None => explain_json::incident(out, shown, &story),
            }
        }
    }
}
