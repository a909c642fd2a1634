//! The rows of a table, in the order in which segments are sorted: the same store gives the same bytes.

use anyhow::{Context as _, bail};
use memwatch_store::query::{Engine, Settings};
use memwatch_store::{Snapshot, Table};

use crate::args::{ExportArgs, RowFormat};
use crate::commands::recording;
use crate::render::{Output, rows};

/// Writes a table.
pub(super) fn write(
    args: &ExportArgs,
    name: &str,
    snapshot: &Snapshot,
    out: &mut Output,
) -> anyhow::Result<()> {
    let Some(table) = Table::from_name(name) else {
        let names: Vec<&str> = Table::all().map(Table::name).collect();
        bail!(
            "--table: expected one of {}, found `{name}`",
            names.join(", ")
        );
    };
    let engine = Engine::with(snapshot, &Settings::default())?;
    let answer = engine.sql(&statement(args, table)?)?;
    let schema = answer.schema();
    let ends = |end: &str| {
        let path = args.out.as_deref().and_then(|path| path.extension());
        path.is_some_and(|found| found == end)
    };
    let format = args.format.unwrap_or(match ends("parquet") {
        true => RowFormat::Parquet,
        false => RowFormat::Csv,
    });
    rows::write(answer, &schema, format, 0, out)
}

fn statement(args: &ExportArgs, table: Table) -> anyhow::Result<String> {
    let def = table.def();
    let column = |name: &str| format!("\"{name}\"");
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let mut conditions = Vec::new();
    for (option, given, op) in [
        ("--from", &args.replay.from, ">="),
        ("--to", &args.replay.to, "<"),
    ] {
        if let Some(given) = given {
            let at = recording::time(given).context(option)?;
            conditions.push(format!("\"ts\" {op} {}", text(&at.to_string())));
        }
    }
    for (name, given) in [("service", &args.service), ("instance", &args.instance)] {
        if let Some(given) = given {
            conditions.push(format!("{} = {}", column(name), text(given)));
        }
    }
    let conditions = match &conditions[..] {
        [] => String::new(),
        all => format!(" WHERE {}", all.join(" AND ")),
    };
    let order: Vec<String> = def.key.iter().map(|name| column(name)).collect();
    Ok(format!(
        "SELECT * FROM {}{conditions} ORDER BY {}",
        column(def.name),
        order.join(", ")
    ))
}
