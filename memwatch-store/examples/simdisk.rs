//! Power failures on a simulated disk: `cargo run --release -p memwatch-store --example simdisk -- --seeds 2000 [--seed FIRST]`.
//!
//! A seed decides what is written (appends, syncs, flushes, commits, compactions, removals), before which step on the disk the power goes, and
//! what of the steps that were not synced yet survives: bytes of a file dropped, torn at 512 bytes, or replaced by zeros, in any combination; new
//! names, renames and removals in a folder each kept or not, in any combination. What was synced survives. In half of the seeds the process is
//! killed before that, and another one goes on with what the system shows it, synced or not. Then the store is opened and has
//! to hold every acknowledged row once and nothing else. A failure ends the run with exit code 1; `--seed N --seeds 1` replays it.
#![allow(clippy::print_stdout, clippy::print_stderr)] // A program.

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use memwatch_store::{Appender, Compaction, Retention, Step, Store};
use shared::{Promised, Random, day_of, folder, option, push, rows, start_of};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const SECTOR: usize = 512;

fn main() -> Outcome<()> {
    let seeds = option("--seeds").unwrap_or(2_000);
    let first = option("--seed").unwrap_or(1);
    let began = Instant::now();
    let mut total = Counts::default();
    for seed in first..first + seeds {
        match one(seed) {
            Ok(counts) => total.add(&counts),
            Err(problem) => {
                eprintln!("seed {seed}: {problem}");
                std::process::exit(1);
            }
        }
    }
    println!(
        "{seeds} seeds from {first} in {:.0?}: 0 rows lost, 0 there twice, 0 changed",
        began.elapsed()
    );
    println!(
        "{} rows acknowledged, {} steps; a process was killed in {}; the power went before the end in {}, after which {} readers were refused until a writer had recovered",
        total.acknowledged, total.steps, total.killed, total.cut, total.refused
    );
    Ok(())
}

#[derive(Default)]
struct Counts {
    acknowledged: u64,
    steps: u64,
    cut: u64,
    killed: u64,
    refused: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.acknowledged += other.acknowledged;
        self.steps += other.steps;
        self.cut += other.cut;
        self.killed += other.killed;
        self.refused += other.refused;
    }
}

/// Runs one seed.
fn one(seed: u64) -> Outcome<Counts> {
    let mut random = Random(seed);
    let folder = folder()?;
    let root = folder.path().join("disk");
    fs::create_dir(&root)?;
    let most = if random.one_in(3) { 60 } else { 420 };
    let last_step = random.below(most);
    let killed_at = random.one_in(2).then(|| random.below(last_step + 1));
    let disk = Arc::new(Mutex::new(Simulated::new(&root, killed_at, last_step)));
    let mut promised = Promised::default();
    let mut next = 0;
    let mut made = false;
    for _ in 0..1 + u32::from(killed_at.is_some()) {
        let hook = Arc::clone(&disk);
        let store = Store::create_failing(
            root.join("store"),
            Arc::new(move |step: &Step<'_>| {
                hook.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .step(step)
            }),
        );
        if let Ok(store) = store {
            made = true;
            // It ends with the process, with the power, or with what it had to do.
            let _ = work(&store, &mut random, &mut promised, &mut next);
        }
    }
    let disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
    let mut counts = Counts {
        acknowledged: promised.count(),
        steps: disk.steps,
        cut: u64::from(disk.steps > last_step),
        killed: u64::from(killed_at.is_some_and(|step| disk.steps > step)),
        refused: 0,
    };
    let image = folder.path().join("image");
    disk.survive(&image, &mut random)?;
    let store = image.join("store");
    if !Store::is_store(&store) {
        return if made {
            Err("the store is gone".into())
        } else {
            Ok(counts)
        };
    }
    let store = Store::open(store)?;
    match store.snapshot() {
        // A torn end that could be damage: only who writes may set it aside.
        Err(memwatch_store::Error::Damaged { .. }) => counts.refused += 1,
        Err(error) => return Err(error.into()),
        Ok(snapshot) => promised.clone().check(&rows(&snapshot)?)?,
    }
    drop(store.append()?);
    let found = rows(&store.snapshot()?)?;
    promised.check(&found)?;
    // It goes on as if nothing had been.
    let next = found.keys().last().map_or(0, |n| n + 1) + 1_000_000;
    let mut appender = store.append()?;
    for number in next..next + 3 {
        push(&mut appender, number)?;
    }
    appender.sync()?;
    promised.acknowledge(next, next + 2);
    drop(appender);
    promised.check(&rows(&store.snapshot()?)?)?;
    drop(store.writer()?);
    match store.verify()?.findings.first() {
        Some(finding) => Err(format!("verify: {finding}").into()),
        None => Ok(counts),
    }
}

