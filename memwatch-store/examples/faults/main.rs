//! Lets the system calls of a real process fail, one by one, and compares what is there with what it had acknowledged:
//! `cargo run --release -p memwatch-store --example faults -- [--most 20] [--memwatch target/release/memwatch]`.
//!
//! A recording pass under `strace` finds the calls of a program that touch its store. Then each of them fails in a run of its own, once,
//! and in another one from there on: EIO and ENOSPC when writing, EIO when syncing, reading, listing and naming, EMFILE when opening. A program that is hit
//! says which file and why and exits with 2, or goes on and loses nothing; the store opens afterwards, holds each acknowledged row once,
//! and verifies. Full disks, read-only folders and few file descriptors are made by the system itself. `--most N` takes N calls of each kind,
//! evenly spread. Without `strace`, or without the right to mount, it says so and leaves that part out.
#![allow(clippy::print_stdout, clippy::print_stderr)] // A program.

#[path = "../shared/mod.rs"]
mod shared;

mod places;
mod programs;
mod strace;

use std::collections::BTreeMap;
use std::time::Instant;

use programs::{Program, programs};
use strace::{FAULTS, Mode};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How often what came out.
#[derive(Default)]
pub(crate) struct Tally {
    /// Runs that were hit.
    runs: u64,
    /// Runs that said so and failed.
    failed: u64,
    /// Rows acknowledged in these runs.
    acknowledged: u64,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, folder, what] = arguments.as_slice()
        && let Some(done) = programs::child(folder.as_ref(), what)
    {
        return done;
    }
    let most = shared::option("--most").unwrap_or(u64::MAX);
    let memwatch = arguments.iter().position(|a| a == "--memwatch");
    let memwatch = memwatch.and_then(|at| arguments.get(at + 1));
    let began = Instant::now();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for program in programs(memwatch.map(String::as_str))? {
        if strace::is_there() {
            inject(&program, usize::try_from(most)?, &mut tallies)?;
        } else {
            println!("skipped: {}: no strace", program.name);
        }
        places::few_descriptors(&program, &mut tallies)?;
        places::full(&program, &mut tallies)?;
        places::read_only(&program, &mut tallies)?;
    }
    let all = |count: fn(&Tally) -> u64| tallies.values().map(count).sum::<u64>();
    println!(
        "{} runs with faults in {:.0?}, {} failed with a message, {} rows acknowledged: 0 lost, 0 there twice, 0 changed",
        all(|t| t.runs),
        began.elapsed(),
        all(|t| t.failed),
        all(|t| t.acknowledged),
    );
    for (what, tally) in &tallies {
        println!("{:>8} {what}, {} failed", tally.runs, tally.failed);
    }
    Ok(())
}

/// Each call of a program that touches its store fails.
fn inject(program: &Program, most: usize, tallies: &mut BTreeMap<String, Tally>) -> Outcome<()> {
    for fault in FAULTS {
        let run = program.prepare()?;
        let ordinals = strace::ordinals(&run.command(), run.folder(), fault)?;
        let step = ordinals.len().div_ceil(most.max(1)).max(1);
        for nth in ordinals.into_iter().step_by(step) {
            for mode in [Mode::Once, Mode::Since] {
                let mut run = program.prepare()?;
                let injected = strace::inject(&run.command(), run.folder(), fault, nth, mode)?;
                if injected.hits == 0 {
                    continue;
                }
                let what = format!("{}: {} {}", program.name, fault.error, fault.name);
                let tally = tallies.entry(what.clone()).or_default();
                let checked = run.check(&injected.output, fault.may_be_survived, tally);
                if let Err(problem) = checked {
                    eprintln!("{what}, call {nth} {mode:?}: {problem}");
                    eprintln!("the store is kept: {}", run.keep().display());
                    std::process::exit(1);
                }
            }
        }
    }
    Ok(())
}
