//! What the rules are compared with: saying nothing, and saying as much at random.

use std::collections::BTreeMap;

use crate::backtest::sightings::{Spans, Who};
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
    pub name: &'static str,
    /// Incidents hit.
    pub hit: f64,
    /// `hit / incidents`
    pub recall: Option<f64>,
    /// `true / (true + false)`
    pub precision: Option<f64>,
    /// F measure in which precision weighs twice as much.
    pub f05: Option<f64>,
    /// False alerts per day and process.
    pub false_per_series_day: Option<f64>,
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
        name: "silent",
        hit: 0.0,
        recall: (all.incidents > 0).then_some(0.0),
        precision: None,
        f05: (all.incidents > 0).then_some(0.0),
        false_per_series_day: (all.series_days > 0.0).then_some(0.0),
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
    let mut sum = Reference {
        name: "random",
        hit: 0.0,
        recall: None,
        precision: None,
        f05: None,
        false_per_series_day: None,
    };
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
        sum.hit += hits as f64 / SEEDS as f64;
        all_false += wrong;
        let (recall, precision) = (share(hits, incidents), share(hits, hits + wrong));
        recalls.add(recall);
        precisions.add(precision);
        f05s.add(recall.map(|r| f_measure(precision.unwrap_or(0.0), r, 0.5)));
    }
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
