//! How a backtest is disturbed to see how much of its result is luck.

use clap::Args;
use memwatch_core::Nanos;
use memwatch_core::backtest::Disturbance;

use super::duration;

/// How many runs there are when samples are lost and nobody says.
const LOSSY_RUNS: u32 = 10;

/// Repeats the backtest disturbed, and says what became of incidents and alerts.
#[derive(Debug, Args)]
pub struct RobustnessArgs {
    /// Repeats the backtest at this many phases of the evaluation interval
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub phases: Option<u32>,
    /// Repeats the backtest on a coarser sampling: one sample for each such stretch, as a scrape at its end finds it
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub thin: Option<Nanos>,
    /// Repeats the backtest with this share of the samples lost: 1%; other ones in each of --phases runs [default: 10 runs]
    #[arg(long, value_name = "SHARE", value_parser = percent)]
    pub drop: Option<f64>,
}

impl RobustnessArgs {
    /// What is asked for; `None` when nothing is.
    pub fn disturbance(&self) -> Option<Disturbance> {
        let asked = self.phases.is_some() || self.thin.is_some() || self.drop.is_some();
        asked.then(|| Disturbance {
            runs: self
                .phases
                .unwrap_or(if self.drop.is_some() { LOSSY_RUNS } else { 1 }),
            thin: self.thin,
            drop: self.drop.unwrap_or(0.0),
        })
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(|p: f64| p / 100.0),
        None => text.parse(),
    };
    share
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a share like 1% or 0.01".to_owned())
}
