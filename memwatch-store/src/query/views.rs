//! Tables as users see them: the stored ones, views that save them a trap, and the signals.
//!
//! The text of a longer view is a file of its own in `views/`. A view may name another one. Where a recording lacks what a column is made of,
//! the column is NULL.

use crate::schema::Table;

/// A table under a name of its own.
pub(crate) struct View {
    /// Its name.
    pub(crate) name: &'static str,
    /// What one row is.
    pub(crate) about: &'static str,
    /// The query behind it; stored tables are in the schema `stored`.
    pub(crate) sql: &'static str,
    /// The stored table whose name it takes.
    pub(crate) covers: Option<Table>,
}

/// Every view.
pub(crate) const VIEWS: &[View] = &[
    View {
        name: "samples",
        about: "one reading of one process",
        // `Alloc` always equals `HeapAlloc`: it is not stored twice but answers under both names.
        sql: "SELECT *, heap_alloc_bytes AS alloc_bytes FROM stored.samples",
        covers: Some(Table::Samples),
    },
    View {
        name: "gc_pauses_best",
        about: "one stop-the-world pause, once: as the best origin of its process saw it (memstats, then trace, then gctrace)",
        sql: include_str!("views/gc_pauses_best.sql"),
        covers: None,
    },
    View {
        name: "runtime_readings",
        about: "one reading of runtime/metrics, its scalars beside MemStats as columns",
        sql: include_str!("views/runtime_readings.sql"),
        covers: None,
    },
    View {
        name: "signal_allocations",
        about: "signal 1: objects and bytes allocated a second, over the last minute, at each reading",
        sql: include_str!("views/signal_allocations.sql"),
        covers: None,
    },
    View {
        name: "signal_heap",
        about: "signal 2: heap in use, live heap and effective GOGC, at each reading",
        sql: include_str!("views/signal_heap.sql"),
        covers: None,
    },
    View {
        name: "signal_gc_pauses",
        about: "signal 3: GC pauses of a minute and their exact p99; a warning where only a summary is recorded",
        sql: include_str!("views/signal_gc_pauses.sql"),
        covers: None,
    },
    View {
        name: "signal_mspan",
        about: "signal 4: mspan in use against heap in use, with the leak verdicts of six hours",
        sql: include_str!("views/signal_mspan.sql"),
        covers: None,
    },
    View {
        name: "signal_next_gc",
        about: "signal 5: time to the next cycle, GC CPU share, distance to GOMEMLIMIT, at each reading",
        sql: include_str!("views/signal_next_gc.sql"),
        covers: None,
    },
    View {
        name: "cross_check",
        about: "one thing that two sources say of a process: agreement in percent, and what is wrong",
        sql: include_str!("views/cross_check.sql"),
        covers: None,
    },
];
