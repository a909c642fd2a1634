//! Tuning for programs: `memwatch.tune/1`.

use std::collections::BTreeMap;
use std::io::Write;

use memwatch_core::backtest::{Figures, LEAST_INCIDENTS};
use serde::Serialize;

use super::json::Time;
use super::tune::Shown;
use super::{Output, json};

/// The schema's name and version.
const SCHEMA: &str = "memwatch.tune/1";

#[derive(Serialize)]
struct Refused {
    schema: &'static str,
    refused: &'static str,
    incidents: usize,
    least_training_incidents: usize,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    engine: &'static str,
    /// What was read: as the user named it, and which commit of the store.
    source: SourceJson,
    trials: usize,
    folds: usize,
    purge_s: f64,
    training_incidents: usize,
    untouched_incidents: usize,
    untouched_from: Time,
    /// What the result means, in a sentence.
    verdict: &'static str,
    changed: bool,
    /// Whether the chosen settings are better where the search never looked.
    better: bool,
    objective: ObjectiveJson,
    walk_forward: WalkForwardJson,
    training: Both,
    untouched: Both,
    rules: Vec<RuleJson<'a>>,
    /// The settings that none beats in the training stretch, by false alerts.
    front: Vec<PointJson<'a>>,
    /// A unified diff of the rule file; `null` when nothing changes.
    patch: Option<String>,
}

#[derive(Serialize)]
struct SourceJson {
    rules: String,
    data: String,
    data_commit: u64,
}

/// Mean over the folds.
#[derive(Serialize)]
struct ObjectiveJson {
    file: f64,
    chosen: f64,
    standard_error: f64,
}

#[derive(Serialize)]
struct WalkForwardJson {
    in_fold: f64,
    out_of_fold: f64,
    gap: f64,
}

#[derive(Serialize)]
struct Both {
    file: FiguresJson,
    chosen: FiguresJson,
}

#[derive(Serialize)]
pub struct FiguresJson {
    incidents: u64,
    hit: u64,
    #[serde(rename = "true")]
    true_alerts: u64,
    #[serde(rename = "false")]
    false_alerts: u64,
    series_days: f64,
    false_per_series_day: f64,
    recall: Option<f64>,
    precision: Option<f64>,
    f05: f64,
    objective: f64,
}

/// Durations in seconds.
#[derive(Serialize)]
struct RuleJson<'a> {
    name: &'a str,
    group: &'a str,
    tried: usize,
    file: BTreeMap<String, f64>,
    chosen: BTreeMap<String, f64>,
    heat_map: Option<HeatMapJson<'a>>,
}

/// The mean objective over the folds: `cells[row][column]`.
#[derive(Serialize)]
struct HeatMapJson<'a> {
    across: String,
    columns: &'a [f64],
    down: Option<String>,
    rows: &'a [f64],
    cells: &'a [Vec<f64>],
}

#[derive(Serialize)]
struct PointJson<'a> {
    rule: &'a str,
    settings: BTreeMap<String, f64>,
    hit: u64,
    incidents: u64,
    false_per_series_day: f64,
    objective: f64,
}

/// That nothing was tried, and why.
pub fn refused(out: &mut Output, incidents: usize) -> anyhow::Result<()> {
    json::document(
        out,
        &Refused {
            schema: SCHEMA,
            refused: "too few incidents to train on",
            incidents,
            least_training_incidents: LEAST_INCIDENTS,
        },
    )
}

/// One document.
pub fn document(out: &mut Output, shown: &Shown<'_>) -> anyhow::Result<()> {
    json::document(out, &of(shown))
}

/// The document in one line.
pub fn line(out: &mut Output, shown: &Shown<'_>) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, &of(shown))?;
    writeln!(out)?;
    Ok(())
}

fn of<'a>(shown: &Shown<'a>) -> Document<'a> {
    let tuned = shown.tuned;
    let settings = |rule: usize, setting: usize| -> BTreeMap<String, f64> {
        let rule = &tuned.rules[rule];
        let names = rule.knobs.iter().map(ToString::to_string);
        names
            .zip(rule.settings[setting].values.iter().copied())
            .collect()
    };
    let both = |pair: &(Figures, Figures)| Both {
        file: figures(&pair.0),
        chosen: figures(&pair.1),
    };
    Document {
        schema: SCHEMA,
        engine: super::backtest::ENGINE,
        source: SourceJson {
            rules: shown.rules_path.to_string_lossy().into_owned(),
            data: shown.data_path.to_string_lossy().into_owned(),
            data_commit: shown.data_commit,
        },
        trials: tuned.trials,
        folds: tuned.folds,
        purge_s: tuned.purge.as_seconds(),
        training_incidents: tuned.training_incidents,
        untouched_incidents: tuned.untouched_incidents,
        untouched_from: Time(tuned.untouched_from),
        verdict: shown.verdict(),
        changed: tuned.changes_anything(),
        better: tuned.is_better(),
        objective: ObjectiveJson {
            file: tuned.objective.0,
            chosen: tuned.objective.1,
            standard_error: tuned.objective_error,
        },
        walk_forward: WalkForwardJson {
            in_fold: tuned.walk_forward.in_fold,
            out_of_fold: tuned.walk_forward.out_of_fold,
            gap: tuned.walk_forward.gap(),
        },
        training: both(&tuned.training),
        untouched: both(&tuned.untouched),
        rules: tuned
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| RuleJson {
                name: &rule.name,
                group: &shown.file.groups[rule.group].name,
                tried: rule.settings.len(),
                file: settings(index, 0),
                chosen: settings(index, rule.chosen),
                heat_map: rule.heat_map.as_ref().map(|map| HeatMapJson {
                    across: map.across.to_string(),
                    columns: &map.columns,
                    down: map.down.as_ref().map(ToString::to_string),
                    rows: &map.rows,
                    cells: &map.cells,
                }),
            })
            .collect(),
        front: tuned
            .front
            .iter()
            .map(|point| PointJson {
                rule: &tuned.rules[point.rule].name,
                settings: settings(point.rule, point.setting),
                hit: point.figures.hit,
                incidents: point.figures.incidents,
                false_per_series_day: point.figures.false_per_day(),
                objective: point.figures.objective(),
            })
            .collect(),
        patch: shown.patch(),
    }
}

/// What rules did in a stretch.
pub fn figures(figures: &Figures) -> FiguresJson {
    FiguresJson {
        incidents: figures.incidents,
        hit: figures.hit,
        true_alerts: figures.true_alerts,
        false_alerts: figures.false_alerts,
        series_days: figures.days,
        false_per_series_day: figures.false_per_day(),
        recall: figures.recall(),
        precision: figures.precision(),
        f05: figures.f05(),
        objective: figures.objective(),
    }
}
