//! What a case is about: an alert, or an incident and the rules that caught or should have caught it.

use std::sync::Arc;

use crate::backtest::{Outcome, owner};
use crate::rule::{Rule, RuleFile};
use crate::{Nanos, Timestamp};

/// A resolution later than this after the firing is not part of a case.
const RESOLVES_WITHIN: Nanos = Nanos(10 * Nanos::MINUTE.0);

/// What a case is about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Subject {
    /// In words, for the head of the case.
    pub title: String,
    /// The alerting rules that are tested: indices into [`Outcome::rules`].
    pub rules: Vec<usize>,
    /// The alerts that must come out, and no other of these rules of the process: indices into [`Outcome::alerts`].
    pub alerts: Vec<usize>,
    /// The process concerned: service and instance, empty when not known.
    pub process: (Arc<str>, Arc<str>),
    /// The first evaluation that matters.
    pub from: Timestamp,
    /// The last evaluation that matters.
    pub to: Timestamp,
}

impl Subject {
    /// An alert of an outcome.
    #[must_use]
    pub fn alert(outcome: &Outcome, alert: usize) -> Subject {
        let found = &outcome.alerts[alert];
        let rule = &outcome.rules[found.rule];
        let mut subject = Subject {
            title: format!(
                "alert {} of {}, fired at {}",
                found.id, rule.name, found.fired_at
            ),
            rules: vec![found.rule],
            alerts: vec![alert],
            process: owner(&found.labels),
            from: found.pending_at,
            to: found.fired_at,
        };
        subject.reach(outcome);
        subject
    }

    /// An incident of an outcome that was scored: with the alerts of the rules that caught it and are meant for its kind (or the first
    /// that caught it), or, when it was missed, with the rules that say they detect its kind and no alert. `None` when it was missed and
    /// no rule says that it detects it.
    #[must_use]
    pub fn incident(file: &RuleFile, outcome: &Outcome, incident: usize) -> Option<Subject> {
        let found = outcome.score.as_ref()?.incidents.get(incident)?;
        let what = &found.incident;
        let meant: Vec<_> = found
            .detected_by
            .iter()
            .filter(|d| d.of_kind == Some(true))
            .collect();
        let by = match (meant.as_slice(), found.detected_by.first()) {
            ([], Some(first)) => vec![first],
            _ => meant,
        };
        let mut subject = Subject {
            title: format!(
                "incident {} of {}, {} to {}{}",
                what.kind,
                what.service,
                what.range.start,
                what.range.end,
                if by.is_empty() { ", missed" } else { "" }
            ),
            rules: by.iter().map(|d| d.rule).collect(),
            alerts: by.iter().map(|d| d.alert).collect(),
            process: (what.service.clone(), what.instance.clone()),
            from: what.range.start,
            to: what.range.end.min(outcome.range.end),
        };
        if by.is_empty() {
            let rules = file.groups.iter().flat_map(|g| &g.rules);
            subject.rules = rules
                .enumerate()
                .filter(|(_, rule)| match rule {
                    Rule::Alerting(rule) => rule.detects.contains(&what.kind),
                    Rule::Recording(_) => false,
                })
                .map(|(index, _)| index)
                .collect();
            subject.from = subject.from.max(outcome.range.start);
        } else {
            // A case is about its alerts: the incident may have gone on for long after.
            let pending = subject.alerts.iter().map(|a| outcome.alerts[*a].pending_at);
            subject.from = pending.min()?;
            subject.to = subject.from;
            subject.reach(outcome);
        }
        (!subject.rules.is_empty()).then_some(subject)
    }

    /// Ends when the last alert fires, or soon after when it resolves soon.
    fn reach(&mut self, outcome: &Outcome) {
        for alert in self.alerts.iter().map(|a| &outcome.alerts[*a]) {
            self.to = self.to.max(alert.fired_at);
            if let Some(end) = alert.ended.resolved_at()
                && end.since(alert.fired_at) <= RESOLVES_WITHIN
            {
                self.to = self.to.max(end);
            }
        }
    }
}
