//! The one table of series names: under which names each column of `samples` answers, and which recorded metrics say the same.
//!
//! Names are those of client_golang's default collector; aliases are the short names that articles use. A service that was only scraped
//! answers under all of them too, from its recorded metrics.

/// How a column's values become a series' values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// As they are.
    AsIs,
    /// Nanoseconds become seconds.
    NanosToSeconds,
}

/// What one quantity is called, and where it is found.
#[derive(Debug)]
pub(super) struct Name {
    /// As client_golang (or, for what it does not have, memwatch) calls it. A recorded metric of one of these names is this quantity
    /// and wins over the column.
    pub(super) names: &'static [&'static str],
    /// Short names.
    pub(super) aliases: &'static [&'static str],
    /// Columns of `samples` whose sum it is.
    pub(super) columns: &'static [&'static str],
    pub(super) scale: Scale,
    /// Recorded metrics that say the same, with the factor to this unit, for services without `samples`: checked to be equal in
    /// docs/sources.md.
    pub(super) same_as: &'static [(&'static str, f64)],
}

const fn name(
    names: &'static [&'static str],
    aliases: &'static [&'static str],
    columns: &'static [&'static str],
    same_as: &'static [(&'static str, f64)],
) -> Name {
    Name {
        names,
        aliases,
        columns,
        scale: Scale::AsIs,
        same_as,
    }
}

const fn seconds(
    names: &'static [&'static str],
    aliases: &'static [&'static str],
    columns: &'static [&'static str],
    same_as: &'static [(&'static str, f64)],
) -> Name {
    Name {
        names,
        aliases,
        columns,
        scale: Scale::NanosToSeconds,
        same_as,
    }
}

