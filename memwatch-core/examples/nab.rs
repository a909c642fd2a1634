//! Scores the series of the Numenta Anomaly Benchmark with the baseline of this crate.
//!
//! `nab NAB_FOLDER OUT_FOLDER [--form exact|bounded]` reads `NAB_FOLDER/data/<category>/<series>.csv` (`timestamp,value`) and writes
//! `OUT_FOLDER/<category>/<series>.csv` with `timestamp,value,anomaly_score`, a row for a row.
#![allow(clippy::disallowed_methods)] // The crate opens no files; this program around it does.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use chrono::NaiveDateTime;
use memwatch_core::stats::baseline::{Baseline, BaselineOptions, Form};

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: nab NAB_FOLDER OUT_FOLDER [--form exact|bounded]";
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folders, form) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [nab, out] => ([nab, out], Form::Exact),
        [nab, out, "--form", "exact"] | ["--form", "exact", nab, out] => ([nab, out], Form::Exact),
        [nab, out, "--form", "bounded"] | ["--form", "bounded", nab, out] => {
            ([nab, out], Form::Bounded)
        }
        _ => return Err(usage.into()),
    };
    let [nab, out] = folders.map(Path::new);
    let mut written = 0;
    for category in folder(&nab.join("data"))? {
        for series in folder(&category)?
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "csv"))
        {
            let text = fs::read_to_string(series)?;
            let scored = score(&text, form).map_err(|e| format!("{}: {e}", series.display()))?;
            let target = out.join(series.strip_prefix(nab.join("data"))?);
            fs::create_dir_all(target.parent().unwrap_or(out))?;
            fs::write(target, scored)?;
            written += 1;
        }
    }
    if written == 0 {
        return Err(format!(
            "{}: expected data/<category>/<series>.csv, found none",
            nab.display()
        )
        .into());
    }
    Ok(())
}

/// The entries of a folder, sorted, without plain files that stand beside the categories.
fn folder(path: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut paths = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|p| p.is_dir() || p.extension().is_some_and(|e| e == "csv"));
    paths.sort();
    Ok(paths)
}

/// The rows of `text` with the score of each.
fn score(text: &str, form: Form) -> Result<String, String> {
    let mut baseline = Baseline::new(BaselineOptions::default().form(form));
    let mut out = String::from("timestamp,value,anomaly_score\n");
    for (i, line) in text
        .lines()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| !line.is_empty())
    {
        let wrong = |expected: &str| format!("line {}: expected {expected}, found `{line}`", i + 1);
        let (timestamp, value) = line
            .split_once(',')
            .ok_or_else(|| wrong("timestamp,value"))?;
        let at = NaiveDateTime::parse_from_str(timestamp, "%Y-%m-%d %H:%M:%S")
            .ok()
            .and_then(|at| at.and_utc().timestamp_nanos_opt())
            .ok_or_else(|| wrong("YYYY-MM-DD HH:MM:SS"))?;
        let x: f64 = value.trim().parse().map_err(|_| wrong("a number"))?;
        let deviation = baseline.push(at, x);
        let _ = writeln!(out, "{timestamp},{value},{}", deviation.score); // Writing to a string cannot fail.
    }
    Ok(out)
}
