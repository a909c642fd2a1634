//! `memwatch diff`.

use anyhow::bail;
use memwatch_core::backtest::Diff;

use super::replay::Replay;
use super::{budget, check, new_file, notify, say};
use crate::args::{DiffArgs, DiffFormat};
use crate::exit::Answer;
use crate::render::diff::Compared;
use crate::render::table::Style;
use crate::render::{Output, diff, diff_json, junit};

/// Runs the command.
pub fn run(args: &DiffArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let old_file = check::load(&args.old)??;
    let new_file = check::load(&args.new)??;
    let old_told = notify::notifications(&args.notify, &old_file)?;
    let new_told = notify::notifications(&args.notify, &new_file)?;
    notify::say_doubts(&args.notify, &[&old_told, &new_told]);
    let replay = Replay::open(&args.replay, &args.truth)?;
    let run = |file, told| {
        let backtest = replay.backtest(file).notifications(told);
        // Both are compared with each other.
        let backtest = backtest.without_threshold();
        backtest.run(&replay.snapshot.series())
    };
    let old = run(&old_file, old_told)?;
    let new = run(&new_file, new_told)?;
    let compared = Diff::of(&old, &new);
    let budgets = budget::check(&args.budget, &old, &new, &compared)?;
    let shown = Compared {
        old_path: &args.old,
        new_path: &args.new,
        data_path: &replay.data,
        notify: &args.notify,
        old: &old,
        new: &new,
        diff: &compared,
        budgets: &budgets,
        data_commit: replay.snapshot.version(),
    };
    match args.format {
        DiffFormat::Table => diff::text(out, &shown, Style::Plain)?,
        DiffFormat::Markdown => diff::text(out, &shown, Style::Markdown)?,
        DiffFormat::Json => diff_json::document(out, &shown)?,
    }
    if let Some(path) = &args.junit {
        new_file::write(path, junit::of_diff(&shown).as_bytes())?;
    }
    if !new.evaluated_anything() {
        bail!(
            "{}: nothing could be evaluated: no alerting rule found what it reads",
            args.new.display()
        );
    }
    let mut answer = Answer::Done;
    for broken in budgets.iter().filter(|b| !b.holds) {
        say(&format!("{} (--{})", broken.words, broken.name));
        answer = Answer::No;
    }
    Ok(answer)
}
