//! Alertmanager's own configuration file, as far as it says who is told what and when.
//!
//! What it holds beside that (servers, templates, addresses, keys) is passed over: nothing of it is kept, and complaints show no lines.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use crate::alert::{
    GroupBy, Inhibit, Integration, IntegrationKind, NamedInterval, Notifications, Receiver, Route,
    TimeInterval, parse_matchers,
};
use crate::suggest::closest;
use crate::{MatchOp, Matcher, Nanos};

use super::error::{Fault, RuleError};
use super::names::is_label_name;
use super::yaml::{Reader, Text};

/// Routes inside of routes; more is a mistake.
const MAX_DEPTH: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    route: Option<Spanned<RouteYaml>>,
    #[serde(default)]
    receivers: Option<Vec<ReceiverYaml>>,
    #[serde(default)]
    inhibit_rules: Option<Vec<Spanned<InhibitYaml>>>,
    #[serde(default)]
    time_intervals: Option<Vec<IntervalYaml>>,
    /// The older name of the same.
    #[serde(default)]
    mute_time_intervals: Option<Vec<IntervalYaml>>,
    #[serde(default, rename = "global")]
    _global: Option<IgnoredAny>,
    #[serde(default, rename = "templates")]
    _templates: Option<IgnoredAny>,
    #[serde(default, rename = "tracing")]
    _tracing: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteYaml {
    receiver: Option<Text>,
    group_by: Option<Vec<Text>>,
    r#match: Option<BTreeMap<String, Text>>,
    match_re: Option<BTreeMap<String, Text>>,
    matchers: Option<Vec<Text>>,
    r#continue: Option<bool>,
    group_wait: Option<Text>,
    group_interval: Option<Text>,
    repeat_interval: Option<Text>,
    mute_time_intervals: Option<Vec<Text>>,
    active_time_intervals: Option<Vec<Text>>,
    routes: Option<Vec<Spanned<RouteYaml>>>,
}

/// Each list of integrations has a field of its own, so that a key that Alertmanager does not know is a mistake here too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiverYaml {
    name: Text,
    webhook_configs: Configs,
    email_configs: Configs,
    pagerduty_configs: Configs,
    opsgenie_configs: Configs,
    wechat_configs: Configs,
    slack_configs: Configs,
    victorops_configs: Configs,
    pushover_configs: Configs,
    sns_configs: Configs,
    telegram_configs: Configs,
    discord_configs: Configs,
    webex_configs: Configs,
    msteams_configs: Configs,
    msteamsv2_configs: Configs,
    jira_configs: Configs,
    rocketchat_configs: Configs,
    mattermost_configs: Configs,
    incidentio_configs: Configs,
}

type Configs = Option<Vec<IntegrationYaml>>;

