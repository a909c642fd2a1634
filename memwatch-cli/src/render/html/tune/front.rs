//! Every setting that was tried by what it caught and how often it was wrong, and those that none beats.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use memwatch_core::backtest::{Figures, Tuned};

use crate::render::grouped;
use crate::render::html::markup::{Cell, escape, table};
use crate::render::tune::setting;

/// Points of the front that are listed.
const LISTED_MAX: usize = 60;
/// Width and height of the picture in its own units. Text stands beside it, so that it is as large as elsewhere.
const SIZE: (f64, f64) = (1000.0, 300.0);
/// Steps between the lines across.
const STEPS_X: u32 = 4;

/// The picture and the list.
pub(super) fn draw(out: &mut String, tuned: &Tuned) {
    out.push_str(
        "<h2 id=\"front\">Settings that none beats, in the training stretch</h2>\n\
         <p class=\"soft\">Upwards: incidents caught. To the right: false alerts a day and process, closer together the more they are. \
         A dot is one setting of one rule or several, with the other rules as they stood.</p>\n\
         <div class=\"key\"><span><i class=\"k-true\"></i>no setting beats it</span><span><i class=\"k-tried\"></i>others that were tried</span>\
         <span><i class=\"k-incident\"></i>the file's</span><span><i class=\"k-chosen\"></i>chosen</span></div>\n",
    );
    let scale = Scale::of(tuned);
    let (width, height) = SIZE;
    out.push_str("<div class=\"front\"><div class=\"up\">");
    for hit in scale.ticks_y() {
        let _ = write!(out, "<span>{hit}</span>");
    }
    let _ = write!(
        out,
        "</div><svg viewBox=\"0 0 {width} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Incidents caught against false alerts a day, of every setting that was tried\">"
    );
    for hit in scale.ticks_y() {
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M0 {:.1}H{width}\"/>",
            scale.y(hit)
        );
    }
    for step in 0..=STEPS_X {
        let x = width / f64::from(STEPS_X) * f64::from(step);
        let _ = write!(out, "<path class=\"grid\" d=\"M{x:.1} 0V{height}\"/>");
    }
    staircase(out, tuned, &scale);
    for (figures, count) in places(tuned) {
        let title = format!("{count} setting{}", if count == 1 { "" } else { "s" });
        dot(out, &scale, "tried", &figures, &title);
    }
    for point in &tuned.front {
        let title = format!(
            "{}: {}",
            tuned.rules[point.rule].name,
            words(tuned, point.rule, point.setting)
        );
        dot(out, &scale, "best", &point.figures, &title);
    }
    dot(
        out,
        &scale,
        "file",
        &tuned.training.0,
        "the file's settings",
    );
    dot(
        out,
        &scale,
        "chosen",
        &tuned.training.1,
        "the chosen settings",
    );
    out.push_str("</svg><div class=\"ticks\">");
    for step in 0..=STEPS_X {
        let _ = write!(out, "<span>{}</span>", escape(&scale.noise(step)));
    }
    out.push_str("</div></div>\n");
    list(out, tuned);
}

/// What the settings that none beats are.
fn list(out: &mut String, tuned: &Tuned) {
    let listed = tuned.front.iter().rev().take(LISTED_MAX);
    let rows: Vec<Vec<Cell>> = listed
        .map(|point| {
            let figures = &point.figures;
            vec![
                Cell::number(format!("{} of {}", figures.hit, figures.incidents)),
                Cell::number(format!("{:.1}", figures.false_per_day())),
                Cell::number(format!("{:.3}", figures.objective())),
                Cell::text(&tuned.rules[point.rule].name),
                Cell::wide(&words(tuned, point.rule, point.setting)),
            ]
        })
        .collect();
    let headings = ["#caught", "#false/day", "#objective", "rule", "settings"];
    out.push_str(&table(&headings, &rows, false));
    let hidden = tuned.front.len().saturating_sub(LISTED_MAX);
    if hidden > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">and {} more: <code>--format json</code> has all.</p>",
            grouped(hidden as u64)
        );
    }
}

/// A setting as users write it.
fn words(tuned: &Tuned, rule: usize, index: usize) -> String {
    let rule = &tuned.rules[rule];
    let values = rule.knobs.iter().zip(&rule.settings[index].values);
    let values: Vec<String> = values
        .map(|(knob, value)| format!("{knob} {}", setting(knob, *value)))
        .collect();
    values.join(", ")
}

