//! Was it right: rules over a recording, and the alerts against what is known to have happened.
//!
//! ```text
//! series → matrix → states → alerts → notifications → score
//! ```

mod address;
mod coverage;
mod degraded;
mod diff;
mod explain;
mod intervals;
mod notified;
mod outcome;
mod plan;
mod reading;
mod recorded;
mod replay;
mod robustness;
mod runner;
mod score;
mod sightings;
#[cfg(test)]
mod tests;
mod threshold;
mod tune;
mod warm_up;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::alert::{HandOver, Notifications};
use crate::expr::{EvalOptions, StaleAfter};
use crate::incident::Incident;
use crate::record::Identity;
use crate::rule::{Rule, RuleFile};
use crate::series::SeriesReader;
use crate::{Error, Nanos, Result, TimeRange};

pub use address::{Addressed, addresses, find};
pub use coverage::{Hole, HoleReason};
pub use diff::{Change, Diff, IncidentChange, MessagePair, Pair, RulePair};
pub use explain::{
    AlertStory, BaselineStory, Fate, IncidentStory, InputStory, PartStory, RuleStory,
};
pub use intervals::{poisson, wilson};
pub use notified::Notified;
pub use outcome::{Alert, Ended, Outcome, RuleOutcome, RunSettings};
pub use robustness::{Disturbance, Disturbed, RobustIncident, RobustRule, Robustness};
pub use score::{AlertVerdict, Detection, IncidentOutcome, LeadTime, Reference, Score, Scored};
pub use threshold::{StaticThreshold, Threshold};
pub use tune::{
    Figures, HeatMap, Knob, LEAST_INCIDENTS, Point, RuleTuned, Setting, Tune, Tuned, Tuning,
    WalkForward,
};
pub use warm_up::BaselineMemory;

pub(crate) use explain::{Given, Recording};
pub(crate) use plan::{could_read, reads_alerts};
pub(crate) use sightings::who as owner;

use coverage::Evaluated;
use recorded::Alive;
use replay::Chunking;
use sightings::Sightings;

/// Rules over a stretch of a recording.
///
/// ```
/// # use memwatch_core::{backtest::Backtest, rule::RuleFile, series::{MemorySeries, Series}, TimeRange, Timestamp};
/// let rules = RuleFile::from_toml("rules.toml", r#"
///     [[group]]
///     name = "demo"
///     [[group.rule]]
///     alert = "Many"
///     expr = "goroutines > 100"
/// "#).unwrap();
/// let second = 1_000_000_000;
/// let recording = MemorySeries { series: vec![Series {
///     labels: [("__name__", "goroutines"), ("service", "api")].into_iter().collect(),
///     at_ns: (0..4).map(|i| i * second).collect(),
///     values: [5.0, 500.0, 500.0, 5.0].into(),
/// }] };
/// let outcome = Backtest::new(&rules)
///     .range(TimeRange { start: Timestamp(0), end: Timestamp(4 * second) })
///     .run(&recording)
///     .unwrap();
/// assert_eq!(outcome.alerts.len(), 1);
/// assert_eq!(outcome.alerts[0].fired_at, Timestamp(second));
/// ```
#[derive(Debug, Clone)]
pub struct Backtest<'r> {
    rules: &'r RuleFile,
    range: Option<TimeRange>,
    interval: Nanos,
    phase: Nanos,
    stale_after: StaleAfter,
    lookback: Nanos,
    incidents: Option<Vec<Incident>>,
    labelled: Option<BTreeSet<Arc<str>>>,
    recorded: Vec<(Identity, TimeRange)>,
    grace: Option<Nanos>,
    lead: Nanos,
    notifications: Option<Arc<Notifications>>,
    lead_needed: Option<Nanos>,
    /// Whether the best static threshold is looked for.
    compared: bool,
    chunking: Chunking,
}

impl<'r> Backtest<'r> {
    /// A backtest of these rules, with the settings of their file.
    #[must_use]
    pub fn new(rules: &'r RuleFile) -> Self {
        let settings = &rules.settings;
        Backtest {
            rules,
            range: None,
            interval: settings.interval,
            phase: settings.phase,
            stale_after: settings.stale_after,
            lookback: settings.lookback,
            incidents: None,
            labelled: None,
            recorded: Vec::new(),
            grace: None,
            lead: Nanos(0),
            notifications: None,
            lead_needed: None,
            compared: true,
            chunking: Chunking::default(),
        }
    }

