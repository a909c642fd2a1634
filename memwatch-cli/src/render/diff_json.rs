//! A comparison of two rule files, for programs: `memwatch.diff/1`.

use std::collections::BTreeMap;

use memwatch_core::backtest::{Change, Outcome, Pair, Score, addresses};
use memwatch_core::{Nanos, TimeRange};
use serde::Serialize;

use super::backtest::ENGINE;
use super::backtest_json::{ToldJson, verdict};
use super::diff::{Compared, message_of, message_word, word};
use super::json::{Number, Time};
use super::{Output, json};

const SCHEMA: &str = "memwatch.diff/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    engine: &'static str,
    old: String,
    new: String,
    data: String,
    data_commit: u64,
    #[serde(flatten)]
    told: ToldJson,
    range: RangeJson,
    counts: BTreeMap<&'static str, u64>,
    /// Every alert of either, also those that stayed the same.
    alerts: Vec<AlertJson<'a>>,
    /// Every message of either.
    messages: Vec<MessageJson<'a>>,
    incidents: Vec<IncidentJson>,
    rules: Vec<RuleJson<'a>>,
    score: Sides<Option<ScoreJson>>,
    limits: Vec<LimitJson<'a>>,
}

#[derive(Serialize)]
struct RangeJson {
    from: Time,
    to: Time,
}

#[derive(Serialize)]
struct Sides<T> {
    old: T,
    new: T,
}

#[derive(Serialize)]
struct AlertJson<'a> {
    change: &'static str,
    rule: &'a str,
    fires_later_s: Option<f64>,
    ends_later_s: Option<f64>,
    old: Option<SideJson<'a>>,
    new: Option<SideJson<'a>>,
}

#[derive(Serialize)]
struct SideJson<'a> {
    id: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    pending_at: Time,
    fired_at: Time,
    resolved_at: Option<Time>,
    value: Number,
    verdict: Option<&'static str>,
}

#[derive(Serialize)]
struct MessageJson<'a> {
    change: &'static str,
    at: Time,
    later_s: Option<f64>,
    receiver: &'a str,
    integration: &'static str,
    status: &'static str,
    group_labels: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct IncidentJson {
    incident: String,
    /// How long after its start it was caught; `null` when it was missed.
    old_delay_s: Option<f64>,
    new_delay_s: Option<f64>,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    name: &'a str,
    alerts: Sides<Option<u64>>,
    score: Sides<Option<ScoreJson>>,
}

#[derive(Serialize)]
struct ScoreJson {
    incidents: u64,
    hit: u64,
    #[serde(rename = "true")]
    true_alerts: u64,
    duplicate: u64,
    #[serde(rename = "false")]
    false_alerts: u64,
    recall: Option<f64>,
    precision: Option<f64>,
    f05: Option<f64>,
    detect_median_s: Option<f64>,
    false_per_series_day: Option<f64>,
}

#[derive(Serialize)]
struct LimitJson<'a> {
    name: &'static str,
    limit: f64,
    old: Option<f64>,
    new: f64,
    holds: bool,
    words: &'a str,
}

