//! What to watch: rules and rule files.

mod error;
mod model;
mod names;
mod prometheus_yaml;
mod suggest;
pub mod template;
mod toml;

pub use error::{Fault, Problem, RuleError};
pub use model::{
    AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Scale, Settings, TuneRange,
};
pub use suggest::suggest;

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
