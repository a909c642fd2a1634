//! What to watch: rules and rule files.

mod alertmanager_yaml;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod lint;
mod model;
mod names;
mod prometheus_yaml;
mod silence_events;
mod source_map;
pub mod template;
mod toml;
mod yaml;

use crate::Nanos;
use crate::alert::{Notifications, Silence};
use crate::expr::StaleAfter;

pub use error::{Fault, Problem, RuleError};
pub use lint::{Finding, Level, LintData, lint};
pub use model::{
    AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Scale, Settings, TuneRange,
};
pub use source_map::SourceMap;
pub use toml::{NewSetting, SettingChange, with_settings};

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

/// Reads whom to tell without rules: Alertmanager's own configuration when the name ends in `.yml` or `.yaml`, else the `[route]`,
/// `[[receiver]]` and so on of a rule file in TOML. `file` is its name for messages.
///
/// Addresses and keys that Alertmanager's configuration holds are neither kept nor shown.
///
/// ```
/// # use memwatch_core::rule::read_notifications;
/// let yaml = "route: {receiver: team}\nreceivers:\n- name: team\n  webhook_configs: [{url: 'http://secret'}]\n";
/// let told = read_notifications("alertmanager.yml", yaml).unwrap();
/// assert_eq!(&*told.receivers[0].name, "team");
/// assert_eq!(told.receivers[0].integrations[0].url, None);
/// ```
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read_notifications(file: &str, text: &str) -> Result<Notifications, RuleError> {
    if file.ends_with(".yml") || file.ends_with(".yaml") {
        return alertmanager_yaml::read(file, text);
    }
    let read = toml::read(file, text)?;
    let Some(group) = read.groups.first() else {
        return Ok(read.notifications);
    };
    let position = text.find("[[group]]").unwrap_or(0);
    let fault = Fault::Value {
        expected: "a file without rules, only [route], [[receiver]] and what belongs to them"
            .to_owned(),
        found: format!("group `{}`", group.name),
    };
    Err(RuleError {
        problems: vec![Problem::at(
            &file.into(),
            text,
            position..position + 9,
            "group".to_owned(),
            fault,
        )],
    })
}

/// Reads silences that people made while time went on: JSON, an event a line. `file` is its name for messages.
///
/// `{"at": TIME, "silence": NAME, "for": DURATION, …}` makes one for all alerts with these `service`, `severity` and `matchers`; `until` may
/// stand for `for`, and `from` for a start later than `at`. `{"at": TIME, "expire": NAME}` ends it early. The same name again replaces it.
/// A silence acts on nothing before the moment at which it was made.
///
/// ```
/// # use memwatch_core::{rule::read_silences, Timestamp};
/// let events = r#"
/// {"at": "2026-11-23T05:00:00Z", "silence": "deploy", "service": "cart", "severity": "P2", "for": "30m"}
/// {"at": "2026-11-23T05:10:00Z", "expire": "deploy"}
/// "#;
/// let silences = read_silences("silences.ndjson", events).unwrap();
/// assert_eq!(silences[0].range.end, Timestamp::parse_rfc3339("2026-11-23T05:10:00Z").unwrap());
/// ```
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn read_silences(file: &str, text: &str) -> Result<Vec<Silence>, RuleError> {
    silence_events::read(file, text)
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
