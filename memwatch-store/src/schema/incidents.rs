//! `incidents`: one labelled stretch of history. `ts` is its `start`; `end` is the first instant after it.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use memwatch_core::incident::{Incident, Verdict};
use memwatch_core::record::Identity;
use memwatch_core::{TimeRange, Timestamp};

use super::{
    Column, INSTANCE, Row, SERVICE, TS, Table, TableDef, boolean, text, timestamp, unique_text,
};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("kind").required(),
    timestamp("start").required(),
    timestamp("end").required(),
    unique_text("detail"),
    boolean("benign"),
    text("verdict"),
    timestamp("impact"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "incidents",
    about: "one labelled stretch of history",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "kind", "end"],
};

impl Row for Incident {
    const TABLE: Table = Table::Incidents;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.range.start, of);
        to.text(Some(&self.kind));
        to.timestamp(Some(self.range.start));
        to.timestamp(Some(self.range.end));
        to.text(Some(&self.detail));
        to.boolean(Some(self.verdict == Verdict::Benign));
        to.text(Some(match self.verdict {
            Verdict::Wrong => "wrong",
            Verdict::Benign => "benign",
            Verdict::Unlabelled => "unlabelled",
        }));
        to.timestamp(self.impact);
        to.end();
    }
}

/// The incidents of a batch of all columns.
pub(crate) fn decode(batch: &RecordBatch) -> Vec<Incident> {
    let text = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
    };
    let time = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
    };
    let (Some(service), Some(instance), Some(kind), Some(start), Some(end)) = (
        text("service"),
        text("instance"),
        text("kind"),
        time("start"),
        time("end"),
    ) else {
        return Vec::new();
    };
    let (detail, verdict) = (text("detail"), text("verdict"));
    // Younger than the table: older segments lack it.
    let impact = time("impact");
    let value = |column: Option<&arrow::array::StringArray>, row: usize| {
        column
            .filter(|c| c.is_valid(row))
            .map_or_else(String::new, |c| c.value(row).to_owned())
    };
    let at = |us: i64| Timestamp(us.saturating_mul(1_000));
    (0..batch.num_rows())
        .map(|row| Incident {
            service: service.value(row).into(),
            instance: instance.value(row).into(),
            kind: kind.value(row).into(),
            range: TimeRange {
                start: at(start.value(row)),
                end: at(end.value(row)),
            },
            impact: impact.filter(|c| c.is_valid(row)).map(|c| at(c.value(row))),
            detail: Arc::from(value(detail, row)),
            verdict: match value(verdict, row).as_str() {
                "benign" => Verdict::Benign,
                "unlabelled" => Verdict::Unlabelled,
                _ => Verdict::Wrong,
            },
        })
        .collect()
}
