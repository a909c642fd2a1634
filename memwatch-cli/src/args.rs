//! What users type: clap types only.

mod diff;
mod export;
mod notify;
mod replay;
mod robustness;
mod tune;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use memwatch_core::expr::StaleAfter;
use memwatch_core::{Nanos, rule};
use memwatch_store::Table;

pub use diff::{BudgetArgs, DiffArgs, DiffFormat};
pub use export::ExportArgs;
pub use notify::NotifyArgs;
pub use replay::{ReplayArgs, TruthArgs};
pub use robustness::RobustnessArgs;
pub use tune::TuneArgs;

/// The flight recorder and rule laboratory for Go memory.
#[derive(Debug, Parser)]
#[command(
    name = "memwatch",
    version,
    about,
    propagate_version = true,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What memwatch does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read recordings into a store
    Ingest(IngestArgs),
    /// Ask a store in SQL or PromQL
    Query(QueryArgs),
    /// Say what a store holds
    Info(InfoArgs),
    /// Read every byte of a store and say what is damaged
    Verify(VerifyArgs),
    /// Merge small segments into large ones
    Compact(CompactArgs),
    /// Remove days that are old enough
    Retain(RetainArgs),
    /// Look for mistakes in a rule file
    Check(CheckArgs),
    /// Prove alert rules on a recording
    Backtest(Box<BacktestArgs>),
    /// Say what another rule file would have changed
    Diff(Box<DiffArgs>),
    /// Cut a test for promtool out of a recording
    Export(Box<ExportArgs>),
    /// Look for better settings of alert rules
    Tune(Box<TuneArgs>),
}

/// Where the data is.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Folder of the store, or s3://bucket/prefix (with AWS_* variables: docs/object-storage.md)
    #[arg(
        long = "data",
        env = "MEMWATCH_DATA",
        default_value = "data",
        value_name = "DIR|URL",
        hide_env_values = true
    )]
    dir: PathBuf,
}

impl DataArgs {
    /// The folder given by option or environment, or the default one.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// The folder: the positional one when it is given.
    pub fn or(&self, positional: Option<&PathBuf>) -> PathBuf {
        positional.unwrap_or(&self.dir).clone()
    }
}

/// What raw recordings do not say of themselves.
#[derive(Debug, Args, Default)]
pub struct RecordingArgs {
    /// Service whose recording this is, when the lines do not say
    /// [default: labels.json, a samples recording beside it, or the folder's name]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Instance whose recording this is, when the lines do not say
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// When the input was read, for formats without times: RFC 3339, `now`, or `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<String>,
    /// When the process began, for gctrace logs; once for each process of the log, in order
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub start: Vec<String>,
}

/// Read recordings into a store.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch ingest recordings/ --data data
  ./server 2>&1 | memwatch ingest - --format gctrace --service api --instance api-7 --start now

Formats are recognized from content; plain, gzip and zstd. What was ingested before changes nothing.
Exit: 0 done (rejected lines are reported), 2 something could not be read or kept.")]
pub struct IngestArgs {
    /// Files, folders, patterns like 'logs/*.gz', or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Format of every input
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub format: String,
    #[command(flatten)]
    pub recording: RecordingArgs,
    /// What a bad line does: it is skipped and reported, or its whole input fails
    #[arg(long, value_enum, default_value_t = OnError::Skip)]
    pub on_error: OnError,
    /// How the closing report is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub report: ReportFormat,
}

/// What a bad line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// It is counted and reported, and reading goes on.
    Skip,
    /// Its input fails and leaves no rows.
    Fail,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Table,
    /// For programs; has a schema name and version.
    Json,
    /// For a README or an issue.
    Markdown,
}

/// Ask a store in SQL or PromQL.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch query \"SELECT service, max(pause_ns) / 1e6 AS ms FROM gc_pauses_best GROUP BY service\" data/
  memwatch query \"SELECT ts, effective_gogc, live_bytes FROM signal_heap ORDER BY ts DESC LIMIT 5\" data/
  memwatch query --promql 'rate(allocs_total[1m]) > 100k' data/ --from -1h --step 15s

