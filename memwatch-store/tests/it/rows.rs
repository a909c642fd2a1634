//! Rows for the tests, and how to read them back.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use memwatch_core::incident::{Incident, Verdict};
use memwatch_core::record::{
    Artifact, ArtifactKind, GcCycle, GcPause, Identity, MemorySample, MetricKind, MetricSample,
    PauseKind, PauseOrigin, RecordSink, Span,
};
use memwatch_core::{Bytes, Nanos, TimeRange, Timestamp};
use memwatch_store::{Instances, Snapshot, Table};

/// 2026-11-23T00:00:00Z in nanoseconds.
pub(crate) const DAY: i64 = 1_795_392_000_000_000_000;
pub(crate) const MS: i64 = 1_000_000;

pub(crate) fn identity(n: usize) -> Identity {
    Identity {
        service: format!("service-{}", n / 2).into(),
        instance: format!("instance-{n}").into(),
    }
}

pub(crate) fn sample(at_ns: i64, heap: Option<i64>) -> MemorySample {
    let mut row = MemorySample::default();
    row.at = Timestamp(at_ns);
    row.process = Some(1);
    row.version = Some("v1".into());
    row.heap_inuse = heap.map(Bytes);
    row.gc_cpu_fraction = Some(0.25);
    row.enable_gc = Some(true);
    row
}

pub(crate) fn metric(at_ns: i64, name: &str, labels: &str, value: f64) -> MetricSample {
    MetricSample::new(
        Timestamp(at_ns),
        name.into(),
        labels.into(),
        value,
        MetricKind::Gauge,
    )
}

pub(crate) fn pause(at_ns: i64, pause_ns: i64, origin: PauseOrigin) -> GcPause {
    let mut row = GcPause::new(
        Timestamp(at_ns),
        Nanos(pause_ns),
        PauseKind::Unknown,
        origin,
    );
    row.process = Some(1);
    row
}

/// One row of any table that a [`RecordSink`] takes.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // A handful of rows.
pub(crate) enum AnyRow {
    Sample(Identity, MemorySample),
    Cycle(Identity, GcCycle),
    Pause(Identity, GcPause),
    Metric(Identity, MetricSample),
    Span(Identity, Span),
    Incident(Incident),
    Artifact(Identity, Artifact, Vec<u8>),
}

pub(crate) fn write(writer: &mut impl RecordSink, rows: &[AnyRow]) {
    try_write(writer, rows).unwrap();
}

/// As [`write`], on a disk that may fail.
pub(crate) fn try_write(
    writer: &mut impl RecordSink,
    rows: &[AnyRow],
) -> memwatch_core::Result<()> {
    rows.iter().try_for_each(|row| match row {
        AnyRow::Sample(of, row) => writer.sample(of, row),
        AnyRow::Cycle(of, row) => writer.gc_cycle(of, row),
        AnyRow::Pause(of, row) => writer.gc_pause(of, row),
        AnyRow::Metric(of, row) => writer.metric(of, row),
        AnyRow::Span(of, row) => writer.span(of, row),
        AnyRow::Incident(row) => writer.incident(row),
        AnyRow::Artifact(of, row, content) => writer.artifact(of, row, content),
    })
}

/// A few rows of every table.
pub(crate) fn of_every_table() -> Vec<AnyRow> {
    let of = identity(0);
    let mut cycle = GcCycle::default();
    cycle.at = Timestamp(DAY + 5 * MS);
    cycle.gc_num = 7;
    cycle.forced = Some(false);
    cycle.heap_goal = Some(Bytes(4 << 20));
    let mut span = Span::default();
    span.at = Timestamp(DAY - MS);
    span.trace_id = "4bf92f3577b34da6".into();
    span.duration = Nanos(50 * MS);
    let incident = Incident {
        service: of.service.clone(),
        instance: of.instance.clone(),
        kind: "heap_leak".into(),
        range: TimeRange {
            start: Timestamp(DAY),
            end: Timestamp(DAY + 60_000 * MS),
        },
        impact: Some(Timestamp(DAY + 30_000 * MS)),
        detail: "a map only grows, \"quoted\"".into(),
        verdict: Verdict::Wrong,
    };
    let benign = Incident {
        verdict: Verdict::Benign,
        impact: None,
        kind: "warm-up".into(),
        ..incident.clone()
    };
    let artifact = Artifact::new(
        None,
        ArtifactKind::HeapProfile,
        "../../etc/heap.pb.gz".into(),
    );
    vec![
        AnyRow::Sample(of.clone(), sample(DAY, Some(1))),
        AnyRow::Sample(of.clone(), sample(DAY + 200 * MS, None)),
        AnyRow::Sample(identity(1), sample(DAY - 1, Some(i64::MAX))),
        AnyRow::Cycle(of.clone(), cycle),
        AnyRow::Pause(of.clone(), pause(DAY, 120_000, PauseOrigin::MemStats)),
        AnyRow::Metric(of.clone(), metric(DAY, "up", "", 1.0)),
        AnyRow::Metric(of.clone(), metric(DAY, "x_bucket", "le=\"+Inf\"", f64::NAN)),
        AnyRow::Span(of.clone(), span),
        AnyRow::Incident(incident),
        AnyRow::Incident(benign),
        AnyRow::Artifact(of, artifact, vec![0x1f, 0x8b, 1, 2, 3]),
    ]
}

/// All rows of a table as text, sorted.
pub(crate) fn dump(snapshot: &Snapshot, table: Table) -> Vec<String> {
    let scan = snapshot
        .scan(table, None, TimeRange::ALL, &Instances::All)
        .unwrap();
    let mut rows: Vec<String> = scan.flat_map(|batch| lines(&batch.unwrap())).collect();
    rows.sort();
    rows
}

pub(crate) fn lines(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    // Arrow formats times by the name of a zone only with a database of zones, which this crate does not need.
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .map(|c| match c.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => Arc::new(times.clone().with_timezone("+00:00")) as ArrayRef,
            None => Arc::clone(c),
        })
        .collect();
    let columns: Vec<_> = columns
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|c| c.value(row).to_string())
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

/// All rows of all tables.
pub(crate) fn dump_all(snapshot: &Snapshot) -> Vec<(Table, Vec<String>)> {
    Table::all()
        .map(|table| (table, dump(snapshot, table)))
        .collect()
}

pub(crate) fn text(value: &str) -> Arc<str> {
    value.into()
}