/// What of an integration decides whether and how a message is built; the rest is passed over.
#[derive(Deserialize)]
struct IntegrationYaml {
    send_resolved: Option<bool>,
    max_alerts: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InhibitYaml {
    #[serde(rename = "name")]
    _name: Option<IgnoredAny>,
    source_match: Option<BTreeMap<String, Text>>,
    source_match_re: Option<BTreeMap<String, Text>>,
    source_matchers: Option<Vec<Text>>,
    target_match: Option<BTreeMap<String, Text>>,
    target_match_re: Option<BTreeMap<String, Text>>,
    target_matchers: Option<Vec<Text>>,
    equal: Option<Vec<Text>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntervalYaml {
    name: Text,
    #[serde(default)]
    time_intervals: Option<Vec<FieldsYaml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldsYaml {
    times: Option<Vec<TimesYaml>>,
    weekdays: Option<Vec<Text>>,
    days_of_month: Option<Vec<Text>>,
    months: Option<Vec<Text>>,
    years: Option<Vec<Text>>,
    location: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimesYaml {
    start_time: Text,
    end_time: Text,
}

/// Reads a configuration; `file` is its name for messages.
pub(super) fn read(file: &str, text: &str) -> Result<Notifications, RuleError> {
    let mut reader = Reader::with_secrets(file, text);
    let mut found = Notifications::default();
    if let Some(yaml) = reader.parse::<FileYaml>() {
        for receiver in yaml.receivers.unwrap_or_default() {
            if found
                .receivers
                .iter()
                .any(|r| *r.name == *receiver.name.value)
            {
                let name = &receiver.name.value;
                let fault = Fault::Other(format!("a second receiver is called `{name}`"));
                reader.report(&receiver.name, "receiver".to_owned(), fault);
            }
            found.receivers.push(self::receiver(receiver));
        }
        let older = yaml.mute_time_intervals.unwrap_or_default();
        for interval in yaml
            .time_intervals
            .unwrap_or_default()
            .into_iter()
            .chain(older)
        {
            if found
                .time_intervals
                .iter()
                .any(|i| *i.name == *interval.name.value)
            {
                let name = &interval.name.value;
                let fault = Fault::Other(format!("a second time interval is called `{name}`"));
                reader.report(&interval.name, "time interval".to_owned(), fault);
            }
            found.time_intervals.push(reader.interval(interval));
        }
        for (i, rule) in yaml
            .inhibit_rules
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            found.inhibits.push(reader.inhibit(rule.value, i + 1));
        }
        match yaml.route {
            Some(root) => {
                reader.root(&root);
                found.route = Some(reader.route(root.value, &found, "route", 0));
            }
            None => {
                let fault = Fault::Value {
                    expected: "a routing tree".to_owned(),
                    found: "nothing".to_owned(),
                };
                reader.report_at(0..0, "`route`".to_owned(), fault, None);
            }
        }
    }
    reader.finish()?;
    Ok(found)
}

fn receiver(yaml: ReceiverYaml) -> Receiver {
    use IntegrationKind::{Other, PagerDuty, Webhook};
    // In the order in which Alertmanager builds them, and whether it sends resolved alerts unless told otherwise.
    let lists = [
        (yaml.webhook_configs, Webhook, true),
        (yaml.email_configs, Other("email"), false),
        (yaml.pagerduty_configs, PagerDuty, true),
        (yaml.opsgenie_configs, Other("opsgenie"), true),
        (yaml.wechat_configs, Other("wechat"), false),
        (yaml.slack_configs, Other("slack"), false),
        (yaml.victorops_configs, Other("victorops"), true),
        (yaml.pushover_configs, Other("pushover"), true),
        (yaml.sns_configs, Other("sns"), true),
        (yaml.telegram_configs, Other("telegram"), true),
        (yaml.discord_configs, Other("discord"), true),
        (yaml.webex_configs, Other("webex"), true),
        (yaml.msteams_configs, Other("msteams"), true),
        (yaml.msteamsv2_configs, Other("msteamsv2"), true),
        (yaml.jira_configs, Other("jira"), true),
        (yaml.rocketchat_configs, Other("rocketchat"), false),
        (yaml.mattermost_configs, Other("mattermost"), true),
        (yaml.incidentio_configs, Other("incidentio"), true),
    ];
    let mut integrations = Vec::new();
    for (configs, kind, send_resolved) in lists {
        for config in configs.unwrap_or_default() {
            let mut integration = Integration::new(kind);
            integration.send_resolved = config.send_resolved.unwrap_or(send_resolved);
            if kind == Webhook {
                integration.max_alerts = config.max_alerts.unwrap_or(0);
            }
            integrations.push(integration);
        }
    }
    Receiver::new(yaml.name.value, integrations)
}

impl Reader<'_> {
    /// What Alertmanager refuses in the root of the tree.
    fn root(&mut self, root: &Spanned<RouteYaml>) {
        let route = &root.value;
        let at = self.span_at(&root.referenced);
        let mut refuse = |key: &str, why: &str| {
            let fault = Fault::Other(why.to_owned());
            self.report_at(at.clone(), format!("route: `{key}`"), fault, None);
        };
        if route.receiver.is_none() {
            refuse("receiver", "expected the name of a receiver, found nothing");
        }
        if route.matchers.is_some() || route.r#match.is_some() || route.match_re.is_some() {
            refuse(
                "matchers",
                "every alert goes through the root: it has no matchers",
            );
        }
        if route.r#continue == Some(true) {
            refuse("continue", "the root has no siblings to continue with");
        }
        if route.mute_time_intervals.is_some() {
            refuse("mute_time_intervals", "the root cannot be muted");
        }
        if route.active_time_intervals.is_some() {
            refuse("active_time_intervals", "the root is always active");
        }
    }

