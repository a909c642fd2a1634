//! The signals that are shown of every service, whatever its rules read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::series::{Series, SeriesReader};
use crate::{Labels, Matcher, Nanos, Result, TimeRange, Timestamp, Window};

use super::axis::{Axis, Cursor, Envelope};
use super::page::{Line, Panel, Role, Unit};

/// How samples become what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The samples themselves.
    Level,
    /// The increase of a counter a second, between samples that lie a second or more apart.
    Rate,
}

struct Signal {
    panel: &'static str,
    unit: Unit,
    name: &'static str,
    metric: &'static str,
    kind: Kind,
    role: Role,
}

const fn signal(
    panel: &'static str,
    unit: Unit,
    name: &'static str,
    metric: &'static str,
) -> Signal {
    Signal {
        panel,
        unit,
        name,
        metric,
        kind: Kind::Level,
        role: Role::Value,
    }
}

/// Those of one panel stand together.
const SIGNALS: &[Signal] = &[
    signal(
        "Heap",
        Unit::Bytes,
        "in use",
        "go_memstats_heap_inuse_bytes",
    ),
    Signal {
        role: Role::Reference,
        ..signal("Heap", Unit::Bytes, "goal", "go_memstats_next_gc_bytes")
    },
    Signal {
        role: Role::Reference,
        ..signal("Heap", Unit::Bytes, "limit", "go_gc_gomemlimit_bytes")
    },
    Signal {
        kind: Kind::Rate,
        ..signal(
            "Allocation",
            Unit::BytesPerSecond,
            "allocated",
            "go_memstats_alloc_bytes_total",
        )
    },
    signal("Goroutines", Unit::Plain, "goroutines", "go_goroutines"),
    signal(
        "Stop-the-world pauses",
        Unit::Seconds,
        "pause",
        "gc_pause_seconds",
    ),
];

/// The counter of collections.
const COLLECTIONS: &str = "go_gc_duration_seconds_count";

/// A goal or limit above this is none: with the collector off the runtime says nearly 2^63.
const NO_BYTES: f64 = 4e18;

/// How much of the recording is read at once.
const STRETCH: Nanos = Nanos(6 * Nanos::HOUR.0);

/// What was read of one service.
pub(super) struct Found {
    pub(super) panels: Vec<Panel>,
    /// Collections in each bucket, all instances together.
    pub(super) collections: Vec<u64>,
}

/// Reads the signals of a service. `slot` says as which line an instance is drawn.
pub(super) fn read(
    reader: &dyn SeriesReader,
    service: &str,
    range: TimeRange,
    axis: &Axis,
    slot: &dyn Fn(&str) -> Arc<str>,
) -> Result<Found> {
    let mut lines: BTreeMap<(usize, Arc<str>), Envelope> = BTreeMap::new();
    let mut collections = vec![0; axis.len()];
    let mut rates: BTreeMap<(usize, Labels), (i64, f64)> = BTreeMap::new();
    let mut counts: BTreeMap<Labels, f64> = BTreeMap::new();
    let select = |metric: &str, window: Window| {
        reader.select(
            &[
                Matcher::equal(crate::labels::METRIC_NAME, metric),
                Matcher::equal("service", service),
            ],
            window,
        )
    };
    let mut start = range.start;
    while start < range.end {
        let end = start.plus(STRETCH).min(range.end);
        let window = Window {
            after: start.minus(Nanos(1)),
            until: end.minus(Nanos(1)),
        };
        for (index, signal) in SIGNALS.iter().enumerate() {
            for series in select(signal.metric, window)? {
                let of = slot(series.labels.get("instance"));
                let line = lines
                    .entry((index, of))
                    .or_insert_with(|| Envelope::new(axis));
                let mut places = axis.cursor();
                match signal.kind {
                    Kind::Level => {
                        for (at, value) in inside(&series, window) {
                            if signal.unit != Unit::Bytes || value < NO_BYTES {
                                put(line, &mut places, at, value);
                            }
                        }
                    }
                    Kind::Rate => {
                        let before = rates.entry((index, series.labels.clone()));
                        let before = before.or_insert((i64::MIN, 0.0));
                        draw_rate(before, inside(&series, window), line, &mut places);
                    }
                }
            }
        }
        for series in select(COLLECTIONS, window)? {
            let mut before = counts.get(&series.labels).copied();
            let mut places = axis.cursor();
            for (at, value) in inside(&series, window) {
                let more = match before {
                    Some(before) if value >= before => value - before,
                    // A restart: the counter began again.
                    Some(_) => value,
                    None => 0.0,
                };
                before = Some(value);
                if let Some(bucket) = places.bucket(at) {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    // A count, not negative; saturates.
                    let more = more as u64;
                    collections[bucket] += more;
                }
            }
            if let Some(before) = before {
                counts.insert(series.labels.clone(), before);
            }
        }
        start = end;
    }
    Ok(Found {
        panels: panels(lines),
        collections,
    })
}

