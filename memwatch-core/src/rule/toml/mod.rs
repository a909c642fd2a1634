//! Rule files in TOML.

mod edit;
mod notify;
mod rules;
mod table;

use std::collections::HashSet;

use toml::de::DeTable;

use super::error::{Fault, RuleError};
use super::model::{RuleFile, Settings};
use super::parse_stale_after;
use table::{Fields, Source};

pub use edit::{NewSetting, SettingChange, with_settings};

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
        match parse_stale_after(text) {
            Some(stale_after) => settings.stale_after = stale_after,
            None => fields.fault(span, "stale_after", STALE, &format!("`{text}`")),
        }
    }
    fields.finish();
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nanos;
    use crate::alert::{GroupBy, IntegrationKind};
    use crate::expr::StaleAfter;
    use crate::rule::{Rule, Scale, TuneRange};

    /// The file of the design document, with all that a rule file can hold.
    const WHOLE: &str = r#"
[settings]
interval = "1s"
phase = "0s"
stale_after = "auto"
lookback = "5m"

[[group]]
name = "go-memory"
interval = "1s"
query_offset = "200ms"
limit = 100
labels = { team = "runtime", severity = "P3" }

[[group.rule]]
record = "service:alloc_rate"
expr = 'sum by (service) (rate(go_memstats_alloc_bytes_total[1m]))'

[[group.rule]]
alert = "PauseGrowth"
expr = 'rate(go_memstats_pause_total_ns[1m]) / rate(go_memstats_pause_total_ns[1m] offset 1m) > $factor'
for = "10s"
keep_firing_for = "30s"
params = { factor = 2.5 }
tune = { factor = { from = 1.2, to = 10, steps = 40, scale = "log" } }
labels = { severity = "P2" }
annotations = { summary = '{{ $labels.instance }}: GC pause time grew {{ printf "%.1f" $value }}×' }
detects = ["gc_thrash", "long_stw", "pause_growth"]

[route]
receiver = "team"
group_by = ["alertname", "service"]
group_wait = "30s"
[[route.routes]]
matchers = ['severity="P1"']
receiver = "oncall"
group_by = ["..."]
continue = true

[[receiver]]
name = "oncall"
pagerduty = { routing_key_env = "PAGERDUTY_KEY" }
wecom = { url_env = "WECOM_BOT_URL", msgtype = "markdown", mentioned_list = ["@all"] }

[[receiver]]
name = "team"
webhook = { url = "http://127.0.0.1:9/", max_alerts = 10, send_resolved = false }

[[inhibit]]
source = ['severity="P1"']
target = ['severity="P2"']
equal = ["instance"]