    fn route(&mut self, yaml: RouteYaml, known: &Notifications, of: &str, depth: usize) -> Route {
        let mut route = Route::new();
        if let Some(name) = yaml.receiver {
            let names = known.receivers.iter().map(|r| &*r.name);
            self.check_name(&name, format!("{of}: `receiver`"), "receiver", names);
            route.receiver = Some(name.value.into());
        }
        route.group_by = yaml.group_by.map(|labels| {
            if labels.iter().any(|l| l.value == "...") {
                if let Some(other) = labels.iter().find(|l| l.value != "...") {
                    let fault = Fault::Other("`...` stands alone: it means all labels".to_owned());
                    self.report(other, format!("{of}: `group_by`"), fault);
                }
                return GroupBy::All;
            }
            GroupBy::Labels(self.label_names(labels, &format!("{of}: `group_by`")))
        });
        route.matchers = self.equal(yaml.r#match, MatchOp::Equal, &format!("{of}: `match`"));
        let regexes = self.equal(yaml.match_re, MatchOp::Regex, &format!("{of}: `match_re`"));
        route.matchers.extend(regexes);
        let written = self.matchers(yaml.matchers, &format!("{of}: `matchers`"));
        route.matchers.extend(written);
        route.continues = yaml.r#continue.unwrap_or(false);
        let key = |name: &str| format!("{of}: `{name}`");
        route.group_wait = self.duration(yaml.group_wait.as_ref(), || key("group_wait"));
        route.group_interval =
            self.positive(yaml.group_interval.as_ref(), || key("group_interval"));
        route.repeat_interval =
            self.positive(yaml.repeat_interval.as_ref(), || key("repeat_interval"));
        let mut intervals = |names: Option<Vec<Text>>, key: String| -> Vec<Arc<str>> {
            let names = names.unwrap_or_default();
            let known = || known.time_intervals.iter().map(|i| &*i.name);
            for name in &names {
                self.check_name(name, key.clone(), "time interval", known());
            }
            names.into_iter().map(|name| name.value.into()).collect()
        };
        route.mute_time_intervals = intervals(yaml.mute_time_intervals, key("mute_time_intervals"));
        route.active_time_intervals =
            intervals(yaml.active_time_intervals, key("active_time_intervals"));
        for (i, child) in yaml.routes.unwrap_or_default().into_iter().enumerate() {
            let of = format!("{of}.routes {}", i + 1);
            if depth == MAX_DEPTH {
                let at = self.span_at(&child.referenced);
                self.report_at(at, of, Fault::Other("nested too deeply".to_owned()), None);
                break;
            }
            let child = self.route(child.value, known, &of, depth + 1);
            route.routes.push(child);
        }
        route
    }

    fn check_name<'n>(
        &mut self,
        name: &Text,
        key: String,
        what: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) {
        if known.clone().any(|k| k == name.value) {
            return;
        }
        let help = closest(&name.value, known).map(|near| format!("did you mean `{near}`?"));
        let fault = Fault::Other(format!("no {what} is called `{}`", name.value));
        let span = self.span(name);
        self.report_at(span, key, fault, help);
    }

    fn positive(&mut self, value: Option<&Text>, key: impl Fn() -> String) -> Option<Nanos> {
        let duration = self.duration(value, &key)?;
        if duration.0 <= 0
            && let Some(value) = value
        {
            self.wrong(value, key(), "a duration of more than 0");
        }
        Some(duration)
    }

