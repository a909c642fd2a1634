//! The choice among settings: by folds, and for the simplest that is not clearly worse than the best.

use crate::backtest::score::{f_measure, share};

use super::setting::Grid;
use super::split::{Split, Stretch};
use super::track::{Ground, Track};

/// What false alerts cost: this much of the objective for each factor e of `1 + false alerts per day`.
const NOISE: f64 = 0.02;

/// What rules did in a stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Figures {
    /// Incidents that the rules are meant for.
    pub incidents: u64,
    /// Of these, those hit.
    pub hit: u64,
    /// Incidents of any kind that were hit.
    pub true_alerts: u64,
    /// Alerts in no incident.
    pub false_alerts: u64,
    /// For how long processes were recorded, summed, in days.
    pub days: f64,
}

impl Figures {
    /// `hit / incidents`
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.hit, self.incidents)
    }

    /// `true / (true + false)`
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.true_alerts, self.true_alerts + self.false_alerts)
    }

    /// False alerts per day and process.
    #[must_use]
    pub fn false_per_day(&self) -> f64 {
        if self.days > 0.0 {
            self.false_alerts as f64 / self.days
        } else {
            0.0
        }
    }

    /// F measure in which precision weighs twice as much; 0 when nothing was caught.
    #[must_use]
    pub fn f05(&self) -> f64 {
        f_measure(
            self.precision().unwrap_or(0.0),
            self.recall().unwrap_or(0.0),
            0.5,
        )
    }

    /// What `tune` maximizes: `F0.5 − 0.02 · ln(1 + false alerts per day and process)`.
    #[must_use]
    pub fn objective(&self) -> f64 {
        self.f05() - NOISE * (1.0 + self.false_per_day()).ln()
    }
}

/// What choosing by training is worth: the search is repeated in each fold on what comes before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct WalkForward {
    /// Mean objective of the best settings where they were chosen.
    pub in_fold: f64,
    /// Mean objective of the same settings on what came next.
    pub out_of_fold: f64,
}

impl WalkForward {
    /// How much of what was found does not last.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.in_fold - self.out_of_fold
    }
}

/// The value of a setting over the folds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    /// Mean objective over the test stretches.
    pub(super) mean: f64,
    /// Its standard error.
    pub(super) error: f64,
}

/// A rule on the way: its settings and what each did.
pub(super) struct Candidate<'c> {
    pub(super) grid: &'c Grid,
    /// As many as settings.
    pub(super) tracks: &'c [Track],
}

/// Objective of each setting of one rule, with every other rule as it stands.
pub(super) struct Tried {
    /// Index of the rule among the candidates.
    pub(super) rule: usize,
    /// As many as its settings.
    pub(super) values: Vec<Value>,
    /// On the whole training stretch.
    pub(super) figures: Vec<Figures>,
    pub(super) chosen: usize,
}

/// Tries the settings of one rule after the other, each with those before it as chosen and those after it as the file has them.
pub(super) fn search(rules: &[Candidate<'_>], ground: &Ground<'_>, split: &Split) -> Vec<Tried> {
    let mut current = vec![0; rules.len()];
    (0..rules.len())
        .map(|rule| {
            let of = |setting: usize, stretch: &Stretch| {
                ground.judge(&tracks(rules, &current, rule, setting), stretch)
            };
            let count = rules[rule].grid.settings.len();
            let values: Vec<Value> = (0..count)
                .map(|setting| {
                    let tests = split.folds.iter().map(|fold| &fold.1);
                    value(tests.map(|test| of(setting, test).objective()))
                })
                .collect();
            let figures = (0..count)
                .map(|setting| of(setting, &split.training))
                .collect();
            let chosen = simplest(rules[rule].grid, &values);
            current[rule] = chosen;
            Tried {
                rule,
                values,
                figures,
                chosen,
            }
        })
        .collect()
}

/// The tracks of all rules, with this setting for one of them.
fn tracks<'c>(
    rules: &[Candidate<'c>],
    current: &[usize],
    changed: usize,
    setting: usize,
) -> Vec<&'c Track> {
    rules
        .iter()
        .zip(current)
        .enumerate()
        .map(|(i, (rule, current))| &rule.tracks[if i == changed { setting } else { *current }])
        .collect()
}

fn value(objectives: impl Iterator<Item = f64>) -> Value {
    let all: Vec<f64> = objectives.collect();
    let count = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / count;
    let squares: f64 = all.iter().map(|v| (v - mean).powi(2)).sum();
    Value {
        mean,
        error: (squares / (count - 1.0).max(1.0) / count).sqrt(),
    }
}

