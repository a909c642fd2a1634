//! What the collector did: cycles and pauses.

use crate::{Bytes, Nanos, Timestamp};

/// One cycle of the collector, from gctrace or an execution trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GcCycle {
    /// When the cycle began.
    pub at: Timestamp,
    /// Ordinal of the cycle in its process, from 1.
    pub gc_num: i64,
    /// Whether the program asked for it.
    pub forced: Option<bool>,
    /// Wall time of stop-the-world sweep termination.
    pub sweep_termination: Option<Nanos>,
    /// Wall time of concurrent mark and scan.
    pub mark: Option<Nanos>,
    /// Wall time of stop-the-world mark termination.
    pub mark_termination: Option<Nanos>,
    /// CPU time of sweep termination.
    pub cpu_sweep_termination: Option<Nanos>,
    /// CPU time of mark assists.
    pub cpu_mark_assist: Option<Nanos>,
    /// CPU time of dedicated and fractional background workers.
    pub cpu_mark_background: Option<Nanos>,
    /// CPU time of idle-priority workers.
    pub cpu_mark_idle: Option<Nanos>,
    /// CPU time of mark termination.
    pub cpu_mark_termination: Option<Nanos>,
    /// Heap at the start.
    pub heap_start: Option<Bytes>,
    /// Heap at the end.
    pub heap_end: Option<Bytes>,
    /// Live heap.
    pub heap_live: Option<Bytes>,
    /// Goal of the cycle.
    pub heap_goal: Option<Bytes>,
    /// Scannable stacks.
    pub stacks: Option<Bytes>,
    /// Scannable globals.
    pub globals: Option<Bytes>,
    /// Processors (`P`).
    pub procs: Option<i64>,
    /// Share of CPU that the collector took since process start, in whole percent.
    pub gc_cpu_percent: Option<i64>,
    /// Which incarnation of the instance: ordinal of the restart, from 1.
    pub process: Option<i64>,
    /// Time from process start to the start of the cycle.
    pub since_start: Option<Nanos>,
}

/// Which part of the collector's work a pause belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseKind {
    /// Between two cycles, before marking.
    SweepTermination,
    /// At the end of marking.
    MarkTermination,
    /// A pause outside of the collector.
    Other,
    /// The source does not say, or it is the sum of a cycle's two pauses.
    Unknown,
}

/// What reported a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseOrigin {
    /// The ring of `runtime.MemStats`: one entry is the sum of a cycle's two pauses.
    MemStats,
    /// A gctrace line.
    GcTrace,
    /// An execution trace.
    Trace,
}

/// One stop-the-world pause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcPause {
    /// When the pause ended.
    pub at: Timestamp,
    /// How long the process stood still.
    pub pause: Nanos,
    /// Which part of the collector's work it belongs to.
    pub kind: PauseKind,
    /// What reported it.
    pub origin: PauseOrigin,
    /// Which incarnation of the instance: ordinal of the restart, from 1.
    pub process: Option<i64>,
    /// Ordinal of the cycle in its process, from 1.
    pub gc_num: Option<i64>,
}

impl GcPause {
    /// A pause that ended at `at`.
    #[must_use]
    pub fn new(at: Timestamp, pause: Nanos, kind: PauseKind, origin: PauseOrigin) -> Self {
        GcPause {
            at,
            pause,
            kind,
            origin,
            process: None,
            gc_num: None,
        }
    }
}
