//! Whom to tell: Alertmanager's routes, receivers, inhibitions and silences.

use std::sync::Arc;

use super::time_interval::NamedInterval;
use crate::{MatchOp, Matcher, Nanos, TimeRange};

/// From a group's first alert to its first message, where no route says.
pub(super) const DEFAULT_GROUP_WAIT: Nanos = Nanos(30 * Nanos::SECOND.0);
/// Between messages of a group, where no route says.
pub(super) const DEFAULT_GROUP_INTERVAL: Nanos = Nanos(5 * Nanos::MINUTE.0);
/// After which an unchanged group is sent again, where no route says.
pub(super) const DEFAULT_REPEAT_INTERVAL: Nanos = Nanos(4 * Nanos::HOUR.0);

/// Routes, receivers, inhibitions and silences of a rule file; all empty when it has none.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Notifications {
    /// The root of the routing tree.
    pub route: Option<Route>,
    /// Whom a route may name.
    pub receivers: Vec<Receiver>,
    /// Which alerts keep others from being sent.
    pub inhibits: Vec<Inhibit>,
    /// Which alerts are not sent for a while.
    pub silences: Vec<Silence>,
    /// Stretches of time that routes may name.
    pub time_intervals: Vec<NamedInterval>,
    /// Address at which Prometheus is looked at: part of the links in messages.
    pub prometheus_url: Option<Arc<str>>,
    /// The same for Alertmanager (`externalURL`).
    pub alertmanager_url: Option<Arc<str>>,
}

/// A node of the routing tree. What is absent is the parent's; at the root, Alertmanager's default.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// Name of a receiver; every root has one.
    pub receiver: Option<Arc<str>>,
    /// Which labels make a group.
    pub group_by: Option<GroupBy>,
    /// An alert must satisfy all.
    pub matchers: Vec<Matcher>,
    /// Whether siblings after a match are tried too.
    pub continues: bool,
    /// From a group's first alert to its first message.
    pub group_wait: Option<Nanos>,
    /// Between messages of a group.
    pub group_interval: Option<Nanos>,
    /// After which an unchanged group is sent again.
    pub repeat_interval: Option<Nanos>,
    /// Nothing is sent inside of any of these.
    pub mute_time_intervals: Vec<Arc<str>>,
    /// When given, nothing is sent outside of all of these.
    pub active_time_intervals: Vec<Arc<str>>,
    /// Tried in order, the first match wins.
    pub routes: Vec<Route>,
}

/// Which labels make a group of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// All labels (`...`): each alert alone.
    All,
    /// These.
    Labels(Vec<Arc<str>>),
}

/// Somebody to tell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Receiver {
    /// Name, each once.
    pub name: Arc<str>,
    /// The ways to tell.
    pub integrations: Vec<Integration>,
}

/// A way to tell somebody. Secrets are never in the file, only the name of the environment variable that holds them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Integration {
    /// To what.
    pub kind: IntegrationKind,
    /// Environment variable that holds the address or key.
    pub secret_env: Option<Arc<str>>,
    /// Address, where it is not secret.
    pub url: Option<Arc<str>>,
    /// Whether resolved alerts are sent too.
    pub send_resolved: bool,
    /// Most alerts in one message; 0 for all (webhook).
    pub max_alerts: usize,
    /// `markdown` rather than `text` (WeCom).
    pub markdown: bool,
    /// Who is mentioned, by user name or `@all` (WeCom).
    pub mentions: Vec<Arc<str>>,
    /// Who is mentioned, by telephone number or `@all`; only texts can (WeCom).
    pub mobile_mentions: Vec<Arc<str>>,
}

/// To what a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntegrationKind {
    /// Alertmanager's webhook, version 4.
    Webhook,
    /// PagerDuty Events v2.
    PagerDuty,
    /// A group robot of WeCom (企业微信群机器人).
    WeCom,
    /// Another one that Alertmanager knows, by its name there: it gets its messages, but what exactly stands in them is not simulated.
    Other(&'static str),
}

