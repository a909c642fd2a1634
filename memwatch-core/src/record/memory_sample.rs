//! One reading of `runtime.MemStats` and what stands beside it.

use std::sync::Arc;

use crate::{Bytes, Nanos, Timestamp};

/// One reading of one process.
///
/// Names are those of `runtime.MemStats`. `Alloc` is not here: it always equals `HeapAlloc`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct MemorySample {
    /// When the process read its own statistics.
    pub at: Timestamp,
    /// Which incarnation of the instance: ordinal of the restart, from 1.
    pub process: Option<i64>,
    /// Version of the service.
    pub version: Option<Arc<str>>,
    /// Version of the Go toolchain (`go1.27.3`).
    pub go_version: Option<Arc<str>>,
    /// Bytes ever allocated on the heap (`TotalAlloc`). A counter.
    pub total_alloc: Option<Bytes>,
    /// Virtual memory obtained from the system (`Sys`); not the resident size.
    pub sys: Option<Bytes>,
    /// Always 0 in every Go version of interest (`Lookups`).
    pub lookups_total: Option<i64>,
    /// Heap objects ever allocated (`Mallocs`). A counter.
    pub mallocs_total: Option<i64>,
    /// Heap objects ever freed (`Frees`). A counter.
    pub frees_total: Option<i64>,
    /// Heap objects, reachable or not yet swept (`HeapAlloc`).
    pub heap_alloc: Option<Bytes>,
    /// In use and idle spans (`HeapSys`).
    pub heap_sys: Option<Bytes>,
    /// Spans without objects, returned to the system or not (`HeapIdle`).
    pub heap_idle: Option<Bytes>,
    /// Spans with at least one object (`HeapInuse`).
    pub heap_inuse: Option<Bytes>,
    /// The part of `heap_idle` that was returned to the system (`HeapReleased`).
    pub heap_released: Option<Bytes>,
    /// Objects on the heap (`HeapObjects`).
    pub heap_objects: Option<i64>,
    /// Goroutine stacks (`StackInuse`).
    pub stack_inuse: Option<Bytes>,
    /// Stacks obtained from the system (`StackSys`).
    pub stack_sys: Option<Bytes>,
    /// Span descriptors in use (`MSpanInuse`).
    pub mspan_inuse: Option<Bytes>,
    /// Span descriptors obtained from the system (`MSpanSys`).
    pub mspan_sys: Option<Bytes>,
    /// Allocation caches in use, a constant times GOMAXPROCS (`MCacheInuse`).
    pub mcache_inuse: Option<Bytes>,
    /// Allocation caches obtained from the system (`MCacheSys`).
    pub mcache_sys: Option<Bytes>,
    /// The profiling hash table (`BuckHashSys`).
    pub buck_hash_sys: Option<Bytes>,
    /// Metadata of the collector (`GCSys`).
    pub gc_sys: Option<Bytes>,
    /// Everything else of the runtime (`OtherSys`).
    pub other_sys: Option<Bytes>,
    /// Heap goal of the next cycle (`NextGC`). Above 2^62 it means that there is no goal (GOGC=off).
    pub next_gc: Option<Bytes>,
    /// End of the last cycle since the epoch; 0 before the first (`LastGC`).
    pub last_gc: Option<Nanos>,
    /// Stop-the-world pauses of the collector since process start (`PauseTotalNs`). A counter.
    pub pause_total: Option<Nanos>,
    /// Completed cycles (`NumGC`). A counter.
    pub num_gc: Option<i64>,
    /// Cycles that the program asked for (`NumForcedGC`). A counter.
    pub num_forced_gc: Option<i64>,
    /// Share of CPU that the collector took since process start, 0 to 1 (`GCCPUFraction`).
    pub gc_cpu_fraction: Option<f64>,
    /// Always true (`EnableGC`).
    pub enable_gc: Option<bool>,
    /// Always false (`DebugGC`).
    pub debug_gc: Option<bool>,
    /// Goroutines that exist.
    pub goroutines: Option<i64>,
    /// GOGC in percent; -1 is off.
    pub gogc: Option<i64>,
    /// GOMEMLIMIT; `i64::MAX` is none.
    pub memory_limit: Option<Bytes>,
    /// Resident size of the process.
    pub rss: Option<Bytes>,
    /// CPU time in user mode since process start. A counter.
    pub cpu_user: Option<Nanos>,
    /// CPU time in kernel mode since process start. A counter.
    pub cpu_system: Option<Nanos>,
    /// Time since process start.
    pub uptime: Option<Nanos>,
    /// How long reading the statistics took. A slow read is a stall of its own.
    pub read_duration: Option<Nanos>,
    /// Requests served since process start, where the recorder was told. A counter.
    pub requests_total: Option<i64>,
    /// Cycles since the reading before whose pauses were lost: more than the ring of 256 holds.
    pub pauses_lost: Option<i64>,
}
