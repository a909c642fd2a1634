//! A backtest for programs: `memwatch.backtest/1`, as one document or a line each.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use memwatch_core::backtest::{
    Alert, AlertVerdict, BaselineMemory, Ended, Hole, HoleReason, IncidentOutcome, Outcome,
    RuleOutcome,
};
use memwatch_core::expr::StaleAfter;
use memwatch_core::{Nanos, TimeRange};
use serde::Serialize;

use super::backtest::Shown;
use super::json::{Number, Time};
use super::notifications_json::{
    DeliveryJson, LostResolveJson, NotificationJson, ReceiverJson, SilenceJson, deliveries,
    lost_resolves, notifications, receivers, silences,
};
use super::robustness::{self, RobustnessJson};
use super::score_json::{self, ScoredJson};
use super::{Output, json};
use crate::args::NotifyArgs;

/// The schema's name and version.
const SCHEMA: &str = "memwatch.backtest/1";

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    rules: Vec<RuleJson<'a>>,
    alerts: Vec<AlertJson<'a>>,
    /// What would have been sent; empty without a route, said in `settings`.
    notifications: Vec<NotificationJson<'a>>,
    lost_resolves: Vec<LostResolveJson<'a>>,
    silences: Vec<SilenceJson<'a>>,
    receivers: Vec<ReceiverJson<'a>>,
    incidents: Vec<IncidentJson<'a>>,
    score: Option<ScoredJson<'a>>,
    /// What became of it disturbed; `null` when that was not asked for.
    robustness: Option<RobustnessJson<'a>>,
    coverage: Vec<HoleJson<'a>>,
    /// What the baselines of rules had to go by.
    baselines: Vec<BaselineJson<'a>>,
}

#[derive(Serialize)]
struct Head<'a> {
    schema: &'static str,
    range: RangeJson,
    settings: SettingsJson,
    services: &'a [Arc<str>],
}

#[derive(Serialize)]
struct RangeJson {
    from: Time,
    to: Time,
}

/// Everything beside rules and data that decides an outcome.
#[derive(Serialize)]
struct SettingsJson {
    engine: &'static str,
    rules: String,
    data: String,
    data_commit: u64,
    interval_s: f64,
    phase_s: f64,
    stale_after: String,
    lookback_s: f64,
    grace_s: Option<f64>,
    notifications: &'static str,
    #[serde(flatten)]
    told: ToldJson,
}

/// The files beside the rules that say whom alerts are told.
#[derive(Serialize)]
pub struct ToldJson {
    alertmanager: Option<String>,
    silences: Vec<String>,
}

impl ToldJson {
    /// As the user named them.
    pub fn of(args: &NotifyArgs) -> ToldJson {
        let name = |path: &PathBuf| path.to_string_lossy().into_owned();
        ToldJson {
            alertmanager: args.alertmanager.as_ref().map(name),
            silences: args.silences.iter().map(name).collect(),
        }
    }
}

#[derive(Serialize)]
struct RuleJson<'a> {
    group: &'a str,
    name: &'a str,
    kind: &'static str,
    interval_s: f64,
    phase_s: f64,
    evaluations: u64,
    unknown: u64,
    errors: u64,
    alerts: u64,
    only_pending: u64,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct AlertJson<'a> {
    id: &'a str,
    rule: &'a str,
    group: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    pending_at: Time,
    fired_at: Time,
    resolved_at: Option<Time>,
    ended: &'static str,
    value: Number,
    peak: Number,
    verdict: Option<&'static str>,
    /// For each receiver that it was routed to, when it was told and what held that back.
    deliveries: Vec<DeliveryJson<'a>>,
}

#[derive(Serialize)]
struct IncidentJson<'a> {
    id: &'a str,
    kind: &'a str,
    service: &'a str,
    instance: &'a str,
    start: Time,
    end: Time,
    /// When users began to feel it, where the label says so.
    impact: Option<Time>,
    detail: &'a str,
    /// Names of the rules that caught it, the first first.
    detected_by: Vec<&'a str>,
    /// How long after its start the first alert fired; `null` when it was missed.
    delay_s: Option<f64>,
    detections: Vec<DetectionJson<'a>>,
}

#[derive(Serialize)]
struct DetectionJson<'a> {
    rule: &'a str,
    alert: &'a str,
    delay_s: f64,
    /// Whether the rule is meant for this kind; `null` when it does not say for which it is.
    of_kind: Option<bool>,
}