[[silence]]
matchers = ['service="batch"']
from = "2026-11-23T02:00:00Z"
to = "2026-11-23T04:00:00Z"
"#;

    #[test]
    fn a_whole_file_loads() {
        let file = read("rules.toml", WHOLE).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(file.settings.stale_after, StaleAfter::Auto);
        let group = &file.groups[0];
        assert_eq!((&*group.name, group.limit), ("go-memory", Some(100)));
        assert_eq!(group.query_offset, Nanos(200_000_000));
        let Rule::Recording(recording) = &group.rules[0] else {
            panic!("a recording rule");
        };
        assert_eq!(recording.labels.get("team"), "runtime");
        let alert = group.rules[1].alerting().unwrap();
        assert_eq!(alert.hold.pending, Nanos(10 * Nanos::SECOND.0));
        assert_eq!(alert.hold.keep_firing, Nanos(30 * Nanos::SECOND.0));
        assert_eq!(alert.expr.params().get("factor"), Some(&2.5));
        let labels: Vec<_> = alert.labels.iter().map(|(n, t)| (&**n, t.text())).collect();
        assert_eq!(labels, [("severity", "P2"), ("team", "runtime")]);
        let range = &alert.tune["factor"];
        assert!(matches!(
            range,
            TuneRange::Steps {
                steps: 40,
                scale: Scale::Log,
                ..
            }
        ));
        let values = range.values();
        assert_eq!((values.len(), values[0], values[39]), (40, 1.2, 10.0));
        assert_eq!(alert.detects.len(), 3);
        let start = alert.position.expr.as_ref().unwrap().whole().start;
        assert!(WHOLE[start..].starts_with("rate(go_memstats_pause_total_ns[1m]) /"));

        let told = &file.notifications;
        let route = told.route.as_ref().unwrap();
        assert_eq!(route.routes[0].group_by, Some(GroupBy::All));
        assert!(route.routes[0].continues);
        assert_eq!(
            told.receivers[0].integrations[0].kind,
            IntegrationKind::PagerDuty
        );
        assert!(told.receivers[0].integrations[1].markdown);
        assert!(!told.receivers[1].integrations[0].send_resolved);
        assert_eq!((told.inhibits.len(), told.silences.len()), (1, 1));
    }

    /// A rule with these lines more.
    fn rule(lines: &str) -> String {
        format!(
            "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"A\"\nexpr = 'up == 0'\n{lines}\n"
        )
    }

    #[test]
    fn every_complaint_has_its_place() {
        let cases: Vec<(String, &str)> = vec![
            (rule("for = '10 sec'"), "r.toml:6:7: alert `A`: `for`: expected a duration like \"30s\" or \"200ms\", found `'10 sec'`"),
            (rule("fro = '10s'"), "r.toml:6:1: alert `A`: unknown key `fro`\n  |\n6 | fro = '10s'\n  | ^^^\n  help: did you mean `for`?"),
            (rule("labels = { severity = 2 }"), "r.toml:6:23: alert `A`: `labels.severity`: expected a string, found `2`"),
            (rule("labels = { 'a-b' = '2' }"), "r.toml:6:12: alert `A`: `labels`: expected a label name (letters, digits, `_`), found `a-b`"),
            (rule("annotations = { s = 'x {{ humanise $value }}' }"), "r.toml:6:27: alert `A`: `annotations.s`: no function is called `humanise`; did you mean `humanize`?"),
            (rule("params = { f = 'x' }"), "r.toml:6:16: alert `A`: `params.f`: expected a number, found `'x'`"),
            (rule("params = { factor = 2 }\ntune = { facto = { from = 1, to = 2 } }"), "r.toml:7:10: alert `A`: `tune`: `params` has no `facto`"),
            (rule("params = { f = 2 }\ntune = { f = { from = 3, to = 2 } }"), "r.toml:7:14: alert `A`: `tune.f`: `to`: expected `from` < `to` and at least 2 `steps`"),
            (rule("record = 'x'"), "r.toml:6:10: group `g`, rule 1: `record`: a rule has either `alert` or `record`, not both"),
            ("[[group]]\nname = 'g'\n[[group.rule]]\nalert = 'A'\nexpr = 'rat(up[1m]) > 1'\n".into(),
             "r.toml:5:9: alert `A`: `expr`: unknown function with name \"rat\"\n  |\n5 | expr = 'rat(up[1m]) > 1'\n  |         ^^^\n  help: did you mean `rate`?"),
            ("[[group]]\nname = 'g'\n[[group.rule]]\nalert = 'A'\nexpr = '''\nup\n  > $limit'''\n".into(), "r.toml:7:5: alert `A`: `expr`:"),
            ("[[group]]\nname = 'g'\n[[group.rule]]\nalert = 'A'\nexpr = 'up[1m]'\n".into(), "r.toml:5:9: alert `A`: `expr`: expected an instant vector or a scalar, found a range vector"),
            ("[[group]]\nname = 'g'\n[[group.rule]]\nalert = 'A'\n".into(), "r.toml:3:1: alert `A`: `expr`: expected a PromQL expression, found nothing"),
            ("[[group]]\nname = 'g'\n[[group.rule]]\nrecord = 'a-b'\nexpr = 'up'\nfor = '1s'\n".into(), "r.toml:4:10: record `a-b`: `record`: expected the name of a series, found `a-b`"),
            ("[[group]]\nname = 'g'\n[[group]]\nname = 'g'\n".into(), "r.toml:3:1: group: a second group is called `g`"),
            ("[settings]\ninterval = '0s'\n".into(), "r.toml:2:12: settings: `interval`: expected a duration of more than 0, found `'0s'`"),
            ("[settings]\nstale_after = 'soon'\n".into(), "r.toml:2:15: settings: `stale_after`: expected \"auto\", \"lookback\" or a duration like \"5s\", found `soon`"),
            ("[group\n".into(), "r.toml:1:"),
            ("group = 3\n".into(), "r.toml:1:9: `group`: expected an array of tables ([[group]]), found `3`"),
            ("[route]\ngroup_by = ['a']\n".into(), "r.toml:1:1: route: `receiver`: expected the name of a receiver, found nothing"),
            ("[route]\nreceiver='a'\n[[route.routes]]\nreceiver='oncal'\n[[receiver]]\nname='oncall'\n".into(), "r.toml:4:10: route: `receiver`: no receiver is called `oncal`"),
            ("[route]\nreceiver='a'\ngroup_interval='0s'\n".into(), "r.toml:3:16: route: `group_interval`: expected a duration of more than 0, found `'0s'`"),
            ("[route]\nreceiver='a'\nrepeat_interval='0s'\n".into(), "r.toml:3:17: route: `repeat_interval`: expected a duration of more than 0"),
            ("[route]\nreceiver='a'\ngroup_by=['a', 'b', 'a']\n".into(), "r.toml:3:21: route: `group_by`: `a` is given twice"),
            ("[route]\nreceiver='a'\ngroup_by=['...', 'b']\n".into(), "r.toml:3:18: route: `group_by`: `...` stands alone"),
            ("[[receiver]]\nname='a'\npagerduty = { routing_key_env = '0123456789abcdef0123456789abcdef' }\n".into(),
             "r.toml:3:33: receiver `a`: `pagerduty`: `routing_key_env`: expected the name of an environment variable, found something else, which is not shown"),
            ("[[receiver]]\nname='a'\nwecom = { url_env = 'https://qyapi.weixin.qq.com/x?key=y' }\n".into(), "found something else, which is not shown"),
            ("[[silence]]\nmatchers = ['a']\nfrom = '2026-11-23T02:00:00Z'\nto = 'x'\n".into(), "r.toml:2:13: silence 1: `matchers`: expected a matcher like"),
        ];
        for (text, expected) in cases {
            let error = read("r.toml", &text).map(|_| ()).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{text}\n--- expected\n{expected}\n--- found\n{error}"
            );
        }
    }

    #[test]
    fn no_line_with_a_secret_is_shown() {
        for line in [
            "pagerduty = { routing_key = 'hunter2' }",
            "webhook = { url_env = 'http://hunter2' }",
            "wecom = { url_env = 5, key = 'hunter2' }",
            "wecom = { url_env = 'A', mgstype = 'hunter2' }",
        ] {
            let text = format!("[[receiver]]\nname = 'a'\n{line}\n");
            let error = read("r.toml", &text).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("r.toml:3:"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = rule("for = 'x'\nlabel = 1\nlabels = { a = 1 }");
        let error = read("r.toml", &text).unwrap_err();
        let lines: Vec<usize> = error.problems.iter().map(|p| p.line).collect();
        assert_eq!(lines, [6, 7, 8]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(cut in 0usize..3000, flip in 0usize..3000, with in proptest::char::any()) {
            let mut text: String = WHOLE.chars().take(cut).collect();
            let at = flip % (text.chars().count() + 1);
            let byte = text.char_indices().nth(at).map_or(text.len(), |c| c.0);
            text.insert(byte, with);
            let _ = read("r.toml", &text);
        }
    }
}