    /// The older way to write matchers: a table of names and values.
    fn equal(
        &mut self,
        values: Option<BTreeMap<String, Text>>,
        op: MatchOp,
        key: &str,
    ) -> Vec<Matcher> {
        let mut found = Vec::new();
        for (name, value) in values.unwrap_or_default() {
            match Matcher::new(&name, op, &value.value) {
                Ok(matcher) => found.push(matcher),
                Err(_) => self.wrong(&value, format!("{key}.{name}"), "a regular expression"),
            }
        }
        found
    }

    fn matchers(&mut self, texts: Option<Vec<Text>>, key: &str) -> Vec<Matcher> {
        let mut found = Vec::new();
        for text in texts.unwrap_or_default() {
            match parse_matchers(&text.value) {
                Ok(matchers) => found.extend(matchers),
                Err(expected) => self.wrong(&text, key.to_owned(), expected),
            }
        }
        found
    }

    fn label_names(&mut self, names: Vec<Text>, key: &str) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        let mut seen = HashSet::new();
        for name in names {
            if !is_label_name(&name.value) {
                self.wrong(&name, key.to_owned(), "a label name");
            } else if !seen.insert(name.value.clone()) {
                let fault = Fault::Other(format!("`{}` is given twice", name.value));
                self.report(&name, key.to_owned(), fault);
            } else {
                found.push(name.value.into());
            }
        }
        found
    }

    fn inhibit(&mut self, yaml: InhibitYaml, number: usize) -> Inhibit {
        let of = format!("inhibit_rules {number}");
        let mut side = |equal, regex, written, name: &str| {
            let mut all = self.equal(equal, MatchOp::Equal, &format!("{of}: `{name}_match`"));
            all.extend(self.equal(regex, MatchOp::Regex, &format!("{of}: `{name}_match_re`")));
            all.extend(self.matchers(written, &format!("{of}: `{name}_matchers`")));
            all
        };
        let source = side(
            yaml.source_match,
            yaml.source_match_re,
            yaml.source_matchers,
            "source",
        );
        let target = side(
            yaml.target_match,
            yaml.target_match_re,
            yaml.target_matchers,
            "target",
        );
        let equal = self.label_names(yaml.equal.unwrap_or_default(), &format!("{of}: `equal`"));
        Inhibit::new(source, target, equal)
    }

    fn interval(&mut self, yaml: IntervalYaml) -> NamedInterval {
        type Add = fn(&mut TimeInterval, &str) -> Result<(), &'static str>;
        let of = format!("time interval `{}`", yaml.name.value);
        let mut intervals = Vec::new();
        for fields in yaml.time_intervals.unwrap_or_default() {
            let mut interval = TimeInterval::default();
            for times in fields.times.unwrap_or_default() {
                let (start, end) = (&times.start_time, &times.end_time);
                if let Err(expected) = interval.add_times(&start.value, &end.value) {
                    self.wrong(start, format!("{of}: `times`"), expected);
                }
            }
            let lists: [(&str, Option<Vec<Text>>, Add); 4] = [
                ("weekdays", fields.weekdays, TimeInterval::add_weekdays),
                (
                    "days_of_month",
                    fields.days_of_month,
                    TimeInterval::add_days_of_month,
                ),
                ("months", fields.months, TimeInterval::add_months),
                ("years", fields.years, TimeInterval::add_years),
            ];
            for (key, texts, add) in lists {
                for text in texts.unwrap_or_default() {
                    if let Err(expected) = add(&mut interval, &text.value) {
                        self.wrong(&text, format!("{of}: `{key}`"), expected);
                    }
                }
            }
            if let Some(location) = fields.location
                && let Err(expected) = interval.set_location(&location.value)
            {
                self.wrong(&location, format!("{of}: `location`"), expected);
            }
            intervals.push(interval);
        }
        NamedInterval::new(yaml.name.value, intervals)
    }
}
