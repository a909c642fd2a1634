//! What the rules are compared with: saying nothing, saying as much at random, and the best that one limit on one metric can do.

use std::collections::BTreeMap;

use crate::backtest::sightings::{Spans, Who};
use crate::backtest::threshold::Threshold;
use crate::seeded::Seeded;
use crate::{Nanos, TimeRange, Timestamp};

use super::figures::{Score, f_measure, share};
use super::matching::{AlertVerdict, Firing, Matching};

/// How many seeds the random row is the mean of.
const SEEDS: u64 = 100;

/// A row that the rules' own score is compared with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reference {
    /// `silent`: no alert. `random`: as many alerts as the rules gave, at random moments of the watched time; the mean of 100 seeds.
    /// `static`: the best static threshold, found on the earlier part of the recording.
    pub name: &'static str,
    /// Incidents hit; `None` when no static threshold could be found.
    pub hit: Option<f64>,
    /// `hit / incidents`
    pub recall: Option<f64>,
    /// `true / (true + false)`
    pub precision: Option<f64>,
    /// F measure in which precision weighs twice as much.
    pub f05: Option<f64>,
    /// False alerts per day and process.
    pub false_per_series_day: Option<f64>,
    /// Of `static`, which threshold it is and how it was found.
    pub threshold: Option<Threshold>,
}

/// The row of the best static threshold.
pub(in crate::backtest) fn of_threshold(threshold: Threshold, series_days: f64) -> Reference {
    let mut row = Reference::named("static");
    if let Threshold::Found(found) = &threshold {
        let whole = &found.whole;
        row.hit = Some(whole.hit as f64);
        row.recall = whole.recall();
        row.precision = whole.precision();
        row.f05 = whole.recall().map(|_| whole.f05());
        // Over the same time as the other rows.
        row.false_per_series_day =
            (series_days > 0.0).then(|| whole.false_alerts as f64 / series_days);
    }
    row.threshold = Some(threshold);
    row
}

impl Reference {
    fn named(name: &'static str) -> Reference {
        Reference {
            name,
            hit: None,
            recall: None,
            precision: None,
            f05: None,
            false_per_series_day: None,
            threshold: None,
        }
    }
}

/// The rows that need nothing but the alerts' number: silent and random.
pub(super) fn rows(
    matching: &Matching<'_>,
    watched: &BTreeMap<&Who, Spans>,
    range: TimeRange,
    grace: Nanos,
    all: &Score,
) -> Vec<Reference> {
    let silent = Reference {
        hit: Some(0.0),
        recall: (all.incidents > 0).then_some(0.0),
        f05: (all.incidents > 0).then_some(0.0),
        false_per_series_day: (all.series_days > 0.0).then_some(0.0),
        ..Reference::named("silent")
    };
    let alerts = all.true_alerts + all.duplicates + all.false_alerts + all.ignored;
    vec![
        silent,
        random(matching, watched, range, grace, alerts, all.series_days),
    ]
}

/// `alerts` alerts, each at a random moment of the time in which some process was watched.
fn random(
    matching: &Matching<'_>,
    watched: &BTreeMap<&Who, Spans>,
    range: TimeRange,
    grace: Nanos,
    alerts: u64,
    days: f64,
) -> Reference {
    let within = Spans(vec![(range.start.0, range.end.0)]);
    let mut stretches: Vec<(&Who, i64, u64)> = Vec::new();
    let mut total: u64 = 0;
    for (who, spans) in watched {
        for (start, end) in spans.and(&within).0 {
            stretches.push((who, start, total));
            total += u64::try_from(end - start).unwrap_or(0);
        }
    }
    let incidents = matching.incidents.len() as u64;
    let mut sum = Reference::named("random");
    let mut all_hits = 0;
    let (mut recalls, mut precisions, mut f05s) =
        (Mean::default(), Mean::default(), Mean::default());
    let mut all_false = 0;
    for seed in 0..SEEDS {
        let mut chance = Seeded::new(seed);
        let mut moments: Vec<u64> = match total {
            0 => Vec::new(),
            _ => (0..alerts).map(|_| chance.below(total)).collect(),
        };
        moments.sort_unstable();
        let mut firings: Vec<Firing> = moments
            .into_iter()
            .map(|moment| {
                let at = stretches.partition_point(|s| s.2 <= moment) - 1;
                let (who, start, before) = stretches[at];
                let into = i64::try_from(moment - before).unwrap_or(0);
                Firing {
                    index: 0,
                    rule: 0,
                    fired_at: Timestamp(start + into),
                    service: Some(who.0.clone()),
                    instance: who.1.clone(),
                }
            })
            .collect();
        firings.sort_by_key(|f| f.fired_at);
        let mut hit = vec![false; matching.incidents.len()];
        let (mut hits, mut wrong) = (0, 0);
        for firing in &firings {
            match matching.judge(firing, grace, &hit) {
                AlertVerdict::True(i) => {
                    hit[i] = true;
                    hits += 1;
                }
                verdict => wrong += u64::from(verdict.is_false()),
            }
        }
        all_hits += hits;
        all_false += wrong;
        let (recall, precision) = (share(hits, incidents), share(hits, hits + wrong));
        recalls.add(recall);
        precisions.add(precision);
        f05s.add(recall.map(|r| f_measure(precision.unwrap_or(0.0), r, 0.5)));
    }
    sum.hit = Some(all_hits as f64 / SEEDS as f64);
    sum.recall = recalls.mean();
    sum.precision = precisions.mean();
    sum.f05 = f05s.mean();
    sum.false_per_series_day = (days > 0.0).then(|| all_false as f64 / SEEDS as f64 / days);
    sum
}

/// Mean of the values that there are.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}
