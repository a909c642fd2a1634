//! What alerts at random would be worth.

use std::collections::BTreeMap;

use crate::Nanos;
use crate::backtest::sightings::{Spans, Who};

use super::matching::{Matching, Truth};

/// Share of the watched time that lies in incidents: the precision of random alerts.
pub(super) fn share_in_incidents(
    truth: &Truth<'_>,
    matching: &Matching<'_>,
    watched: &BTreeMap<&Who, Spans>,
    grace: Nanos,
) -> f64 {
    let range = truth.range;
    let (mut covered, mut all) = (0, 0);
    for (who, watched) in watched {
        let of: Vec<(i64, i64)> = matching
            .incidents
            .iter()
            .filter(|i| i.service == who.0 && matching.same_instance(i, &who.1))
            .map(|i| {
                let start = i.range.start.minus(truth.lead).0;
                (start, i.range.end.plus(grace).0)
            })
            .collect();
        covered += Spans::of(of)
            .and(watched)
            .length_within(range.start.0, range.end.0);
        all += watched.length_within(range.start.0, range.end.0);
    }
    if all > 0 {
        covered as f64 / all as f64
    } else {
        0.0
    }
}
