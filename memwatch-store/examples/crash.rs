//! Kills a writing process with SIGKILL at random moments, and compares what is there with what it had acknowledged:
//! `cargo run --release -p memwatch-store --example crash -- --kills 200 [--seed 1]`.
//!
//! The process appends and syncs, flushes, compacts and removes old days, and says on a pipe what was acknowledged. After each kill the store
//! is read as it lies there, opened by a writer, which recovers, read again, and verified. Any row lost, doubled, changed, or removed
//! in part ends the run with exit code 1 and the seed that replays the choices (not the moment, which is the machine's).
#![allow(clippy::print_stdout, clippy::print_stderr)] // A program.

mod shared;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memwatch_store::{Appender, Compaction, Retention, Store};
use shared::{Promised, Random, check, day_of, folder, option, push, start_of};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Each process numbers its rows from the next multiple of this.
const NUMBERS: u64 = 100_000;
/// Kills before a new store is begun, so that reading it stays fast.
const KILLS_PER_STORE: u64 = 25;

fn main() -> Outcome<()> {
    if let (Some(first), Some(seed)) = (option("--first"), option("--child-seed")) {
        let folder = std::env::args().nth(1).ok_or("a folder")?;
        return child(Path::new(&folder), first, seed);
    }
    let kills = option("--kills").unwrap_or(200);
    let seed = option("--seed").unwrap_or(1);
    let began = Instant::now();
    let mut random = Random(seed);
    let mut during: BTreeMap<String, u64> = BTreeMap::new();
    let (mut acknowledged, mut recovered, mut torn) = (0, 0, 0);
    let mut kill = 0;
    while kill < kills {
        let folder = folder()?;
        let mut promised = Promised::default();
        for n in 0..KILLS_PER_STORE.min(kills - kill) {
            let child_seed = random.number() >> 1;
            let pause = Duration::from_micros(random.below(120_000));
            let phase = kill_one(folder.path(), n * NUMBERS, child_seed, pause, &mut promised)?;
            *during.entry(phase.clone()).or_default() += 1;
            kill += 1;
            match check(folder.path(), &mut promised) {
                Ok((frames, bytes)) => {
                    recovered += u64::from(frames > 0);
                    torn += u64::from(bytes > 0);
                }
                Err(problem) => {
                    eprintln!(
                        "kill {kill} (seed {seed}, child seed {child_seed}), during {phase}: {problem}"
                    );
                    eprintln!("the store is kept: {}", folder.keep().display());
                    std::process::exit(1);
                }
            }
        }
        acknowledged += promised.count();
    }
    println!(
        "{kills} kills in {:.0?}: 0 rows lost, 0 there twice, 0 changed",
        began.elapsed()
    );
    println!(
        "{acknowledged} rows acknowledged; rows recovered from the WAL after {recovered} kills, torn ends after {torn}"
    );
    for (phase, count) in during {
        println!("{count:>8} during {phase}");
    }
    Ok(())
}

/// Starts a writer, kills it after a while; says during what.
fn kill_one(
    folder: &Path,
    first: u64,
    seed: u64,
    pause: Duration,
    promised: &mut Promised,
) -> Outcome<String> {
    let mut writer = Command::new(std::env::current_exe()?)
        .arg(folder)
        .args([
            "--first",
            &first.to_string(),
            "--child-seed",
            &seed.to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = writer.stdout.take().ok_or("a pipe")?;
    let said = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut from = BufReader::new(pipe);
        let mut line = String::new();
        while from.read_line(&mut line).is_ok_and(|read| read > 0) {
            // Half a line is not said.
            if line.ends_with('\n') {
                lines.push(line.trim_end().to_owned());
            }
            line.clear();
        }
        lines
    });
    std::thread::sleep(pause);
    writer.kill()?;
    writer.wait()?;
    let mut phase = "start".to_owned();
    for line in said.join().map_err(|_| "the thread that reads the pipe")? {
        let mut words = line.split(' ');
        let word = words.next().unwrap_or_default();
        let number =
            |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok()).ok_or("a number");
        match word {
            "acknowledged" => promised.acknowledge(number(words.next())?, number(words.next())?),
            "going" => promised.going(number(words.next())?),
            "gone" => promised.gone(number(words.next())?),
            "failed" => return Err(line.into()),
            _ => phase = word.to_owned(),
        }
    }
    Ok(phase)
}

/// Writes until it is killed.
fn child(folder: &Path, first: u64, seed: u64) -> Outcome<()> {
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").and_then(|()| out.flush());
    let store = Store::create(folder)?;
    let mut appender: Option<Appender> = None;
    let mut random = Random(seed);
    let mut next = first;
    loop {
        let open = match &mut appender {
            Some(open) => open,
            none => {
                say("open".to_owned())?;
                none.insert(store.append()?)
            }
        };
        match random.below(40) {
            0..28 => {
                say("append".to_owned())?;
                let most = if random.one_in(8) { 400 } else { 12 };
                let count = 1 + random.below(most);
                for number in next..next + count {
                    push(open, number)?;
                }
                let acknowledged = open.sync()?.rows;
                assert_eq!(acknowledged, count, "rows since the last sync");
                say(format!("acknowledged {next} {}", next + count - 1))?;
                next += count;
            }
            28..35 => {
                say("flush".to_owned())?;
                open.flush()?;
            }
            35..38 => {
                say("compact".to_owned())?;
                appender = None;
                store.compact(&Compaction::default())?;
            }
            _ => {
                // Rows of processes before this one, and of its own first days.
                let day = day_of(first.saturating_sub(NUMBERS) + random.below(2 * NUMBERS))
                    .min(day_of(next));
                say("retain".to_owned())?;
                say(format!("going {day}"))?;
                appender = None;
                store.retain(&Retention::before(start_of(day)))?;
                say(format!("gone {day}"))?;
            }
        }
    }
}
