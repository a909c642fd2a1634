//! Rules, groups and files of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::{Hold, Notifications};
use crate::expr::{Expr, StaleAfter};
use crate::{Labels, Nanos};

use super::source_map::SourceMap;
use super::template::Template;

/// A rule file: settings, groups in order, and whom to tell.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuleFile {
    /// The file as the user named it.
    pub name: Arc<str>,
    /// The file's text, for messages that point into it.
    pub text: Arc<str>,
    /// What holds for groups that say nothing else.
    pub settings: Settings,
    /// The groups, in file order.
    pub groups: Vec<Group>,
    /// Routes, receivers, inhibitions and silences.
    pub notifications: Notifications,
}

/// What holds for groups that say nothing else, and for the evaluation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Interval of groups that give none.
    pub interval: Nanos,
    /// Evaluations are at `k · interval + phase`.
    pub phase: Nanos,
    /// When a series without staleness marker has ended.
    pub stale_after: StaleAfter,
    /// For how long a sample is a series' current value.
    pub lookback: Nanos,
}

impl Default for Settings {
    /// Each second, without phase; series end after three silent intervals of their own; 5 minutes of lookback.
    fn default() -> Self {
        Settings {
            interval: Nanos::SECOND,
            phase: Nanos(0),
            stale_after: StaleAfter::Auto,
            lookback: Nanos(5 * Nanos::MINUTE.0),
        }
    }
}

/// Rules that are evaluated together, one after the other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Group {
    /// Name, each once in a file.
    pub name: Arc<str>,
    /// Distance of two evaluations; the settings' when absent.
    pub interval: Option<Nanos>,
    /// Evaluations are at `k · interval + phase`; the settings' when absent.
    pub phase: Option<Nanos>,
    /// Expressions see the data of this long before the evaluation.
    pub query_offset: Nanos,
    /// How many alerts or series a rule may give.
    pub limit: Option<usize>,
    /// In file order.
    pub rules: Vec<Rule>,
}

impl Group {
    /// An empty group.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Group {
        Group {
            name: name.into(),
            interval: None,
            phase: None,
            query_offset: Nanos(0),
            limit: None,
            rules: Vec::new(),
        }
    }
}

/// A rule.
#[derive(Debug, Clone)]
pub enum Rule {
    /// What its expression finds are alerts.
    Alerting(AlertingRule),
    /// What its expression finds is a new series.
    Recording(RecordingRule),
}

impl Rule {
    /// The alert's name, or the name of the series recorded.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        match self {
            Rule::Alerting(rule) => &rule.name,
            Rule::Recording(rule) => &rule.record,
        }
    }

    /// Its expression.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        match self {
            Rule::Alerting(rule) => &rule.expr,
            Rule::Recording(rule) => &rule.expr,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> &Position {
        match self {
            Rule::Alerting(rule) => &rule.position,
            Rule::Recording(rule) => &rule.position,
        }
    }

    /// The rule as an alerting one.
    #[must_use]
    pub fn alerting(&self) -> Option<&AlertingRule> {
        match self {
            Rule::Alerting(rule) => Some(rule),
            Rule::Recording(_) => None,
        }
    }
}

/// Where a rule stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Byte at which it begins.
    pub rule: usize,
    /// What of the file its expression was read from; `None` for escapes in TOML and aliases in YAML.
    pub expr: Option<SourceMap>,
}

/// A rule whose findings are alerts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlertingRule {
    /// `alertname`
    pub name: Arc<str>,
    /// An alert exists for each element that it gives.
    pub expr: Expr,
    /// `for` and `keep_firing_for`.
    pub hold: Hold,
    /// Labels added to each alert, by name.
    pub labels: Vec<(Arc<str>, Template)>,
    /// Texts for people, by name.
    pub annotations: Vec<(Arc<str>, Template)>,
    /// Values of the `$name`s in the expression.
    pub params: BTreeMap<String, f64>,
    /// Which values `tune` tries: of parameters by their names, of `for` and `keep_firing_for` in seconds.
    pub tune: BTreeMap<String, TuneRange>,
    /// Incident kinds that it is meant to catch; empty when it does not say.
    pub detects: Vec<Arc<str>>,
    /// Where it stands.
    pub position: Position,
}

impl AlertingRule {
    /// A rule with nothing but a name and an expression.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, expr: Expr) -> AlertingRule {
        AlertingRule {
            name: name.into(),
            expr,
            hold: Hold::default(),
            labels: Vec::new(),
            annotations: Vec::new(),
            params: BTreeMap::new(),
            tune: BTreeMap::new(),
            detects: Vec::new(),
            position: Position::default(),
        }
    }
}

/// A rule whose findings are a new series.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordingRule {
    /// Name of the series.
    pub record: Arc<str>,
    /// Its values.
    pub expr: Expr,
    /// Labels added to each element.
    pub labels: Labels,
    /// Values of the `$name`s in the expression.
    pub params: BTreeMap<String, f64>,
    /// Where it stands.
    pub position: Position,
}

impl RecordingRule {
    /// A rule with nothing but a name and an expression.
    #[must_use]
    pub fn new(record: impl Into<Arc<str>>, expr: Expr) -> RecordingRule {
        RecordingRule {
            record: record.into(),
            expr,
            labels: Labels::default(),
            params: BTreeMap::new(),
            position: Position::default(),
        }
    }
}

/// Which values of a parameter `tune` tries.
#[derive(Debug, Clone, PartialEq)]
pub enum TuneRange {
    /// `steps` values from `from` to `to`, both included.
    Steps {
        /// The first.
        from: f64,
        /// The last.
        to: f64,
        /// How many; at least 2.
        steps: usize,
        /// Equal differences or equal ratios.
        scale: Scale,
    },
    /// These.
    Values(Vec<f64>),
}

/// How values are spread over a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences.
    Linear,
    /// Equal ratios; both ends are positive.
    Log,
}

impl TuneRange {
    /// The values, in order. Those between the ends are rounded to four digits, so that what is tried is what is written.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        match self {
            TuneRange::Values(values) => values.clone(),
            TuneRange::Steps {
                from,
                to,
                steps,
                scale,
            } => (0..*steps)
                .map(|i| {
                    let share = i as f64 / (*steps as f64 - 1.0).max(1.0);
                    match scale {
                        _ if i + 1 == *steps => *to,
                        _ if i == 0 => *from,
                        Scale::Linear => rounded(from + (to - from) * share),
                        Scale::Log => rounded(from * (to / from).powf(share)),
                    }
                })
                .collect(),
        }
    }
}

/// To four digits.
fn rounded(value: f64) -> f64 {
    // The nearest number that has four digits is what its text reads as.
    format!("{value:.3e}").parse().unwrap_or(value)
}
