//! `runs`: one alert of one saved backtest, so that results are themselves queried in SQL.

use std::sync::Arc;

use memwatch_core::Timestamp;
use memwatch_core::record::Identity;

use super::{
    Column, ColumnEncoding, INSTANCE, Row, SERVICE, TS, Table, TableDef, float, text, timestamp,
    unique_text,
};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("run_id").required(),
    timestamp("run_at"),
    text("rules"),
    text("group"),
    text("rule").required(),
    unique_text("alert_id").required(),
    text("labels"),
    text("annotations"),
    timestamp("pending_at"),
    timestamp("fired_at"),
    timestamp("resolved_at"),
    float("value", ColumnEncoding::Plain),
    float("peak", ColumnEncoding::Plain),
    text("incident_kind"),
    timestamp("incident_start"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "runs",
    about: "one alert of one saved backtest",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "run_id", "rule", "alert_id"],
};

/// One alert of one saved backtest. Labels and annotations are canonical strings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Which backtest.
    pub run_id: Arc<str>,
    /// When the backtest was run.
    pub run_at: Option<Timestamp>,
    /// The rule file, as the user named it.
    pub rules: Option<Arc<str>>,
    /// The rule's group.
    pub group: Option<Arc<str>>,
    /// The rule.
    pub rule: Arc<str>,
    /// The alert's id within the backtest.
    pub alert_id: Arc<str>,
    /// The alert's labels.
    pub labels: Option<Arc<str>>,
    /// The alert's annotations.
    pub annotations: Option<Arc<str>>,
    /// When the condition became true.
    pub pending_at: Timestamp,
    /// When it fired.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved; `None` when it was still open at the end.
    pub resolved_at: Option<Timestamp>,
    /// The value when it fired.
    pub value: Option<f64>,
    /// The highest value while it was open.
    pub peak: Option<f64>,
    /// The kind of the incident that it caught.
    pub incident_kind: Option<Arc<str>>,
    /// The start of the incident that it caught.
    pub incident_start: Option<Timestamp>,
}

impl Row for Run {
    const TABLE: Table = Table::Runs;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.pending_at, of);
        to.text(Some(&self.run_id));
        to.timestamp(self.run_at);
        to.text(self.rules.as_deref());
        to.text(self.group.as_deref());
        to.text(Some(&self.rule));
        to.text(Some(&self.alert_id));
        to.text(self.labels.as_deref());
        to.text(self.annotations.as_deref());
        to.timestamp(Some(self.pending_at));
        to.timestamp(self.fired_at);
        to.timestamp(self.resolved_at);
        to.float(self.value);
        to.float(self.peak);
        to.text(self.incident_kind.as_deref());
        to.timestamp(self.incident_start);
        to.end();
    }
}