/// A random life of a store; the first row that it writes has the number `next`.
fn work(
    store: &Store,
    random: &mut Random,
    promised: &mut Promised,
    next: &mut u64,
) -> Outcome<()> {
    let mut appender: Option<Appender> = None;
    if let Some(day) = promised.cut_off() {
        store.retain(&Retention::before(start_of(day)))?;
        promised.gone(day);
    }
    for _ in 0..4 + random.below(10) {
        match random.below(12) {
            0..6 => {
                let open = match &mut appender {
                    Some(open) => open,
                    none => none.insert(store.append()?),
                };
                let count = 1 + random.below(30);
                for number in *next..*next + count {
                    push(open, number)?;
                }
                open.sync()?;
                promised.acknowledge(*next, *next + count - 1);
                *next += count;
            }
            6..8 => {
                if let Some(open) = &mut appender {
                    open.flush()?;
                }
            }
            8 => appender = None,
            9 => {
                // As an ingest does it, with some rows that are there already.
                appender = None;
                let mut writer = store.writer()?;
                let from = *next - random.below(20).min(*next % shared::ROWS_PER_DAY);
                let count = 1 + random.below(30);
                for number in from..*next + count {
                    push(&mut writer, number)?;
                }
                writer.commit(&[])?;
                promised.acknowledge(*next, *next + count - 1);
                *next += count;
            }
            10 => {
                appender = None;
                store.compact(&Compaction::default())?;
            }
            _ => {
                // The next rows are of another day.
                *next = (day_of(*next) + 1) * shared::ROWS_PER_DAY;
                if random.one_in(3) {
                    let day = random.below(day_of(*next) + 1);
                    appender = None;
                    promised.going(day);
                    store.retain(&Retention::before(start_of(day)))?;
                    promised.gone(day);
                }
            }
        }
    }
    Ok(())
}

