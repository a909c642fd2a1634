//! `gc_pauses`: one stop-the-world pause, at its end.

use memwatch_core::record::{GcPause, Identity, PauseKind, PauseOrigin};

use super::{Column, INSTANCE, Row, SERVICE, TS, Table, TableDef, constant, delta, noisy, text};
use crate::buffer::Columns;

const COLUMNS: &[Column] = &[
    TS,
    SERVICE,
    INSTANCE,
    noisy("pause_ns").required(),
    text("kind").required(),
    text("origin").required(),
    constant("process"),
    delta("gc_num"),
];

pub(super) const TABLE: TableDef = TableDef {
    name: "gc_pauses",
    about: "one stop-the-world pause",
    columns: COLUMNS,
    key: &["service", "instance", "ts", "origin", "kind", "pause_ns"],
};

impl Row for GcPause {
    const TABLE: Table = Table::GcPauses;

    fn append(&self, of: &Identity, to: &mut Columns) {
        to.begin(self.at, of);
        to.int(Some(self.pause.0));
        to.text(Some(match self.kind {
            PauseKind::SweepTermination => "sweep termination",
            PauseKind::MarkTermination => "mark termination",
            PauseKind::Other => "other",
            PauseKind::Unknown => "unknown",
        }));
        to.text(Some(origin_name(self.origin)));
        to.int(self.process);
        to.int(self.gc_num);
        to.end();
    }
}

fn origin_name(origin: PauseOrigin) -> &'static str {
    match origin {
        PauseOrigin::MemStats => "memstats",
        PauseOrigin::Trace => "trace",
        PauseOrigin::GcTrace => "gctrace",
    }
}

/// The origins, best first: a pause seen by several is one pause, as the best of its process saw it.
const ORIGINS: [PauseOrigin; 3] = [
    PauseOrigin::MemStats,
    PauseOrigin::Trace,
    PauseOrigin::GcTrace,
];

/// The origin of that name.
pub(crate) fn parse_origin(name: &str) -> Option<PauseOrigin> {
    ORIGINS
        .into_iter()
        .find(|origin| origin_name(*origin) == name)
}

/// The best of some origins.
pub(crate) fn best_origin(of: impl IntoIterator<Item = PauseOrigin>) -> Option<PauseOrigin> {
    let rank = |origin: &PauseOrigin| ORIGINS.iter().position(|o| o == origin);
    of.into_iter().min_by_key(rank)
}
