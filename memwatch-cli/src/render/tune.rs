//! Tuning for people: what was chosen, what it is worth, what else there was, and the patch.

use std::io::Write;
use std::path::Path;

use memwatch_core::Nanos;
use memwatch_core::backtest::{Figures, HeatMap, Knob, RuleTuned, Tuned};
use memwatch_core::rule::RuleFile;

use super::backtest::{cut, lasted, short, title};
use super::patch::unified;
use super::table::{Column, Style, draw};
use super::{Output, clean, grouped};

/// Points of the front that are listed.
const FRONT_MAX: usize = 12;
/// Columns of a heat map.
const COLUMNS_MAX: usize = 40;
/// From the least objective to the greatest.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// What tuning gave and where it came from.
pub struct Shown<'a> {
    /// The rule file as the user named it.
    pub rules_path: &'a Path,
    /// The data as the user named it.
    pub data_path: &'a Path,
    /// The rules.
    pub file: &'a RuleFile,
    /// What was found.
    pub tuned: &'a Tuned,
    /// The rule file's text with what was chosen; `None` when nothing changes.
    pub changed: Option<&'a str>,
    /// Which commit of the store was read.
    pub data_commit: u64,
}

impl Shown<'_> {
    /// What would change in the rule file.
    pub fn patch(&self) -> Option<String> {
        let name = self.rules_path.to_string_lossy();
        let changed = self.changed?;
        Some(unified(
            name.trim_start_matches('/'),
            &self.file.text,
            changed,
        ))
    }

    /// What the result means, in a sentence.
    pub fn verdict(&self) -> &'static str {
        let tuned = self.tuned;
        if !tuned.changes_anything() {
            "no setting is better than the file's by more than one standard error: they stay"
        } else if tuned.is_better() {
            "the chosen settings do better than the file's on the stretch that the search never saw"
        } else {
            "the chosen settings do NOT do better than the file's on the stretch that the search never saw: keep the file's"
        }
    }
}

/// The report.
pub fn text(out: &mut Output, shown: &Shown<'_>, style: Style) -> anyhow::Result<()> {
    let tuned = shown.tuned;
    writeln!(
        out,
        "{} on {}: {} settings of {} rules tried, {} folds, purge {}",
        clean(&shown.rules_path.to_string_lossy(), false),
        clean(&shown.data_path.to_string_lossy(), false),
        grouped(tuned.trials as u64),
        tuned.rules.len(),
        tuned.folds,
        lasted(tuned.purge),
    )?;
    writeln!(
        out,
        "{} incidents to train on; the last {} and everything from {} on were not read by the search",
        tuned.training_incidents, tuned.untouched_incidents, tuned.untouched_from
    )?;
    writeln!(out, "{}", shown.verdict())?;
    chosen(out, tuned, style)?;
    worth(out, tuned, style)?;
    front(out, tuned, style)?;
    for rule in &tuned.rules {
        if let Some(map) = &rule.heat_map {
            heat_map(out, rule, map, style)?;
        }
    }
    if let Some(patch) = shown.patch() {
        title(out, style, "Patch")?;
        let fence = if style == Style::Markdown { "```" } else { "" };
        if !fence.is_empty() {
            writeln!(out, "{fence}diff")?;
        }
        for line in patch.lines() {
            writeln!(out, "{}", clean(line, true))?;
        }
        if !fence.is_empty() {
            writeln!(out, "{fence}")?;
        }
    }
    Ok(())
}

/// A value of a knob as users write it.
pub fn setting(knob: &Knob, value: f64) -> String {
    if knob.is_duration() {
        #[allow(clippy::cast_possible_truncation)] // Saturates; a length of time.
        let ns = (value * 1e9).round() as i64;
        Nanos(ns).to_string()
    } else {
        short(value)
    }
}

fn chosen(out: &mut Output, tuned: &Tuned, style: Style) -> anyhow::Result<()> {
    title(out, style, "Settings")?;
    let columns = [
        Column::text("rule"),
        Column::text("setting"),
        Column::number("file"),
        Column::number("chosen"),
        Column::number("tried"),
    ];
    let mut rows = Vec::new();
    for rule in &tuned.rules {
        let (old, new) = (&rule.settings[0], &rule.settings[rule.chosen]);
        for (i, knob) in rule.knobs.iter().enumerate() {
            let same = old.values[i] == new.values[i];
            rows.push(vec![
                if i == 0 {
                    cut(&rule.name, 32)
                } else {
                    String::new()
                },
                cut(&knob.to_string(), 24),
                setting(knob, old.values[i]),
                if same {
                    "=".to_owned()
                } else {
                    setting(knob, new.values[i])
                },
                if i == 0 {
                    grouped(rule.settings.len() as u64)
                } else {
                    String::new()
                },
            ]);
        }
    }
    write!(out, "{}", draw(&columns, &rows, style))?;
    Ok(())
}

