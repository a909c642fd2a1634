//! What an ingest did: a table of inputs and the first rejections, or JSON.

use memwatch_core::TimeRange;
use memwatch_core::source::Rejection;
use memwatch_store::ingest::{IngestReport, InputReport, Outcome};
use serde::Serialize;

use super::table::{Column, Style, draw};
use super::{clean, grouped, size};

/// Rejections, and notes, that are shown of all inputs together.
const SHOWN_MAX: usize = 20;

/// For people.
pub fn text(report: &IngestReport, style: Style) -> String {
    let columns = [
        Column::text("input"),
        Column::text("format"),
        Column::number("size"),
        Column::number("rows"),
        Column::number("duplicates"),
        Column::number("rejected"),
        Column::text("from"),
        Column::text("to"),
    ];
    let shown = |i: &&InputReport| !matches!(i.outcome, Outcome::Skipped { .. });
    let mut rows: Vec<Vec<String>> = report.inputs.iter().filter(shown).map(row).collect();
    let (from, to) = ends(report.range());
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        size(report.inputs.iter().map(|i| i.bytes).sum()),
        grouped(report.new_rows()),
        grouped(report.duplicates()),
        grouped(report.rejected()),
        from,
        to,
    ]);
    let mut text = draw(&columns, &rows, style);
    let tables: Vec<String> = report
        .rows()
        .iter()
        .filter(|(_, counts)| counts.new > 0)
        .map(|(table, counts)| format!("{} {}", table.name(), grouped(counts.new)))
        .collect();
    if !tables.is_empty() {
        text.push_str(&format!("\nnew rows: {}\n", tables.join(", ")));
    }
    section(&mut text, "rejected", &rejections(report));
    section(&mut text, "notes", &notes(report));
    section(&mut text, "skipped", &skipped(report));
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n"));
    for line in lines {
        text.push_str(&format!("  {}\n", clean(line, false)));
    }
}

fn row(input: &InputReport) -> Vec<String> {
    let known = input.outcome == Outcome::Known;
    let (from, to) = match &input.outcome {
        Outcome::Known => ("taken before".to_owned(), String::new()),
        Outcome::Failed { .. } if input.range.is_none() => ("failed".to_owned(), String::new()),
        _ => ends(input.range),
    };
    let count = |n: u64| if known { "-".to_owned() } else { grouped(n) };
    vec![
        input.input.to_string(),
        input.format.unwrap_or("-").to_owned(),
        size(input.bytes),
        count(input.new_rows()),
        if known {
            "all".to_owned()
        } else {
            grouped(input.duplicates())
        },
        count(input.rejected),
        from,
        to,
    ]
}

fn ends(range: Option<TimeRange>) -> (String, String) {
    let second = |text: String| format!("{}Z", &text[..text.len().min(19)]);
    range.map_or_else(Default::default, |r| {
        (second(r.start.to_string()), second(r.end.to_string()))
    })
}

fn rejections(report: &IngestReport) -> Vec<String> {
    let mut lines: Vec<String> = report
        .inputs
        .iter()
        .flat_map(|i| &i.rejections)
        .take(SHOWN_MAX)
        .map(rejection)
        .collect();
    let more = report.rejected().saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("and {} more", grouped(more)));
    }
    lines
}

/// `file:line: field …: expected …, found …`.
fn rejection(rejection: &Rejection) -> String {
    let mut text = rejection.place.to_string();
    if !rejection.field.is_empty() {
        text.push_str(&format!(": field `{}`", rejection.field));
    }
    text.push_str(&format!(": expected {}", rejection.expected));
    if !rejection.found.is_empty() {
        text.push_str(&format!(", found `{}`", rejection.found));
    }
    text
}

fn notes(report: &IngestReport) -> Vec<String> {
    let notes = |i: &InputReport| {
        let input = i.input.clone();
        i.notes
            .iter()
            .map(move |note| format!("{input}: {note}"))
            .collect::<Vec<_>>()
    };
    let mut lines: Vec<String> = report.inputs.iter().flat_map(notes).collect();
    let more = lines.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        lines.truncate(SHOWN_MAX);
        lines.push(format!("and {more} more: `--report json` has them all"));
    }
    lines
}

fn skipped(report: &IngestReport) -> Vec<String> {
    report
        .inputs
        .iter()
        .filter_map(|i| match &i.outcome {
            Outcome::Skipped { why } => Some(format!("{}: {why}", i.input)),
            _ => None,
        })
        .collect()
}

/// For programs.
#[derive(Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    version: u64,
    rows: u64,
    duplicates: u64,
    rejected: u64,
    tables: Vec<Table>,
    inputs: Vec<Input<'a>>,
}

#[derive(Serialize)]
struct Table {
    name: &'static str,
    rows: u64,
    duplicates: u64,
}

#[derive(Serialize)]
struct Input<'a> {
    input: &'a str,
    outcome: &'static str,
    why: Option<&'a str>,
    format: Option<&'static str>,
    bytes: u64,
    rows: u64,
    duplicates: u64,
    rejected: u64,
    from: Option<String>,
    to: Option<String>,
    tables: Vec<Table>,
    rejections: Vec<Refused<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Refused<'a> {
    input: &'a str,
    line: u64,
    field: &'a str,
    expected: &'a str,
    found: &'a str,
}

/// The same for programs.
pub fn document(report: &IngestReport) -> Document<'_> {
    Document {
        schema: "memwatch.ingest/1",
        version: report.version,
        rows: report.new_rows(),
        duplicates: report.duplicates(),
        rejected: report.rejected(),
        tables: tables(report.rows().iter()),
        inputs: report.inputs.iter().map(input).collect(),
    }
}

fn tables<'a>(
    rows: impl Iterator<Item = (&'a memwatch_store::Table, &'a memwatch_store::RowCounts)>,
) -> Vec<Table> {
    rows.map(|(table, counts)| Table {
        name: table.name(),
        rows: counts.new,
        duplicates: counts.duplicate,
    })
    .collect()
}

fn input(of: &InputReport) -> Input<'_> {
    let (outcome, why) = match &of.outcome {
        Outcome::Read => ("read", None),
        Outcome::Known => ("known", None),
        Outcome::Skipped { why } => ("skipped", Some(why.as_str())),
        Outcome::Failed { why } => ("failed", Some(why.as_str())),
    };
    Input {
        input: &of.input,
        outcome,
        why,
        format: of.format,
        bytes: of.bytes,
        rows: of.new_rows(),
        duplicates: of.duplicates(),
        rejected: of.rejected,
        from: of.range.map(|r| r.start.to_string()),
        to: of.range.map(|r| r.end.to_string()),
        tables: tables(of.rows.iter()),
        rejections: of
            .rejections
            .iter()
            .map(|r| Refused {
                input: &r.place.input,
                line: r.place.line,
                field: &r.field,
                expected: &r.expected,
                found: &r.found,
            })
            .collect(),
        notes: &of.notes,
    }
}
