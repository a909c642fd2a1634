//! What verification found in a store, and what compaction and retention did to it or would do.

use memwatch_store::{Compacted, Retained, Verified};
use serde::Serialize;

use super::table::{Column, Style, draw};
use super::{grouped, size};

/// For people: what was merged.
pub fn compacted(done: &Compacted, style: Style) -> String {
    if done.days.is_empty() {
        return "nothing to merge\n".to_owned();
    }
    let columns = [
        Column::text("table"),
        Column::text("day"),
        Column::number("rows"),
        Column::number("segments"),
        Column::number("size"),
        Column::number("segments after"),
        Column::number("size after"),
    ];
    let rows: Vec<Vec<String>> = done
        .days
        .iter()
        .map(|day| {
            let (segments, bytes) = match day.after {
                Some((segments, bytes)) => (grouped(segments as u64), size(bytes)),
                None => ("planned".to_owned(), String::new()),
            };
            vec![
                day.table.name().to_owned(),
                day.day.to_string(),
                grouped(day.rows),
                grouped(day.before.0 as u64),
                size(day.before.1),
                segments,
                bytes,
            ]
        })
        .collect();
    let mut text = draw(&columns, &rows, style);
    let duplicates: u64 = done.days.iter().map(|d| d.duplicates).sum();
    if duplicates > 0 {
        text.push_str(&format!(
            "{} duplicate rows left out\n",
            grouped(duplicates)
        ));
    }
    text
}

/// For programs.
#[derive(Serialize)]
pub struct CompactedDocument {
    schema: &'static str,
    version: u64,
    days: Vec<MergedDay>,
}

#[derive(Serialize)]
struct MergedDay {
    table: &'static str,
    date: String,
    rows: u64,
    duplicates: u64,
    segments_before: usize,
    bytes_before: u64,
    segments_after: Option<usize>,
    bytes_after: Option<u64>,
}

/// The same for programs; what is only planned has no `_after`.
pub fn compacted_document(done: &Compacted) -> CompactedDocument {
    CompactedDocument {
        schema: "memwatch.compact/1",
        version: done.version,
        days: done
            .days
            .iter()
            .map(|day| MergedDay {
                table: day.table.name(),
                date: day.day.to_string(),
                rows: day.rows,
                duplicates: day.duplicates,
                segments_before: day.before.0,
                bytes_before: day.before.1,
                segments_after: day.after.map(|(segments, _)| segments),
                bytes_after: day.after.map(|(_, bytes)| bytes),
            })
            .collect(),
    }
}

/// For people: what went.
pub fn retained(done: &Retained, dry_run: bool, style: Style) -> String {
    if done.days.is_empty() {
        return "nothing is old enough\n".to_owned();
    }
    let columns = [
        Column::text("table"),
        Column::text("day"),
        Column::number("rows"),
        Column::number("segments"),
        Column::number("size"),
        Column::number("rewritten"),
    ];
    let rows: Vec<Vec<String>> = done
        .days
        .iter()
        .map(|day| {
            vec![
                day.table.name().to_owned(),
                day.day.to_string(),
                grouped(day.rows),
                grouped(day.dropped.0 as u64),
                size(day.dropped.1),
                grouped(day.rewritten as u64),
            ]
        })
        .collect();
    let rows_gone: u64 = done.days.iter().map(|d| d.rows).sum();
    let mut text = draw(&columns, &rows, style);
    text.push_str(&match (dry_run, done.artifacts) {
        (true, _) => format!("{} rows would go\n", grouped(rows_gone)),
        (false, 0) => format!("{} rows went\n", grouped(rows_gone)),
        (false, files) => format!(
            "{} rows went, and {} files kept whole\n",
            grouped(rows_gone),
            grouped(files as u64)
        ),
    });
    text
}

/// For programs.
#[derive(Serialize)]
pub struct RetainedDocument {
    schema: &'static str,
    version: u64,
    dry_run: bool,
    artifacts: usize,
    days: Vec<DroppedDay>,
}

#[derive(Serialize)]
struct DroppedDay {
    table: &'static str,
    date: String,
    rows: u64,
    segments_dropped: usize,
    bytes_dropped: u64,
    segments_rewritten: usize,
}

/// The same for programs.
pub fn retained_document(done: &Retained, dry_run: bool) -> RetainedDocument {
    RetainedDocument {
        schema: "memwatch.retain/1",
        version: done.version,
        dry_run,
        artifacts: done.artifacts,
        days: done
            .days
            .iter()
            .map(|day| DroppedDay {
                table: day.table.name(),
                date: day.day.to_string(),
                rows: day.rows,
                segments_dropped: day.dropped.0,
                bytes_dropped: day.dropped.1,
                segments_rewritten: day.rewritten,
            })
            .collect(),
    }
}

/// For people: what is damaged.
pub fn verified(verified: &Verified, style: Style) -> String {
    let mut text = String::new();
    if !verified.findings.is_empty() {
        let columns = [
            Column::text("file"),
            Column::text("problem"),
            Column::text("missing"),
            Column::text("set aside"),
        ];
        let rows: Vec<Vec<String>> = verified
            .findings
            .iter()
            .map(|finding| {
                vec![
                    finding.file.clone(),
                    finding.problem.clone(),
                    finding
                        .gap
                        .as_ref()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    finding.set_aside.clone().unwrap_or_default(),
                ]
            })
            .collect();
        text.push_str(&draw(&columns, &rows, style));
        text.push('\n');
    }
    for note in &verified.notes {
        text.push_str(&format!("note: {}\n", super::clean(note, false)));
    }
    let found = match verified.findings.len() {
        0 => "everything is as it was written".to_owned(),
        1 => "1 file is not as it was written".to_owned(),
        n => format!("{} files are not as they were written", grouped(n as u64)),
    };
    text.push_str(&format!(
        "commit {}: {} rows in {} segments and {} files kept whole, {} read: {found}\n",
        verified.version,
        grouped(verified.rows),
        grouped(verified.segments as u64),
        grouped(verified.artifacts as u64),
        size(verified.bytes),
    ));
    text
}

/// For programs.
#[derive(Serialize)]
pub struct VerifiedDocument<'a> {
    schema: &'static str,
    version: u64,
    whole: bool,
    segments: usize,
    rows: u64,
    bytes: u64,
    artifacts: usize,
    findings: Vec<Finding<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    problem: &'a str,
    table: Option<&'static str>,
    rows: Option<u64>,
    from: Option<String>,
    to: Option<String>,
    set_aside: Option<&'a str>,
}

/// The same for programs; `to` is exclusive.
pub fn verified_document(verified: &Verified) -> VerifiedDocument<'_> {
    VerifiedDocument {
        schema: "memwatch.verify/1",
        version: verified.version,
        whole: verified.is_whole(),
        segments: verified.segments,
        rows: verified.rows,
        bytes: verified.bytes,
        artifacts: verified.artifacts,
        findings: verified
            .findings
            .iter()
            .map(|finding| Finding {
                file: &finding.file,
                problem: &finding.problem,
                table: finding.gap.as_ref().map(|g| g.table.name()),
                rows: finding.gap.as_ref().map(|g| g.rows),
                from: finding.gap.as_ref().map(|g| g.range.start.to_string()),
                to: finding.gap.as_ref().map(|g| g.range.end.to_string()),
                set_aside: finding.set_aside.as_deref(),
            })
            .collect(),
        notes: &verified.notes,
    }
}
