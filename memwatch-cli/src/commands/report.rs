//! What a run found, drawn: `--report FILE`, one HTML file, and the timeline in text.

use std::path::Path;

use memwatch_core::backtest::Outcome;
use memwatch_core::report::{Page, Pages};
use memwatch_core::rule::RuleFile;

use super::new_file;
use super::replay::Replay;
use super::say;
use crate::render::backtest::Shown;
use crate::render::timeline::worth_showing;
use crate::render::{html, size, tune};

/// Options that say where results go: they are no part of the command that the report shows, so that the same run gives the same bytes
/// wherever it is written.
const OUTPUTS: [&str; 3] = ["--report", "--format", "--junit"];

/// Reads what the report draws, and writes it.
pub fn write(path: &Path, shown: &Shown<'_>, replay: &Replay<'_>) -> anyhow::Result<()> {
    let pages = Pages::new(shown.file, shown.outcome)
        .recorded(replay.snapshot.info().processes().into_keys())
        .read(&replay.snapshot.series())?;
    let document = html::document(&html::Report {
        shown,
        pages: &pages,
        command: command(std::env::args()),
    })?;
    keep(path, &document)
}

/// Writes what tuning found.
pub fn write_tuning(path: &Path, shown: &tune::Shown<'_>) -> anyhow::Result<()> {
    keep(
        path,
        &html::tune::document(shown, &command(std::env::args())),
    )
}

fn keep(path: &Path, document: &str) -> anyhow::Result<()> {
    new_file::write(path, document.as_bytes())?;
    say(&format!(
        "wrote {} ({})",
        path.display(),
        size(document.len() as u64)
    ));
    Ok(())
}

/// What the timeline in text draws: one signal of a few services, at no more steps than a line has characters.
pub fn timeline(
    services: usize,
    file: &RuleFile,
    outcome: &Outcome,
    replay: &Replay<'_>,
) -> anyhow::Result<Vec<Page>> {
    let wanted = worth_showing(outcome, services);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut pages = Pages::new(file, outcome)
        .recorded(replay.snapshot.info().processes().into_keys())
        .only(wanted.iter().map(|s| s.as_str().into()))
        .rules(1)
        .values(0)
        .read(&replay.snapshot.series())?;
    pages.sort_by_key(|page| wanted.iter().position(|w| **w == *page.service));
    Ok(pages)
}

/// The command line as somebody would type it again, without where its output went.
fn command(args: impl Iterator<Item = String>) -> String {
    let mut words = vec!["memwatch".to_owned()];
    let mut args = args.skip(1);
    while let Some(arg) = args.next() {
        let name = arg.split('=').next().unwrap_or_default();
        if OUTPUTS.contains(&name) {
            if name == arg {
                args.next();
            }
            continue;
        }
        words.push(quoted(&arg));
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_shown_without_where_it_wrote() {
        let shown = |words: &[&str]| command(words.iter().map(|w| (*w).to_owned()));
        assert_eq!(
            shown(&[
                "/usr/bin/memwatch",
                "backtest",
                "my rules.toml",
                "data",
                "--report",
                "a.html",
                "--format=json",
                "--from",
                "-24h",
                "it's"
            ]),
            "memwatch backtest 'my rules.toml' data --from -24h 'it'\\''s'"
        );
    }
}