fn put(line: &mut Envelope, places: &mut Cursor<'_>, at: i64, value: f64) {
    if let Some(bucket) = places.bucket(at) {
        line.push(bucket, value);
    }
}

fn inside(series: &Series, window: Window) -> impl Iterator<Item = (i64, f64)> + '_ {
    let inside = move |at: &i64| window.after < Timestamp(*at) && Timestamp(*at) <= window.until;
    let both = series.at_ns.iter().zip(series.values.iter());
    both.filter(move |(at, _)| inside(at))
        .map(|(at, value)| (*at, *value))
        .filter(|(_, value)| !value.is_nan())
}

/// `before` is the last sample that a rate was taken from.
fn draw_rate(
    before: &mut (i64, f64),
    samples: impl Iterator<Item = (i64, f64)>,
    line: &mut Envelope,
    places: &mut Cursor<'_>,
) {
    for (at, value) in samples {
        if before.0 == i64::MIN {
            *before = (at, value);
            continue;
        }
        let passed = Nanos(at - before.0);
        if passed < Nanos::SECOND && value >= before.1 {
            continue;
        }
        let more = if value >= before.1 {
            value - before.1
        } else {
            value
        };
        if passed.0 > 0 {
            put(line, places, at, more / passed.as_seconds());
        }
        *before = (at, value);
    }
}

fn panels(lines: BTreeMap<(usize, Arc<str>), Envelope>) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for ((index, of), envelope) in lines {
        if envelope.bounds().is_none() {
            continue;
        }
        let signal = &SIGNALS[index];
        if panels.last().is_none_or(|p| p.title != signal.panel) {
            panels.push(Panel {
                title: signal.panel.to_owned(),
                about: String::new(),
                unit: signal.unit,
                rule: None,
                lines: Vec::new(),
            });
        }
        if let Some(panel) = panels.last_mut() {
            panel.lines.push(Line {
                name: signal.name.to_owned(),
                of,
                role: signal.role,
                envelope,
            });
        }
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::MemorySeries;

    fn series(metric: &str, instance: &str, samples: &[(i64, f64)]) -> Series {
        Series {
            labels: [
                ("__name__", metric),
                ("service", "api"),
                ("instance", instance),
            ]
            .into_iter()
            .collect(),
            at_ns: samples.iter().map(|s| s.0 * 1_000_000_000).collect(),
            values: samples.iter().map(|s| s.1).collect(),
        }
    }

    #[test]
    fn levels_rates_and_collections_of_a_service() {
        let range = TimeRange {
            start: Timestamp(0),
            end: Timestamp(40_000_000_000),
        };
        let axis = Axis::new(range, 4, &[], Nanos(1), 0);
        let recording = MemorySeries {
            series: vec![
                series(
                    "go_memstats_heap_inuse_bytes",
                    "a",
                    &[(1, 5.0), (2, 9.0), (35, 1.0)],
                ),
                series("go_memstats_next_gc_bytes", "a", &[(1, 9e18)]),
                // A restart at 30 s.
                series(
                    "go_memstats_alloc_bytes_total",
                    "a",
                    &[(0, 0.0), (10, 50.0), (30, 20.0)],
                ),
                series(
                    "go_gc_duration_seconds_count",
                    "a",
                    &[(1, 7.0), (11, 9.0), (31, 3.0)],
                ),
            ],
        };
        let slot = |instance: &str| Arc::from(instance);
        let found = read(&recording, "api", range, &axis, &slot).unwrap();
        let titles: Vec<&str> = found.panels.iter().map(|p| p.title.as_str()).collect();
        assert_eq!(titles, ["Heap", "Allocation"]);
        let values =
            |panel: usize| -> Vec<_> { found.panels[panel].lines[0].envelope.iter().collect() };
        assert_eq!(values(0), [Some((5.0, 9.0)), None, None, Some((1.0, 1.0))]);
        assert_eq!(values(1), [None, Some((5.0, 5.0)), None, Some((1.0, 1.0))]);
        assert_eq!(found.panels[0].lines.len(), 1, "a goal of 2^63 is none");
        assert_eq!(found.collections, [0, 2, 0, 3]);
        let nobody = read(&recording, "web", range, &axis, &slot).unwrap();
        assert!(nobody.panels.is_empty());
    }
}