/// What becomes of a name.
#[derive(Clone)]
enum Change {
    /// It stands for this file or folder now.
    Set(PathBuf, usize),
    /// What stood under the first stands under the second.
    Move(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// What a disk holds for sure, beside what it was only told.
struct Simulated {
    root: PathBuf,
    steps: u64,
    killed_at: Option<u64>,
    last_step: u64,
    /// What was synced of each file; `None` for a folder.
    synced: Vec<Option<Vec<u8>>>,
    /// What files held that have no name any more.
    unnamed: BTreeMap<usize, Vec<u8>>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that were not synced yet, by folder, in order.
    changes: BTreeMap<PathBuf, Vec<Change>>,
}

impl Simulated {
    fn new(root: &Path, killed_at: Option<u64>, last_step: u64) -> Simulated {
        Simulated {
            root: root.to_path_buf(),
            steps: 0,
            killed_at,
            last_step,
            synced: Vec::new(),
            unnamed: BTreeMap::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    /// Notes a step that is about to be done, or stops the writer before it.
    fn step(&mut self, step: &Step<'_>) -> io::Result<()> {
        self.steps += 1;
        if self.steps > self.last_step {
            return Err(io::Error::other("the power went"));
        }
        if self.killed_at.is_some_and(|step| self.steps > step) {
            self.killed_at = None;
            return Err(io::Error::other("killed"));
        }
        let path = step.path.to_path_buf();
        match (step.name, step.from) {
            ("create" | "create folder", _) => {
                self.synced.push((step.name == "create").then(Vec::new));
                let file = self.synced.len() - 1;
                self.names.insert(path.clone(), file);
                self.change(&path, Change::Set(path.clone(), file));
            }
            ("sync", _) => {
                if let Some(file) = self.names.get(&path) {
                    self.synced[*file] = Some(fs::read(&path)?);
                }
            }
            ("sync folder", _) => {
                for change in self.changes.remove(&path).unwrap_or_default() {
                    apply(&mut self.synced_names, &change);
                }
            }
            ("rename", Some(from)) => {
                self.forget(&path);
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(path.clone(), file);
                }
                self.change(&path, Change::Move(from.to_path_buf(), path.clone()));
            }
            ("link", Some(from)) => {
                // One that exists is refused.
                if let (Some(file), false) = (self.names.get(from).copied(), path.exists()) {
                    self.names.insert(path.clone(), file);
                    self.change(&path, Change::Set(path.clone(), file));
                }
            }
            ("remove", _) => {
                self.forget(&path);
                self.names.remove(&path);
                self.change(&path, Change::Remove(path.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, path: &Path, change: Change) {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        self.changes.entry(folder).or_default().push(change);
    }

    /// Keeps what a file holds whose name goes: the removal may not survive.
    fn forget(&mut self, path: &Path) {
        if let (Some(file), Ok(content)) = (self.names.get(path), fs::read(path)) {
            self.unnamed.insert(*file, content);
        }
    }

    /// Makes what may be there when the power is back.
    fn survive(&self, image: &Path, random: &mut Random) -> io::Result<()> {
        let mut names = self.synced_names.clone();
        let likely = random.below(4);
        for changes in self.changes.values() {
            for change in changes {
                let kept = match likely {
                    0 => false,
                    1 => true,
                    _ => random.one_in(2),
                };
                if kept {
                    apply(&mut names, change);
                }
            }
        }
        fs::create_dir_all(image)?;
        let place = |path: &Path| image.join(path.strip_prefix(&self.root).unwrap_or(path));
        // Folders come before what is in them.
        for (path, file) in &names {
            match &self.synced[*file] {
                None => match fs::create_dir(place(path)) {
                    // In a folder whose own name did not survive nothing does.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    made => made?,
                },
                Some(synced) => {
                    let content = self.surviving(*file, synced, random);
                    match fs::write(place(path), content) {
                        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                        written => written?,
                    }
                }
            }
        }
        Ok(())
    }

    /// What of a file survives: all that was synced, of the rest any sectors.
    fn surviving(&self, file: usize, synced: &[u8], random: &mut Random) -> Vec<u8> {
        let name = self
            .names
            .iter()
            .find(|(_, f)| **f == file)
            .map(|(name, _)| name);
        let written = name.and_then(|name| fs::read(name).ok());
        let written = written
            .or_else(|| self.unnamed.get(&file).cloned())
            .unwrap_or_default();
        let mut content = synced.to_vec();
        if written.len() <= synced.len() || random.one_in(4) {
            return content;
        }
        if random.one_in(4) {
            return written;
        }
        let more = u64::try_from(written.len() - synced.len()).unwrap_or(0);
        let length = synced.len() + usize::try_from(random.below(more + 1)).unwrap_or(0);
        content.resize(length, 0);
        let keep = random.below(4);
        for start in (synced.len() / SECTOR * SECTOR..length).step_by(SECTOR) {
            let sector = start.max(synced.len())..(start + SECTOR).min(length);
            if keep == 0 || random.below(4) < keep {
                content[sector.clone()].copy_from_slice(&written[sector]);
            }
        }
        content
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Set(path, file) => {
            names.insert(path.clone(), *file);
        }
        Change::Move(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Change::Remove(path) => {
            names.remove(path);
        }
    }
}