SHOW TABLES lists the tables and the views over them: the five signals (signal_…), cross_check. What memwatch adds to
SQL (rate, quantile, leak, …) is in info.functions and docs/functions.md.
DATA may also be a folder of raw recordings: it is read into a temporary store first.
Nothing can be written: one SELECT, WITH, SHOW, DESCRIBE or EXPLAIN. Exit: 0 done, 2 it failed.")]
pub struct QueryArgs {
    /// One statement; left out with --file
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,
    /// A folder with a store or with raw recordings [default: --data]
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    /// Reads the statement from a file
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Evaluates PromQL instead: at --to, or from --from to --to
    #[arg(
        long,
        value_name = "EXPR",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    pub promql: Option<String>,
    /// First evaluation of --promql: RFC 3339, `now`, or `-24h`
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        requires = "promql"
    )]
    pub from: Option<String>,
    /// Last evaluation of --promql [default: where the data ends]
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        requires = "promql"
    )]
    pub to: Option<String>,
    /// Distance of two evaluations of --promql [default: 1/300 of the range, at least 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "promql")]
    pub step: Option<Nanos>,
    /// When a silent series has ended: auto, lookback, or a duration
    #[arg(long, value_name = "POLICY", value_parser = stale_after, default_value = "lookback", requires = "promql")]
    pub stale_after: StaleAfter,
    /// For how long a sample is its series' current value
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m", requires = "promql")]
    pub lookback: Nanos,
    #[command(flatten)]
    pub data: DataArgs,
    /// Answers without what is damaged, and says what is missing
    #[arg(long)]
    pub allow_partial: bool,
    /// How the answer is printed [default: table on a terminal, csv otherwise]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<RowFormat>,
    /// Most memory that the operators of a query may hold: 512M, 2Gi
    #[arg(long, default_value = "1Gi", value_name = "SIZE")]
    pub memory: String,
    /// Longest time a query may take: 30s, 5m
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub timeout: String,
    /// Rows that are printed at most in a table; 0 is all of them
    #[arg(long, default_value_t = 1000, value_name = "ROWS")]
    pub max_rows: usize,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// For people.
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// Tab-separated, with a header.
    Tsv,
    /// One array of objects; of --promql, the answer of Prometheus' API.
    Json,
    /// One object a line.
    Ndjson,
    /// A table for a README or an issue.
    Markdown,
    /// An Apache Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// Say what a store holds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch info data/
  memwatch info --format json | jq '.tables[] | {name, rows}'