    /// Evaluated are the times in it; needed. Data before it is read as far as expressions look back.
    #[must_use]
    pub fn range(mut self, range: TimeRange) -> Self {
        self.range = Some(range);
        self
    }

    /// Interval of groups that give none, instead of the file's; positive.
    #[must_use]
    pub fn interval(mut self, interval: Nanos) -> Self {
        self.interval = interval;
        self
    }

    /// Evaluations of groups that give no phase are at `k · interval + phase`, instead of the file's.
    #[must_use]
    pub fn phase(mut self, phase: Nanos) -> Self {
        self.phase = phase;
        self
    }

    /// When a series without staleness marker has ended, instead of the file's.
    #[must_use]
    pub fn stale_after(mut self, stale_after: StaleAfter) -> Self {
        self.stale_after = stale_after;
        self
    }

    /// What is known to have happened: alerts are scored against it.
    #[must_use]
    pub fn incidents(mut self, incidents: Vec<Incident>) -> Self {
        self.incidents = Some(incidents);
        self
    }

    /// The services whose incidents are all known; alerts of others are not scored. Without this, every recorded service: then one
    /// without incidents is taken to have had none.
    #[must_use]
    pub fn labelled(mut self, services: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.labelled = Some(services.into_iter().collect());
        self
    }

    /// The processes that the recording holds and when: so that one of which no rule reads anything is told too.
    #[must_use]
    pub fn recorded(mut self, processes: impl IntoIterator<Item = (Identity, TimeRange)>) -> Self {
        self.recorded = processes.into_iter().collect();
        self
    }

    /// How long after an incident's end an alert still counts for it. One evaluation by default.
    #[must_use]
    pub fn grace(mut self, grace: Nanos) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How long before an incident's start an alert already counts for it. Not at all by default.
    #[must_use]
    pub fn lead(mut self, lead: Nanos) -> Self {
        self.lead = lead;
        self
    }

    /// Whom alerts are told, instead of what the file says.
    #[must_use]
    pub fn notifications(mut self, notifications: Arc<Notifications>) -> Self {
        self.notifications = Some(notifications);
        self
    }

    /// How long before an incident's impact an alert should come; the score then says how often it did.
    #[must_use]
    pub fn lead_needed(mut self, needed: Nanos) -> Self {
        self.lead_needed = Some(needed);
        self
    }

    /// Leaves the best static threshold out of what the score is compared with: it takes a pass over the recording of its own.
    #[must_use]
    pub fn without_threshold(mut self) -> Self {
        self.compared = false;
        self
    }

    /// About how many samples and results are held in memory at once; no result depends on it.
    #[must_use]
    pub fn memory_samples(mut self, samples: usize) -> Self {
        self.chunking.samples = Some(samples.max(1));
        self
    }

    fn whole_range(&self) -> Result<TimeRange> {
        self.range.filter(|r| !r.is_empty()).ok_or(Error::Value {
            expected: "a range of time to evaluate",
            found: "none".to_owned(),
        })
    }

    fn options(&self) -> EvalOptions {
        EvalOptions {
            lookback: self.lookback,
            stale_after: self.stale_after,
            // As Prometheus: its default is the evaluation interval of groups that give none.
            subquery_step: self.interval,
            ..EvalOptions::default()
        }
    }

    /// When processes were recorded, as scores count it: by the reader if it can tell, else by what rules saw.
    fn alive(
        &self,
        reader: &dyn SeriesReader,
        range: TimeRange,
        sightings: &Sightings,
    ) -> Result<Alive> {
        let read = recorded::read(reader, range, self.lookback)?;
        let alive = read.unwrap_or_else(|| sightings.alive());
        Ok(recorded::with_others(alive, &self.recorded))
    }

