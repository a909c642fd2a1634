//! `spans`: one request as one side saw it, at its beginning.

use memwatch_core::record::{Identity, Span};

use super::{
    Column, INSTANCE, Row, SERVICE, TS, Table, TableDef, constant, noisy, text, unique_text,
};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    unique_text("trace_id").required(),
    text("route"),
    text("kind"),
    noisy("duration_ns").required(),
    constant("status"),
    text("sampled"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "spans",
    about: "one request",
    columns: COLUMNS,
    key: &[
        "service",
        "instance",
        "ts",
        "trace_id",
        "kind",
        "route",
        "duration_ns",
    ],
};

impl Row for Span {
    const TABLE: Table = Table::Spans;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.at, of);
        to.text(Some(&self.trace_id));
        to.text(self.route.as_deref());
        to.text(self.kind.as_deref());
        to.int(Some(self.duration.0));
        to.int(self.status);
        to.text(self.sampled.as_deref());
        to.end();
    }
}
