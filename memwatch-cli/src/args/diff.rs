//! `memwatch diff`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{NotifyArgs, ReplayArgs, TruthArgs, share};

/// Say what another rule file would have changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch diff old.toml new.toml data/
  memwatch diff old.toml new.toml recordings/ --min-recall 0.9 --max-pages-per-week 5 --junit diff.xml
  memwatch diff old.toml new.toml data/ --alertmanager alertmanager.yml --silences silences.ndjson

Both files run over the same recording with the same settings, and their alerts go through the routes and
silences that are given. Alerts with the same labels are compared: new, lost, moved.
Exit: 0 done; 1 the new rules break a limit (--min-…, --max-…); 2 it failed, or the new rules evaluated
nothing.")]
pub struct DiffArgs {
    /// The rules as they are
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The rules as they would be
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    #[command(flatten)]
    pub replay: ReplayArgs,
    #[command(flatten)]
    pub truth: TruthArgs,
    #[command(flatten)]
    pub notify: NotifyArgs,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = DiffFormat::Table, value_name = "FORMAT")]
    pub format: DiffFormat,
    /// Also writes JUnit XML: a test case for each incident, rule and limit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub budget: BudgetArgs,
}

/// What the new rules must hold.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    /// Exit with 1 when the new rules catch less than this share of the incidents
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_recall: Option<f64>,
    /// Exit with 1 when less than this share of the new rules' alerts is right
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_precision: Option<f64>,
    /// Exit with 1 when the new rules would page more often: firing messages to PagerDuty, or alerts
    /// when there is no route; the recording's rate, put to a week
    #[arg(long, value_name = "PAGES")]
    pub max_pages_per_week: Option<f64>,
    /// Whose firing messages are pages, instead of those to PagerDuty
    #[arg(long, value_name = "RECEIVER", requires = "max_pages_per_week")]
    pub page_receiver: Vec<String>,
    /// Exit with 1 when more alerts are new
    #[arg(long, value_name = "ALERTS")]
    pub max_new: Option<u64>,
    /// Exit with 1 when more alerts are lost
    #[arg(long, value_name = "ALERTS")]
    pub max_lost: Option<u64>,
}

/// How a comparison is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people.
    Table,
    /// For programs; has a schema name and version.
    Json,
    /// For a pull request.
    Markdown,
}
