//! Routes, receivers, inhibitions and silences in TOML.

use std::sync::Arc;

use crate::alert::{
    GroupBy, Inhibit, Integration, IntegrationKind, NamedInterval, Notifications, Receiver, Route,
    Silence, TimeInterval, parse_matcher,
};
use crate::rule::error::Fault;
use crate::rule::names::is_label_name;
use crate::suggest::closest;
use crate::{Matcher, TimeRange, Timestamp};

use super::table::{Fields, Located, Source};

/// Routes inside of routes; more is a mistake.
const MAX_DEPTH: usize = 32;

pub(super) fn read(source: &Source<'_>, top: &mut Fields<'_, '_>) -> Notifications {
    let mut found = Notifications::default();
    let mut names: Vec<Arc<str>> = Vec::new();
    for fields in top.tables("receiver", |i| format!("receiver {}", i + 1)) {
        let span = fields.span.clone();
        let receiver = receiver(fields);
        if names.contains(&receiver.name) {
            let fault = Fault::Other(format!("a second receiver is called `{}`", receiver.name));
            source.report(span, "receiver", fault, None);
        }
        names.push(receiver.name.clone());
        found.receivers.push(receiver);
    }
    for fields in top.tables("time_interval", |i| format!("time_interval {}", i + 1)) {
        found.time_intervals.extend(named_interval(fields));
    }
    let intervals: Vec<Arc<str>> = found
        .time_intervals
        .iter()
        .map(|i| i.name.clone())
        .collect();
    if let Some(mut fields) = top.table("links", "links") {
        let mut url = |key| {
            let expected = "an address like \"https://prometheus.example\"";
            fields.string(key, expected).map(|(text, _)| text.into())
        };
        (found.prometheus_url, found.alertmanager_url) = (url("prometheus"), url("alertmanager"));
        fields.finish();
    }
    if let Some(fields) = top.table("route", "route") {
        let span = fields.span.clone();
        let mut used = Vec::new();
        let route = route(fields, 0, &mut used, &intervals);
        if route.receiver.is_none() {
            let fault = Fault::Value {
                expected: "the name of a receiver".to_owned(),
                found: "nothing".to_owned(),
            };
            source.report(span, "route: `receiver`", fault, None);
        }
        for (name, span) in used {
            // A receiver may be written later; one that exists nowhere is told by its name only.
            if !names.is_empty()
                && !names.iter().any(|n| **n == *name)
                && !is_root_only(&route, &name)
            {
                let help = closest(&name, names.iter().map(AsRef::as_ref))
                    .map(|near| format!("did you mean `{near}`?"));
                let fault = Fault::Other(format!("no receiver is called `{name}`"));
                source.report(span, "route: `receiver`", fault, help);
            }
        }
        if let Some(name) = &route.receiver
            && !names.contains(name)
        {
            let unspecified = Integration::new(IntegrationKind::Other("unspecified"));
            let receiver = Receiver::new(name.clone(), vec![unspecified]);
            found.receivers.push(receiver);
        }
        found.route = Some(route);
    }
    for mut fields in top.tables("inhibit", |i| format!("inhibit {}", i + 1)) {
        let source_side = matchers(&mut fields, "source");
        let target = matchers(&mut fields, "target");
        let equal = label_names(&mut fields, "equal");
        if source_side.is_empty() || target.is_empty() {
            fields.missing("source", "matchers in `source` and `target`");
        }
        found
            .inhibits
            .push(Inhibit::new(source_side, target, equal));
        fields.finish();
    }
    for mut fields in top.tables("silence", |i| format!("silence {}", i + 1)) {
        found.silences.extend(silence(&mut fields));
        fields.finish();
    }
    found
}

/// The root's receiver may be a bare name: who only wants to know when messages would be sent needs no address.
fn is_root_only(route: &Route, name: &str) -> bool {
    route.receiver.as_deref() == Some(name)
}

