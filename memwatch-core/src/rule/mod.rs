//! What to watch: rules and rule files.

mod error;
mod lint;
mod model;
mod names;
mod prometheus_yaml;
pub mod template;
mod toml;

use crate::Nanos;
use crate::expr::StaleAfter;

pub use error::{Fault, Problem, RuleError};
pub use lint::{Finding, Level, LintData, lint};
pub use model::{
    AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Scale, Settings, TuneRange,
};

impl RuleFile {
    /// Reads a rule file: YAML when its name ends in `.yml` or `.yaml`, else TOML. `file` is its name for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<RuleFile, RuleError> {
        if file.ends_with(".yml") || file.ends_with(".yaml") {
            Self::from_prometheus_yaml(file, text)
        } else {
            Self::from_toml(file, text)
        }
    }

    /// Reads a rule file as Prometheus has them (YAML). `file` is its name for messages.
    ///
    /// # Errors
    /// What is wrong with it, with the place.
    pub fn from_prometheus_yaml(file: &str, text: &str) -> Result<RuleFile, RuleError> {
        prometheus_yaml::read(file, text)
    }

    /// Reads a rule file in TOML. `file` is its name for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn from_toml(file: &str, text: &str) -> Result<RuleFile, RuleError> {
        toml::read(file, text)
    }
}

/// Reads when a silent series has ended: `auto`, `lookback` or a duration.
///
/// ```
/// # use memwatch_core::{expr::StaleAfter, rule::parse_stale_after};
/// assert_eq!(parse_stale_after("auto"), Some(StaleAfter::Auto));
/// assert_eq!(parse_stale_after("soon"), None);
/// ```
#[must_use]
pub fn parse_stale_after(text: &str) -> Option<StaleAfter> {
    match text {
        "auto" => Some(StaleAfter::Auto),
        "lookback" => Some(StaleAfter::Lookback),
        text => Nanos::parse(text)
            .filter(|d| d.0 > 0)
            .map(StaleAfter::After),
    }
}
