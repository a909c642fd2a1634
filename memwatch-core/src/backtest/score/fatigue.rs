//! What alerts cost whoever reads them: how often, how long, how many at once, how often again.

use std::collections::{BTreeMap, HashMap};

use crate::backtest::intervals::poisson;
use crate::backtest::outcome::Alert;
use crate::backtest::sightings::{Spans, Who};
use crate::{Labels, Nanos, TimeRange, Timestamp};

use super::figures::Score;
use super::matching::Firing;

/// Within how long after a resolve a new firing of the same alert is a flap.
const FLAP: Nanos = Nanos(15 * Nanos::MINUTE.0);
pub(in crate::backtest) const DAY_NS: f64 = 86_400e9;

/// Fills in the fatigue of these alerts. `watched`: when each scored process was.
pub(super) fn fill(
    score: &mut Score,
    firings: &[&Firing],
    alerts: &[Alert],
    watched: &BTreeMap<&Who, Spans>,
    range: TimeRange,
) {
    if score.series_days > 0.0 {
        let (low, high) = poisson(score.false_alerts);
        let days = score.series_days;
        score.false_per_series_day = Some(score.false_alerts as f64 / days);
        score.false_interval = Some((low / days, high / days));
        score.firing_share = firing_ns(firings, alerts, watched, range) as f64 / (days * DAY_NS);
    }
    let range_days = range.duration().0 as f64 / DAY_NS;
    if range_days > 0.0 {
        score.alerts_per_day = firings.len() as f64 / range_days;
    }
    score.flaps = flaps(firings, alerts);
    score.storm = storm(firings);
}

/// How long an alert of a process' service fires, summed over the processes.
fn firing_ns(
    firings: &[&Firing],
    alerts: &[Alert],
    watched: &BTreeMap<&Who, Spans>,
    range: TimeRange,
) -> i64 {
    let mut by_service: HashMap<&str, Vec<(i64, i64)>> = HashMap::new();
    for firing in firings {
        if let Some(service) = &firing.service {
            let alert = &alerts[firing.index];
            let end = alert.ended.at().unwrap_or(range.end);
            by_service
                .entry(service)
                .or_default()
                .push((alert.fired_at.0, end.0));
        }
    }
    let by_service: HashMap<&str, Spans> = by_service
        .into_iter()
        .map(|(service, spans)| (service, Spans::of(spans)))
        .collect();
    watched
        .iter()
        .filter_map(|(who, watched)| {
            let firing = by_service.get(&*who.0)?;
            let both = firing.and(watched);
            Some(both.length_within(range.start.0, range.end.0))
        })
        .sum()
}

/// Alerts that fired again soon after being resolved.
fn flaps(firings: &[&Firing], alerts: &[Alert]) -> u64 {
    let mut resolved: HashMap<(usize, &Labels), Timestamp> = HashMap::new();
    let mut flaps = 0;
    for firing in firings {
        let alert = &alerts[firing.index];
        let identity = (alert.rule, &alert.labels);
        if let Some(at) = resolved.get(&identity)
            && alert.fired_at.since(*at) <= FLAP
        {
            flaps += 1;
        }
        if let Some(at) = alert.ended.resolved_at() {
            resolved.insert(identity, at);
        }
    }
    flaps
}

/// Most alerts within an hour.
fn storm(firings: &[&Firing]) -> u64 {
    let (mut first, mut most) = (0, 0);
    for (i, firing) in firings.iter().enumerate() {
        while firing.fired_at.since(firings[first].fired_at) >= Nanos::HOUR {
            first += 1;
        }
        most = most.max(i + 1 - first);
    }
    most as u64
}
