//! Whom alerts are told, for commands that run rules over a recording.

use std::path::PathBuf;

use clap::Args;

/// Whom alerts are told, beside what the rule file says.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// Whom alerts are told: Alertmanager's own configuration (.yml, .yaml), or `[route]` and `[[receiver]]` in TOML
    #[arg(long, value_name = "FILE")]
    pub alertmanager: Option<PathBuf>,
    /// Silences that were made and ended while time went on: JSON, an event a line
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub silences: Vec<PathBuf>,
}
