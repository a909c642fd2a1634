//! Why an alert fired, or how near each rule came to an incident: `memwatch.explain/1`.

use std::collections::BTreeMap;

use memwatch_core::backtest::{AlertStory, BaselineStory, Fate, IncidentStory};
use serde::Serialize;

use super::backtest::{Clock, Shown};
use super::json::{Number, Time};
use super::{Output, explain, json};

/// The schema's name and version.
const SCHEMA: &str = "memwatch.explain/1";

#[derive(Serialize)]
struct AlertJson<'a> {
    schema: &'static str,
    alert: &'a str,
    rule: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    needed_s: f64,
    transitions: Vec<TransitionJson>,
    parts: Vec<PartJson<'a>>,
    baselines: Vec<BaselineJson<'a>>,
    inputs: Vec<InputJson<'a>>,
}

#[derive(Serialize)]
struct TransitionJson {
    at: Time,
    to: &'static str,
}

#[derive(Serialize)]
struct PartJson<'a> {
    text: &'a str,
    depth: usize,
    at_pending: Option<Number>,
    at_firing: Option<Number>,
    /// Both sides of a comparison when the alert fired.
    value: Option<Number>,
    limit: Option<Number>,
    margin: Option<Number>,
}

/// What a baseline found unusual, with the numbers of its formula.
#[derive(Serialize)]
struct BaselineJson<'a> {
    call: &'a str,
    /// The recording rule in which it stands; `null` when in the condition itself.
    recorded_by: Option<&'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    at: Time,
    /// After record-hold: 0 while an earlier one holds.
    score: Number,
    surprise: Number,
    #[serde(flatten)]
    cause: Option<CauseJson>,
}

#[derive(Serialize)]
struct CauseJson {
    feature: String,
    value: Number,
    nearest: Number,
    gap: Number,
    usual_gap: Number,
    mean_excess: Number,
    gaps_above: u64,
    gaps_seen: u64,
    median: Number,
}

fn baseline(story: &BaselineStory) -> BaselineJson<'_> {
    let surprise = &story.surprise;
    let deviation = &surprise.deviation;
    BaselineJson {
        call: &surprise.call,
        recorded_by: story.recorded_by.as_deref(),
        labels: surprise.labels.iter().collect(),
        at: Time(surprise.at),
        score: Number(deviation.score),
        surprise: Number(deviation.surprise),
        cause: deviation.cause.map(|cause| CauseJson {
            feature: cause.feature.to_string(),
            value: Number(cause.value),
            nearest: Number(cause.nearest),
            gap: Number(cause.gap),
            usual_gap: Number(cause.usual_gap),
            mean_excess: Number(cause.mean_excess),
            gaps_above: cause.above,
            gaps_seen: cause.seen,
            median: Number(cause.level),
        }),
    }
}

#[derive(Serialize)]
struct InputJson<'a> {
    selector: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    samples: u64,
    last: Vec<SampleJson>,
}

#[derive(Serialize)]
struct SampleJson {
    at: Time,
    value: Number,
}

#[derive(Serialize)]
struct IncidentJson<'a> {
    schema: &'static str,
    incident: &'a str,
    kind: &'a str,
    service: &'a str,
    start: Time,
    end: Time,
    caught: bool,
    rules: Vec<RuleJson<'a>>,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    rule: &'a str,
    of_kind: Option<bool>,
    fate: &'static str,
    /// The same in words.
    said: String,
    alert: Option<&'a str>,
    at: Option<Time>,
    held_s: Option<f64>,
    needed_s: Option<f64>,
    /// How near it came: 1 is the limit.
    share: Option<f64>,
    part: Option<&'a str>,
    value: Option<Number>,
    limit: Option<Number>,
}

/// Why an alert fired.
pub fn alert(out: &mut Output, shown: &Shown<'_>, story: &AlertStory) -> anyhow::Result<()> {
    let alert = &shown.outcome.alerts[story.alert];
    let document = AlertJson {
        schema: SCHEMA,
        alert: &alert.id,
        rule: &shown.outcome.rules[alert.rule].name,
        labels: alert.labels.iter().collect(),
        needed_s: story.needed.as_seconds(),
        transitions: story
            .transitions
            .iter()
            .map(|(at, to)| TransitionJson { at: Time(*at), to })
            .collect(),
        parts: story
            .parts
            .iter()
            .map(|part| PartJson {
                text: &part.text,
                depth: part.depth,
                at_pending: part.at_pending.map(Number),
                at_firing: part.at_firing.map(Number),
                value: part.compared.map(|c| Number(c.0)),
                limit: part.compared.map(|c| Number(c.1)),
                margin: part.margin.map(Number),
            })
            .collect(),
        baselines: story.baselines.iter().map(baseline).collect(),
        inputs: story
            .inputs
            .iter()
            .map(|input| InputJson {
                selector: &input.selector,
                labels: input.labels.iter().collect(),
                samples: input.samples,
                last: input
                    .last
                    .iter()
                    .map(|(at, value)| SampleJson {
                        at: Time(*at),
                        value: Number(*value),
                    })
                    .collect(),
            })
            .collect(),
    };
    json::document(out, &document)
}

/// How near each rule came to an incident.
pub fn incident(out: &mut Output, shown: &Shown<'_>, story: &IncidentStory) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let Some(scored) = &outcome.score else {
        return Ok(());
    };
    let found = &scored.incidents[story.incident];
    let clock = Clock::of(outcome);
    let document = IncidentJson {
        schema: SCHEMA,
        incident: &found.id,
        kind: &found.incident.kind,
        service: &found.incident.service,
        start: Time(found.incident.range.start),
        end: Time(found.incident.range.end),
        caught: !found.detected_by.is_empty(),
        rules: story
            .rules
            .iter()
            .map(|rule| {
                let mut json = RuleJson {
                    rule: &outcome.rules[rule.rule].name,
                    of_kind: rule.of_kind,
                    fate: "not_evaluated",
                    said: explain::fate(shown, &rule.fate, &clock),
                    alert: None,
                    at: None,
                    held_s: None,
                    needed_s: None,
                    share: None,
                    part: None,
                    value: None,
                    limit: None,
                };
                let id = |alert: usize| Some(&*outcome.alerts[alert].id);
                match &rule.fate {
                    Fate::Caught { alert, .. } => (json.fate, json.alert) = ("caught", id(*alert)),
                    Fate::Elsewhere { alert } => {
                        (json.fate, json.alert) = ("elsewhere", id(*alert))
                    }
                    Fate::Already { alert } => (json.fate, json.alert) = ("already", id(*alert)),
                    Fate::Held {
                        longest,
                        needed,
                        from,
                    } => {
                        json.fate = "held";
                        json.at = Some(Time(*from));
                        json.held_s = Some(longest.as_seconds());
                        json.needed_s = Some(needed.as_seconds());
                    }
                    Fate::Near {
                        at,
                        share,
                        part,
                        value,
                        limit,
                    } => {
                        json.fate = "near";
                        json.at = Some(Time(*at));
                        json.share = Some(*share);
                        json.part = Some(part);
                        json.value = value.map(Number);
                        json.limit = limit.map(Number);
                    }
                    Fate::Unknown { .. } => json.fate = "unknown",
                    Fate::Failed(_) => json.fate = "failed",
                    Fate::NotEvaluated => {}
                }
                json
            })
            .collect(),
    };
    json::document(out, &document)
}
