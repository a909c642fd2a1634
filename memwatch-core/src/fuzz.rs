//! Every fuzz target by its name, and the body of that of what users type. Tests call the bodies too.

use crate::alert::{parse_matcher, parse_matchers};
use crate::incident::Marked;
use crate::rule::fuzz::{any_change, any_notifications, any_template};
use crate::rule::parse_stale_after;
use crate::source::SOURCES;
use crate::source::fuzz::{any_artifact, any_bytes};
use crate::stats::fuzz::any_state;
use crate::{Labels, Nanos, Timestamp, expr};

/// Takes any bytes and panics when something does not hold.
pub type Body = fn(&[u8]);

/// Every target with its body: `fuzz/fuzz_targets/<name>.rs` calls it with what the fuzzer makes, a test with `fuzz/corpus/<name>`.
pub const TARGETS: &[(&str, Body)] = &[
    ("samples", |bytes| of_source("samples", bytes)),
    ("metrics", |bytes| of_source("metrics", bytes)),
    ("spans", |bytes| of_source("spans", bytes)),
    ("labels", |bytes| of_source("labels", bytes)),
    ("expvar", |bytes| of_source("expvar", bytes)),
    ("prometheus_query", |bytes| {
        of_source("prometheus-query", bytes);
    }),
    ("tsdb_dump", |bytes| of_source("tsdb-dump", bytes)),
    ("prometheus", |bytes| of_source("prometheus", bytes)),
    ("gctrace", |bytes| of_source("gctrace", bytes)),
    ("artifacts", any_artifact),
    ("expressions", |bytes| {
        of_text(bytes, |text| {
            expr::fuzz::any_expression(text, &expr::fuzz::series());
        });
    }),
    ("rule_files", |bytes| {
        of_text(bytes, expr::fuzz::any_rules);
        of_text(bytes, any_change);
    }),
    ("alertmanager", |bytes| of_text(bytes, any_notifications)),
    ("promql_scripts", |bytes| {
        of_text(bytes, expr::fuzz::any_script);
    }),
    ("notations", |bytes| {
        of_text(bytes, any_notation);
        of_text(bytes, any_template);
    }),
    ("states", any_state),
];

/// Runs a target.
///
/// # Panics
/// When there is none of this name, or it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("the name of a target").1(bytes);
}

fn of_source(name: &str, bytes: &[u8]) {
    let source = SOURCES.iter().find(|source| source.name() == name);
    any_bytes(*source.expect("the name of a source"), bytes);
}

fn of_text(bytes: &[u8], body: impl Fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        body(text);
    }
}

/// Reads a text as everything that users type somewhere: durations, times, labels, matchers, incidents.
///
/// # Panics
/// When what was read is not printed as the same.
pub fn any_notation(text: &str) {
    let now = Timestamp(1_795_410_189_000_000_000);
    let _ = parse_stale_after(text);
    if let Some(duration) = Nanos::parse(text) {
        assert_eq!(Nanos::parse(&duration.to_string()), Some(duration));
    }
    if let Ok(at) = Timestamp::parse_user(text, now) {
        // Printed to the microsecond.
        let again = Timestamp::parse_rfc3339(&at.to_string()).expect("a time as it prints");
        assert_eq!(again.0.div_euclid(1_000), at.0.div_euclid(1_000));
    }
    if let Ok(labels) = Labels::parse(text) {
        let again = Labels::parse(&labels.canonical()).expect("labels as they print");
        assert_eq!(again.canonical(), labels.canonical());
    }
    if let Ok(matcher) = parse_matcher(text) {
        let labels = [("a", "b")].into_iter().collect();
        let _ = (matcher.to_string(), matcher.matches(&labels));
    }
    if let Ok(matchers) = parse_matchers(text) {
        assert!(!matchers.is_empty());
    }
    if let Ok(marked) = Marked::parse(text, now) {
        assert!(marked.range.start < marked.range.end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "1m30s", "2h", "0.2", "now", "-", "2026-11-23T05:03:09", ".57", "Z", "+01:00", "..", "@",
                    "heap_leak", "/", "a", "=", "=~", "!=", "\"", "b\\", "|", ",", "{", "}", " ", "é", "9999999999", "y", "ns",
                ]),
                0..9,
            ),
        ) {
            any_notation(&parts.concat());
        }
    }
}