    /// Evaluates the rules over `reader`, and scores their alerts.
    ///
    /// # Errors
    /// When no range was given, or the data cannot be read. A rule that cannot be evaluated is no error: it is told in the outcome.
    pub fn run(&self, reader: &dyn SeriesReader) -> Result<Outcome> {
        let range = self.whole_range()?;
        let options = self.options();
        let replayed = replay::replay(
            self.rules,
            range,
            self.interval,
            self.phase,
            &options,
            self.chunking,
            reader,
        )?;
        let flat = replay::flat(self.rules);
        let runs: Vec<runner::RuleRun> = replayed.rules.into_iter().flatten().collect();
        let alive = recorded::with_others(replayed.sightings.alive(), &self.recorded);
        let evaluated: Vec<Evaluated<'_>> = flat
            .iter()
            .zip(&runs)
            .map(|((_, group, rule), run)| Evaluated {
                rule,
                steps: run.steps,
                offset: group.query_offset,
                runs: &run.gave,
            })
            .collect();
        let mut covered =
            coverage::coverage(self.rules, range, &evaluated, &replayed.sightings, &alive);
        drop(evaluated);
        let mut baselines = Vec::new();
        for (index, warmth) in replayed.warmth.iter().enumerate() {
            let offset = flat[index].1.query_offset;
            let (blind, holes) = warmth.holes(index, runs[index].steps, offset, range);
            covered.unknown[index] = covered.unknown[index].max(blind);
            covered.holes.extend(holes);
            baselines.extend(warmth.memories(index, range));
        }
        let mut rules = Vec::new();
        let mut alerts: Vec<(Alert, Vec<HandOver>)> = Vec::new();
        for (index, ((_, group, rule), run)) in flat.iter().zip(runs).enumerate() {
            if let Some(message) = &run.first_error {
                covered.holes.push(Hole {
                    rule: Some(index),
                    service: None,
                    instance: None,
                    reason: HoleReason::Failed(message.clone()),
                    range: None,
                    evaluations: run.errors,
                });
            }
            rules.push(RuleOutcome {
                group: group.name.clone(),
                name: rule.name().clone(),
                alerting: rule.alerting().is_some(),
                interval: group.interval.unwrap_or(self.interval),
                phase: group.phase.unwrap_or(self.phase),
                evaluations: run.steps.map_or(0, |s| s.count() as u64),
                unknown: covered.unknown[index],
                errors: run.errors,
                first_error: run.first_error.clone(),
                alerts: run.alerts.len() as u64,
                only_pending: run.only_pending,
                warnings: run.warnings.iter().cloned().collect(),
            });
            let interval = group.interval.unwrap_or(self.interval);
            let said = notified::said(&run, interval, range.end);
            let told = run.alerts.into_iter().zip(said);
            alerts.extend(told.map(|(alert, said)| {
                let alert = Alert {
                    rule: index,
                    ..alert
                };
                (alert, said)
            }));
        }
        alerts.sort_by(|(a, _), (b, _)| {
            (a.fired_at, a.rule, &a.labels).cmp(&(b.fired_at, b.rule, &b.labels))
        });
        let (alerts, said): (Vec<Alert>, Vec<Vec<HandOver>>) = alerts.into_iter().unzip();
        let config = match &self.notifications {
            Some(config) => config.clone(),
            None => Arc::new(self.rules.notifications.clone()),
        };
        let notified = config.route.is_some().then(|| {
            let rules: Vec<&Rule> = flat.iter().map(|(_, _, rule)| *rule).collect();
            notified::notified(config, &rules, &alerts, said, range)
        });
        let mut score = None;
        if let Some(incidents) = self.incidents.as_deref() {
            let recorded = self.alive(reader, range, &replayed.sightings)?;
            let truth = score::Truth {
                incidents,
                labelled: self.labelled.as_ref(),
                range,
                grace: self.grace,
                lead: self.lead,
                lead_needed: self.lead_needed,
                alive: &recorded,
            };
            let rules: Vec<score::ScoredRule<'_>> = rules
                .iter()
                .zip(&flat)
                .zip(&covered.ready)
                .map(|((outcome, (_, _, rule)), ready)| score::ScoredRule {
                    outcome,
                    detects: rule.alerting().map_or(&[][..], |rule| &rule.detects),
                    ready,
                })
                .collect();
            let mut scored = score::score(&truth, &rules, &alerts);
            if self.compared {
                let search = threshold::Search {
                    file: self.rules,
                    interval: self.interval,
                    phase: self.phase,
                    options: &options,
                    truth: &truth,
                    alerts: &alerts,
                    verdicts: &scored.verdicts,
                };
                let found = threshold::best(&search, reader)?;
                let days = scored.all.series_days;
                scored.references.push(score::of_threshold(found, days));
            }
            score = Some(scored);
        }
        let services: BTreeSet<Arc<str>> = alive.keys().map(|who| who.0.clone()).collect();
        Ok(Outcome {
            range,
            settings: RunSettings {
                interval: self.interval,
                phase: self.phase,
                stale_after: self.stale_after,
                lookback: self.lookback,
                grace: self.grace,
            },
            rules,
            alerts,
            notified,
            coverage: covered.holes,
            baselines,
            services: services.into_iter().filter(|s| !s.is_empty()).collect(),
            score,
        })
    }
}
