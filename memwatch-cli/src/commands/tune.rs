//! `memwatch tune`.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use memwatch_core::Nanos;
use memwatch_core::backtest::{Knob, LEAST_INCIDENTS, Tune, Tuned, Tuning};
use memwatch_core::rule::{NewSetting, RuleFile, SettingChange, with_settings};

use super::replay::Replay;
use super::{check, report, say};
use crate::args::{BacktestFormat, TuneArgs};
use crate::exit::Answer;
use crate::render::table::Style;
use crate::render::tune::Shown;
use crate::render::{Output, tune, tune_json};

/// Runs the command.
pub fn run(args: &TuneArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let file = check::load(&args.rules)??;
    let replay = Replay::open(&args.replay, &args.truth)?;
    if replay.truth.is_none() {
        bail!("tuning needs incidents: give --labels or --incident, or ingest the labels too");
    }
    let mut search = Tune::new(replay.backtest(&file));
    if !args.only.is_empty() {
        search = search.only(args.only.iter().map(|name| Arc::from(name.as_str())));
    }
    for range in &args.params {
        let rule = range.rule.as_deref().map(Arc::from);
        search = search.range(rule, range.knob.clone(), range.values.clone());
    }
    let tuned = match search.run(&replay.snapshot.series())? {
        Tuning::Done(tuned) => tuned,
        Tuning::Refused { incidents } => {
            say(&format!(
                "not tuned: of {incidents} incidents that these rules are meant for, fewer than {LEAST_INCIDENTS} lie \
                 before the stretch that is kept for the test; the settings of the file stay"
            ));
            if let Some(path) = &args.report {
                say(&format!(
                    "{}: not written: nothing was tried",
                    path.display()
                ));
            }
            if matches!(args.format, BacktestFormat::Json | BacktestFormat::Ndjson) {
                tune_json::refused(out, incidents)?;
            }
            return Ok(Answer::No);
        }
    };
    let changed = changed(&file, &tuned)?;
    let shown = Shown {
        rules_path: &args.rules,
        data_path: &replay.data,
        file: &file,
        tuned: &tuned,
        changed: changed.as_deref(),
        data_commit: replay.snapshot.version(),
    };
    match args.format {
        BacktestFormat::Table => tune::text(out, &shown, Style::Plain)?,
        BacktestFormat::Markdown => tune::text(out, &shown, Style::Markdown)?,
        BacktestFormat::Json => tune_json::document(out, &shown)?,
        BacktestFormat::Ndjson => tune_json::line(out, &shown)?,
    }
    if let Some(path) = &args.report {
        report::write_tuning(path, &shown)?;
    }
    if !args.write {
        return Ok(Answer::Done);
    }
    let Some(changed) = changed else {
        say("nothing to write: the settings of the file stay");
        return Ok(Answer::Done);
    };
    if !tuned.is_better() {
        say("not written: the choice is not better where the search never looked");
        return Ok(Answer::No);
    }
    write(&args.rules, &changed)?;
    say(&format!("written: {}", args.rules.display()));
    Ok(Answer::Done)
}

/// The rule file with what was chosen; `None` when nothing changes.
fn changed(file: &RuleFile, tuned: &Tuned) -> anyhow::Result<Option<String>> {
    if !tuned.changes_anything() {
        return Ok(None);
    }
    let seconds = |value: f64| {
        #[allow(clippy::cast_possible_truncation)] // Saturates; a length of time.
        let ns = (value * 1e9).round() as i64;
        Nanos(ns)
    };
    let mut changes = Vec::new();
    for rule in &tuned.rules {
        for (knob, _, new) in rule.changes() {
            changes.push(SettingChange {
                group: rule.group,
                rule: rule.rule,
                to: match knob {
                    Knob::Param(name) => NewSetting::Param(name.to_string(), new),
                    Knob::For => NewSetting::For(seconds(new)),
                    Knob::KeepFiringFor => NewSetting::KeepFiringFor(seconds(new)),
                },
            });
        }
    }
    let changed =
        with_settings(&file.text, &changes).context("only rule files in TOML can be changed")?;
    Ok(Some(changed))
}

/// Replaces the file at once, so that nobody reads half of it.
fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    };
    let failed = || format!("{}: cannot write", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    let permissions = std::fs::metadata(path).with_context(failed)?.permissions();
    file.as_file()
        .set_permissions(permissions)
        .with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
