//! Scripts of statements and answers (`tests/sql/*.slt`), in the language of sqllogictest: `query` with its answer after `----`, a line a
//! row, values separated by spaces; `statement error` with a part of the message. The first line may name recordings to ask:
//! `# recordings: pricing search-web`. With `UPDATE_SLT=1` answers are written anew, to be looked at.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use memwatch_store::Store;
use memwatch_store::ingest::Ingest;
use memwatch_store::query::Engine;

use crate::rows::lines;

fn scripts() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sql");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "slt"))
        .collect();
    found.sort();
    found
}

/// An engine over the recordings that the script names.
pub(crate) fn engine_over(recordings: &[&str], dir: &Path) -> (Store, Engine) {
    let store = Store::create(dir).unwrap();
    if !recordings.is_empty() {
        let inputs = recordings.iter().map(|name| {
            format!(
                "{}/../testdata/recordings/{name}",
                env!("CARGO_MANIFEST_DIR")
            )
        });
        Ingest::new(&store).inputs(inputs).run().unwrap();
    }
    let engine = Engine::new(&store.snapshot().unwrap()).unwrap();
    (store, engine)
}

/// The answer, a line a row.
pub(crate) fn answer(engine: &Engine, sql: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let rows = engine.sql(sql).map_err(|e| e.to_string())?;
    for batch in rows {
        all.extend(lines(&batch.map_err(|e| e.to_string())?));
    }
    Ok(all.iter().map(|line| line.replace('|', " ")).collect())
}

/// Runs a script; gives it with the answers found, and what differs.
fn run(path: &Path) -> (String, Vec<String>) {
    let text = fs::read_to_string(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let named = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# recordings: "));
    let recordings: Vec<&str> = named.map(|n| n.split(' ').collect()).unwrap_or_default();
    let (_store, engine) = engine_over(&recordings, &dir.path().join("store"));
    let name = path.file_name().unwrap().to_string_lossy();
    let (mut written, mut wrong) = (String::new(), Vec::new());
    for (i, record) in text.split("\n\n").enumerate() {
        let record = record.trim_end_matches('\n');
        if i > 0 {
            written.push('\n');
        }
        let mut body = record.lines().skip_while(|line| line.starts_with('#'));
        let Some(head) = body.next() else {
            writeln!(written, "{record}").unwrap();
            continue;
        };
        let comments = record.lines().take_while(|line| line.starts_with('#'));
        comments.for_each(|comment| writeln!(written, "{comment}").unwrap());
        writeln!(written, "{head}").unwrap();
        let all: Vec<&str> = body.collect();
        let (sql, expected) = match all.iter().position(|line| *line == "----") {
            Some(at) => (&all[..at], &all[at + 1..]),
            None => (&all[..], &[][..]),
        };
        sql.iter()
            .for_each(|line| writeln!(written, "{line}").unwrap());
        let found = answer(&engine, &sql.join("\n"));
        let place = format!("{name}: {}", sql.join(" "));
        if let Some(part) = head.strip_prefix("statement error ") {
            match found {
                Err(message) if message.contains(part) => {}
                other => wrong.push(format!(
                    "{place}\n  expected an error with `{part}`, found {other:?}"
                )),
            }
            continue;
        }
        assert!(
            head == "query" || head == "query rowsort",
            "{place}: expected `query`, found `{head}`"
        );
        writeln!(written, "----").unwrap();
        match found {
            Ok(mut found) => {
                if head.ends_with("rowsort") {
                    found.sort();
                }
                found
                    .iter()
                    .for_each(|line| writeln!(written, "{line}").unwrap());
                if found != expected {
                    wrong.push(format!(
                        "{place}\n  expected {expected:?}\n  found    {found:?}"
                    ));
                }
            }
            Err(message) => wrong.push(format!("{place}\n  {message}")),
        }
    }
    (written, wrong)
}

#[test]
fn scripts_hold() {
    let mut wrong = Vec::new();
    for path in scripts() {
        let (written, found) = run(&path);
        if std::env::var_os("UPDATE_SLT").is_some() {
            fs::write(&path, written).unwrap();
        }
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_has_a_script() {
    let named: Vec<String> = scripts()
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for function in memwatch_store::query::SQL_FUNCTIONS {
        assert!(
            named.iter().any(|name| name == function.name),
            "tests/sql/{}.slt",
            function.name
        );
    }
}