Exit: 0 done, 2 it failed.")]
pub struct InfoArgs {
    /// The store
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// Read every byte of a store and say what is damaged.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch verify data/
  memwatch verify data/ --repair

Compares checksums of every file and row group, reads every row, and holds statistics, times and
instances against them; looks for files that belong to no commit. --repair copies what is damaged to
quarantine/ and takes it out; rows that are still whole stay.
Exit: 0 everything is as it was written, 1 it is not (also when it was repaired), 2 it failed.")]
pub struct VerifyArgs {
    /// The store
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Takes what is damaged out of the way, a copy of it to quarantine/
    #[arg(long)]
    pub repair: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// Merge small segments into large ones.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch compact data/
  memwatch compact --table metrics --dry-run

Segments of a day become such of 64 to 256 MB, sorted by service, instance and time. Answers stay the
same; each table and day is one commit; queries that run meanwhile go on. Exit: 0 done, 2 it failed.")]
pub struct CompactArgs {
    /// The store
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Only this table
    #[arg(long, value_name = "TABLE", value_parser = table)]
    pub table: Option<Table>,
    /// Says what would be merged, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// Remove days that are old enough.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch retain --older-than 30d data/
  memwatch retain --older-than 7d --table metrics --service batch --dry-run

Whole days (UTC) go, as one commit; a little more stays than was asked for, never less.
Exit: 0 done, 2 it failed.")]
pub struct RetainArgs {
    /// How old a day is, from its end, when it goes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub older_than: Nanos,
    /// The store
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Only of this table
    #[arg(long, value_name = "TABLE", value_parser = table)]
    pub table: Option<Table>,
    /// Only of this service
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Says what would go, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Table, value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// Look for mistakes in a rule file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch check rules.toml
  memwatch check rules.toml data/
  memwatch check --functions

With data also: metrics, labels and values that it does not have, windows shorter than two sampling intervals.
Exit: 0 nothing found (hints aside), 1 problems, 2 it failed.")]
pub struct CheckArgs {
    /// Rules in TOML, or Prometheus' YAML (.yml, .yaml)
    #[arg(value_name = "RULES", required_unless_present = "functions")]
    pub rules: Option<PathBuf>,
    /// Prints every function that expressions can call, instead of checking rules
    #[arg(long, conflicts_with_all = ["rules", "store"])]
    pub functions: bool,
    /// A folder with a store or with raw recordings [default: --data, when there is one]
    #[arg(value_name = "DATA")]
    pub store: Option<PathBuf>,
    #[command(flatten)]
    pub data: DataArgs,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = CheckFormat::Text, value_name = "FORMAT")]
    pub format: CheckFormat,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people: the line, and a caret under the fault.
    Text,
    /// For programs; has a schema name and version.
    Json,
}

/// Prove alert rules on a recording.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch backtest rules.toml data/
  memwatch backtest rules.toml recordings/ --labels recordings/*/labels.json --min-recall 0.85
  memwatch backtest rules.toml data/ --alertmanager alertmanager.yml --silences silences.ndjson

DATA may also be a folder of raw recordings: it is read into a temporary store first. Incidents come
from --labels, or from the store. Exit: 0 done; 1 alerts fired under --fail-on fired, or a score below
--min-recall or --min-precision; 2 it failed, or nothing could be evaluated.")]
pub struct BacktestArgs {
    /// Rules in TOML, or Prometheus' YAML (.yml, .yaml)
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub replay: ReplayArgs,
    #[command(flatten)]
    pub truth: TruthArgs,
    #[command(flatten)]
    pub notify: NotifyArgs,
    #[command(flatten)]
    pub robustness: RobustnessArgs,
    /// Says why an alert fired (its id), or how near each rule came to an incident (kind@service, or kind@service#2), instead of the report
    #[arg(
        long,
        value_name = "ID",
        conflicts_with_all = ["report", "junit", "fail_on", "min_recall", "min_precision"]
    )]
    pub explain: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = BacktestFormat::Table, value_name = "FORMAT")]
    pub format: BacktestFormat,
    /// How many services have a timeline in text; those that need a look first
    #[arg(long, value_name = "SERVICES", default_value_t = 6)]
    pub timeline: usize,
    /// Also writes a report that needs no network: one HTML file with plots of what happened
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also writes JUnit XML: a test case for each incident, rule and limit
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Exit with 1 when an alert fired
    #[arg(long, value_enum, value_name = "WHEN")]
    pub fail_on: Option<FailOn>,
    /// Exit with 1 when less than this share of the incidents was caught
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_recall: Option<f64>,
    /// Exit with 1 when less than this share of the alerts was right
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub min_precision: Option<f64>,
}

/// How a backtest is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BacktestFormat {
    /// For people.
    Table,
    /// For programs: one document; has a schema name and version.
    Json,
    /// For programs: one line each for the run, rules, alerts, messages, incidents, gaps and the score.
    Ndjson,
    /// For a README or an issue.
    Markdown,
}

/// When a backtest's answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// When an alert fired.
    Fired,
}

fn duration(text: &str) -> Result<Nanos, String> {
    Nanos::parse(text).ok_or_else(|| "expected a duration like 30s or 200ms".to_owned())
}

fn table(text: &str) -> Result<Table, String> {
    Table::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Table::all().map(Table::name).collect();
        format!("expected one of {}", known.join(", "))
    })
}

fn stale_after(text: &str) -> Result<StaleAfter, String> {
    rule::parse_stale_after(text)
        .ok_or_else(|| "expected auto, lookback or a duration like 5s".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_two_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.matches("  memwatch ").count() + help.matches("| memwatch ").count() >= 2,
                "{}",
                command.get_name()
            );
        }
    }
}