/// The simplest setting within one standard error of the best: the file's own, then fewer changes, then the stricter one.
fn simplest(grid: &Grid, values: &[Value]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if value.mean > values[best].mean {
            best = i;
        }
    }
    // What rounding does to equal sums is no difference.
    let enough = values[best].mean - values[best].error - 1e-12;
    let mut chosen = best;
    for (i, value) in values.iter().enumerate() {
        let settings = [i, chosen].map(|i| &grid.settings[i]);
        if value.mean < enough || settings[0].changed > settings[1].changed {
            continue;
        }
        let simpler = settings[0].changed < settings[1].changed;
        if simpler || grid.strictness(settings[0]) > grid.strictness(settings[1]) {
            chosen = i;
        }
    }
    chosen
}

/// Repeats the search in each fold: the best setting of each rule on what comes before, judged on what comes after.
pub(super) fn walk_forward(
    rules: &[Candidate<'_>],
    ground: &Ground<'_>,
    split: &Split,
) -> WalkForward {
    let mut walk = WalkForward::default();
    let count = split.folds.len().max(1) as f64;
    for (trained, tested) in &split.folds {
        let mut current = vec![0; rules.len()];
        for rule in 0..rules.len() {
            let of = |setting: usize| {
                let tracks = tracks(rules, &current, rule, setting);
                ground.judge(&tracks, trained).objective()
            };
            let mut best = (0, of(0));
            for setting in 1..rules[rule].grid.settings.len() {
                let objective = of(setting);
                if objective > best.1 {
                    best = (setting, objective);
                }
            }
            current[rule] = best.0;
        }
        let chosen: Vec<&Track> = rules
            .iter()
            .zip(&current)
            .map(|(rule, setting)| &rule.tracks[*setting])
            .collect();
        walk.in_fold += ground.judge(&chosen, trained).objective() / count;
        walk.out_of_fold += ground.judge(&chosen, tested).objective() / count;
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::tune::setting::Knob;
    use crate::expr::parse_with;
    use crate::rule::AlertingRule;
    use std::collections::BTreeMap;

    fn grid() -> Grid {
        let params: BTreeMap<String, f64> = [("limit".to_owned(), 3.0)].into();
        let mut rule = AlertingRule::new("A", parse_with("a > $limit", &params).unwrap());
        rule.params = params;
        let ranges = [
            (Knob::parse("limit"), vec![1.0, 2.0, 3.0, 4.0]),
            (Knob::For, vec![0.0, 5.0]),
        ];
        Grid::new(&rule, &ranges.into(), 100).unwrap()
    }

    #[test]
    fn the_objective_is_that_of_the_definition() {
        let figures = Figures {
            incidents: 4,
            hit: 3,
            true_alerts: 3,
            false_alerts: 1,
            days: 0.5,
        };
        // P = R = 3/4; two false alerts a day.
        assert!((figures.objective() - (0.75 - 0.02 * 3f64.ln())).abs() < 1e-12);
        assert_eq!(Figures::default().objective(), 0.0);
    }

    #[test]
    fn the_simplest_within_one_standard_error_wins() {
        let grid = grid();
        let find = |limit: f64, hold: f64| {
            grid.settings
                .iter()
                .position(|s| s.values == [limit, hold])
                .unwrap()
        };
        let check =
            |best: (f64, f64), error: f64, others: &[((f64, f64), f64)], expected: (f64, f64)| {
                let mut values = vec![
                    Value {
                        mean: 0.0,
                        error: 0.0
                    };
                    grid.settings.len()
                ];
                values[find(best.0, best.1)] = Value { mean: 0.9, error };
                for ((limit, hold), mean) in others {
                    values[find(*limit, *hold)].mean = *mean;
                }
                let chosen = &grid.settings[simplest(&grid, &values)];
                assert_eq!(chosen.values, [expected.0, expected.1]);
            };
        // The file's own is near enough.
        check((4.0, 5.0), 0.1, &[((3.0, 0.0), 0.81)], (3.0, 0.0));
        check((4.0, 5.0), 0.1, &[((3.0, 0.0), 0.79)], (4.0, 5.0));
        // One change rather than two.
        check((4.0, 5.0), 0.1, &[((2.0, 0.0), 0.85)], (2.0, 0.0));
        // Of two with one change the stricter, although the other is better.
        check((2.0, 0.0), 0.1, &[((4.0, 0.0), 0.85)], (4.0, 0.0));
        // Without error the best, and equal ones are equal.
        check((2.0, 5.0), 0.0, &[((4.0, 5.0), 0.9)], (4.0, 5.0));
    }

    #[test]
    fn a_mean_has_a_standard_error() {
        let found = value([1.0, 2.0, 3.0].into_iter());
        assert_eq!(found.mean, 2.0);
        assert!((found.error - (1.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
