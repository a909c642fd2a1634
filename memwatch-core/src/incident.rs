//! Labelled stretches of history in which something was wrong, and their kinds.

use std::sync::Arc;

use crate::{Error, Result, TimeRange, Timestamp};

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
    /// When users began to feel it, if somebody says: a leak is there long before. Lead times are measured against it.
    pub impact: Option<Timestamp>,
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

/// An incident as users mark it by hand: `heap_leak@2026-11-23T05:03:09Z..2026-11-23T05:06:00Z@session-store`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marked {
    /// One of [`INCIDENT_KINDS`], or the user's own.
    pub kind: Arc<str>,
    /// From when until when.
    pub range: TimeRange,
    /// The service concerned; `None` when the text does not say.
    pub service: Option<Arc<str>>,
    /// The instance concerned; `None` for every one of the service.
    pub instance: Option<Arc<str>>,
}

impl Marked {
    /// Reads `kind@start..end`, `kind@start..end@service` or `kind@start..end@service/instance`. Times are those that users type
    /// elsewhere: RFC 3339, `now`, `-2h`.
    ///
    /// ```
    /// # use memwatch_core::{incident::Marked, Timestamp};
    /// let marked = Marked::parse("heap_leak@-2h..-90m@api/api-7", Timestamp(0)).unwrap();
    /// assert_eq!((marked.service.as_deref(), marked.instance.as_deref()), (Some("api"), Some("api-7")));
    /// assert_eq!(marked.range.duration().as_seconds(), 1_800.0);
    /// ```
    ///
    /// # Errors
    /// When the text has another shape, or it ends before it starts.
    pub fn parse(text: &str, now: Timestamp) -> Result<Marked> {
        let other = |expected: &'static str| Error::Value {
            expected,
            found: text.to_owned(),
        };
        let shape = "an incident like heap_leak@2026-11-23T05:03:09Z..2026-11-23T05:06:00Z@service";
        let mut parts = text.splitn(3, '@');
        let (kind, times) = match (parts.next(), parts.next()) {
            (Some(kind), Some(times)) if !kind.is_empty() => (kind, times),
            _ => return Err(other(shape)),
        };
        let (start, end) = times.split_once("..").ok_or_else(|| other(shape))?;
        let range = TimeRange {
            start: Timestamp::parse_user(start, now)?,
            end: Timestamp::parse_user(end, now)?,
        };
        if range.is_empty() {
            return Err(other("an incident that starts before it ends"));
        }
        let (service, instance) = match parts.next() {
            None => (None, None),
            Some(of) => {
                let (service, instance) = match of.split_once('/') {
                    Some((service, instance)) => (service, Some(instance)),
                    None => (of, None),
                };
                if service.is_empty() || instance == Some("") {
                    return Err(other(shape));
                }
                (Some(service.into()), instance.map(Arc::from))
            }
        };
        Ok(Marked {
            kind: kind.into(),
            range,
            service,
            instance,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_are_marked_by_hand() {
        let read = |text: &str| Marked::parse(text, Timestamp(100_000_000_000));
        let found = read("mine@-60s..now").unwrap();
        assert_eq!(
            (&*found.kind, found.range.start),
            ("mine", Timestamp(40_000_000_000))
        );
        assert_eq!((found.service, found.instance), (None, None));
        let found = read("mine@-60s..now@a b").unwrap();
        assert_eq!((found.service, found.instance), (Some("a b".into()), None));
        // Whatever stands behind the second `@` is a name; an instance may hold both signs.
        let found = read("mine@-60s..now@a/b/c@d").unwrap();
        assert_eq!(found.instance, Some("b/c@d".into()));
        for bad in [
            "",
            "mine",
            "@-60s..now",
            "mine@now",
            "mine@now..-60s",
            "mine@-60s..later",
            "mine@-60s..now@",
            "mine@-60s..now@/b",
            "mine@-60s..now@a/",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
