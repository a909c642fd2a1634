//! What commands that run rules over a recording share: which recording, looked at how often, and what is known of it.

use std::path::PathBuf;

use clap::Args;
use memwatch_core::Nanos;
use memwatch_core::expr::StaleAfter;

use super::{DataArgs, duration, stale_after};

/// Which recording, from when to when, looked at how often.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A folder with a store or with raw recordings [default: --data]
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Goes on without what is damaged, and says what is missing
    #[arg(long)]
    pub allow_partial: bool,
    /// First evaluation: RFC 3339, `now`, or `-24h` [default: where the data begins]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Evaluations end before it [default: where the data ends]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Evaluation interval of groups that give none, instead of the file's
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub interval: Option<Nanos>,
    /// Evaluations are at k * interval + phase, for groups that give none
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub phase: Option<Nanos>,
    /// When a silent series has ended: auto, lookback, or a duration
    #[arg(long, value_name = "POLICY", value_parser = stale_after)]
    pub stale_after: Option<StaleAfter>,
}

/// What is known to have happened, and when an alert counts for it.
#[derive(Debug, Args)]
pub struct TruthArgs {
    /// Incidents to score against, instead of the store's; the services named in these files are scored
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub labels: Vec<PathBuf>,
    /// An incident to score against, beside those of --labels or of the store: kind@start..end[@service[/instance]]; without
    /// --labels and incidents in the store, only the services named so are scored
    #[arg(long = "incident", value_name = "INCIDENT")]
    pub incidents: Vec<String>,
    /// How long after an incident's end an alert still counts for it [default: one evaluation]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub grace: Option<Nanos>,
    /// How long before an incident's start an alert already counts for it
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub lead: Option<Nanos>,
    /// How long before the impact of an incident (`impact` in its label) an alert should come: the score says how often it did
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub lead_needed: Option<Nanos>,
}
