//! `memwatch check`.

use std::path::Path;

use anyhow::Context as _;
use memwatch_core::rule::{Finding, Level, LintData, RuleError, RuleFile, lint};
use memwatch_core::series::SeriesReader as _;
use memwatch_store::Store;

use super::recording;
use crate::args::{CheckArgs, CheckFormat};
use crate::exit::Answer;
use crate::render::{Output, findings, functions};

/// Runs the command.
pub fn run(args: &CheckArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let Some(path) = args.rules.as_deref() else {
        match args.format {
            CheckFormat::Text => functions::text(out)?,
            CheckFormat::Json => functions::json(out)?,
        }
        return Ok(Answer::Done);
    };
    let (found, rules) = match load(path)? {
        Ok(file) => {
            let rules = file.groups.iter().map(|g| g.rules.len()).sum();
            (look(args, &file)?, Some((file.groups.len(), rules)))
        }
        Err(error) => {
            let as_finding = |problem| Finding {
                level: Level::Problem,
                problem,
            };
            (error.problems.into_iter().map(as_finding).collect(), None)
        }
    };
    match args.format {
        CheckFormat::Text => findings::text(out, path, rules, &found)?,
        CheckFormat::Json => findings::json(out, path, rules, &found)?,
    }
    let bad = found.iter().any(|f| f.level == Level::Problem);
    Ok(if bad { Answer::No } else { Answer::Done })
}

/// Reads a rule file: the outer failure is one of reading, the inner one of its content.
pub fn load(path: &Path) -> anyhow::Result<Result<RuleFile, RuleError>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot read the rules", path.display()))?;
    Ok(RuleFile::parse(&path.to_string_lossy(), &text))
}

fn look(args: &CheckArgs, file: &RuleFile) -> anyhow::Result<Vec<Finding>> {
    let data = match &args.store {
        Some(data) => Some(data.clone()),
        None => Some(args.data.dir().clone()).filter(|dir| Store::is_store(dir)),
    };
    let Some(data) = data else {
        return Ok(lint(file, None)?);
    };
    let opened = recording::open(&data)?;
    let snapshot = opened.store.snapshot()?;
    let series = snapshot.series();
    let Some(range) = snapshot.info().series_range() else {
        anyhow::bail!("{}: expected a recording, found no rows", data.display());
    };
    let data = LintData {
        reader: &series,
        range,
    };
    series.metric_names()?;
    Ok(lint(file, Some(&data))?)
}