fn route(
    mut fields: Fields<'_, '_>,
    depth: usize,
    used: &mut Vec<Located<String>>,
    intervals: &[Arc<str>],
) -> Route {
    let mut found = Route::new();
    if let Some((name, span)) = fields.string("receiver", "the name of a receiver") {
        used.push((name.to_owned(), span));
        found.receiver = Some(name.into());
    }
    if fields.has("group_by").is_some() {
        let labels = fields
            .strings("group_by", "an array of label names")
            .unwrap_or_default();
        found.group_by = if labels.iter().any(|(l, _)| *l == "...") {
            if let Some((_, span)) = labels.iter().find(|(l, _)| *l != "...") {
                let why = "`...` stands alone: it means all labels";
                fields.other(span.clone(), "group_by", why);
            }
            Some(GroupBy::All)
        } else {
            Some(GroupBy::Labels(label_names(&mut fields, "group_by")))
        };
    }
    found.matchers = matchers(&mut fields, "matchers");
    found.continues = fields.boolean("continue").unwrap_or(false);
    found.group_wait = fields.duration("group_wait");
    found.group_interval = fields.interval("group_interval");
    found.repeat_interval = fields.interval("repeat_interval");
    found.mute_time_intervals = interval_names(&mut fields, "mute_time_intervals", intervals);
    found.active_time_intervals = interval_names(&mut fields, "active_time_intervals", intervals);
    let of = fields.of.clone();
    for child in fields.tables("routes", |i| format!("{of}.routes {}", i + 1)) {
        if depth == MAX_DEPTH {
            child.other(child.span.clone(), "routes", "nested too deeply");
            break;
        }
        found.routes.push(route(child, depth + 1, used, intervals));
    }
    fields.finish();
    found
}

fn interval_names(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    known: &[Arc<str>],
) -> Vec<Arc<str>> {
    let mut found = Vec::new();
    for (name, span) in fields
        .strings(key, "an array of names of time intervals")
        .unwrap_or_default()
    {
        match known.iter().find(|k| ***k == *name) {
            Some(name) => found.push(name.clone()),
            None => {
                let near = closest(name, known.iter().map(AsRef::as_ref))
                    .map(|near| format!(", did you mean `{near}`?"));
                fields.other(
                    span,
                    key,
                    format!(
                        "no time interval is called `{name}`{}",
                        near.unwrap_or_default()
                    ),
                );
            }
        }
    }
    found
}

fn named_interval(mut fields: Fields<'_, '_>) -> Option<NamedInterval> {
    let name = fields.string("name", "a name").map(|(name, _)| name);
    if name.is_none() {
        fields.missing("name", "a name");
    }
    let of = format!("time_interval `{}`", name.unwrap_or("?"));
    fields.of.clone_from(&of);
    let intervals = fields.tables("intervals", |i| format!("{of}: interval {}", i + 1));
    let intervals = intervals.into_iter().map(interval).collect();
    fields.finish();
    Some(NamedInterval::new(name?, intervals))
}

