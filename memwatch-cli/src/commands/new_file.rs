//! Files that a command leaves behind: whole or not at all, another name first, then the right one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes a file; what was there under the name is replaced.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_with(path, |mut file| {
        file.write_all(content)
            .with_context(|| format!("{}: cannot write", path.display()))
    })
}

/// As [`write()`], a piece at a time. Nothing is left when `write` fails.
pub fn write_with(
    path: &Path,
    write: impl FnOnce(File) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let cannot = || format!("{}: cannot write", path.display());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let unfinished = tempfile::Builder::new()
        .prefix(".memwatch-")
        .tempfile_in(folder)
        .with_context(cannot)?;
    write(unfinished.reopen().with_context(cannot)?)?;
    #[cfg(unix)]
    {
        // A temporary file is its owner's alone; this one is as readable as any new file.
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(unfinished.path(), fs::Permissions::from_mode(0o644))
            .with_context(cannot)?;
    }
    unfinished.persist(path).with_context(cannot)?;
    Ok(())
}
