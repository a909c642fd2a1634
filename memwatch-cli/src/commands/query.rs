//! `memwatch query`.

use crate::args::QueryArgs;
use crate::exit::Answer;
use crate::render::Output;

/// Runs the command.
pub fn run(args: &QueryArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let _ = (args, out);
    anyhow::bail!("not built yet")
}
