//! Scores for programs: the `score` of `memwatch.backtest/1`.

use std::sync::Arc;

use memwatch_core::Nanos;
use memwatch_core::backtest::{Outcome, Score, Scored, Threshold};
use serde::Serialize;

use super::tune_json::{FiguresJson, figures};

/// The score of a backtest.
#[derive(Serialize)]
pub struct ScoredJson<'a> {
    services: &'a [Arc<str>],
    series_days: f64,
    incidents_outside_range: u64,
    all: ScoreJson,
    rules: Vec<RuleScoreJson<'a>>,
    severities: Vec<SeverityScoreJson<'a>>,
    /// What the rules are compared with: `silent`, `random`, `static`.
    references: Vec<ReferenceJson>,
}

#[derive(Serialize)]
struct RuleScoreJson<'a> {
    group: &'a str,
    name: &'a str,
    #[serde(flatten)]
    score: ScoreJson,
}

#[derive(Serialize)]
struct SeverityScoreJson<'a> {
    severity: &'a str,
    #[serde(flatten)]
    score: ScoreJson,
}

#[derive(Serialize)]
struct ReferenceJson {
    name: &'static str,
    hit: Option<f64>,
    recall: Option<f64>,
    precision: Option<f64>,
    f05: Option<f64>,
    false_per_series_day: Option<f64>,
    /// Of `static` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<ThresholdJson>,
}

/// Which static threshold is the best, or why there is none.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum ThresholdJson {
    Found(Box<FoundJson>),
    TooFewIncidents { incidents: u64 },
    NothingToTry,
}

#[derive(Serialize)]
struct FoundJson {
    signal: String,
    op: &'static str,
    limit: f64,
    for_s: f64,
    interval_s: f64,
    metrics: u64,
    tried: u64,
    trained_until: String,
    training: FiguresJson,
    untouched: FiguresJson,
    rules_untouched: FiguresJson,
}

fn threshold(threshold: &Threshold) -> ThresholdJson {
    match threshold {
        Threshold::Found(found) => ThresholdJson::Found(Box::new(FoundJson {
            signal: found.signal.to_string(),
            op: found.op,
            limit: found.limit,
            for_s: found.hold.as_seconds(),
            interval_s: found.interval.as_seconds(),
            metrics: found.metrics,
            tried: found.tried,
            trained_until: found.trained_until.to_string(),
            training: figures(&found.training),
            untouched: figures(&found.untouched),
            rules_untouched: figures(&found.rules_untouched),
        })),
        Threshold::TooFew(incidents) => ThresholdJson::TooFewIncidents {
            incidents: *incidents,
        },
        _ => ThresholdJson::NothingToTry,
    }
}

/// Lead times over incidents whose labels say when their impact was.
#[derive(Serialize)]
struct LeadJson {
    incidents: u64,
    /// `null` where it falls to a missed incident.
    median_s: Option<f64>,
    least_s: Option<f64>,
    ahead_share: f64,
    enough_share: Option<f64>,
}

#[derive(Serialize)]
struct ScoreJson {
    incidents: u64,
    hit: u64,
    #[serde(rename = "true")]
    true_alerts: u64,
    other_kind: u64,
    duplicate: u64,
    #[serde(rename = "false")]
    false_alerts: u64,
    benign: u64,
    ignored: u64,
    unscored: u64,
    recall: Option<f64>,
    recall_95: Option<(f64, f64)>,
    precision: Option<f64>,
    precision_95: Option<(f64, f64)>,
    f1: Option<f64>,
    f05: Option<f64>,
    chance: f64,
    skill: Option<f64>,
    /// `null` where the quantile falls to a missed incident.
    detect_median_s: Option<f64>,
    detect_p90_s: Option<f64>,
    lead: Option<LeadJson>,
    series_days: f64,
    warm_up_share: f64,
    false_per_series_day: Option<f64>,
    false_per_series_day_95: Option<(f64, f64)>,
    alerts_per_day: f64,
    firing_share: f64,
    flaps: u64,
    storm_1h: u64,
}

/// The score of a backtest.
pub fn scored<'a>(outcome: &'a Outcome, scored: &'a Scored) -> ScoredJson<'a> {
    ScoredJson {
        services: &scored.services,
        series_days: scored.series_days,
        incidents_outside_range: scored.outside,
        all: score(&scored.all),
        rules: scored
            .rules
            .iter()
            .map(|(index, of)| RuleScoreJson {
                group: &outcome.rules[*index].group,
                name: &outcome.rules[*index].name,
                score: score(of),
            })
            .collect(),
        severities: scored
            .severities
            .iter()
            .map(|(severity, of)| SeverityScoreJson {
                severity,
                score: score(of),
            })
            .collect(),
        references: scored
            .references
            .iter()
            .map(|row| ReferenceJson {
                name: row.name,
                hit: row.hit,
                recall: row.recall,
                precision: row.precision,
                f05: row.f05,
                false_per_series_day: row.false_per_series_day,
                threshold: row.threshold.as_ref().map(threshold),
            })
            .collect(),
    }
}

fn score(score: &Score) -> ScoreJson {
    ScoreJson {
        incidents: score.incidents,
        hit: score.hit,
        true_alerts: score.true_alerts,
        other_kind: score.other_kind,
        duplicate: score.duplicates,
        false_alerts: score.false_alerts,
        benign: score.benign,
        ignored: score.ignored,
        unscored: score.unscored,
        recall: score.recall,
        recall_95: score.recall_interval,
        precision: score.precision,
        precision_95: score.precision_interval,
        f1: score.f1,
        f05: score.f05,
        chance: score.chance,
        skill: score.skill,
        detect_median_s: score.detect_median.map(Nanos::as_seconds),
        detect_p90_s: score.detect_p90.map(Nanos::as_seconds),
        lead: score.lead.map(|lead| LeadJson {
            incidents: lead.incidents,
            median_s: lead.median.map(Nanos::as_seconds),
            least_s: lead.least.map(Nanos::as_seconds),
            ahead_share: lead.ahead_share,
            enough_share: lead.enough_share,
        }),
        series_days: score.series_days,
        warm_up_share: score.warm_up_share,
        false_per_series_day: score.false_per_series_day,
        false_per_series_day_95: score.false_interval,
        alerts_per_day: score.alerts_per_day,
        firing_share: score.firing_share,
        flaps: score.flaps,
        storm_1h: score.storm,
    }
}
