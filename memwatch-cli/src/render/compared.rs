//! What the rules are compared with: their severities, and the reference rows.

use std::io::Write;

use memwatch_core::backtest::{
    LEAST_INCIDENTS, Reference, Score, Scored, StaticThreshold, Threshold,
};

use super::backtest::{cut, title};
use super::score::wrapped;
use super::table::{Column, Style, draw};
use super::{Output, clean, grouped};

/// What stands over the columns of [`rows`]; those that begin with `#` are numbers.
pub const HEADINGS: [&str; 7] = [
    "alerts of",
    "#alerts",
    "#caught",
    "#recall",
    "#precision",
    "#F0.5",
    "#false/day",
];

/// All rules, each severity, and what they are compared with.
pub fn rows(scored: &Scored) -> Vec<[String; 7]> {
    let mut rows = vec![of_score("all rules".to_owned(), &scored.all)];
    if scored.severities.iter().any(|(name, _)| !name.is_empty()) {
        for (severity, score) in &scored.severities {
            let name = match &**severity {
                "" => "no severity".to_owned(),
                severity => format!("severity {}", cut(severity, 20)),
            };
            rows.push(of_score(name, score));
        }
    }
    rows.extend(scored.references.iter().map(of_reference));
    rows
}

fn share(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{v:.2}"))
}

fn rate(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |v| format!("{v:.1}"))
}

fn of_score(name: String, score: &Score) -> [String; 7] {
    let alerts =
        score.true_alerts + score.duplicates + score.false_alerts + score.ignored + score.unscored;
    [
        name,
        grouped(alerts),
        format!("{} of {}", score.hit, score.incidents),
        share(score.recall),
        share(score.precision),
        share(score.f05),
        rate(score.false_per_series_day),
    ]
}

fn of_reference(row: &Reference) -> [String; 7] {
    let name = match row.name {
        "random" => "as many at random",
        "static" => "best static threshold",
        name => name,
    };
    [
        name.to_owned(),
        String::new(),
        rate(row.hit),
        share(row.recall),
        share(row.precision),
        share(row.f05),
        rate(row.false_per_series_day),
    ]
}

/// Which static threshold it is and how it was found, or why there is none; in parts of a sentence.
pub fn threshold(scored: &Scored) -> Option<Vec<String>> {
    let of = |row: &Reference| row.threshold.clone();
    let words = match scored.references.iter().find_map(of)? {
        Threshold::Found(found) => of_found(&found),
        Threshold::TooFew(incidents) => vec![
            "no best static threshold".to_owned(),
            format!(
                "of {incidents} incidents fewer than {LEAST_INCIDENTS} lie before the part that is held back for its test"
            ),
        ],
        _ => vec![
            "no best static threshold".to_owned(),
            "no alerting rule reads a metric by its name that has values".to_owned(),
        ],
    };
    Some(words)
}

fn of_found(found: &StaticThreshold) -> Vec<String> {
    let s = |n: u64| if n == 1 { "" } else { "s" };
    let (test, rules) = (&found.untouched, &found.rules_untouched);
    let trained = found.training.incidents;
    let until = found.trained_until.to_string();
    let until = until.get(..19).unwrap_or(&until).replace('T', " ");
    vec![
        format!(
            "best static threshold: {}",
            clean(&cut(&found.to_string(), 76), false)
        ),
        format!(
            "of {} on {} metric{} the best for the {trained} incident{} up to {until}",
            grouped(found.tried),
            grouped(found.metrics),
            s(found.metrics),
            s(trained),
        ),
        format!(
            "of the {} after that it caught {} with {} false alert{}, the rules {} with {}",
            test.incidents,
            test.hit,
            grouped(test.false_alerts),
            s(test.false_alerts),
            rules.hit,
            grouped(rules.false_alerts)
        ),
    ]
}

/// The table, and which static threshold is the best.
pub fn text(out: &mut Output, scored: &Scored, style: Style) -> anyhow::Result<()> {
    title(out, style, "Compared")?;
    let columns = HEADINGS.map(|name| match name.strip_prefix('#') {
        Some(name) => Column::number(name),
        None => Column::text(name),
    });
    let rows: Vec<Vec<String>> = rows(scored).into_iter().map(Vec::from).collect();
    write!(out, "{}", draw(&columns, &rows, style))?;
    if let Some(words) = threshold(scored) {
        writeln!(out, "{}", wrapped(&words, "; "))?;
    }
    Ok(())
}
