//! `memwatch export`.

use std::path::PathBuf;

use clap::Args;

use super::{ReplayArgs, TruthArgs};

/// Cut a test for promtool out of a recording.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch export --promtool gc_thrash@image-resize#1 rules.toml recordings/
  memwatch export --promtool 3f2a9c01b7de rules.toml data/ --out tests/ && promtool test rules tests/*.test.yml

An alert is named by its id (`memwatch backtest --format json` shows it), an incident by KIND, KIND@SERVICE,
or either with #N. The case holds the smallest stretch of real samples with which the alert comes out as it
did in the recording; that is checked before it is written. Exit: 0 done; 1 there is no such case, because
promtool cannot express it; 2 it failed.")]
pub struct ExportArgs {
    /// The alert or incident that becomes a case for `promtool test rules`
    #[arg(long, value_name = "INCIDENT")]
    pub promtool: String,
    /// Rules in TOML, or Prometheus' YAML (.yml, .yaml)
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub replay: ReplayArgs,
    #[command(flatten)]
    pub truth: TruthArgs,
    /// Folder in which NAME.rules.yml and NAME.test.yml are written
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,
    /// What the files are called [default: the kind and service, or the alert's name and id]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}
