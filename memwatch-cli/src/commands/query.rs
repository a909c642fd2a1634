//! `memwatch query` in SQL; in PromQL see [`promql`].

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use memwatch_core::Nanos;
use memwatch_store::query::{Engine, Settings};

use super::{promql, recording};
use crate::args::{QueryArgs, RowFormat};
use crate::exit::Answer;
use crate::render::{Output, rows};

/// Runs the command.
pub fn run(args: &QueryArgs, out: &mut Output) -> anyhow::Result<Answer> {
    if let Some(expr) = &args.promql {
        return promql::run(expr, args, out);
    }
    let (sql, data) = statement(args)?;
    let mut settings = Settings::default();
    settings.memory_bytes = bytes(&args.memory)?;
    settings.timeout = duration(&args.timeout)?;
    let format = args.format.unwrap_or(if out.is_terminal() {
        RowFormat::Table
    } else {
        RowFormat::Csv
    });
    let opened = recording::open(&args.data.or(data.as_ref()))?;
    let engine = Engine::with(&opened.snapshot(args.allow_partial)?, &settings)?;
    let answer = engine.sql(&sql)?;
    let schema = answer.schema();
    rows::write(answer, &schema, format, args.max_rows, out)?;
    Ok(Answer::Done)
}

/// The statement, and DATA when it stands behind it.
fn statement(args: &QueryArgs) -> anyhow::Result<(String, Option<PathBuf>)> {
    match (&args.file, &args.sql, &args.store) {
        (Some(file), data, None) => {
            let sql = std::fs::read_to_string(file)
                .with_context(|| format!("{}: cannot read the statement", file.display()))?;
            Ok((sql, data.as_ref().map(PathBuf::from)))
        }
        (Some(_), _, Some(_)) => bail!("expected a statement or --file, found both"),
        (None, Some(sql), store) => Ok((sql.clone(), store.clone())),
        (None, None, _) => bail!("expected a statement, as in `memwatch query \"SHOW TABLES\"`"),
    }
}

/// `512M`, `2Gi`, `1000000`.
fn bytes(text: &str) -> anyhow::Result<usize> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let factor: usize = match text[digits..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => 0,
    };
    text[..digits]
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .filter(|n| *n > 0)
        .with_context(|| format!("--memory: expected a size like 512M or 2Gi, found `{text}`"))
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    Nanos::parse(text)
        .and_then(|ns| u64::try_from(ns.0).ok())
        .filter(|ns| *ns > 0)
        .map(Duration::from_nanos)
        .with_context(|| format!("--timeout: expected a duration like 30s or 5m, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("1", 1),
            ("512M", 512_000_000),
            ("2Gi", 2 << 30),
            ("1KiB", 1024),
        ] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        for bad in ["", "M", "0", "-1", "1X", "1.5G", "99999999999G", "é"] {
            let error = bytes(bad).unwrap_err().to_string();
            assert!(error.contains("expected a size like"), "{error}");
        }
    }
}
