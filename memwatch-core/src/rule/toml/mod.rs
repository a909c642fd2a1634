//! Rule files in TOML.

mod notify;
mod rules;
mod table;

use std::collections::HashSet;

use toml::de::DeTable;

use crate::expr::StaleAfter;

use super::error::{Fault, RuleError};
use super::model::{RuleFile, Settings};
use table::{Fields, Source};

/// Reads a rule file; `file` is its name for messages.
pub(super) fn read(file: &str, text: &str) -> Result<RuleFile, RuleError> {
    let source = Source::new(file, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        source.report(span, "", Fault::Other(error.message().to_owned()), None);
    }
    if !errors.is_empty() {
        return Err(RuleError {
            problems: source.into_problems(),
        });
    }
    let mut top = Fields::new(&source, root.get_ref(), "", 0..0);
    let settings = settings(&mut top);
    let mut groups = Vec::new();
    let mut names = HashSet::new();
    for (i, fields) in top
        .tables("group", |i| format!("group {}", i + 1))
        .into_iter()
        .enumerate()
    {
        let span = fields.span.clone();
        let group = rules::group(&source, fields, i);
        if !names.insert(group.name.clone()) {
            let fault = Fault::Other(format!("a second group is called `{}`", group.name));
            source.report(span, "group", fault, None);
        }
        groups.push(group);
    }
    let notifications = notify::read(&source, &mut top);
    top.finish();
    let problems = source.into_problems();
    if problems.is_empty() {
        Ok(RuleFile {
            name: file.into(),
            text: text.into(),
            settings,
            groups,
            notifications,
        })
    } else {
        Err(RuleError { problems })
    }
}

fn settings(top: &mut Fields<'_, '_>) -> Settings {
    let mut settings = Settings::default();
    let Some(mut fields) = top.table("settings", "settings") else {
        return settings;
    };
    if let Some(interval) = fields.interval("interval") {
        settings.interval = interval;
    }
    if let Some(phase) = fields.duration("phase") {
        settings.phase = phase;
    }
    if let Some(lookback) = fields.interval("lookback") {
        settings.lookback = lookback;
    }
    const STALE: &str = "\"auto\", \"lookback\" or a duration like \"5s\"";
    if let Some((text, span)) = fields.string("stale_after", STALE) {
        match stale_after(text) {
            Some(stale_after) => settings.stale_after = stale_after,
            None => fields.fault(span, "stale_after", STALE, &format!("`{text}`")),
        }
    }
    fields.finish();
    settings
}

/// Reads `auto`, `lookback` or a duration.
pub(super) fn stale_after(text: &str) -> Option<StaleAfter> {
    match text {
        "auto" => Some(StaleAfter::Auto),
        "lookback" => Some(StaleAfter::Lookback),
        text => crate::Nanos::parse(text)
            .filter(|d| d.0 > 0)
            .map(StaleAfter::After),
    }
}
