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