fn worth(out: &mut Output, tuned: &Tuned, style: Style) -> anyhow::Result<()> {
    title(out, style, "Worth")?;
    let columns = [
        Column::text("stretch"),
        Column::text("settings"),
        Column::number("caught"),
        Column::number("false"),
        Column::number("false/day"),
        Column::number("precision"),
        Column::number("F0.5"),
        Column::number("objective"),
    ];
    let row = |stretch: &str, settings: &str, figures: &Figures| {
        vec![
            stretch.to_owned(),
            settings.to_owned(),
            format!("{} of {}", figures.hit, figures.incidents),
            grouped(figures.false_alerts),
            format!("{:.1}", figures.false_per_day()),
            figures
                .precision()
                .map_or("–".to_owned(), |p| format!("{p:.2}")),
            format!("{:.3}", figures.f05()),
            format!("{:.3}", figures.objective()),
        ]
    };
    let rows = [
        row("training", "file", &tuned.training.0),
        row("training", "chosen", &tuned.training.1),
        row("untouched", "file", &tuned.untouched.0),
        row("untouched", "chosen", &tuned.untouched.1),
    ];
    write!(out, "{}", draw(&columns, &rows, style))?;
    let walk = &tuned.walk_forward;
    writeln!(
        out,
        "mean objective over the folds: file {:.3}, chosen {:.3} (standard error {:.3});\n\
         chosen by training alone: in-fold {:.3}, out-of-fold {:.3}, gap {:.3}; {} trials",
        tuned.objective.0,
        tuned.objective.1,
        tuned.objective_error,
        walk.in_fold,
        walk.out_of_fold,
        walk.gap(),
        grouped(tuned.trials as u64),
    )?;
    Ok(())
}

fn front(out: &mut Output, tuned: &Tuned, style: Style) -> anyhow::Result<()> {
    title(
        out,
        style,
        "Settings that none beats, in the training stretch",
    )?;
    let columns = [
        Column::number("caught"),
        Column::number("false/day"),
        Column::text("rule"),
        Column::text("settings"),
    ];
    let shown = tuned.front.iter().rev().take(FRONT_MAX);
    let rows: Vec<Vec<String>> = shown
        .map(|point| {
            let rule = &tuned.rules[point.rule];
            let values = &rule.settings[point.setting].values;
            let settings: Vec<String> = rule
                .knobs
                .iter()
                .zip(values)
                .map(|(knob, value)| format!("{knob} {}", setting(knob, *value)))
                .collect();
            vec![
                format!("{} of {}", point.figures.hit, point.figures.incidents),
                format!("{:.1}", point.figures.false_per_day()),
                cut(&rule.name, 32),
                cut(&settings.join(", "), 50),
            ]
        })
        .collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    Ok(())
}

/// The objective over two knobs, dark where it is great.
fn heat_map(out: &mut Output, rule: &RuleTuned, map: &HeatMap, style: Style) -> anyhow::Result<()> {
    let all = || map.cells.iter().flatten().copied();
    let (least, most) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(f64::NEG_INFINITY, f64::max),
    );
    // One shade everywhere says nothing.
    if most - least < 1e-9 {
        return Ok(());
    }
    let name = match &map.down {
        Some(down) => format!("{}: {} across, {down} down", rule.name, map.across),
        None => format!("{}: {}", rule.name, map.across),
    };
    title(out, style, &clean(&name, false))?;
    let fence = if style == Style::Markdown {
        "```\n"
    } else {
        ""
    };
    write!(out, "{fence}")?;
    let columns = map.columns.len().min(COLUMNS_MAX);
    let shade = |value: f64| {
        let share = ((value - least) / (most - least)).clamp(0.0, 1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 4.
        let index = (share * (SHADES.len() - 1) as f64).round() as usize;
        SHADES[index]
    };
    let label = |row: usize| match &map.down {
        Some(knob) => setting(knob, map.rows[row]),
        None => String::new(),
    };
    let width = (0..map.rows.len())
        .map(|r| label(r).chars().count())
        .max()
        .unwrap_or(0);
    for (row, cells) in map.cells.iter().enumerate().rev() {
        let line: String = cells[..columns]
            .iter()
            .flat_map(|v| [shade(*v); 2])
            .collect();
        writeln!(out, " {:>width$} {line}", label(row))?;
    }
    let ends = [map.columns[0], map.columns[columns - 1]].map(|v| setting(&map.across, v));
    let between = (2 * columns).saturating_sub(ends[0].chars().count());
    writeln!(out, " {:width$} {}{:>between$}", "", ends[0], ends[1])?;
    writeln!(
        out,
        " {:width$} {} = {least:.3} … {} = {most:.3}",
        "", SHADES[0], SHADES[4]
    )?;
    write!(out, "{fence}")?;
    Ok(())
}