#[derive(Serialize)]
struct HoleJson<'a> {
    rule: Option<&'a str>,
    group: Option<&'a str>,
    service: Option<&'a str>,
    instance: Option<&'a str>,
    reason: &'static str,
    missing: &'a [Arc<str>],
    message: Option<&'a str>,
    from: Option<Time>,
    to: Option<Time>,
    evaluations: u64,
}

/// One document.
pub fn document(out: &mut Output, shown: &Shown<'_>) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    let scored = outcome.score.as_ref();
    let document = Document {
        head: head(shown),
        rules: outcome.rules.iter().map(rule).collect(),
        alerts: alerts(outcome).collect(),
        notifications: notifications(outcome).collect(),
        lost_resolves: lost_resolves(outcome),
        silences: silences(outcome),
        receivers: receivers(outcome),
        incidents: incidents(outcome).collect(),
        score: scored.map(|s| score_json::scored(outcome, s)),
        robustness: shown.robustness.map(|r| robustness::json(outcome, r)),
        coverage: outcome.coverage.iter().map(|h| hole(outcome, h)).collect(),
        baselines: outcome
            .baselines
            .iter()
            .map(|b| baseline(outcome, b))
            .collect(),
    };
    json::document(out, &document)
}

/// A line for the run, then one for each rule, alert, receiver, message, lost resolve, silence, incident and gap, and the score.
pub fn lines(out: &mut Output, shown: &Shown<'_>) -> anyhow::Result<()> {
    let outcome = shown.outcome;
    line(out, "backtest", &head(shown))?;
    for one in &outcome.rules {
        line(out, "rule", &rule(one))?;
    }
    for one in alerts(outcome) {
        line(out, "alert", &one)?;
    }
    for one in receivers(outcome) {
        line(out, "receiver", &one)?;
    }
    for one in notifications(outcome) {
        line(out, "notification", &one)?;
    }
    for one in lost_resolves(outcome) {
        line(out, "lost_resolve", &one)?;
    }
    for one in silences(outcome) {
        line(out, "silence", &one)?;
    }
    for one in incidents(outcome) {
        line(out, "incident", &one)?;
    }
    for one in &outcome.coverage {
        line(out, "coverage", &hole(outcome, one))?;
    }
    for one in &outcome.baselines {
        line(out, "baseline", &baseline(outcome, one))?;
    }
    if let Some(scored) = &outcome.score {
        line(out, "score", &score_json::scored(outcome, scored))?;
    }
    if let Some(robustness) = shown.robustness {
        line(out, "robustness", &robustness::json(outcome, robustness))?;
    }
    Ok(())
}

fn line(out: &mut Output, kind: &'static str, value: &impl Serialize) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        r#type: &'static str,
        #[serde(flatten)]
        value: &'a T,
    }
    serde_json::to_writer(
        &mut *out,
        &Line {
            r#type: kind,
            value,
        },
    )?;
    writeln!(out)?;
    Ok(())
}

fn head<'a>(shown: &Shown<'a>) -> Head<'a> {
    let settings = &shown.outcome.settings;
    let TimeRange { start, end } = shown.outcome.range;
    Head {
        schema: SCHEMA,
        range: RangeJson {
            from: Time(start),
            to: Time(end),
        },
        settings: SettingsJson {
            engine: super::backtest::ENGINE,
            rules: shown.rules_path.to_string_lossy().into_owned(),
            data: shown.data_path.to_string_lossy().into_owned(),
            data_commit: shown.data_commit,
            interval_s: settings.interval.as_seconds(),
            phase_s: settings.phase.as_seconds(),
            stale_after: policy(settings.stale_after),
            lookback_s: settings.lookback.as_seconds(),
            grace_s: settings.grace.map(Nanos::as_seconds),
            notifications: if shown.outcome.notified.is_some() {
                "simulated"
            } else {
                "no route"
            },
            told: ToldJson::of(shown.notify),
        },
        services: &shown.outcome.services,
    }
}

/// The staleness policy as users write it.
pub fn policy(stale_after: StaleAfter) -> String {
    match stale_after {
        StaleAfter::Auto => "auto".to_owned(),
        StaleAfter::Lookback => "lookback".to_owned(),
        StaleAfter::After(silence) => silence.to_string(),
    }
}

fn rule(rule: &RuleOutcome) -> RuleJson<'_> {
    RuleJson {
        group: &rule.group,
        name: &rule.name,
        kind: if rule.alerting {
            "alerting"
        } else {
            "recording"
        },
        interval_s: rule.interval.as_seconds(),
        phase_s: rule.phase.as_seconds(),
        evaluations: rule.evaluations,
        unknown: rule.unknown,
        errors: rule.errors,
        alerts: rule.alerts,
        only_pending: rule.only_pending,
        warnings: &rule.warnings,
    }
}

