//! Flips bits in every kind of file of a store: `cargo run --release -p memwatch-store --example flips -- --flips 10000 [--seed 1]`.
//!
//! One to eight bits of one file each time. `verify` has to find it, and reading everything has to fail or give what was there; nothing may
//! panic. Exit code 1 otherwise, with the seed. `memwatch.lock` only names the writer that has the store and is left out.
#![allow(clippy::print_stdout, clippy::print_stderr)] // A program.

mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memwatch_core::record::{
    Artifact, ArtifactKind, Identity, MemorySample, RecordSink as _, Span,
};
use memwatch_core::{Bytes, Nanos, TimeRange, Timestamp};
use memwatch_store::{Instances, Snapshot, Store, Table};
use shared::{Random, folder, option, push};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let flips = option("--flips").unwrap_or(10_000);
    let seed = option("--seed").unwrap_or(1);
    let folder = folder()?;
    fill(folder.path())?;
    let store = Store::open(folder.path())?;
    let before = everything(&store.snapshot()?)?;
    let whole = store.verify()?;
    if !whole.is_whole() {
        return Err(format!("before the first flip: {:?}", whole.findings).into());
    }
    let files = files(folder.path())?;
    let mut random = Random(seed);
    let mut kinds: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let mut failures = 0;
    // A panic is counted, not printed.
    std::panic::set_hook(Box::new(|_| {}));
    for flip in 0..flips {
        let path = &files[usize::try_from(random.below(files.len() as u64))?];
        let content = fs::read(path)?;
        let mut flipped = content.clone();
        while flipped == content {
            for _ in 0..1 + random.below(8) {
                let bit = usize::try_from(random.below(content.len() as u64 * 8))?;
                flipped[bit / 8] ^= 1 << (bit % 8);
            }
        }
        fs::write(path, &flipped)?;
        let kind = kind(folder.path(), path);
        let seen = catch_unwind(AssertUnwindSafe(|| look(folder.path(), &before)));
        fs::write(path, &content)?;
        let count = kinds.entry(kind).or_default();
        count[0] += 1;
        match seen {
            Ok(Seen {
                found: true,
                answer,
            }) if answer != Answer::Different => {
                count[1] += u64::from(answer == Answer::Refused);
                count[2] += u64::from(answer == Answer::Same);
            }
            Ok(seen) => {
                eprintln!("seed {seed}, flip {flip}, {}: {seen:?}", path.display());
                failures += 1;
            }
            Err(_) => {
                eprintln!("seed {seed}, flip {flip}, {}: a panic", path.display());
                failures += 1;
            }
        }
    }
    println!(
        "{flips} times one to eight bits: {} not found, panicked or answered differently",
        failures
    );
    for (kind, [all, refused, same]) in kinds {
        println!(
            "{all:>8} in {kind}: all found by verify; reading was refused {refused} times, gave the same {same} times"
        );
    }
    if failures > 0 {
        std::process::exit(1);
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Answer {
    Same,
    Refused,
    Different,
}

#[derive(Debug)]
struct Seen {
    /// By `verify`.
    found: bool,
    answer: Answer,
}

fn look(root: &Path, before: &[String]) -> Seen {
    // Opened anew each time, so that nothing counts as read before.
    let found = match Store::open(root) {
        Err(_) => true,
        Ok(store) => store.verify().map_or(true, |verified| !verified.is_whole()),
    };
    let read = Store::open(root)
        .and_then(|store| store.snapshot())
        .map_err(Into::into)
        .and_then(|snapshot| everything(&snapshot));
    let answer = match read {
        Err(_) => Answer::Refused,
        Ok(rows) if rows == before => Answer::Same,
        Ok(_) => Answer::Different,
    };
    Seen { found, answer }
}

/// Every row of every table.
fn everything(snapshot: &Snapshot) -> Outcome<Vec<String>> {
    let mut rows = Vec::new();
    for table in Table::all() {
        for batch in snapshot.scan(table, None, TimeRange::ALL, &Instances::All)? {
            rows.push(format!("{table:?} {:?}", batch?.columns()));
        }
    }
    Ok(rows)
}

/// Segments of several tables, days and commits, a file kept whole, and rows in the WAL.
fn fill(root: &Path) -> Outcome<()> {
    let store = Store::create(root)?;
    let of = Identity {
        service: "checkout".into(),
        instance: "checkout-0".into(),
    };
    let at = |n: i64| Timestamp(1_795_392_000_000_000_000 + n * 200_000_000);
    let mut writer = store.writer()?;
    for n in 0..500 {
        let mut sample = MemorySample::default();
        sample.at = at(n);
        sample.heap_inuse = Some(Bytes(n * n % 9_973));
        sample.go_version = Some("go1.27.3".into());
        writer.sample(&of, &sample)?;
        push(&mut writer, u64::try_from(n * 9)?)?;
    }
    writer.commit(&[])?;
    for n in 0..50 {
        let mut span = Span::default();
        span.at = at(n);
        span.trace_id = format!("{n:032x}").into();
        span.duration = Nanos(n * 1_000);
        writer.span(&of, &span)?;
    }
    let content: Vec<u8> = (0..3_000u32)
        .map(|n| (n * n % 251).to_le_bytes()[0])
        .collect();
    let artifact = Artifact::new(Some(at(3)), ArtifactKind::HeapProfile, Arc::from("heap.pb"));
    writer.artifact(&of, &artifact, &content)?;
    writer.commit(&[])?;
    drop(writer);
    let mut appender = store.append()?;
    for group in 0..5u64 {
        for n in 0..40 {
            push(&mut appender, 100_000 + group * 40 + n)?;
        }
        appender.sync()?;
    }
    // Its rows stay in the WAL.
    drop(appender);
    Ok(())
}

fn files(root: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("memwatch.lock") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn kind(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let first = below
        .iter()
        .next()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match path.extension().is_some_and(|e| e == "parquet") {
        true => "segments".to_owned(),
        false => first,
    }
}
