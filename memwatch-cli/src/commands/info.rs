//! `memwatch info`.

use crate::args::InfoArgs;
use crate::exit::Answer;
use crate::render::Output;

/// Runs the command.
pub fn run(args: &InfoArgs, out: &mut Output) -> anyhow::Result<Answer> {
    let _ = (args, out);
    anyhow::bail!("not built yet")
}
