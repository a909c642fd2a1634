//! What kind of metric a Prometheus sample belongs to: from `# TYPE` lines, else from the conventions of Go's own metrics.

use std::collections::HashMap;

use crate::record::MetricKind;

/// The types that `# TYPE` lines gave.
#[derive(Default)]
pub(crate) struct Families(HashMap<Box<str>, Type>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Other,
}

/// The words after `# TYPE name`, of both formats.
pub(crate) const TYPES: &[&str] = &[
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
    "unknown",
    "info",
    "stateset",
    "gaugehistogram",
];

/// Above this many families something other than metrics is read.
const MAX_FAMILIES: usize = 1 << 17;

impl Families {
    /// Takes a `# TYPE` line; whether the type is one.
    pub(crate) fn declare(&mut self, name: &str, kind: &str) -> bool {
        let kind = match kind {
            "counter" => Type::Counter,
            // What an info or a state set says is a value of now, which may go away again.
            "gauge" | "info" | "stateset" => Type::Gauge,
            "histogram" => Type::Histogram,
            "summary" => Type::Summary,
            _ if TYPES.contains(&kind) => Type::Other,
            _ => return false,
        };
        match self.0.get_mut(name) {
            Some(known) => *known = kind,
            None => {
                if self.0.len() >= MAX_FAMILIES {
                    self.0.clear();
                }
                self.0.insert(name.into(), kind);
            }
        }
        true
    }

    /// The kind of the samples called `name`.
    ///
    /// OpenMetrics declares a counter without its `_total`, and may declare a gauge of the same name before: the newest line counts.
    pub(crate) fn kind(&self, name: &str) -> MetricKind {
        match self.0.get(name) {
            Some(Type::Counter) => return MetricKind::Counter,
            Some(Type::Gauge) => return MetricKind::Gauge,
            Some(Type::Summary) => return MetricKind::Summary,
            Some(Type::Histogram) => return MetricKind::Histogram,
            Some(Type::Other) => return MetricKind::Untyped,
            None => {}
        }
        for (suffix, kinds) in [
            ("_bucket", &[Type::Histogram][..]),
            ("_sum", &[Type::Histogram, Type::Summary]),
            ("_count", &[Type::Histogram, Type::Summary]),
            ("_total", &[Type::Counter]),
            ("_info", &[Type::Gauge]),
            ("_created", &[Type::Counter, Type::Histogram, Type::Summary]),
        ] {
            let family = name.strip_suffix(suffix).and_then(|base| self.0.get(base));
            match family.filter(|family| kinds.contains(family)) {
                Some(_) if suffix == "_created" => return MetricKind::Gauge,
                Some(Type::Histogram) => return MetricKind::Histogram,
                Some(Type::Summary) => return MetricKind::Summary,
                Some(Type::Counter) => return MetricKind::Counter,
                Some(Type::Gauge) => return MetricKind::Gauge,
                Some(Type::Other) | None => {}
            }
        }
        conventional_kind(name)
    }
}

/// The kind of a series of Go's own metrics, where nothing declares it.
pub(crate) fn conventional_kind(name: &str) -> MetricKind {
    if !name.starts_with("go_") && !name.starts_with("process_") {
        return MetricKind::Untyped;
    }
    if name.starts_with("go_gc_duration_seconds") {
        return MetricKind::Summary;
    }
    if name.ends_with("_total") {
        return MetricKind::Counter;
    }
    if name.ends_with("_bucket") {
        return MetricKind::Histogram;
    }
    match name
        .strip_suffix("_sum")
        .or_else(|| name.strip_suffix("_count"))
    {
        // Distributions are of times and of sizes. `go_gc_forced_count` of VictoriaMetrics is none, nor does it say what it is.
        Some(base) if base.ends_with("_seconds") || base.ends_with("_by_size_bytes") => {
            MetricKind::Histogram
        }
        Some(_) => MetricKind::Untyped,
        None => MetricKind::Gauge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_kinds_win_over_conventions() {
        let mut families = Families::default();
        for (name, kind) in [
            ("a", "counter"),
            ("b_total", "counter"),
            ("h", "histogram"),
            ("s", "summary"),
            ("go_x_total", "gauge"),
            ("u", "unknown"),
            ("i", "info"),
        ] {
            assert!(families.declare(name, kind));
        }
        assert!(!families.declare("x", "number"));
        use MetricKind::*;
        for (name, kind) in [
            ("a_total", Counter),
            ("a_created", Gauge),
            ("b_total", Counter),
            ("h_bucket", Histogram),
            ("h_sum", Histogram),
            ("s", Summary),
            ("s_count", Summary),
            ("go_x_total", Gauge),
            ("go_y_total", Counter),
            ("u", Untyped),
            ("i_info", Gauge),
            ("other_total", Untyped),
            ("go_goroutines", Gauge),
            ("go_gc_duration_seconds", Summary),
            ("go_gc_duration_seconds_count", Summary),
            ("go_gc_pauses_seconds_bucket", Histogram),
            ("go_gc_pauses_seconds_count", Histogram),
            ("go_gc_forced_count", Untyped),
            ("process_cpu_seconds_total", Counter),
        ] {
            assert_eq!(families.kind(name), kind, "{name}");
        }
        // OpenMetrics: a gauge and a counter that share a name.
        families.declare("g", "gauge");
        assert_eq!(families.kind("g"), Gauge);
        families.declare("g", "counter");
        assert_eq!(families.kind("g_total"), Counter);
    }
}
