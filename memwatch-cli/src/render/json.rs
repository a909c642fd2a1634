//! JSON for programs.

use std::io::Write;

use serde::Serialize;

/// Writes a document, indented, with a line break at its end.
pub fn document(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}
