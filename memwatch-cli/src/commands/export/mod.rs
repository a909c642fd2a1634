//! `memwatch export`: what a store holds, for other programs.

mod openmetrics;
mod promtool;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::recording;
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
        Some(path) => into_file(path, write)?,
        None => write(out)?,
    }
    Ok(Answer::Done)
}

/// Writes a file whole or not at all: another name first, then the right one.
fn into_file(
    path: &Path,
    write: impl FnOnce(&mut Output) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    use std::io::Write as _;
    let cannot = || format!("{}: cannot write", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let unfinished = tempfile::Builder::new()
        .prefix(".memwatch-")
        .tempfile_in(folder)
        .with_context(cannot)?;
    let mut to = Output::file(unfinished.reopen().with_context(cannot)?);
    write(&mut to)?;
    to.flush().with_context(cannot)?;
    drop(to);
    #[cfg(unix)]
    {
        // A temporary file is its owner's alone; an export is as readable as any new file.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(unfinished.path(), fs::Permissions::from_mode(0o644))
            .with_context(cannot)?;
    }
    unfinished.persist(path).with_context(cannot)?;
    Ok(())
}