fn interval(mut fields: Fields<'_, '_>) -> TimeInterval {
    type Add = fn(&mut TimeInterval, &str) -> Result<(), &'static str>;
    let mut found = TimeInterval::default();
    let times: Add = |i, text| {
        let (start, end) = text
            .split_once('-')
            .ok_or("times of day like `22:00-24:00`")?;
        i.add_times(start, end)
    };
    let keys: [(&'static str, &str, Add); 5] = [
        ("times", "an array like [\"22:00-24:00\"]", times),
        (
            "weekdays",
            "an array like [\"monday:friday\"]",
            TimeInterval::add_weekdays,
        ),
        (
            "days_of_month",
            "an array like [\"1:5\", \"-1\"]",
            TimeInterval::add_days_of_month,
        ),
        (
            "months",
            "an array like [\"january:march\"]",
            TimeInterval::add_months,
        ),
        ("years", "an array like [\"2026\"]", TimeInterval::add_years),
    ];
    for (key, expected, add) in keys {
        for (text, span) in fields.strings(key, expected).unwrap_or_default() {
            if let Err(expected) = add(&mut found, text) {
                fields.fault(span, key, expected, &format!("`{text}`"));
            }
        }
    }
    if let Some((name, span)) = fields.string("location", "a time zone")
        && let Err(expected) = found.set_location(name)
    {
        fields.fault(span, "location", expected, &format!("`{name}`"));
    }
    fields.finish();
    found
}

fn receiver(mut fields: Fields<'_, '_>) -> Receiver {
    let name = fields.string("name", "a name");
    if name.is_none() {
        fields.missing("name", "a name");
    }
    let name = name.map_or("?", |(name, _)| name);
    let of = format!("receiver `{name}`");
    fields.of.clone_from(&of);
    let mut integrations = Vec::new();
    for (key, kind) in IntegrationKind::ALL {
        if let Some(table) = fields.table(key, format!("{of}: `{key}`")) {
            integrations.push(integration(table, kind));
        }
    }
    fields.finish();
    Receiver::new(name, integrations)
}

fn integration(mut fields: Fields<'_, '_>, kind: IntegrationKind) -> Integration {
    let mut found = Integration::new(kind);
    match kind {
        IntegrationKind::PagerDuty => {
            found.secret_env = variable(&mut fields, "routing_key_env");
        }
        IntegrationKind::Webhook => {
            found.secret_env = variable(&mut fields, "url_env");
            found.url = fields.string("url", "an address").map(|(n, _)| n.into());
            found.max_alerts = fields.count("max_alerts").unwrap_or(0);
        }
        IntegrationKind::WeCom => {
            found.secret_env = variable(&mut fields, "url_env");
            match fields.string("msgtype", "\"text\" or \"markdown\"") {
                None | Some(("text", _)) => {}
                Some(("markdown", _)) => found.markdown = true,
                Some((other, span)) => {
                    fields.fault(
                        span,
                        "msgtype",
                        "\"text\" or \"markdown\"",
                        &format!("`{other}`"),
                    );
                }
            }
            found.mentions = fields
                .strings("mentioned_list", "an array of names")
                .unwrap_or_default()
                .into_iter()
                .map(|(name, _)| Arc::from(name))
                .collect();
            found.mobile_mentions = fields
                .strings("mentioned_mobile_list", "an array of telephone numbers")
                .unwrap_or_default()
                .into_iter()
                .map(|(number, _)| Arc::from(number))
                .collect();
        }
        IntegrationKind::Other(_) => {} // Not in rule files.
    }
    found.send_resolved = fields.boolean("send_resolved").unwrap_or(true);
    fields.finish();
    found
}

/// The name of the variable that holds a secret. What cannot be a name may be the secret itself, so it is not shown.
fn variable(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Arc<str>> {
    let expected = "the name of an environment variable";
    let (name, span) = fields.string(key, expected)?;
    let is_name = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    // Keys of PagerDuty are 32 letters and digits.
    if is_name && (name.len() < 32 || name.contains('_')) {
        return Some(name.into());
    }
    fields.fault(span, key, expected, "something else, which is not shown");
    None
}

fn silence(fields: &mut Fields<'_, '_>) -> Option<Silence> {
    let found = matchers(fields, "matchers");
    let mut time = |key: &'static str| {
        let expected = "a time like \"2026-11-23T02:00:00Z\"";
        if fields.has(key).is_none() {
            fields.missing(key, expected);
        }
        let (text, span) = fields.string(key, expected)?;
        let at = Timestamp::parse_rfc3339(text).ok();
        if at.is_none() {
            fields.fault(span, key, expected, &format!("`{text}`"));
        }
        at
    };
    let (start, end) = (time("from"), time("to"));
    let comment = fields
        .string("comment", "a text")
        .map(|(text, _)| text.into());
    if found.is_empty() {
        fields.missing("matchers", "at least one matcher");
        return None;
    }
    let range = TimeRange {
        start: start?,
        end: end?,
    };
    if range.is_empty() {
        fields.other(fields.span.clone(), "to", "it ends before it begins");
    }
    let mut silence = Silence::new(found, range);
    silence.comment = comment;
    Some(silence)
}

fn matchers(fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<Matcher> {
    let mut found = Vec::new();
    let texts = fields.strings(key, "an array of matchers like ['severity=\"P1\"']");
    for (text, span) in texts.unwrap_or_default() {
        match parse_matcher(text) {
            Ok(matcher) => found.push(matcher),
            Err(expected) => fields.fault(span, key, expected, &format!("`{text}`")),
        }
    }
    found
}

fn label_names(fields: &mut Fields<'_, '_>, key: &'static str) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    for (name, span) in fields
        .strings(key, "an array of label names")
        .unwrap_or_default()
    {
        if !is_label_name(name) {
            fields.fault(span, key, "a label name", &format!("`{name}`"));
        } else if found.iter().any(|n| **n == *name) {
            fields.other(span, key, format!("`{name}` is given twice"));
        } else {
            found.push(name.into());
        }
    }
    found
}
