//! Arguments of `memwatch export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{ReplayArgs, RowFormat, TruthArgs};

/// Write what a store holds for other programs: a table, series as OpenMetrics, or a test for promtool.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["table", "openmetrics", "promtool"]),
    after_help = "\
Examples:
  memwatch export --table samples data/ --service api --out samples.parquet
  memwatch export --openmetrics data/ --match 'go_goroutines{service=\"api\"}' --from -24h > api.om
  memwatch export --promtool gc_thrash@image-resize#1 rules.toml recordings/
  memwatch export --promtool 3f2a9c01b7de rules.toml data/ --out tests/ && promtool test rules tests/*.test.yml

A table comes in the order of its rows' identity, so the same store gives the same bytes. OpenMetrics has each
quantity once, with times, and is what `promtool tsdb create-blocks-from openmetrics` reads.

For promtool an alert is named by its id (`memwatch backtest --format json` shows it), an incident by KIND,
KIND@SERVICE, or either with #N. The case holds the smallest stretch of real samples with which the alert comes
out as it did in the recording; that is checked before it is written. Exit: 0 done; 1 there is no such case,
because promtool cannot express it; 2 it failed.")]
pub struct ExportArgs {
    /// The table whose rows are written: samples, gc_cycles, gc_pauses, metrics, spans, incidents …
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Writes series as OpenMetrics text
    #[arg(long)]
    pub openmetrics: bool,
    /// The alert or incident that becomes a case for `promtool test rules`
    #[arg(long, value_name = "INCIDENT")]
    pub promtool: Option<String>,
    /// With --promtool, rules in TOML, or Prometheus' YAML (.yml, .yaml); else DATA
    #[arg(value_name = "RULES")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub replay: ReplayArgs,
    #[command(flatten)]
    pub truth: TruthArgs,
    /// Of --table and --openmetrics, only this service
    #[arg(long, value_name = "SERVICE", conflicts_with = "promtool")]
    pub service: Option<String>,
    /// Of --table and --openmetrics, only this instance
    #[arg(long, value_name = "INSTANCE", conflicts_with = "promtool")]
    pub instance: Option<String>,
    /// Of --openmetrics, only series that a PromQL selector finds; may be given more than once
    #[arg(long = "match", value_name = "SELECTOR", requires = "openmetrics")]
    pub matches: Vec<String>,
    /// How a table is written [default: parquet when --out ends with .parquet, else csv]
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with_all = ["promtool", "openmetrics"])]
    pub format: Option<RowFormat>,
    /// The file that is written [default: standard output]; with --promtool the folder for NAME.rules.yml and NAME.test.yml
    /// [default: .]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// What the files for promtool are called [default: the kind and service, or the alert's name and id]
    #[arg(long, value_name = "NAME", requires = "promtool")]
    pub name: Option<String>,
}
