//! Places that the system itself makes bad: full, read-only, without file descriptors.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::programs::{Kind, Program};
use crate::shared::folder;
use crate::{Outcome, Tally};

/// From one page to more than any program here needs.
const SIZES_KIB: std::ops::Range<u64> = 1..100;

/// A file system that is there for as long as this lives.
struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    /// `None` without the right to mount.
    fn new<'a>(at: &'a Path, arguments: &[&str]) -> Option<Mounted<'a>> {
        mount(at, arguments).then(|| Mounted(at))
    }

    fn again(&self, options: &str) -> Outcome<()> {
        let done = mount(self.0, &["-o", options]);
        done.then_some(())
            .ok_or_else(|| format!("cannot mount again: {options}").into())
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn mount(at: &Path, arguments: &[&str]) -> bool {
    let mount = Command::new("mount")
        .args(arguments)
        .arg(at)
        .stderr(Stdio::null())
        .status();
    mount.is_ok_and(|status| status.success())
}

fn output(command: &[String]) -> Outcome<Output> {
    Ok(Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .output()?)
}

fn entry<'a>(
    tallies: &'a mut BTreeMap<String, Tally>,
    program: &Program,
    what: &str,
) -> &'a mut Tally {
    tallies
        .entry(format!("{}: {what}", program.name))
        .or_default()
}

/// A disk of ever more pages, until all fits.
pub(crate) fn full(program: &Program, tallies: &mut BTreeMap<String, Tally>) -> Outcome<()> {
    if program.kind() == Kind::Reader {
        return Ok(());
    }
    for pages in SIZES_KIB {
        let place = folder()?;
        let at = place.path().to_path_buf();
        let size = format!("size={}k", pages * 4);
        let Some(disk) = Mounted::new(&at, &["-t", "tmpfs", "-o", &size, "tmpfs"]) else {
            println!(
                "skipped: {}: full disks: not allowed to mount",
                program.name
            );
            return Ok(());
        };
        let mut run = program.prepare_in(place, "")?;
        let output = output(&run.command())?;
        let tally = entry(tallies, program, "ENOSPC of a full disk");
        let checked = run
            .check_as_it_lies(&output)
            .and_then(|()| disk.again("remount,size=64m"))
            .and_then(|()| run.check(&output, true, tally));
        checked.map_err(|e| format!("{}: a disk of {size}: {e}", program.name))?;
        if output.status.success() {
            break;
        }
    }
    Ok(())
}

/// A folder that takes nothing.
pub(crate) fn read_only(program: &Program, tallies: &mut BTreeMap<String, Tally>) -> Outcome<()> {
    let place = folder()?;
    let at = place.path().to_path_buf();
    let Some(disk) = Mounted::new(&at, &["-t", "tmpfs", "tmpfs"]) else {
        println!("skipped: {}: read-only: not allowed to mount", program.name);
        return Ok(());
    };
    let mut run = program.prepare_in(place, "")?;
    // Once without a store, once with a whole one.
    for _ in 0..2 {
        disk.again("remount,ro")?;
        let found = output(&run.command())?;
        let tally = entry(tallies, program, "EROFS of a read-only folder");
        let reads = program.kind() == Kind::Reader;
        run.check_said(&found, reads, tally)?;
        if reads && !found.status.success() {
            return Err(format!("{}: does not read what is read-only", program.name).into());
        }
        disk.again("remount,rw")?;
        let whole = output(&run.command())?;
        run.check(&whole, true, tally)?;
    }
    Ok(())
}

/// Ever more file descriptors, until there are enough.
pub(crate) fn few_descriptors(
    program: &Program,
    tallies: &mut BTreeMap<String, Tally>,
) -> Outcome<()> {
    for limit in 4..200 {
        let mut run = program.prepare()?;
        let limited = format!("ulimit -n {limit}; exec \"$@\"");
        let mut command = vec!["sh".to_owned(), "-c".to_owned(), limited, "sh".to_owned()];
        command.extend(run.command());
        let output = output(&command)?;
        // Fewer than a program takes to begin with.
        if matches!(output.status.code(), Some(126 | 127)) {
            continue;
        }
        let tally = entry(tallies, program, "EMFILE of a low limit");
        let checked = run.check(&output, true, tally);
        checked.map_err(|e| format!("{}: ulimit -n {limit}: {e}", program.name))?;
        if output.status.success() {
            break;
        }
    }
    Ok(())
}
