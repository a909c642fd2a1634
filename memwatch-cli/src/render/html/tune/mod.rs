//! Tuning as one HTML file that needs nothing else, not even a script: pictures are markup.

mod front;
mod heat;

use std::fmt::Write as _;

use memwatch_core::backtest::Figures;

use super::markup::{Cell, escape, name, table};
use super::shell;
use super::summary::counted;
use crate::render::backtest::{ENGINE, lasted};
use crate::render::grouped;
use crate::render::tune::{Shown, setting};

/// The document. `command` makes it again.
pub fn document(shown: &Shown<'_>, command: &str) -> String {
    let mut body = String::new();
    head(&mut body, shown);
    body.push_str("<main>\n");
    summary(&mut body, shown);
    settings(&mut body, shown);
    worth(&mut body, shown);
    front::draw(&mut body, shown.tuned);
    heat::draw(&mut body, shown.tuned);
    patch(&mut body, shown);
    made(&mut body, shown, command);
    body.push_str("</main>\n");
    let title = format!(
        "memwatch tune: {} on {}",
        shown.rules_path.display(),
        shown.data_path.display()
    );
    shell::inert(&title, &body)
}

fn head(out: &mut String, shown: &Shown<'_>) {
    let tuned = shown.tuned;
    let _ = write!(
        out,
        "<header>\n<h1>{} tuned on {}</h1>\n<p class=\"soft\">{} of {}, {}, purge {}</p>\n</header>\n\
         <nav aria-label=\"Contents\"><a href=\"#settings\">Settings</a><a href=\"#worth\">Worth</a>\
         <a href=\"#front\">What none beats</a><a href=\"#maps\">Heat maps</a><a href=\"#patch\">Patch</a>\
         <a href=\"#made\">How it was made</a></nav>\n",
        name(&shown.rules_path.to_string_lossy()),
        name(&shown.data_path.to_string_lossy()),
        counted(tuned.trials as u64, "setting"),
        counted(tuned.rules.len() as u64, "rule"),
        counted(tuned.folds as u64, "fold"),
        lasted(tuned.purge),
    );
}

fn summary(out: &mut String, shown: &Shown<'_>) {
    let tuned = shown.tuned;
    let walk = &tuned.walk_forward;
    let mut verdict = shown.verdict().to_owned();
    if let Some(first) = verdict.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let class = match (tuned.changes_anything(), tuned.is_better()) {
        (false, _) => "",
        (true, true) => "good",
        (true, false) => "bad",
    };
    let (file, chosen) = &tuned.untouched;
    let cards = [
        (
            format!("{} → {}", file.hit, chosen.hit),
            class,
            format!(
                "of {} caught where the search never looked",
                chosen.incidents
            ),
        ),
        (
            format!("{} → {}", file.false_alerts, chosen.false_alerts),
            class,
            "false alerts there".to_owned(),
        ),
        (
            grouped(tuned.trials as u64),
            "",
            "trials: of many settings the best is partly luck".to_owned(),
        ),
        (
            format!("{:.3}", walk.gap()),
            "",
            format!(
                "of the objective does not last: {:.3} in-fold, {:.3} out-of-fold",
                walk.in_fold, walk.out_of_fold
            ),
        ),
    ];
    let _ = write!(
        out,
        "<p class=\"words\">{}. {} to train on; the last {} and everything from {} on were not read by the search.</p>\n<div class=\"cards\">",
        escape(&verdict),
        counted(tuned.training_incidents as u64, "incident"),
        tuned.untouched_incidents,
        escape(&tuned.untouched_from.to_string()),
    );
    for (figure, class, what) in cards {
        let _ = write!(
            out,
            "<div class=\"card\"><b class=\"{class}\">{}</b><span>{}</span></div>",
            escape(&figure),
            escape(&what)
        );
    }
    out.push_str("</div>\n");
}

fn settings(out: &mut String, shown: &Shown<'_>) {
    out.push_str("<h2 id=\"settings\">Settings</h2>\n");
    let mut rows = Vec::new();
    for rule in &shown.tuned.rules {
        let (old, new) = (&rule.settings[0], &rule.settings[rule.chosen]);
        for (i, knob) in rule.knobs.iter().enumerate() {
            let same = old.values[i] == new.values[i];
            let first = |text: String| if i == 0 { text } else { String::new() };
            rows.push(vec![
                Cell::text(&first(rule.name.to_string())),
                Cell::text(&knob.to_string()),
                Cell::number(setting(knob, old.values[i])),
                if same {
                    Cell::number("=")
                } else {
                    let changed = escape(&setting(knob, new.values[i]));
                    Cell::number_html(format!("<b>{changed}</b>"))
                },
                Cell::number(first(grouped(rule.settings.len() as u64))),
            ]);
        }
    }
    let headings = ["rule", "setting", "#file", "#chosen", "#tried"];
    out.push_str(&table(&headings, &rows, false));
}

fn worth(out: &mut String, shown: &Shown<'_>) {
    let tuned = shown.tuned;
    out.push_str("<h2 id=\"worth\">Worth</h2>\n");
    let row = |stretch: &str, settings: &str, figures: &Figures| {
        let precision = figures
            .precision()
            .map_or("–".to_owned(), |p| format!("{p:.2}"));
        vec![
            Cell::text(stretch),
            Cell::text(settings),
            Cell::number(format!("{} of {}", figures.hit, figures.incidents)),
            Cell::number(grouped(figures.false_alerts)),
            Cell::number(format!("{:.1}", figures.false_per_day())),
            Cell::number(precision),
            Cell::number(format!("{:.3}", figures.f05())),
            Cell::number(format!("{:.3}", figures.objective())),
        ]
    };
    let rows = [
        row("training", "file", &tuned.training.0),
        row("training", "chosen", &tuned.training.1),
        row("untouched", "file", &tuned.untouched.0),
        row("untouched", "chosen", &tuned.untouched.1),
    ];
    let headings = [
        "stretch",
        "settings",
        "#caught",
        "#false",
        "#false/day",
        "#precision",
        "#F0.5",
        "#objective",
    ];
    out.push_str(&table(&headings, &rows, false));
    let _ = writeln!(
        out,
        "<p class=\"soft\">Objective: F0.5 − 0.02 · ln(1 + false alerts per day and process). Its mean over the folds: file {:.3}, \
         chosen {:.3} (standard error {:.3}).</p>",
        tuned.objective.0, tuned.objective.1, tuned.objective_error
    );
}

fn patch(out: &mut String, shown: &Shown<'_>) {
    out.push_str("<h2 id=\"patch\">Patch</h2>\n");
    match shown.patch() {
        Some(patch) => {
            let _ = writeln!(out, "<pre class=\"patch\">{}</pre>", escape(&patch));
        }
        None => out.push_str("<p>Nothing changes: the settings of the file stay.</p>\n"),
    }
}

fn made(out: &mut String, shown: &Shown<'_>, command: &str) {
    let data = name(&shown.data_path.to_string_lossy());
    let rows = [
        ("command", format!("<code>{}</code>", escape(command))),
        ("rules", name(&shown.rules_path.to_string_lossy())),
        ("data", format!("{data}, commit {}", shown.data_commit)),
        ("engine", escape(ENGINE)),
    ];
    out.push_str("<h2 id=\"made\">How it was made</h2>\n<dl class=\"made\">\n");
    for (what, how) in rows {
        let _ = writeln!(out, "<dt>{}</dt><dd>{how}</dd>", escape(what));
    }
    out.push_str("</dl>\n<footer>Nothing in this file asks the network for anything, and nothing in it runs.</footer>\n");
}
