//! `memwatch export --promtool`: a test for promtool, cut out of a recording.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use memwatch_core::backtest::{Addressed, Outcome, addresses, find};
use memwatch_core::promtool::{CutError, Subject, cut};
use memwatch_core::rule::RuleFile;

use crate::args::ExportArgs;
use crate::commands::replay::Replay;
use crate::commands::{check, new_file, say};
use crate::exit::Answer;
use crate::render::{Output, clean, grouped};

/// Writes the case of an alert or incident.
pub fn run(args: &ExportArgs, id: &str, out: &mut Output) -> anyhow::Result<Answer> {
    if let Some(name) = &args.name
        && (name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']))
    {
        bail!("--name: expected a file name without folders, found `{name}`");
    }
    let Some(rules) = &args.rules else {
        bail!("--promtool {id}: expected a rule file");
    };
    let folder = args.out.as_deref().unwrap_or(Path::new("."));
    let file = check::load(rules)??;
    let replay = Replay::open(&args.replay, &args.truth)?;
    let series = replay.snapshot.series();
    let outcome = replay.backtest(&file).without_threshold().run(&series)?;
    let pointed = find(&outcome, id).map_err(|why| anyhow::anyhow!("--promtool {id}: {why}"))?;
    let Some(subject) = subject(&file, &outcome, pointed) else {
        bail!("--promtool {id}: it was missed, and no rule says that it detects this kind");
    };
    let case = match cut(&file, &outcome, &subject, &series) {
        Ok(case) => case,
        Err(CutError::Core(error)) => return Err(error.into()),
        Err(refused) => {
            say(&format!("no case: {refused}"));
            return Ok(Answer::No);
        }
    };
    let name = args.name.clone().unwrap_or_else(|| name(&outcome, pointed));
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    let rules = folder.join(format!("{name}.rules.yml"));
    let test = folder.join(format!("{name}.test.yml"));
    new_file::write(&rules, case.rules.as_bytes())?;
    new_file::write(&test, case.test(&format!("{name}.rules.yml")).as_bytes())?;
    for line in [
        clean(&case.title, false).into_owned(),
        format!(
            "{} series, {} samples, {} looks at alerts; samples moved by at most {:.1} ms, {} left out",
            case.series(),
            grouped(case.samples),
            case.checks(),
            case.moved_most.as_seconds() * 1e3,
            grouped(case.dropped),
        ),
        format!(
            "promtool test rules {}",
            clean(&test.to_string_lossy(), false)
        ),
    ] {
        writeln!(out, "{line}")?;
    }
    Ok(Answer::Done)
}

fn subject(file: &RuleFile, outcome: &Outcome, pointed: Addressed) -> Option<Subject> {
    match pointed {
        Addressed::Alert(alert) => Some(Subject::alert(outcome, alert)),
        Addressed::Incident(incident) => Subject::incident(file, outcome, incident),
    }
}

/// What files about it are called: nothing from outside becomes a path.
fn name(outcome: &Outcome, pointed: Addressed) -> String {
    let text = match pointed {
        Addressed::Alert(alert) => {
            let alert = &outcome.alerts[alert];
            format!("{}-{}", outcome.rules[alert.rule].name, alert.id)
        }
        Addressed::Incident(incident) => addresses(outcome)[incident].replace(['@', '#'], "-"),
    };
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    text.chars().take(80).map(plain).collect()
}
