//! Documents that repeat what the code declares are compared with it.

use std::fmt::Write as _;
use std::fs;

use memwatch_store::TABLES;
use memwatch_store::schema::{ColumnEncoding, ColumnType};

const START: &str =
    "<!-- tables: written by `UPDATE_DOCS=1 cargo test -p memwatch-store docs` -->\n";
const END: &str = "<!-- end of tables -->\n";

/// The tables in Markdown, as they stand in docs/file-format.md.
fn tables() -> String {
    let mut text = String::new();
    for (_, table) in TABLES {
        let _ = writeln!(
            text,
            "\n### {}\n\n{} Key: `{}`.\n",
            table.name,
            sentence(table.about),
            table.key.join("`, `")
        );
        let _ = writeln!(text, "| column | type | written as |\n|---|---|---|");
        for column in table.columns {
            let kind = match column.kind {
                ColumnType::Timestamp => "timestamp",
                ColumnType::Int => "int64",
                ColumnType::Float => "double",
                ColumnType::Bool => "boolean",
                ColumnType::Text => "string",
            };
            let encoding = match column.encoding {
                ColumnEncoding::Delta => "delta",
                ColumnEncoding::ByteStreamSplit => "bytes",
                ColumnEncoding::Plain => "plain",
                ColumnEncoding::Dictionary => "dict",
                ColumnEncoding::DeltaText => "delta text",
            };
            let required = if column.nullable { "" } else { " not null" };
            let _ = writeln!(
                text,
                "| `{}` | {kind}{required} | {encoding} |",
                column.name
            );
        }
    }
    text.push('\n');
    text
}

fn sentence(about: &str) -> String {
    let mut letters = about.trim_end_matches('.').chars();
    let first = letters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(['.'])
        .collect()
}

#[test]
fn docs_file_format_lists_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/file-format.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(START).expect("the mark before the tables");
    let (found, after) = rest.split_once(END).expect("the mark after the tables");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{START}{}{END}{after}", tables())).unwrap();
    } else {
        assert_eq!(
            found,
            tables(),
            "run `UPDATE_DOCS=1 cargo test -p memwatch-store docs`"
        );
    }
}

#[cfg(feature = "sql")]
const SQL_START: &str =
    "<!-- SQL functions: written by `UPDATE_DOCS=1 cargo test -p memwatch-store docs` -->\n";
#[cfg(feature = "sql")]
const SQL_END: &str = "<!-- end of SQL functions -->\n";

#[cfg(feature = "sql")]
#[test]
fn docs_functions_lists_the_sql_functions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/functions.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text
        .split_once(SQL_START)
        .expect("the mark before the SQL functions");
    let (found, after) = rest
        .split_once(SQL_END)
        .expect("the mark after the SQL functions");
    let written = memwatch_store::query::functions_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            path,
            format!("{before}{SQL_START}{written}{SQL_END}{after}"),
        )
        .unwrap();
    } else {
        assert_eq!(
            found, written,
            "run `UPDATE_DOCS=1 cargo test -p memwatch-store docs`"
        );
    }
}

/// The blocks of SQL in a document, with the line each begins at.
#[cfg(feature = "sql")]
fn sql_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        match (&mut block, line.trim()) {
            (None, "```sql") => block = Some((i + 2, String::new())),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some((_, sql)), _) => sql.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    blocks
}

#[cfg(feature = "sql")]
#[test]
fn the_sql_of_documents_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (_empty, nothing) = crate::sql::engine_over(&[], &dir.path().join("empty"));
    let (_store, engine) = crate::sql::engine_over(&["pricing"], &dir.path().join("store"));
    for name in ["functions.md", "signals.md"] {
        let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        let blocks = sql_blocks(&fs::read_to_string(&path).unwrap());
        assert!(blocks.len() > 5, "{name}: {} blocks", blocks.len());
        for (line, sql) in blocks {
            let found = crate::sql::answer(&engine, &sql);
            // Of the signals of a whole recording none is empty.
            let enough = |rows: &Vec<String>| name != "signals.md" || !rows.is_empty();
            assert!(
                found.as_ref().is_ok_and(enough),
                "{name}:{line}: {found:?}\n{sql}"
            );
            // Where nothing is recorded there is no answer, which is no error.
            let found = crate::sql::answer(&nothing, &sql);
            assert!(found.is_ok(), "{name}:{line}: {found:?}");
        }
    }
}
