//! What each rule did about an incident, and how near it came.

use std::sync::Arc;

use crate::backtest::outcome::{Alert, Outcome};
use crate::backtest::sightings::who;
use crate::backtest::{Backtest, HoleReason, replay};
use crate::expr::{Bits, Node};
use crate::incident::Incident;
use crate::rule::AlertingRule;
use crate::series::SeriesReader;
use crate::{Error, Labels, Nanos, Result, Steps, TimeRange, Timestamp};

use super::approach::{Near, Scene};
use super::given::Given;

/// What each rule did about an incident.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IncidentStory {
    /// Index in [`crate::backtest::Scored::incidents`].
    pub incident: usize,
    /// Every alerting rule: those that are meant for its kind first, then the nearest first.
    pub rules: Vec<RuleStory>,
}

/// What one rule did about an incident.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RuleStory {
    /// Index in [`Outcome::rules`].
    pub rule: usize,
    /// Whether it is meant for this kind; `None` when it does not say for which it is.
    pub of_kind: Option<bool>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a rule in an incident.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Its alert (index in [`Outcome::alerts`]) hit.
    Caught {
        /// The alert.
        alert: usize,
        /// How long after the start.
        delay: Nanos,
    },
    /// Its alert fired in time, but counts for another incident of the same time.
    Elsewhere {
        /// The alert.
        alert: usize,
    },
    /// An alert of it was firing already when the incident began.
    Already {
        /// The alert.
        alert: usize,
    },
    /// Its condition held, but not for as long as `for` asks.
    Held {
        /// The longest that it held.
        longest: Nanos,
        /// How long it had to.
        needed: Nanos,
        /// From when on.
        from: Timestamp,
    },
    /// Its condition never held.
    Near {
        /// When it was nearest.
        at: Timestamp,
        /// How near: 1 is the limit.
        share: f64,
        /// The part that held it back then.
        part: String,
        /// Its left side.
        value: Option<f64>,
        /// Its right side.
        limit: Option<f64>,
    },
    /// It could say nothing: these were not recorded; none are named when the recording is too short for its windows.
    Unknown {
        /// What is missing.
        missing: Vec<Arc<str>>,
    },
    /// Its evaluation failed.
    Failed(String),
    /// It was not evaluated in this time.
    NotEvaluated,
}

impl Fate {
    /// For the order: what caught it first, what could say nothing last.
    fn rank(&self) -> (u8, f64) {
        match self {
            Fate::Caught { delay, .. } => (0, delay.as_seconds()),
            Fate::Elsewhere { .. } => (1, 0.0),
            Fate::Already { .. } => (2, 0.0),
            Fate::Held {
                longest, needed, ..
            } => (3, -longest.as_seconds() / needed.as_seconds()),
            Fate::Near { share, .. } => (4, -share),
            Fate::Failed(_) => (5, 0.0),
            Fate::Unknown { .. } => (6, 0.0),
            Fate::NotEvaluated => (7, 0.0),
        }
    }
}

impl Backtest<'_> {
    /// What each rule did about an incident of an outcome of this backtest.
    ///
    /// # Errors
    /// When the outcome has no score, or the data cannot be read.
    ///
    /// # Panics
    /// When the outcome has no such incident.
    pub fn explain_incident(
        &self,
        reader: &dyn SeriesReader,
        outcome: &Outcome,
        incident: usize,
    ) -> Result<IncidentStory> {
        let scored = outcome.score.as_ref().ok_or(Error::Value {
            expected: "an outcome with incidents",
            found: "none".to_owned(),
        })?;
        let found = &scored.incidents[incident];
        let flat = replay::flat(self.rules);
        let mut rules = Vec::new();
        for (index, (_, group, rule)) in flat.iter().enumerate() {
            let Some(alerting) = rule.alerting() else {
                continue;
            };
            let of_kind = (!alerting.detects.is_empty())
                .then(|| alerting.detects.contains(&found.incident.kind));
            let caught = found.detected_by.iter().find(|d| d.rule == index);
            let fate = match caught {
                Some(hit) => Fate::Caught {
                    alert: hit.alert,
                    delay: hit.delay,
                },
                None => {
                    let interval = group.interval.unwrap_or(self.interval);
                    let window = self.window(&found.incident, interval);
                    match told(outcome, index, &found.incident, window) {
                        Some(fate) => fate,
                        None => self.nearest(reader, group, alerting, &found.incident, window)?,
                    }
                }
            };
            rules.push(RuleStory {
                rule: index,
                of_kind,
                fate,
            });
        }
        let key = |story: &RuleStory| {
            let meant = match story.of_kind {
                Some(true) => 0u8,
                None => 1,
                Some(false) => 2,
            };
            (meant, story.fate.rank())
        };
        rules.sort_by(|a, b| {
            let ((ma, (ra, na)), (mb, (rb, nb))) = (key(a), key(b));
            (ma, ra)
                .cmp(&(mb, rb))
                .then(na.total_cmp(&nb))
                .then(a.rule.cmp(&b.rule))
        });
        Ok(IncidentStory { incident, rules })
    }

    /// When an alert counts for the incident.
    fn window(&self, incident: &Incident, interval: Nanos) -> TimeRange {
        let grace = self.grace.unwrap_or(interval);
        TimeRange {
            start: incident.range.start.minus(self.lead),
            end: Timestamp(incident.range.end.plus(grace).0.saturating_add(1)),
        }
    }

    /// How near a rule came that neither fired nor was blind.
    fn nearest(
        &self,
        reader: &dyn SeriesReader,
        group: &crate::rule::Group,
        rule: &AlertingRule,
        incident: &Incident,
        window: TimeRange,
    ) -> Result<Fate> {
        // It may have begun to hold before.
        let range = self.whole_range()?;
        let looked_at = TimeRange {
            start: window.start.minus(rule.hold.pending).max(range.start),
            end: window.end.min(range.end),
        };
        let Some(steps) = replay::group_steps(group, self.interval, self.phase, looked_at) else {
            return Ok(Fate::NotEvaluated);
        };
        let offset = group.query_offset;
        let asked = Steps {
            start: steps.start.minus(offset),
            end: steps.end.minus(offset),
            step: steps.step,
        };
        let shifted = TimeRange {
            start: asked.start,
            end: Timestamp(asked.end.0.saturating_add(1)),
        };
        let options = self.options();
        let given = Given::new(&self.recording(&options), &rule.expr, shifted, reader)?;
        let whose = |labels: &Labels| {
            let (service, _) = who(labels);
            service.is_empty() || service == incident.service
        };
        let scene = Scene {
            expr: &rule.expr,
            steps: asked,
            reader: &given,
            options: &options,
            whose: &whose,
        };
        match fate(&scene, rule.expr.root(), rule.hold.pending, steps) {
            Ok(fate) => Ok(fate),
            Err(Error::Expr(error)) => Ok(Fate::Failed(error.message)),
            Err(other) => Err(other),
        }
    }
}

