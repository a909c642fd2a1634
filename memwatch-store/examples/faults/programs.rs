//! What runs on a disk that fails, and what has to be true afterwards.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{IoSlice, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Output;

use arrow::row::{RowConverter, SortField};
use memwatch_core::TimeRange;
use memwatch_store::ingest::Ingest;
use memwatch_store::{Compaction, Instances, Retention, Snapshot, Store, Table};

use crate::shared::{self, Promised, ROWS_PER_DAY, folder, push, rows, start_of};
use crate::{Outcome, Tally};

/// A program and what it is for.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Its words; `{}` is the store.
    words: Vec<String>,
    kind: Kind,
    /// What it prints, or what is in the store, when nothing fails.
    expected: String,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Says on standard output what is acknowledged.
    Writer,
    /// Takes inputs into the store, whole or not.
    Ingest,
    /// Prints what is in the store.
    Reader,
}

/// A folder for one run.
pub(crate) struct Run<'a> {
    program: &'a Program,
    folder: tempfile::TempDir,
    /// Where the store is.
    store: PathBuf,
}

/// Recordings that `ingest` takes: samples, text, profiles.
const INPUTS: [&str; 4] = ["samples", "gctrace", "pprof", "spans"];

pub(crate) fn programs(memwatch: Option<&str>) -> Outcome<Vec<Program>> {
    let here = std::env::current_exe()?.to_string_lossy().into_owned();
    let program = |name, kind, words: &[&str]| {
        let mut program = Program {
            name,
            words: words.iter().map(|w| (*w).to_owned()).collect(),
            kind,
            expected: String::new(),
        };
        program.expected = program.without_faults()?;
        Outcome::Ok(program)
    };
    let mut all = vec![
        program("writer", Kind::Writer, &[&here, "{}", "--write"])?,
        program("reader", Kind::Reader, &[&here, "{}", "--read"])?,
    ];
    if let Some(memwatch) = memwatch {
        let inputs = inputs();
        let mut words = vec![memwatch, "ingest", "--data", "{}"];
        words.extend(inputs.iter().map(String::as_str));
        all.push(program("memwatch ingest", Kind::Ingest, &words)?);
        // A sum of floats depends on the order in which threads add them.
        let sql = "SELECT metric, count(*), sum(CAST(value AS BIGINT) % 1000003), min(ts), max(ts) FROM metrics GROUP BY 1 ORDER BY 1";
        let words = [memwatch, "query", "--format", "csv", sql, "{}"];
        all.push(program("memwatch query", Kind::Reader, &words)?);
    }
    Ok(all)
}

fn inputs() -> Vec<String> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let of = |name: &&str| testdata.join(name).to_string_lossy().into_owned();
    INPUTS.iter().map(of).collect()
}

impl Program {
    /// A folder with what the program needs.
    pub(crate) fn prepare(&self) -> Outcome<Run<'_>> {
        self.prepare_in(folder()?, "")
    }

    /// The same in a folder of the caller's; the store is in `below`.
    pub(crate) fn prepare_in(&self, folder: tempfile::TempDir, below: &str) -> Outcome<Run<'_>> {
        let store = folder.path().join(below).join("store");
        if self.kind == Kind::Reader {
            write(&store, |_| Ok(()))?;
        }
        Ok(Run {
            program: self,
            folder,
            store,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn without_faults(&self) -> Outcome<String> {
        let run = self.prepare()?;
        let command = run.command();
        let output = std::process::Command::new(&command[0])
            .args(&command[1..])
            .output()?;
        if !output.status.success() {
            return Err(format!("{command:?}: {}", text(&output.stderr)).into());
        }
        match self.kind {
            Kind::Ingest => content(&Store::open(&run.store)?.snapshot()?),
            _ => Ok(text(&output.stdout)),
        }
    }
}

impl Run<'_> {
    pub(crate) fn command(&self) -> Vec<String> {
        let store = self.store.to_string_lossy();
        let words = self.program.words.iter();
        words.map(|word| word.replace("{}", &store)).collect()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.store
    }

    pub(crate) fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// All that has to be true after a run that was hit.
    pub(crate) fn check(
        &mut self,
        output: &Output,
        may_be_survived: bool,
        tally: &mut Tally,
    ) -> Outcome<()> {
        self.check_said(output, may_be_survived, tally)?;
        self.check_left(output, tally)
    }

    /// It said what happened, if anything did.
    pub(crate) fn check_said(
        &self,
        output: &Output,
        may_be_survived: bool,
        tally: &mut Tally,
    ) -> Outcome<()> {
        tally.runs += 1;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        match output.status.code() {
            Some(0) if !may_be_survived => Err(format!("it says success: {err}").into()),
            Some(0) if self.program.kind == Kind::Reader && out != self.program.expected => {
                Err(format!("another answer: {out} instead of {}", self.program.expected).into())
            }
            Some(0) => Ok(()),
            Some(2) => {
                tally.failed += 1;
                let store = self.store.to_string_lossy();
                // The Parquet library takes a file whose length it cannot learn for an empty one, and says so.
                let causes = ["(os error ", "bytes", "as Parquet"];
                let names_cause = causes.iter().any(|cause| err.contains(cause));
                // What it failed on may also be an input.
                let names_file = err.contains(&*store) || err.contains("/testdata/");
                if err.contains("panicked") || !names_file || !names_cause {
                    return Err(format!("the message names no file or no cause: {err}").into());
                }
                Ok(())
            }
            other => Err(format!("exit code {other:?}: {err}").into()),
        }
    }

    /// The store opens, and holds what was acknowledged.
    fn check_left(&self, output: &Output, tally: &mut Tally) -> Outcome<()> {
        let success = output.status.success();
        match self.program.kind {
            Kind::Reader => {
                let again = Store::open(&self.store)?.verify()?;
                again
                    .findings
                    .first()
                    .map_or(Ok(()), |f| Err(f.to_string().into()))
            }
            Kind::Writer => {
                let mut promised = promised(output)?;
                tally.acknowledged += promised.count();
                shared::check(&self.store, &mut promised).map(|_| ())
            }
            Kind::Ingest => {
                // All that was asked for is there, or can be had by asking again.
                let store = if success {
                    Store::open(&self.store)?
                } else {
                    Store::create(&self.store)?
                };
                store.snapshot()?;
                if !success {
                    Ingest::new(&store).inputs(inputs()).run()?;
                }
                let found = content(&store.snapshot()?)?;
                if found != self.program.expected {
                    return Err(format!("found {found}, expected {}", self.program.expected).into());
                }
                let verified = store.verify()?;
                verified
                    .findings
                    .first()
                    .map_or(Ok(()), |f| Err(f.to_string().into()))
            }
        }
    }

    /// What readers see without anything being mended: the disk is full or does not take anything.
    pub(crate) fn check_as_it_lies(&self, output: &Output) -> Outcome<()> {
        if self.program.kind == Kind::Writer && Store::is_store(&self.store) {
            let found = rows(&Store::open(&self.store)?.snapshot()?)?;
            promised(output)?.check(&found)?;
        }
        Ok(())
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a writer said was acknowledged.
fn promised(output: &Output) -> Outcome<Promised> {
    let mut promised = Promised::default();
    for line in text(&output.stdout).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["acknowledged", first, last] => promised.acknowledge(first.parse()?, last.parse()?),
            ["going", day] => promised.going(day.parse()?),
            ["gone", day] => promised.gone(day.parse()?),
            _ => return Err(format!("it says {line}").into()),
        }
    }
    Ok(promised)
}

