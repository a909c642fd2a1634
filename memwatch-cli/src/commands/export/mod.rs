//! `memwatch export`: what a store holds, for other programs.

mod openmetrics;
mod promtool;
mod table;

use std::io::Write as _;

use anyhow::{Context as _, bail};

use super::{new_file, recording};
use crate::args::ExportArgs;
use crate::exit::Answer;
use crate::render::Output;

/// Runs the command.
pub fn run(args: &ExportArgs, out: &mut Output) -> anyhow::Result<Answer> {
    if let Some(id) = &args.promtool {
        return promtool::run(args, id, out);
    }
    // Without rules the first of the two is DATA.
    if args.replay.store.is_some() {
        bail!("expected DATA alone: rules are for --promtool");
    }
    let data = args.replay.data.or(args.rules.as_ref());
    let opened = recording::open(&data)?;
    let snapshot = opened.snapshot(args.replay.allow_partial)?;
    let write = |to: &mut Output| match &args.table {
        Some(table) => table::write(args, table, &snapshot, to),
        None => openmetrics::write(args, &snapshot, to),
    };
    match &args.out {
        Some(path) => new_file::write_with(path, |file| {
            let mut to = Output::file(file);
            write(&mut to)?;
            to.flush()
                .with_context(|| format!("{}: cannot write", path.display()))
        })?,
        None => write(out)?,
    }
    Ok(Answer::Done)
}
