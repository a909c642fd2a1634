//! `profiles`: one distinct stack in one profile.

use super::{Column, INSTANCE, SERVICE, TS, TableDef, noisy, text};

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("profile_id"),
    text("kind"),
    text("stack"),
    noisy("alloc_objects"),
    noisy("alloc_bytes"),
    noisy("inuse_objects"),
    noisy("inuse_bytes"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "profiles",
    about: "one distinct stack in one profile",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "profile_id", "kind", "stack"],
};
