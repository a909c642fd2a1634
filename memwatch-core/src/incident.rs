//! Labelled stretches of history in which something was wrong, and their kinds.

use std::sync::Arc;

use crate::TimeRange;

/// The kinds that labels, rules (`detects`) and explanations share, each with what it means. Users may add their own.
pub const INCIDENT_KINDS: &[(&str, &str)] = &[
    (
        "alloc_burst",
        "garbage is made many times faster than usual",
    ),
    ("heap_leak", "the live heap only grows"),
    (
        "heap_step",
        "the live heap is suddenly much larger and stays so",
    ),
    ("goroutine_leak", "goroutines are started and never end"),
    ("goroutine_growth", "many more goroutines than usual"),
    (
        "gc_thrash",
        "the collector runs back to back near the memory limit",
    ),
    ("gc_off_growth", "the collector is off and the heap grows"),
    (
        "long_stw",
        "stop-the-world pauses of the collector are long",
    ),
    ("pause_growth", "pause time grows against the time before"),
    (
        "stall_not_gc",
        "the process stands still outside of the collector",
    ),
    ("process_freeze", "the whole process stands still"),
    ("idle_heap", "most of the heap is idle spans"),
    ("span_fragmentation", "few live objects keep many spans"),
    ("mspan_growth", "span metadata grows"),
    ("finalizer_leak", "finalizers or cleanups queue up"),
    ("offheap_leak", "memory outside of the heap grows"),
];

/// A labelled stretch of history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The service concerned.
    pub service: Arc<str>,
    /// The instance concerned.
    pub instance: Arc<str>,
    /// One of [`INCIDENT_KINDS`], or the user's own.
    pub kind: Arc<str>,
    /// From when the cause began until it was gone.
    pub range: TimeRange,
    /// What happened, in words.
    pub detail: Arc<str>,
    /// What an alert inside of it means.
    pub verdict: Verdict,
}

/// What an alert inside of a labelled stretch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Something was wrong: an alert is right, and silence is a miss.
    Wrong,
    /// A harmless event: an alert is false.
    Benign,
    /// Something real that nobody labelled with a cause: an alert counts neither as right nor as false.
    Unlabelled,
}