/// One document.
pub fn document(out: &mut Output, shown: &Compared<'_>) -> anyhow::Result<()> {
    let TimeRange { start, end } = shown.new.range;
    let names = addresses(shown.new);
    let diff = shown.diff;
    let mut counts: BTreeMap<&'static str, u64> = ["new", "lost", "moved", "relabeled", "same"]
        .into_iter()
        .map(|word| (word, 0))
        .collect();
    for pair in &diff.alerts {
        *counts.entry(word(pair.change)).or_default() += 1;
    }
    let document = Document {
        schema: SCHEMA,
        engine: ENGINE,
        old: shown.old_path.to_string_lossy().into_owned(),
        new: shown.new_path.to_string_lossy().into_owned(),
        data: shown.data_path.to_string_lossy().into_owned(),
        data_commit: shown.data_commit,
        told: ToldJson::of(shown.notify),
        range: RangeJson {
            from: Time(start),
            to: Time(end),
        },
        counts,
        alerts: diff.alerts.iter().map(|pair| alert(shown, pair)).collect(),
        messages: diff
            .messages
            .iter()
            .filter_map(|pair| {
                let (notified, message) = message_of(shown, pair)?;
                let receiver = &notified.config.receivers[message.receiver];
                let both = pair.old.is_some() && pair.new.is_some();
                Some(MessageJson {
                    change: message_word(pair),
                    at: Time(message.at),
                    later_s: both.then(|| pair.later.as_seconds()),
                    receiver: &receiver.name,
                    integration: receiver.integrations[message.integration].kind.name(),
                    status: message.status(),
                    group_labels: message.group_labels.iter().collect(),
                })
            })
            .collect(),
        incidents: diff
            .incidents
            .iter()
            .map(|change| IncidentJson {
                incident: names[change.incident].clone(),
                old_delay_s: change.old.map(Nanos::as_seconds),
                new_delay_s: change.new.map(Nanos::as_seconds),
            })
            .collect(),
        rules: diff
            .rules
            .iter()
            .map(|pair| RuleJson {
                name: &pair.name,
                alerts: Sides {
                    old: pair.old.map(|r| shown.old.rules[r].alerts),
                    new: pair.new.map(|r| shown.new.rules[r].alerts),
                },
                score: Sides {
                    old: pair.old.and_then(|r| of_rule(shown.old, r)),
                    new: pair.new.and_then(|r| of_rule(shown.new, r)),
                },
            })
            .collect(),
        score: Sides {
            old: shown.old.score.as_ref().map(|s| score(&s.all)),
            new: shown.new.score.as_ref().map(|s| score(&s.all)),
        },
        limits: shown
            .budgets
            .iter()
            .map(|b| LimitJson {
                name: b.name,
                limit: b.limit,
                old: b.old,
                new: b.new,
                holds: b.holds,
                words: &b.words,
            })
            .collect(),
    };
    json::document(out, &document)
}

fn alert<'a>(shown: &Compared<'a>, pair: &Pair) -> AlertJson<'a> {
    let rule = match (pair.new, pair.old) {
        (Some(new), _) => &shown.new.rules[shown.new.alerts[new].rule].name,
        (None, Some(old)) => &shown.old.rules[shown.old.alerts[old].rule].name,
        (None, None) => "",
    };
    let (fires, ends) = match pair.change {
        Change::Moved { fires, ends } => (Some(fires), ends),
        _ => (None, None),
    };
    AlertJson {
        change: word(pair.change),
        rule,
        fires_later_s: fires.map(Nanos::as_seconds),
        ends_later_s: ends.map(Nanos::as_seconds),
        old: pair.old.map(|i| side(shown.old, i)),
        new: pair.new.map(|i| side(shown.new, i)),
    }
}

fn side(outcome: &Outcome, index: usize) -> SideJson<'_> {
    let alert = &outcome.alerts[index];
    SideJson {
        id: &alert.id,
        labels: alert.labels.iter().collect(),
        pending_at: Time(alert.pending_at),
        fired_at: Time(alert.fired_at),
        resolved_at: alert.ended.resolved_at().map(Time),
        value: Number(alert.value),
        verdict: outcome.score.as_ref().map(|s| verdict(s.verdicts[index])),
    }
}

fn of_rule(outcome: &Outcome, rule: usize) -> Option<ScoreJson> {
    let scored = outcome.score.as_ref()?;
    let found = scored.rules.iter().find(|(i, _)| *i == rule)?;
    Some(score(&found.1))
}

fn score(score: &Score) -> ScoreJson {
    ScoreJson {
        incidents: score.incidents,
        hit: score.hit,
        true_alerts: score.true_alerts,
        duplicate: score.duplicates,
        false_alerts: score.false_alerts,
        recall: score.recall,
        precision: score.precision,
        f05: score.f05,
        detect_median_s: score.detect_median.map(Nanos::as_seconds),
        false_per_series_day: score.false_per_series_day,
    }
}
