//! What a store holds: tables and instances.

use std::collections::BTreeMap;
use std::path::Path;

use memwatch_core::TimeRange;
use memwatch_core::record::Identity;
use memwatch_store::{Info, TableInfo};
use serde::Serialize;

use super::table::{Column, Style, draw};
use super::{grouped, size};

/// Instances that are listed one by one.
const INSTANCES_MAX: usize = 50;

/// For people.
pub fn text(root: &Path, info: &Info, style: Style) -> String {
    let mut text = format!(
        "{}: commit {}, {} inputs taken whole\n\n",
        root.display(),
        info.version,
        grouped(info.sources as u64)
    );
    let columns = [
        Column::text("table"),
        Column::number("rows"),
        Column::number("instances"),
        Column::number("segments"),
        Column::number("size"),
        Column::number("bytes/row"),
        Column::text("from"),
        Column::text("to"),
    ];
    let filled = || info.tables.iter().filter(|t| t.rows > 0);
    let rows: Vec<Vec<String>> = filled().map(table_row).collect();
    if rows.is_empty() {
        text.push_str("no rows yet: `memwatch ingest` brings some\n");
        return text;
    }
    text.push_str(&draw(&columns, &rows, style));
    text.push('\n');
    let instances = instances(info);
    let shown: Vec<Vec<String>> = instances
        .iter()
        .take(INSTANCES_MAX)
        .map(|(of, (rows, range))| {
            let (from, to) = ends(*range);
            vec![
                of.service.to_string(),
                of.instance.to_string(),
                grouped(*rows),
                from,
                to,
            ]
        })
        .collect();
    let columns = [
        Column::text("service"),
        Column::text("instance"),
        Column::number("rows"),
        Column::text("from"),
        Column::text("to"),
    ];
    text.push_str(&draw(&columns, &shown, style));
    if instances.len() > INSTANCES_MAX {
        text.push_str(&format!(
            "and {} more instances\n",
            instances.len() - INSTANCES_MAX
        ));
    }
    let views: Vec<&str> = memwatch_store::query::views()
        .map(|(name, _)| name)
        .collect();
    text.push_str(&format!(
        "\nviews in SQL: {}\n`memwatch query \"SHOW TABLES\"` says what a row of each is\n",
        views.join(", ")
    ));
    text
}

fn table_row(table: &TableInfo) -> Vec<String> {
    let (from, to) = table.range.map_or_else(Default::default, ends);
    vec![
        table.table.name().to_owned(),
        grouped(table.rows),
        grouped(table.instances.len() as u64),
        grouped(table.segments as u64),
        size(table.bytes),
        format!("{:.1}", table.bytes as f64 / table.rows.max(1) as f64),
        from,
        to,
    ]
}

fn ends(range: TimeRange) -> (String, String) {
    let last = memwatch_core::Timestamp(range.end.0.saturating_sub(1_000));
    (range.start.to_string(), last.to_string())
}

/// Rows and times of each instance over all tables.
fn instances(info: &Info) -> BTreeMap<Identity, (u64, TimeRange)> {
    let mut all: BTreeMap<Identity, (u64, TimeRange)> = BTreeMap::new();
    for instance in info.tables.iter().flat_map(|t| &t.instances) {
        let entry = all
            .entry(instance.identity.clone())
            .or_insert((0, instance.range));
        entry.0 += instance.rows;
        entry.1.start = entry.1.start.min(instance.range.start);
        entry.1.end = entry.1.end.max(instance.range.end);
    }
    all
}

/// For programs.
#[derive(Serialize)]
pub struct Document {
    schema: &'static str,
    data: String,
    version: u64,
    sources: usize,
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: &'static str,
    about: &'static str,
    rows: u64,
    bytes: u64,
    segments: usize,
    from: Option<String>,
    to: Option<String>,
    instances: Vec<Instance>,
}

#[derive(Serialize)]
struct Instance {
    service: String,
    instance: String,
    rows: u64,
    from: String,
    to: String,
}

/// The same for programs. `to` is exclusive.
pub fn document(root: &Path, info: &Info) -> Document {
    Document {
        schema: "memwatch.info/1",
        data: root.display().to_string(),
        version: info.version,
        sources: info.sources,
        tables: info
            .tables
            .iter()
            .map(|t| Table {
                name: t.table.name(),
                about: t.table.def().about,
                rows: t.rows,
                bytes: t.bytes,
                segments: t.segments,
                from: t.range.map(|r| r.start.to_string()),
                to: t.range.map(|r| r.end.to_string()),
                instances: t
                    .instances
                    .iter()
                    .map(|i| Instance {
                        service: i.identity.service.to_string(),
                        instance: i.identity.instance.to_string(),
                        rows: i.rows,
                        from: i.range.start.to_string(),
                        to: i.range.end.to_string(),
                    })
                    .collect(),
            })
            .collect(),
    }
}