/// Every quantity of `samples`.
pub(super) const NAMES: &[Name] = &[
    name(
        &["go_memstats_heap_alloc_bytes", "go_memstats_alloc_bytes"],
        &[
            "heap_alloc_bytes",
            "alloc_bytes",
            "process_heap_alloc_bytes",
        ],
        &["heap_alloc_bytes"],
        &[("go_memory_classes_heap_objects_bytes", 1.0)],
    ),
    name(
        &["go_memstats_alloc_bytes_total"],
        &[
            "alloc_bytes_total",
            "total_alloc_bytes",
            "allocated_bytes_total",
        ],
        &["total_alloc_bytes"],
        &[("go_gc_heap_allocs_bytes_total", 1.0)],
    ),
    name(
        &["go_memstats_sys_bytes"],
        &["sys_bytes"],
        &["sys_bytes"],
        &[("go_memory_classes_total_bytes", 1.0)],
    ),
    name(
        &["go_memstats_lookups_total"],
        &["lookups_total"],
        &["lookups_total"],
        &[],
    ),
    name(
        &["go_memstats_mallocs_total"],
        &["allocs_total", "mallocs_total"],
        &["mallocs_total"],
        &[],
    ),
    name(
        &["go_memstats_frees_total"],
        &["frees_total"],
        &["frees_total"],
        &[],
    ),
    name(
        &["go_memstats_heap_sys_bytes"],
        &["heap_sys_bytes", "process_heap_sys_bytes"],
        &["heap_sys_bytes"],
        &[],
    ),
    name(
        &["go_memstats_heap_idle_bytes"],
        &["heap_idle_bytes", "process_heap_idle_bytes"],
        &["heap_idle_bytes"],
        &[],
    ),
    name(
        &["go_memstats_heap_inuse_bytes"],
        &["heap_inuse_bytes", "process_heap_inuse_bytes"],
        &["heap_inuse_bytes"],
        &[],
    ),
    name(
        &["go_memstats_heap_released_bytes"],
        &["heap_released_bytes", "process_heap_released_bytes"],
        &["heap_released_bytes"],
        &[("go_memory_classes_heap_released_bytes", 1.0)],
    ),
    name(
        &["go_memstats_heap_objects"],
        &["heap_objects"],
        &["heap_objects"],
        &[("go_gc_heap_objects_objects", 1.0)],
    ),
    name(
        &["go_memstats_stack_inuse_bytes"],
        &["stack_inuse_bytes"],
        &["stack_inuse_bytes"],
        &[("go_memory_classes_heap_stacks_bytes", 1.0)],
    ),
    name(
        &["go_memstats_stack_sys_bytes"],
        &["stack_sys_bytes"],
        &["stack_sys_bytes"],
        &[],
    ),
    name(
        &["go_memstats_mspan_inuse_bytes"],
        &["mspan_inuse_bytes"],
        &["mspan_inuse_bytes"],
        &[("go_memory_classes_metadata_mspan_inuse_bytes", 1.0)],
    ),
    name(
        &["go_memstats_mspan_sys_bytes"],
        &["mspan_sys_bytes"],
        &["mspan_sys_bytes"],
        &[],
    ),
    name(
        &["go_memstats_mcache_inuse_bytes"],
        &["mcache_inuse_bytes"],
        &["mcache_inuse_bytes"],
        &[("go_memory_classes_metadata_mcache_inuse_bytes", 1.0)],
    ),
    name(
        &["go_memstats_mcache_sys_bytes"],
        &["mcache_sys_bytes"],
        &["mcache_sys_bytes"],
        &[],
    ),
    name(
        &["go_memstats_buck_hash_sys_bytes"],
        &["buck_hash_sys_bytes"],
        &["buck_hash_sys_bytes"],
        &[("go_memory_classes_profiling_buckets_bytes", 1.0)],
    ),
    name(
        &["go_memstats_gc_sys_bytes"],
        &["gc_sys_bytes"],
        &["gc_sys_bytes"],
        &[("go_memory_classes_metadata_other_bytes", 1.0)],
    ),
    name(
        &["go_memstats_other_sys_bytes"],
        &["other_sys_bytes"],
        &["other_sys_bytes"],
        &[("go_memory_classes_other_bytes", 1.0)],
    ),
    name(
        &["go_memstats_next_gc_bytes"],
        &["next_gc_bytes"],
        &["next_gc_bytes"],
        &[("go_gc_heap_goal_bytes", 1.0)],
    ),
    seconds(
        &["go_memstats_last_gc_time_seconds"],
        &["last_gc_time_seconds"],
        &["last_gc_ns"],
        &[],
    ),
    name(
        &["go_memstats_last_gc_time_ns"],
        &["last_gc_ns"],
        &["last_gc_ns"],
        &[("go_memstats_last_gc_time_seconds", 1e9)],
    ),
    seconds(
        &["go_gc_duration_seconds_sum"],
        &["pause_total_seconds"],
        &["pause_total_ns"],
        &[],
    ),
    name(
        &["go_memstats_pause_total_ns"],
        &["pause_total_ns"],
        &["pause_total_ns"],
        &[("go_gc_duration_seconds_sum", 1e9)],
    ),
    name(
        &["go_gc_duration_seconds_count"],
        &["num_gc", "gc_cycles_total"],
        &["num_gc"],
        &[("go_gc_cycles_total_gc_cycles_total", 1.0)],
    ),
    name(
        &["go_gc_cycles_forced_gc_cycles_total"],
        &["num_forced_gc", "gc_forced_total"],
        &["num_forced_gc"],
        &[("go_gc_forced_count", 1.0)],
    ),
    name(
        &["go_memstats_gc_cpu_fraction"],
        &["gc_cpu_fraction"],
        &["gc_cpu_fraction"],
        &[],
    ),
    name(
        &["go_goroutines"],
        &["goroutines", "num_goroutines"],
        &["goroutines"],
        &[("go_sched_goroutines_goroutines", 1.0)],
    ),
    name(
        &["go_gc_gogc_percent"],
        &["gogc", "gogc_percent"],
        &["gogc"],
        &[],
    ),
    name(
        &["go_gc_gomemlimit_bytes"],
        &["gomemlimit_bytes", "memory_limit_bytes"],
        &["memory_limit_bytes"],
        &[],
    ),
    name(
        &["process_resident_memory_bytes"],
        &["rss_bytes", "resident_memory_bytes"],
        &["rss_bytes"],
        &[],
    ),
    seconds(
        &["process_cpu_seconds_total"],
        &["cpu_seconds_total"],
        &["cpu_user_ns", "cpu_system_ns"],
        &[],
    ),
    seconds(
        &["memwatch_cpu_user_seconds_total"],
        &["cpu_user_seconds_total"],
        &["cpu_user_ns"],
        &[],
    ),
    seconds(
        &["memwatch_cpu_system_seconds_total"],
        &["cpu_system_seconds_total"],
        &["cpu_system_ns"],
        &[],
    ),
    seconds(
        &["memwatch_uptime_seconds"],
        &["uptime_seconds"],
        &["uptime_ns"],
        &[],
    ),
    seconds(
        &["memwatch_read_seconds"],
        &["read_seconds"],
        &["read_ns"],
        &[],
    ),
    name(
        &["memwatch_requests_total"],
        &["requests_total"],
        &["requests_total"],
        &[],
    ),
    name(
        &["memwatch_pauses_lost"],
        &["pauses_lost"],
        &["pauses_lost"],
        &[],
    ),
    name(&["memwatch_process"], &[], &["process"], &[]),
];