impl IntegrationKind {
    /// Each with its key in rule files.
    pub const ALL: [(&'static str, IntegrationKind); 3] = [
        ("webhook", IntegrationKind::Webhook),
        ("pagerduty", IntegrationKind::PagerDuty),
        ("wecom", IntegrationKind::WeCom),
    ];

    /// Its key in rule files, or its name in Alertmanager.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IntegrationKind::Webhook => "webhook",
            IntegrationKind::PagerDuty => "pagerduty",
            IntegrationKind::WeCom => "wecom",
            IntegrationKind::Other(name) => name,
        }
    }

    /// Whether the exact body of its messages is known.
    #[must_use]
    pub fn has_payload(self) -> bool {
        !matches!(self, IntegrationKind::Other(_))
    }
}

/// While an alert fires that satisfies `source`, those that satisfy `target` and agree in `equal` are not sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Inhibit {
    /// Which alerts keep others back.
    pub source: Vec<Matcher>,
    /// Which are kept back.
    pub target: Vec<Matcher>,
    /// Labels that must be equal; an absent one equals an empty one.
    pub equal: Vec<Arc<str>>,
}

/// Alerts that satisfy all matchers are not sent during the range.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Silence {
    /// An alert must satisfy all; at least one.
    pub matchers: Vec<Matcher>,
    /// When.
    pub range: TimeRange,
    /// What it is called, where it has a name.
    pub id: Option<Arc<str>>,
    /// Why it was made.
    pub comment: Option<Arc<str>>,
}

impl Notifications {
    /// What Alertmanager takes and yet is probably not meant, in words.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(root) = &self.route {
            doubts(
                root,
                DEFAULT_GROUP_INTERVAL,
                DEFAULT_REPEAT_INTERVAL,
                &mut found,
            );
        }
        found
    }
}

fn doubts(route: &Route, group: Nanos, repeat: Nanos, found: &mut Vec<String>) {
    let (own_group, own_repeat) = (
        route.group_interval.unwrap_or(group),
        route.repeat_interval.unwrap_or(repeat),
    );
    let is_new = route.group_interval.is_some() || route.repeat_interval.is_some();
    if is_new && own_repeat < own_group {
        let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        found.push(format!(
            "route {{{}}}: `repeat_interval` is {own_repeat}, less than `group_interval` ({own_group}): it repeats each {own_group}",
            matchers.join(", ")
        ));
    }
    for child in &route.routes {
        doubts(child, own_group, own_repeat, found);
    }
}

impl Route {
    /// A route that says nothing.
    #[must_use]
    pub fn new() -> Route {
        Route::default()
    }
}

impl Inhibit {
    /// An inhibition.
    #[must_use]
    pub fn new(source: Vec<Matcher>, target: Vec<Matcher>, equal: Vec<Arc<str>>) -> Inhibit {
        Inhibit {
            source,
            target,
            equal,
        }
    }
}

impl Silence {
    /// A silence.
    #[must_use]
    pub fn new(matchers: Vec<Matcher>, range: TimeRange) -> Silence {
        Silence {
            matchers,
            range,
            id: None,
            comment: None,
        }
    }
}

impl Receiver {
    /// A receiver.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, integrations: Vec<Integration>) -> Receiver {
        Receiver {
            name: name.into(),
            integrations,
        }
    }
}

impl Integration {
    /// An integration without settings, which sends resolved alerts too.
    #[must_use]
    pub fn new(kind: IntegrationKind) -> Integration {
        Integration {
            kind,
            secret_env: None,
            url: None,
            send_resolved: true,
            max_alerts: 0,
            markdown: false,
            mentions: Vec::new(),
            mobile_mentions: Vec::new(),
        }
    }
}

/// Reads one or more matchers between commas, with or without braces: `{severity="P1", team=~"a|b"}`.
///
/// # Errors
/// What would be right.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, &'static str> {
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or("a closing brace")?,
        None => text,
    };
    let mut found = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (i, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                found.push(parse_matcher(&inner[start..i])?);
                start = i + 1;
            }
            _ => {}
        }
    }
    // A comma may stand behind the last one too.
    if found.is_empty() || !inner[start..].trim().is_empty() {
        found.push(parse_matcher(&inner[start..])?);
    }
    Ok(found)
}

