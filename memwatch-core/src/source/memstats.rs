//! `runtime.MemStats` as JSON, under Go's names.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::MemorySample;
use crate::source::json::{Capped, Whole};
use crate::{Bytes, Nanos};

/// Mirror of the Go struct. Keys that are missing are `None`; others are ignored.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct MemStats<'a> {
    pub(super) alloc: Option<Whole>,
    pub(super) total_alloc: Option<Whole>,
    pub(super) sys: Option<Whole>,
    pub(super) lookups: Option<Whole>,
    pub(super) mallocs: Option<Whole>,
    pub(super) frees: Option<Whole>,
    pub(super) heap_alloc: Option<Whole>,
    pub(super) heap_sys: Option<Whole>,
    pub(super) heap_idle: Option<Whole>,
    pub(super) heap_inuse: Option<Whole>,
    pub(super) heap_released: Option<Whole>,
    pub(super) heap_objects: Option<Whole>,
    pub(super) stack_inuse: Option<Whole>,
    pub(super) stack_sys: Option<Whole>,
    #[serde(rename = "MSpanInuse")]
    pub(super) mspan_inuse: Option<Whole>,
    #[serde(rename = "MSpanSys")]
    pub(super) mspan_sys: Option<Whole>,
    #[serde(rename = "MCacheInuse")]
    pub(super) mcache_inuse: Option<Whole>,
    #[serde(rename = "MCacheSys")]
    pub(super) mcache_sys: Option<Whole>,
    pub(super) buck_hash_sys: Option<Whole>,
    #[serde(rename = "GCSys")]
    pub(super) gc_sys: Option<Whole>,
    pub(super) other_sys: Option<Whole>,
    #[serde(rename = "NextGC")]
    pub(super) next_gc: Option<Capped>,
    #[serde(rename = "LastGC")]
    pub(super) last_gc: Option<Whole>,
    pub(super) pause_total_ns: Option<Whole>,
    #[serde(rename = "NumGC")]
    pub(super) num_gc: Option<Whole>,
    #[serde(rename = "NumForcedGC")]
    pub(super) num_forced_gc: Option<Whole>,
    #[serde(rename = "GCCPUFraction")]
    pub(super) gc_cpu_fraction: Option<f64>,
    #[serde(rename = "EnableGC")]
    pub(super) enable_gc: Option<bool>,
    #[serde(rename = "DebugGC")]
    pub(super) debug_gc: Option<bool>,
    /// The three arrays, which only some readers want, are left as text.
    #[serde(borrow)]
    pub(crate) pause_ns: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) pause_end: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) by_size: Option<&'a RawValue>,
}

impl MemStats<'_> {
    /// Writes what was read into `row`.
    pub(crate) fn fill(&self, row: &mut MemorySample) {
        let bytes = |n: Option<Whole>| n.map(|n| Bytes(n.0));
        let count = |n: Option<Whole>| n.map(|n| n.0);
        let nanos = |n: Option<Whole>| n.map(|n| Nanos(n.0));
        row.total_alloc = bytes(self.total_alloc);
        row.sys = bytes(self.sys);
        row.lookups_total = count(self.lookups);
        row.mallocs_total = count(self.mallocs);
        row.frees_total = count(self.frees);
        row.heap_alloc = bytes(self.heap_alloc.or(self.alloc));
        row.heap_sys = bytes(self.heap_sys);
        row.heap_idle = bytes(self.heap_idle);
        row.heap_inuse = bytes(self.heap_inuse);
        row.heap_released = bytes(self.heap_released);
        row.heap_objects = count(self.heap_objects);
        row.stack_inuse = bytes(self.stack_inuse);
        row.stack_sys = bytes(self.stack_sys);
        row.mspan_inuse = bytes(self.mspan_inuse);
        row.mspan_sys = bytes(self.mspan_sys);
        row.mcache_inuse = bytes(self.mcache_inuse);
        row.mcache_sys = bytes(self.mcache_sys);
        row.buck_hash_sys = bytes(self.buck_hash_sys);
        row.gc_sys = bytes(self.gc_sys);
        row.other_sys = bytes(self.other_sys);
        row.next_gc = self.next_gc.map(|n| Bytes(n.0));
        row.last_gc = nanos(self.last_gc);
        row.pause_total = nanos(self.pause_total_ns);
        row.num_gc = count(self.num_gc);
        row.num_forced_gc = count(self.num_forced_gc);
        row.gc_cpu_fraction = self.gc_cpu_fraction;
        row.enable_gc = self.enable_gc;
        row.debug_gc = self.debug_gc;
    }
}

/// The counters of the reading before, of one instance: tells restarts and lost pauses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    process: Option<i64>,
    pub(crate) num_gc: i64,
    total_alloc: i64,
    pause_total: i64,
}

/// How many cycles the ring of pauses holds.
pub(crate) const PAUSE_RING: i64 = 256;

impl Counters {
    /// The counters of a reading; `None` when it does not count cycles.
    pub(crate) fn of(row: &MemorySample) -> Option<Counters> {
        Some(Counters {
            process: row.process,
            num_gc: row.num_gc?,
            total_alloc: row.total_alloc.map_or(0, |b| b.0),
            pause_total: row.pause_total.map_or(0, |n| n.0),
        })
    }

    /// Whether `later` is a reading of the same process: the same ordinal, and no counter fell.
    pub(crate) fn continued_by(&self, later: &Counters) -> bool {
        self.process == later.process
            && self.num_gc <= later.num_gc
            && self.total_alloc <= later.total_alloc
            && self.pause_total <= later.pause_total
    }

    /// Cycles between two readings of one process whose pauses the ring no longer held.
    pub(crate) fn lost_until(&self, later: &Counters) -> i64 {
        (later.num_gc - self.num_gc - PAUSE_RING).max(0)
    }
}
