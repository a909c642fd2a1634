//! Arguments of `memwatch tune`.

use std::path::PathBuf;

use clap::Args;
use memwatch_core::Nanos;
use memwatch_core::backtest::Knob;
use memwatch_core::rule::{Scale, TuneRange};

use super::{BacktestFormat, ReplayArgs, TruthArgs};

/// Look for better settings of alert rules on a recording.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memwatch tune rules.toml data/ --report tune.html
  memwatch tune rules.toml data/ --rule HeapLarge --param 'HeapLarge.for=0s,5s,10s,30s' --write

Tried is what `tune` of a rule says, and --param. The rules tried are judged together; the last fifth of the
incidents is never read by the search and reported once. Exit: 0 done; 1 there are fewer than 5 incidents to
train on, or --write was refused because the choice is not better where the search never looked; 2 it failed.")]
pub struct TuneArgs {
    /// Rules in TOML, or Prometheus' YAML (.yml, .yaml)
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub replay: ReplayArgs,
    #[command(flatten)]
    pub truth: TruthArgs,
    /// Tunes only these rules [default: all that have something to try]
    #[arg(long = "rule", value_name = "NAME")]
    pub only: Vec<String>,
    /// Tries these values too: RULE.NAME=VALUES, where RULE is a rule or * for all, NAME a parameter, for or keep_firing_for,
    /// and VALUES 1,2,3 or 1..10/20 or 1..10/20log
    #[arg(long = "param", value_name = "RANGE", value_parser = param)]
    pub params: Vec<ParamRange>,
    /// Changes the rule file, if the choice is better where the search never looked
    #[arg(long)]
    pub write: bool,
    /// Also writes a report that needs no network: one HTML file with what was tried, heat maps and the patch
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How the result is printed; ndjson is the document in one line
    #[arg(long, value_enum, default_value_t = BacktestFormat::Table, value_name = "FORMAT")]
    pub format: BacktestFormat,
}

/// Which values of what are tried.
#[derive(Debug, Clone)]
pub struct ParamRange {
    /// Of which rule; `None` for all that have something to try.
    pub rule: Option<String>,
    /// Of what.
    pub knob: Knob,
    /// Durations in seconds.
    pub values: Vec<f64>,
}

fn param(text: &str) -> Result<ParamRange, String> {
    let shape =
        "expected RULE.NAME=VALUES, like HeapLarge.limit=1e6..64e6/20log or *.for=0s,5s,10s";
    let (target, values) = text.split_once('=').ok_or(shape)?;
    let (rule, name) = target.rsplit_once('.').ok_or(shape)?;
    if rule.is_empty() || name.is_empty() {
        return Err(shape.to_owned());
    }
    let knob = Knob::parse(name);
    let number = |text: &str| -> Result<f64, String> {
        let found = if knob.is_duration() {
            Nanos::parse(text).map(Nanos::as_seconds)
        } else {
            text.parse().ok().filter(|v: &f64| v.is_finite())
        };
        let what = if knob.is_duration() {
            "a duration"
        } else {
            "a number"
        };
        found.ok_or_else(|| format!("expected {what}, found `{text}`"))
    };
    let values = match values.split_once("..") {
        None => values
            .split(',')
            .map(number)
            .collect::<Result<Vec<f64>, String>>()?,
        Some((from, rest)) => {
            let (to, steps) = rest.split_once('/').unwrap_or((rest, "10"));
            let (steps, scale) = match steps.strip_suffix("log") {
                Some(steps) => (steps, Scale::Log),
                None => (steps, Scale::Linear),
            };
            let (from, to) = (number(from)?, number(to)?);
            let steps: usize = steps
                .parse()
                .ok()
                .filter(|steps| (2..=1000).contains(steps))
                .ok_or_else(|| format!("expected 2 to 1000 steps, found `{steps}`"))?;
            if from >= to || scale == Scale::Log && from <= 0.0 {
                return Err("expected a range that rises, above 0 for log".to_owned());
            }
            TuneRange::Steps {
                from,
                to,
                steps,
                scale,
            }
            .values()
        }
    };
    Ok(ParamRange {
        rule: (rule != "*").then(|| rule.to_owned()),
        knob,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_short_to_type() {
        let read = |text: &str| param(text).map(|p| (p.rule, p.knob.to_string(), p.values));
        assert_eq!(
            read("A.b.limit=1,2.5,3e6"),
            Ok((
                Some("A.b".to_owned()),
                "limit".to_owned(),
                vec![1.0, 2.5, 3e6]
            ))
        );
        assert_eq!(
            read("*.for=0s,1m"),
            Ok((None, "for".to_owned(), vec![0.0, 60.0]))
        );
        assert_eq!(read("A.x=1..100/3log").unwrap().2, [1.0, 10.0, 100.0]);
        assert_eq!(read("A.for=0s..10s/3").unwrap().2, [0.0, 5.0, 10.0]);
        for bad in [
            "",
            "A=1",
            "A.x",
            "A.x=",
            "A.for=soon",
            "A.x=2..1",
            "A.x=0..1/5log",
            "A.x=1..2/1",
            "*.x=NaN",
        ] {
            assert!(param(bad).is_err(), "{bad}");
        }
    }
}