/// Reads a matcher as Alertmanager writes them: `severity="P1"`, `team=~"a|b"`, also without quotes; a name of other characters than
/// letters, digits and `_` stands in quotes.
///
/// # Errors
/// What would be right.
pub fn parse_matcher(text: &str) -> Result<Matcher, &'static str> {
    const EXPECTED: &str = "a matcher like `severity=\"P1\"` (=, !=, =~, !~)";
    let text = text.trim();
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = quoted.split_once('"').ok_or("a closing quote")?;
            (name, rest.trim_start())
        }
        None => {
            let name_end = text
                .find(|c: char| c != '_' && !c.is_alphanumeric())
                .ok_or(EXPECTED)?;
            let (name, rest) = text.split_at(name_end);
            (name, rest.trim_start())
        }
    };
    if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) {
        return Err(EXPECTED);
    }
    let ops = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    let (op, value) = ops
        .iter()
        .find_map(|(sign, op)| rest.strip_prefix(sign).map(|value| (*op, value.trim())))
        .ok_or(EXPECTED)?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => unescape(quoted).ok_or("a closing quote")?,
        None if value.contains(['"', '{', '}', ',', ' ']) => return Err(EXPECTED),
        None => value.to_owned(),
    };
    Matcher::new(name, op, &value).map_err(|_| "a regular expression")
}

/// What stands before the closing quote, which must be last.
fn unescape(quoted: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(out),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                c @ ('"' | '\\') => out.push(c),
                c => out.extend(['\\', c]), // A regular expression's own escape.
            },
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_parse_as_alertmanager_writes_them() {
        let cases = [
            ("severity=\"P1\"", "severity=\"P1\""),
            ("severity = P1", "severity=\"P1\""),
            ("team=~\"a|b\"", "team=~\"a|b\""),
            ("a!=\"\"", "a!=\"\""),
            ("a!~\"x\\\\.y\"", "a!~\"x\\\\.y\""),
            ("a=\"q\\\"\"", "a=\"q\\\"\""),
            ("\"a_b\" = \"c\"", "a_b=\"c\""),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_matcher(text).unwrap().to_string(), expected, "{text}");
        }
        for bad in [
            "", "x", "=\"1\"", "1a=\"x\"", "a=\"x", "a=\"x\"y", "a=~\"(\"", "a=b c", "a>b",
        ] {
            assert!(parse_matcher(bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn several_matchers_stand_between_commas() {
        let cases = [
            ("{a=\"1\"}", "a=\"1\""),
            (
                "a=\"1\", b=~\"x,y|}\" ,c!=2,",
                "a=\"1\" b=~\"x,y|}\" c!=\"2\"",
            ),
            ("{ a = \"q\\\",b=1\" }", "a=\"q\\\",b=1\""),
        ];
        for (text, expected) in cases {
            let found: Vec<String> = parse_matchers(text)
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
        for bad in ["", "{}", "{a=\"1\"", "a=\"1\",,b=\"2\"", "a=\"1"] {
            assert!(parse_matchers(bad).is_err(), "{bad}");
        }
    }
    #[test]
    fn a16_repeating_faster_than_flushing_is_doubtful() {
        let minutes = |m: i64| Some(Nanos(m * Nanos::MINUTE.0));
        let mut root = Route::new();
        (root.group_interval, root.repeat_interval) = (minutes(10), minutes(10));
        let mut child = Route::new();
        child.matchers = vec![parse_matcher("severity=P1").unwrap()];
        child.repeat_interval = minutes(1);
        root.routes = vec![Route::new(), child];
        let mut config = Notifications {
            route: Some(root),
            ..Notifications::default()
        };
        assert_eq!(
            config.doubts(),
            [
                "route {severity=\"P1\"}: `repeat_interval` is 1m, less than `group_interval` (10m): it repeats each 10m"
            ]
        );
        config.route = Some(Route::new());
        assert!(config.doubts().is_empty());
    }
}