/// Each place in the picture with how many settings lie there.
fn places(tuned: &Tuned) -> Vec<(Figures, u64)> {
    let mut places: BTreeMap<(u64, u64), (Figures, u64)> = BTreeMap::new();
    for figures in tuned.rules.iter().flat_map(|rule| &rule.figures) {
        let place = (figures.hit, figures.false_alerts);
        places.entry(place).or_insert((*figures, 0)).1 += 1;
    }
    places.into_values().collect()
}

/// What can be had for how many false alerts.
fn staircase(out: &mut String, tuned: &Tuned, scale: &Scale) {
    let mut path = String::new();
    for point in &tuned.front {
        let (x, y) = scale.place(&point.figures);
        let _ = match path.is_empty() {
            true => write!(path, "M{x:.1} {y:.1}"),
            false => write!(path, "H{x:.1}V{y:.1}"),
        };
    }
    if !path.is_empty() {
        let _ = write!(out, "<path class=\"stairs\" d=\"{path}H{:.1}\"/>", SIZE.0);
    }
}

/// A dot is a line of no length with a round end: so it stays round however the picture is stretched.
fn dot(out: &mut String, scale: &Scale, class: &str, figures: &Figures, title: &str) {
    let (x, y) = scale.place(figures);
    let _ = write!(
        out,
        "<path class=\"dot {class}\" d=\"M{x:.1} {y:.1}h0\"><title>{}: {} of {} caught, {:.1} false alerts a day</title></path>",
        escape(title),
        figures.hit,
        figures.incidents,
        figures.false_per_day(),
    );
}

/// Where figures lie in the picture.
struct Scale {
    incidents: u64,
    /// Of the most false alerts a day, the logarithm of one more.
    most: f64,
}

impl Scale {
    fn of(tuned: &Tuned) -> Scale {
        let all = || {
            let tried = tuned.rules.iter().flat_map(|rule| &rule.figures);
            tried.chain([&tuned.training.0, &tuned.training.1])
        };
        let most = all().map(|f| f.false_per_day().ln_1p()).fold(0.0, f64::max);
        Scale {
            incidents: all().map(|f| f.incidents).max().unwrap_or(0).max(1),
            most: if most > 0.0 { most } else { 1.0 },
        }
    }

    fn place(&self, figures: &Figures) -> (f64, f64) {
        let x = figures.false_per_day().ln_1p() / self.most * SIZE.0;
        (x, self.y(figures.hit))
    }

    fn y(&self, hit: u64) -> f64 {
        SIZE.1 * (1.0 - hit as f64 / self.incidents as f64)
    }

    /// From the top; equally far apart.
    fn ticks_y(&self) -> Vec<u64> {
        let all = self.incidents;
        let steps = (1..=8).rev().find(|steps| all.is_multiple_of(*steps));
        let steps = steps.unwrap_or(1);
        (0..=steps).rev().map(|i| all / steps * i).collect()
    }

    /// What stands at a line across.
    fn noise(&self, step: u32) -> String {
        let noise = (self.most / f64::from(STEPS_X) * f64::from(step)).exp_m1();
        match noise {
            0.0 => "0".to_owned(),
            ..10.0 => format!("{noise:.1}"),
            _ => format!("{noise:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_equally_far_apart_and_say_whole_incidents() {
        let of = |incidents| {
            let scale = Scale {
                incidents,
                most: 81f64.ln(),
            };
            scale.ticks_y()
        };
        assert_eq!(of(1), [1, 0]);
        assert_eq!(of(7), [7, 6, 5, 4, 3, 2, 1, 0]);
        assert_eq!(of(12), [12, 10, 8, 6, 4, 2, 0]);
        assert_eq!(of(13), [13, 0]);
        let scale = Scale {
            incidents: 4,
            most: 81f64.ln(),
        };
        let noise: Vec<String> = (0..=4).map(|step| scale.noise(step)).collect();
        assert_eq!(noise, ["0", "2.0", "8.0", "26", "80"]);
        assert_eq!((scale.y(4), scale.y(0)), (0.0, 300.0));
    }
}
