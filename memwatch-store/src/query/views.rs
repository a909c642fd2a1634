//! Tables as users see them: the stored ones, and views that save them a trap.

use crate::schema::Table;

/// A table under a name of its own.
pub(crate) struct View {
    /// Its name.
    pub(crate) name: &'static str,
    /// What one row is.
    pub(crate) about: &'static str,
    /// The query behind it, over the schema `stored`.
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
        sql: "SELECT pause.* FROM stored.gc_pauses AS pause JOIN ( \
                SELECT service, instance, process, \
                       min(CASE origin WHEN 'memstats' THEN 1 WHEN 'trace' THEN 2 ELSE 3 END) AS best \
                FROM stored.gc_pauses GROUP BY service, instance, process \
              ) AS of ON pause.service = of.service AND pause.instance = of.instance \
                AND (pause.process IS NOT DISTINCT FROM of.process) \
                AND (CASE pause.origin WHEN 'memstats' THEN 1 WHEN 'trace' THEN 2 ELSE 3 END) = of.best",
        covers: None,
    },
];