/// What the outcome itself says.
fn told(outcome: &Outcome, rule: usize, incident: &Incident, window: TimeRange) -> Option<Fate> {
    let of_service = |labels: &Labels| {
        let (service, _) = who(labels);
        service.is_empty() || service == incident.service
    };
    let over = |alert: &Alert| alert.ended.at().unwrap_or(outcome.range.end);
    for (index, alert) in outcome.alerts.iter().enumerate() {
        if alert.rule != rule || !of_service(&alert.labels) {
            continue;
        }
        if window.start <= alert.fired_at && alert.fired_at < window.end {
            return Some(Fate::Elsewhere { alert: index });
        }
        if alert.fired_at < window.start && over(alert) > window.start {
            return Some(Fate::Already { alert: index });
        }
    }
    outcome.coverage.iter().find_map(|hole| {
        let whole = hole.range.is_none()
            && hole.rule == Some(rule)
            && hole.service.as_ref().is_none_or(|s| *s == incident.service);
        match &hole.reason {
            _ if !whole => None,
            HoleReason::NotRecorded(missing) => Some(Fate::Unknown {
                missing: missing.clone(),
            }),
            HoleReason::NeverTogether => Some(Fate::Unknown {
                missing: Vec::new(),
            }),
            _ => None,
        }
    })
}

fn fate(scene: &Scene<'_>, root: &Node, needed: Nanos, shown: Steps) -> Result<Fate> {
    let mut longest: Option<(usize, usize)> = None;
    for series in scene.values(root)? {
        if let Some(run) = longest_run(&series.present)
            && longest.is_none_or(|(from, to)| run.1 - run.0 > to - from)
        {
            longest = Some(run);
        }
    }
    if let Some((from, to)) = longest {
        return Ok(Fate::Held {
            longest: shown.at(to).since(shown.at(from)),
            needed,
            from: shown.at(from),
        });
    }
    let all = scene.approach(root)?;
    let mut best: Option<(usize, &Near)> = None;
    for (i, near) in all.iter().enumerate() {
        if best.is_none_or(|(_, known)| near.share > known.share) {
            best = Some((i, near));
        }
    }
    Ok(match best {
        Some((at, near)) => Fate::Near {
            at: shown.at(at),
            // Parts that were each as near as can be, but of different elements.
            share: near.share.min(1.0 - 1e-9),
            part: near.part.clone(),
            value: near.value,
            limit: near.limit,
        },
        None => Fate::NotEvaluated,
    })
}

/// First and last of the longest run of evaluations that have a value.
fn longest_run(present: &Bits) -> Option<(usize, usize)> {
    let mut longest: Option<(usize, usize)> = None;
    let mut run: Option<(usize, usize)> = None;
    for i in present.iter() {
        run = match run {
            Some((from, to)) if to + 1 == i => Some((from, i)),
            _ => Some((i, i)),
        };
        if let Some((from, to)) = run
            && longest.is_none_or(|(a, b)| to - from > b - a)
        {
            longest = run;
        }
    }
    longest
}