/// The quantity that answers under a name.
pub(super) fn find(name: &str) -> Option<&'static Name> {
    NAMES
        .iter()
        .find(|n| n.names.contains(&name) || n.aliases.contains(&name))
}

/// The raw series of pauses: one sample a pause, at its end.
pub(super) const PAUSE_SECONDS: &str = "gc_pause_seconds";

/// The histogram of pauses, without suffix. The second is also what client_golang records.
pub(super) const PAUSE_HISTOGRAMS: [&str; 2] = ["gc_pauses_seconds", "go_gc_pauses_seconds"];

/// Recorded histograms that stand in for the first of [`PAUSE_HISTOGRAMS`] where no pauses were recorded, best first.
pub(super) const RECORDED_PAUSE_HISTOGRAMS: [&str; 2] =
    ["go_gc_pauses_seconds", "go_sched_pauses_total_gc_seconds"];

/// A part of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Bucket,
    Count,
    Sum,
}

impl Part {
    pub(super) const ALL: [Part; 3] = [Part::Bucket, Part::Count, Part::Sum];

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Part::Bucket => "_bucket",
            Part::Count => "_count",
            Part::Sum => "_sum",
        }
    }
}

/// Which part of which pause histogram a name is.
pub(super) fn pause_part(name: &str) -> Option<(&'static str, Part)> {
    PAUSE_HISTOGRAMS.into_iter().find_map(|base| {
        let suffix = name.strip_prefix(base)?;
        Part::ALL
            .into_iter()
            .find(|p| p.suffix() == suffix)
            .map(|part| (base, part))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::schema::{ColumnType, Table};

    #[test]
    fn names_are_unique_and_their_columns_exist() {
        let mut seen = HashSet::new();
        let def = Table::Samples.def();
        for entry in NAMES {
            for name in entry.names.iter().chain(entry.aliases) {
                assert!(seen.insert(*name), "{name} twice");
                let in_ns = name.ends_with("_ns");
                let seconds = name.ends_with("_seconds") || name.contains("_seconds_");
                assert_eq!(
                    entry.scale == Scale::NanosToSeconds,
                    seconds && name.find("_seconds_count").is_none(),
                    "{name}"
                );
                assert!(!in_ns || entry.scale == Scale::AsIs, "{name}");
            }
            for column in entry.columns {
                assert!(def.index_of(column).is_some(), "{column}");
            }
        }
        // Every number of the table has a name.
        for column in def
            .columns
            .iter()
            .filter(|c| matches!(c.kind, ColumnType::Int | ColumnType::Float))
        {
            assert!(
                NAMES.iter().any(|n| n.columns.contains(&column.name)),
                "{}",
                column.name
            );
        }
        assert_eq!(
            pause_part("go_gc_pauses_seconds_bucket"),
            Some(("go_gc_pauses_seconds", Part::Bucket))
        );
        assert_eq!(pause_part("gc_pauses_seconds"), None);
    }

    /// The table of names in docs/sources.md is this one.
    #[test]
    fn names_are_documented() {
        let code = |names: &[&str]| {
            names
                .iter()
                .map(|n| format!("`{n}`"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut expected =
            "| name | also | column of `samples` | stands in |\n|---|---|---|---|\n".to_owned();
        for n in NAMES {
            let same: Vec<&str> = n.same_as.iter().map(|(name, _)| *name).collect();
            let row = [code(n.names), code(n.aliases), code(n.columns), code(&same)];
            expected.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sources.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mark = text.find("<!-- names: ").expect("the mark before it");
        let start = mark + text[mark..].find('\n').unwrap() + 1;
        let end = start
            + text[start..]
                .find("<!-- end -->")
                .expect("the mark after it");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(
                path,
                format!("{}{expected}{}", &text[..start], &text[end..]),
            )
            .unwrap();
        } else {
            assert_eq!(
                &text[start..end],
                expected,
                "run `UPDATE_DOCS=1 cargo test -p memwatch-store names`"
            );
        }
    }
}
