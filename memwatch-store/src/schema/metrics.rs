//! `metrics`: one value of any other series.
//!
//! Sorted by series before time: the rows of one series lie together, so that reading one touches few pages, and its timestamps and
//! values compress against each other.

use memwatch_core::record::{Identity, MetricKind, MetricSample};

use super::{Column, ColumnEncoding, INSTANCE, Row, SERVICE, TS, Table, TableDef, float, text};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("metric").required(),
    text("labels").required(),
    float("value", ColumnEncoding::Dictionary),
    text("kind"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "metrics",
    about: "one value of any other series",
    columns: COLUMNS,
    key: &["service", "instance", "metric", "labels", "ts"],
};

/// The kind of a part of a histogram of which absent edges are to be filled in.
pub(crate) const SPARSE_HISTOGRAM: &str = "sparse_histogram";

impl Row for MetricSample {
    const TABLE: Table = Table::Metrics;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.at, of);
        to.text(Some(&self.metric));
        to.text(Some(&self.labels));
        to.float(Some(self.value));
        to.text(Some(match self.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::SparseHistogram => SPARSE_HISTOGRAM,
            MetricKind::Summary => "summary",
            MetricKind::Untyped => "untyped",
        }));
        to.end();
    }
}
