//! `artifacts`: one file kept whole. Its content lies under `artifacts/`, by its hash, with private permissions.
//!
//! A file is the same whenever it is said to have been taken, so `ts` is not part of what tells rows apart. A file whose moment nobody
//! knows has the Unix epoch as its `ts`, and takes any other that is given later.

use memwatch_core::Timestamp;
use memwatch_core::record::{Artifact, ArtifactKind, Identity};

use super::{Column, INSTANCE, Row, SERVICE, TS, Table, TableDef, noisy, text, unique_text};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    text("kind"),
    unique_text("sha256").required(),
    noisy("size_bytes"),
    unique_text("path"),
    unique_text("name"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "artifacts",
    about: "one file kept whole (pprof, dump, trace)",
    columns: COLUMNS,
    key: &["service", "instance", "sha256"],
};

/// An artifact whose content has been put into its place.
pub(crate) struct Stored<'a> {
    pub(crate) artifact: &'a Artifact,
    pub(crate) sha256: &'a str,
    pub(crate) size_bytes: i64,
    pub(crate) path: &'a str,
}

impl Row for Stored<'_> {
    const TABLE: Table = Table::Artifacts;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.artifact.at.unwrap_or(Timestamp(0)), of);
        to.text(Some(match self.artifact.kind {
            ArtifactKind::HeapProfile => "heap_profile",
            ArtifactKind::GoroutineProfile => "goroutine_profile",
            ArtifactKind::Profile => "profile",
            ArtifactKind::GoroutineDump => "goroutine_dump",
            ArtifactKind::Trace => "trace",
        }));
        to.text(Some(self.sha256));
        to.int(Some(self.size_bytes));
        to.text(Some(self.path));
        to.text(Some(&self.artifact.name));
        to.end();
    }
}
