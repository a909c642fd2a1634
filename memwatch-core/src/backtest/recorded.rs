//! When processes were recorded, whatever the rules read of them: what scores are counted over.
//!
//! Rules must not decide it: an alert is as right or wrong whether or not another rule reads a metric that is recorded for longer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pace::next_length;
use crate::record::Identity;
use crate::series::SeriesReader;
use crate::{Nanos, Result, TimeRange, Window};

use super::sightings::{Pulse, Spans, Who};

/// How much of the recording is looked through at once, at first.
const FIRST: Nanos = Nanos(30 * Nanos::MINUTE.0);
/// About how many instants are held at once.
const INSTANTS: usize = 2_000_000;

/// When each process was recorded.
pub(super) type Alive = BTreeMap<Who, Spans>;

/// When each process was read, from `before` ahead of the range on; `None` when the reader cannot tell.
pub(super) fn read(
    reader: &dyn SeriesReader,
    range: TimeRange,
    before: Nanos,
) -> Result<Option<Alive>> {
    let mut pulses: BTreeMap<Who, BTreeMap<Arc<str>, Pulse>> = BTreeMap::new();
    let (mut after, mut length) = (range.start.minus(before), FIRST);
    while after < range.end {
        let until = after.plus(length).min(range.end);
        let Some(found) = reader.readings(Window { after, until })? else {
            return Ok(None);
        };
        let held: usize = found.iter().map(|readings| readings.at_ns.len()).sum();
        for readings in found {
            let inside = |at: i64| readings.at_ns.partition_point(|t| *t <= at);
            let at_ns = &readings.at_ns[inside(after.0)..inside(until.0).max(inside(after.0))];
            if !at_ns.is_empty() {
                let who = (readings.of.service, readings.of.instance);
                let of_process = pulses.entry(who).or_default();
                of_process.entry(readings.what).or_default().extend(at_ns);
            }
        }
        after = until;
        length = Nanos(next_length(length.0, held, INSTANTS)).max(Nanos::SECOND);
    }
    let spans = pulses.into_iter().map(|(who, pulses)| {
        let spans = pulses.values().flat_map(Pulse::alive).collect();
        (who, Spans::of(spans))
    });
    Ok(Some(spans.collect()))
}

/// Adds processes of which no reading is known, for as long as they are said to have been recorded.
pub(super) fn with_others(mut alive: Alive, others: &[(Identity, TimeRange)]) -> Alive {
    for (who, range) in others {
        alive
            .entry((who.service.clone(), who.instance.clone()))
            .or_insert_with(|| Spans::of(vec![(range.start.0, range.end.0)]));
    }
    alive
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::series::{MemorySeries, Series};

    #[test]
    fn a_process_is_recorded_while_anything_of_it_is() {
        let minute = Nanos::MINUTE.0;
        let hours = |n: i64| n * Nanos::HOUR.0;
        let minutes = |from: i64, to: i64| (from / minute..to / minute).map(move |m| m * minute);
        let series = |name: &str, instance: &str, from: i64, to: i64, step: usize| Series {
            labels: [
                ("__name__", name),
                ("service", "api"),
                ("instance", instance),
            ]
            .into_iter()
            .collect(),
            at_ns: minutes(from, to).step_by(step).collect(),
            values: minutes(from, to).step_by(step).map(|_| 1.0).collect(),
        };
        let recording = MemorySeries {
            series: vec![
                series("x", "1", hours(0), hours(2), 1),
                series("y", "1", hours(1), hours(8), 2),
                series("x", "1", hours(9), hours(20), 1),
                series("x", "2", hours(3), hours(4), 1),
            ],
        };
        let range = TimeRange {
            start: Timestamp(hours(1)),
            end: Timestamp(hours(20)),
        };
        let alive = read(&recording, range, Nanos::HOUR).unwrap().unwrap();
        let of = |instance: &str| {
            let spans = &alive[&("api".into(), instance.into())];
            let minutes = spans.0.iter().map(|(a, b)| (a / minute, b / minute));
            minutes.collect::<Vec<_>>()
        };
        // The window is open on the left, and a silence of three intervals is no gap yet.
        assert_eq!(of("1"), [(1, 8 * 60 + 4), (9 * 60, 20 * 60 + 2)]);
        assert_eq!(of("2"), [(3 * 60, 4 * 60 + 2)]);
        let said = [(
            Identity {
                service: "api".into(),
                instance: "3".into(),
            },
            range,
        )];
        assert_eq!(with_others(alive, &said).len(), 3);
    }
}