fn alerts(outcome: &Outcome) -> impl Iterator<Item = AlertJson<'_>> {
    let verdicts = outcome.score.as_ref().map(|s| &s.verdicts);
    let mut deliveries = deliveries(outcome);
    outcome.alerts.iter().enumerate().map(move |(i, alert)| {
        let Alert {
            labels,
            annotations,
            ended,
            ..
        } = alert;
        let rule = &outcome.rules[alert.rule];
        AlertJson {
            id: &alert.id,
            rule: &rule.name,
            group: &rule.group,
            labels: labels.iter().collect(),
            annotations: annotations
                .iter()
                .map(|(n, t)| (&**n, t.as_str()))
                .collect(),
            pending_at: Time(alert.pending_at),
            fired_at: Time(alert.fired_at),
            resolved_at: ended.resolved_at().map(Time),
            ended: match ended {
                Ended::Open => "open",
                Ended::Resolved(_) => "resolved",
                Ended::Cleared(_) => "cleared",
            },
            value: Number(alert.value),
            peak: Number(alert.peak),
            verdict: verdicts.map(|v| verdict(v[i])),
            deliveries: std::mem::take(&mut deliveries[i]),
        }
    })
}

/// What an alert was, in a word.
pub fn verdict(verdict: AlertVerdict) -> &'static str {
    match verdict {
        AlertVerdict::True(_) => "true",
        AlertVerdict::Duplicate(_) => "duplicate",
        AlertVerdict::False => "false",
        AlertVerdict::Benign => "benign",
        AlertVerdict::Ignored => "ignored",
        AlertVerdict::Unscored => "unscored",
    }
}

fn incidents(outcome: &Outcome) -> impl Iterator<Item = IncidentJson<'_>> {
    let scored = outcome.score.as_ref();
    let all = scored.map_or(&[][..], |s| s.incidents.as_slice());
    all.iter().map(|found: &IncidentOutcome| {
        let by = &found.detected_by;
        let name = |rule: usize| &*outcome.rules[rule].name;
        IncidentJson {
            id: &found.id,
            kind: &found.incident.kind,
            service: &found.incident.service,
            instance: &found.incident.instance,
            start: Time(found.incident.range.start),
            end: Time(found.incident.range.end),
            impact: found.incident.impact.map(Time),
            detail: &found.incident.detail,
            detected_by: by.iter().map(|d| name(d.rule)).collect(),
            delay_s: by.first().map(|d| d.delay.as_seconds()),
            detections: by
                .iter()
                .map(|d| DetectionJson {
                    rule: name(d.rule),
                    alert: &outcome.alerts[d.alert].id,
                    delay_s: d.delay.as_seconds(),
                    of_kind: d.of_kind,
                })
                .collect(),
        }
    })
}

fn hole<'a>(outcome: &'a Outcome, hole: &'a Hole) -> HoleJson<'a> {
    let rule = hole.rule.map(|rule| &outcome.rules[rule]);
    let (reason, missing, message): (_, &[Arc<str>], _) = match &hole.reason {
        HoleReason::NotRecorded(missing) => ("not_recorded", missing, None),
        HoleReason::NeverTogether => ("never_together", &[], None),
        HoleReason::Gap => ("gap", &[], None),
        HoleReason::WarmingUp => ("warming_up", &[], None),
        HoleReason::Failed(message) => ("failed", &[], Some(message.as_str())),
    };
    HoleJson {
        rule: rule.map(|r| &*r.name),
        group: rule.map(|r| &*r.group),
        service: hole.service.as_deref(),
        instance: hole.instance.as_deref(),
        reason,
        missing,
        message,
        from: hole.range.map(|r| Time(r.start)),
        to: hole.range.map(|r| Time(r.end)),
        evaluations: hole.evaluations,
    }
}

#[derive(Serialize)]
struct BaselineJson<'a> {
    rule: &'a str,
    group: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    /// How much was recorded before the range.
    history_s: f64,
    scored_at: Option<Time>,
    samples: u64,
    warming: u64,
}

fn baseline<'a>(outcome: &'a Outcome, memory: &'a BaselineMemory) -> BaselineJson<'a> {
    let rule = &outcome.rules[memory.rule];
    BaselineJson {
        rule: &rule.name,
        group: &rule.group,
        labels: memory.labels.iter().collect(),
        history_s: memory.history.as_seconds(),
        scored_at: memory.scored_at.map(Time),
        samples: memory.samples,
        warming: memory.warming,
    }
}
