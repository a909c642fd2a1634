//! How the objective lies over the settings of each rule: a table whose cells are colored the stronger the higher it is.

use std::fmt::Write as _;

use memwatch_core::backtest::{HeatMap, Knob, RuleTuned, Tuned};

use crate::render::html::markup::{escape, name};
use crate::render::tune::setting;

/// How many shades there are; `report.css` has as many.
const SHADES: usize = 10;
/// With more columns the cells hold no numbers, and only some columns are named.
const NUMBERED_MAX: usize = 10;
/// About how many columns are named.
const NAMED: usize = 5;

/// A map for each rule that has something to show.
pub(super) fn draw(out: &mut String, tuned: &Tuned) {
    out.push_str("<h2 id=\"maps\">Heat maps</h2>\n");
    let mut flat = Vec::new();
    let mut any = false;
    for rule in &tuned.rules {
        let Some(map) = &rule.heat_map else { continue };
        let (least, most) = bounds(map);
        if most - least < 1e-9 {
            flat.push(name(&rule.name));
            continue;
        }
        if !any {
            out.push_str(
                "<p class=\"soft\">The mean objective over the folds of each setting, with the other rules as they stood; the stronger the color the better. \
                 Where a rule has more than two settings to tune, the best over the rest.</p>\n",
            );
        }
        any = true;
        one(out, rule, map, (least, most));
    }
    if !flat.is_empty() {
        let _ = writeln!(
            out,
            "<p>Every setting that was tried is worth the same: {}.</p>",
            flat.join(", ")
        );
    }
}

fn bounds(map: &HeatMap) -> (f64, f64) {
    let all = || {
        map.cells
            .iter()
            .flatten()
            .copied()
            .filter(|v| v.is_finite())
    };
    (
        all().fold(f64::INFINITY, f64::min),
        all().fold(f64::NEG_INFINITY, f64::max),
    )
}

fn one(out: &mut String, rule: &RuleTuned, map: &HeatMap, (least, most): (f64, f64)) {
    let down = map.down.as_ref().map_or_else(String::new, |down| {
        format!(", <code>{}</code> down", name(&down.to_string()))
    });
    let _ = write!(
        out,
        "<h3>{}: <code>{}</code> across{down}</h3>\n<div class=\"tablewrap\"><table class=\"heat\"><tbody>\n",
        name(&rule.name),
        name(&map.across.to_string()),
    );
    let cell_of = |setting: usize| {
        let values = &rule.settings[setting].values;
        let place = |axis: &[f64], value: f64| axis.iter().position(|v| *v == value);
        let row = match map.down {
            Some(_) => values.get(1).and_then(|value| place(&map.rows, *value)),
            None => Some(0),
        };
        let column = values.first().and_then(|value| place(&map.columns, *value));
        Some((row?, column?))
    };
    let (file, chosen) = (cell_of(0), cell_of(rule.chosen));
    let numbered = map.columns.len() <= NUMBERED_MAX;
    for (row, cells) in map.cells.iter().enumerate().rev() {
        let label = map
            .down
            .as_ref()
            .map_or_else(String::new, |knob| setting(knob, map.rows[row]));
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(&label));
        for (column, value) in cells.iter().enumerate() {
            let here = Some((row, column));
            let is = match (here == file, here == chosen) {
                (true, true) => ("is-file is-chosen", ", the file's, chosen"),
                (true, false) => ("is-file", ", the file's"),
                (false, true) => ("is-chosen", ", chosen"),
                (false, false) => ("", ""),
            };
            cell(out, map, (row, column), *value, (least, most), is, numbered);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("<tr><th></th>");
    for (column, span, class) in named(map.columns.len()) {
        let label = setting(&map.across, map.columns[column]);
        let _ = write!(
            out,
            "<th scope=\"col\" class=\"{class}\" colspan=\"{span}\">{}</th>",
            escape(&label)
        );
    }
    let _ = write!(
        out,
        "</tr>\n</tbody></table></div>\n<p class=\"soft heat-key\"><i class=\"h0\"></i>{least:.3} <i class=\"h5\"></i><i class=\"h{SHADES}\"></i>{most:.3} \
         <i class=\"is-file\"></i>the file's <i class=\"is-chosen\"></i>chosen</p>\n"
    );
}

fn cell(
    out: &mut String,
    map: &HeatMap,
    (row, column): (usize, usize),
    value: f64,
    (least, most): (f64, f64),
    (class, mark): (&str, &str),
    numbered: bool,
) {
    let part = |knob: &Knob, value: f64| format!("{knob} {}", setting(knob, value));
    let mut title = part(&map.across, map.columns[column]);
    if let Some(down) = &map.down {
        title = format!("{title}, {}", part(down, map.rows[row]));
    }
    if !value.is_finite() {
        let _ = write!(out, "<td title=\"{}: not tried\"></td>", escape(&title));
        return;
    }
    let shade = shade((value - least) / (most - least));
    let text = if numbered {
        format!("{value:.2}")
    } else {
        String::new()
    };
    let space = if class.is_empty() { "" } else { " " };
    let _ = write!(
        out,
        "<td class=\"h{shade}{space}{class}\" title=\"{}: {value:.3}{mark}\">{text}</td>",
        escape(&title)
    );
}

/// Which columns are named, over how many columns the name stands, and on which side. Of many columns a few, and the last.
fn named(columns: usize) -> Vec<(usize, usize, &'static str)> {
    if columns <= NUMBERED_MAX {
        return (0..columns).map(|column| (column, 1, "middle")).collect();
    }
    let every = columns.div_ceil(NAMED);
    let groups = columns / every;
    let group = |i: usize| match i + 1 == groups {
        true => (columns - 1, columns - i * every, "end"),
        false => (i * every, every, "begin"),
    };
    (0..groups).map(group).collect()
}

/// From 0 to [`SHADES`].
fn shade(share: f64) -> usize {
    let found = (0..SHADES).find(|shade| share < (*shade as f64 + 0.5) / SHADES as f64);
    found.unwrap_or(SHADES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_columns_are_named_and_the_last_is() {
        assert_eq!(named(2), [(0, 1, "middle"), (1, 1, "middle")]);
        let found = [
            (0, 5, "begin"),
            (5, 5, "begin"),
            (10, 5, "begin"),
            (20, 6, "end"),
        ];
        assert_eq!(named(21), found);
        for columns in 1..100 {
            assert_eq!(named(columns).iter().map(|n| n.1).sum::<usize>(), columns);
        }
    }

    #[test]
    fn shades_go_from_the_least_to_the_most() {
        assert_eq!(
            [0.0, 0.04, 0.06, 0.5, 0.94, 0.96, 1.0].map(shade),
            [0, 0, 1, 5, 9, 10, 10]
        );
    }
}