/// For each table how many rows there are, and a number that all of them make in whatever order.
fn content(snapshot: &Snapshot) -> Outcome<String> {
    let mut found: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for table in Table::all() {
        for batch in snapshot.scan(table, None, TimeRange::ALL, &Instances::All)? {
            let batch = batch?;
            let types = batch.columns().iter().map(|c| c.data_type().clone());
            let converter = RowConverter::new(types.map(SortField::new).collect())?;
            let (count, sum) = found.entry(table.name()).or_default();
            for row in converter.convert_columns(batch.columns())?.iter() {
                let mut hasher = DefaultHasher::new();
                row.data().hash(&mut hasher);
                *sum = sum.wrapping_add(hasher.finish());
                *count += 1;
            }
        }
    }
    Ok(format!("{found:?}"))
}

/// What this program does when it is to fail; `None` when it is not.
pub(crate) fn child(folder: &Path, what: &str) -> Option<Outcome<()>> {
    let done = match what {
        "--write" => write(folder, say),
        "--read" => read(folder),
        _ => return None,
    };
    if let Err(error) = &done {
        let mut line = format!("{error}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            line = format!("{line}: {inner}");
            cause = inner.source();
        }
        let _ = put(std::io::stderr().as_fd(), &line);
        std::process::exit(2);
    }
    Some(done)
}

fn say(line: String) -> Outcome<()> {
    put(std::io::stdout().as_fd(), &line)
}

/// Writes a line by a call that no fault hits: `writev`.
fn put(to: BorrowedFd<'_>, line: &str) -> Outcome<()> {
    let mut out = std::fs::File::from(to.try_clone_to_owned()?);
    let line = format!("{line}\n");
    let said = out.write_vectored(&[IoSlice::new(line.as_bytes())])?;
    assert_eq!(said, line.len(), "a short line");
    Ok(())
}

/// Every kind of step that changes a store, and some rows that stay in the WAL.
fn write(folder: &Path, say: impl Fn(String) -> Outcome<()>) -> Outcome<()> {
    let store = Store::create(folder)?;
    for part in 0..3 {
        let mut appender = store.append()?;
        for group in 0..4 {
            // Half of a day's rows follow those of the part before.
            let first = part * ROWS_PER_DAY / 2 + group * 50;
            for number in first..first + 40 {
                push(&mut appender, number)?;
            }
            appender.sync()?;
            say(format!("acknowledged {first} {}", first + 39))?;
            if group % 2 == 1 {
                appender.flush()?;
            }
        }
    }
    store.compact(&Compaction::default())?;
    let first = 2 * ROWS_PER_DAY;
    let mut appender = store.append()?;
    for number in first..first + 40 {
        push(&mut appender, number)?;
    }
    appender.flush()?;
    say(format!("acknowledged {first} {}", first + 39))?;
    drop(appender);
    say("going 1".to_owned())?;
    store.retain(&Retention::before(start_of(1)))?;
    say("gone 1".to_owned())?;
    let mut appender = store.append()?;
    for number in first + 100..first + 140 {
        push(&mut appender, number)?;
    }
    appender.sync()?;
    say(format!("acknowledged {} {}", first + 100, first + 139))
}

/// Everything in the store, as one line.
fn read(folder: &Path) -> Outcome<()> {
    say(content(&Store::open(folder)?.snapshot()?)?)
}
