//! `memwatch ingest`.

use crate::args::IngestArgs;
use crate::exit::Answer;
use crate::render::Output;

/// Runs the command.
pub fn run(args: &IngestArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let _ = (args, out);
    anyhow::bail!("not built yet")
}
