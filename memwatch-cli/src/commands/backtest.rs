//! `memwatch backtest`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use memwatch_core::TimeRange;
use memwatch_core::backtest::{Backtest, Outcome};
use memwatch_core::incident::Incident;
use memwatch_core::source::{Context, read_labels};

use super::{check, recording, say};
use crate::args::{BacktestArgs, BacktestFormat, FailOn};
use crate::exit::Answer;
use crate::render::backtest::Shown;
use crate::render::table::Style;
use crate::render::{Output, backtest, backtest_json};

/// Runs the command.
pub fn run(args: &BacktestArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let file = check::load(&args.rules)??;
    let labels = read_label_files(&args.labels)?;
    let data = args.data.or(args.store.as_ref());
    let opened = recording::open(&data)?;
    let snapshot = opened.store.snapshot()?;
    let info = snapshot.info();
    let Some(whole) = info.series_range() else {
        bail!("{}: expected a recording, found no rows", data.display());
    };
    let range = range(args, whole)?;
    let mut backtest = Backtest::new(&file).range(range).recorded(info.processes());
    if let Some(labels) = labels {
        backtest = backtest
            .incidents(labels.incidents)
            .labelled(labels.services);
    } else {
        let incidents = snapshot.incidents(TimeRange::ALL)?;
        if !incidents.is_empty() {
            backtest = backtest.incidents(incidents);
        }
    }
    if let Some(interval) = args.interval {
        if interval.0 <= 0 {
            bail!("--interval: expected a duration of more than 0");
        }
        backtest = backtest.interval(interval);
    }
    if let Some(phase) = args.phase {
        backtest = backtest.phase(phase);
    }
    if let Some(policy) = args.stale_after {
        backtest = backtest.stale_after(policy);
    }
    if let Some(grace) = args.grace {
        backtest = backtest.grace(grace);
    }
    if let Some(lead) = args.lead {
        backtest = backtest.lead(lead);
    }
    let outcome = backtest.run(&snapshot.series())?;
    let shown = Shown {
        rules_path: &args.rules,
        data_path: &data,
        file: &file,
        outcome: &outcome,
        data_commit: snapshot.version(),
    };
    match args.format {
        BacktestFormat::Table => backtest::text(out, &shown, Style::Plain)?,
        BacktestFormat::Markdown => backtest::text(out, &shown, Style::Markdown)?,
        BacktestFormat::Json => backtest_json::document(out, &shown)?,
        BacktestFormat::Ndjson => backtest_json::lines(out, &shown)?,
    }
    if !outcome.evaluated_anything() {
        bail!(
            "nothing could be evaluated: no alerting rule found what it reads; that no alert fired \
             means nothing"
        );
    }
    answer(args, &outcome)
}

fn range(args: &BacktestArgs, whole: TimeRange) -> anyhow::Result<TimeRange> {
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

/// What label files say.
struct Labels {
    incidents: Vec<Incident>,
    services: BTreeSet<Arc<str>>,
}

fn read_label_files(paths: &[PathBuf]) -> anyhow::Result<Option<Labels>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut found = Labels {
        incidents: Vec::new(),
        services: BTreeSet::new(),
    };
    for path in paths {
        let text =
            std::fs::read(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let context = {
            let mut context = Context::default();
            context.input = path.to_string_lossy().into();
            context
        };
        let labels = read_labels(&text, &context)?;
        for rejected in &labels.rejected {
            say(&format!(
                "warning: {}: {}: expected {}, found `{}`",
                rejected.place, rejected.field, rejected.expected, rejected.found
            ));
        }
        found
            .services
            .extend(labels.identity.iter().map(|i| i.service.clone()));
        found
            .services
            .extend(labels.incidents.iter().map(|i| i.service.clone()));
        found.incidents.extend(labels.incidents);
    }
    Ok(Some(found))
}

/// Whether the outcome is what was asked for; says what is not.
fn answer(args: &BacktestArgs, outcome: &Outcome) -> anyhow::Result<Answer> {
    let mut answer = Answer::Done;
    if args.fail_on == Some(FailOn::Fired) && !outcome.alerts.is_empty() {
        say(&format!(
            "{} alerts fired (--fail-on fired)",
            outcome.alerts.len()
        ));
        answer = Answer::No;
    }
    let asked = [
        ("recall", args.min_recall),
        ("precision", args.min_precision),
    ];
    for (what, least) in asked {
        let Some(least) = least else { continue };
        let Some(score) = &outcome.score else {
            bail!("--min-{what} needs incidents: give --labels, or ingest the labels too");
        };
        let found = if what == "recall" {
            score.all.recall
        } else {
            score.all.precision
        };
        match found {
            Some(found) if found >= least => {}
            Some(found) => {
                say(&format!("{what} is {found:.3}, less than {least}"));
                answer = Answer::No;
            }
            None => bail!("--min-{what}: there is nothing to compute {what} from"),
        }
    }
    Ok(answer)
}
