//! `goroutines`: one distinct stack in one dump.

use super::{Column, INSTANCE, SERVICE, TS, TableDef, constant, stepwise, text};

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("dump_id"),
    text("state"),
    stepwise("wait_ns"),
    constant("count"),
    text("top_function"),
    text("stack"),
    text("created_by"),
    text("labels"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "goroutines",
    about: "one distinct stack in one goroutine dump",
    columns: COLUMNS,
    key: &[
        "service",
        "instance",
        "ts",
        "dump_id",
        "state",
        "wait_ns",
        "stack",
        "created_by",
        "labels",
    ],
};
