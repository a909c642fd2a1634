//! What to watch: rules and rule files.

mod error;
mod model;
mod names;
mod suggest;
pub mod template;
mod toml;

pub use error::{Fault, Problem, RuleError};
pub use model::{
    AlertingRule, Group, Position, RecordingRule, Rule, RuleFile, Scale, Settings, TuneRange,
};
pub use suggest::suggest;

impl RuleFile {
    /// Reads a rule file in TOML. `file` is its name for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn from_toml(file: &str, text: &str) -> Result<RuleFile, RuleError> {
        toml::read(file, text)
    }
}
