//! The bodies of the fuzz targets of what stands in rule files and beside them, which a test calls too.

use super::template::{Data, Template};
use super::{
    AlertingRule, NewSetting, Rule, RuleFile, SettingChange, read_notifications, read_silences,
    with_settings,
};
use crate::{Labels, Nanos};

/// Reads a text as a template and, when it is one, expands it.
///
/// # Panics
/// When one that does not depend on the value gives different texts for different values, or a constant is not what it gives.
pub fn any_template(text: &str) {
    let Ok(template) = Template::parse(text) else {
        return;
    };
    assert_eq!(template.text(), text);
    let labels: Labels = [("__name__", "x"), ("l", "1"), ("path", "é/\"<a>&")]
        .into_iter()
        .collect();
    let values = [0.0, -1.5, 1e300, 1_795_410_189.5, f64::NAN, f64::INFINITY];
    let texts = values.map(|value| template.expand_or_error(&Data::new(&labels, value)));
    if !template.depends_on_value() {
        assert!(texts.iter().all(|other| *other == texts[0]), "{text:?}");
    }
    if let Some(constant) = template.constant() {
        assert_eq!(texts[0], constant);
    }
}

/// Reads a text as a rule file and, when it is one, changes each setting of it that can be changed.
///
/// # Panics
/// When the changed text is no rule file, or has other settings than asked for.
pub fn any_change(text: &str) {
    let Ok(file) = RuleFile::from_toml("rules.toml", text) else {
        let to = NewSetting::For(Nanos::SECOND);
        let (group, rule) = (0, 0);
        let _ = with_settings(text, &[SettingChange { group, rule, to }]);
        return;
    };
    let hold = Nanos(61 * Nanos::SECOND.0);
    let mut changes = Vec::new();
    for (group, rule, alerting) in alerting(&file) {
        let to = [NewSetting::For(hold), NewSetting::KeepFiringFor(hold)];
        let params = alerting.params.keys();
        let params = params.map(|name| NewSetting::Param(name.clone(), 12.5));
        for to in to.into_iter().chain(params) {
            changes.push(SettingChange { group, rule, to });
        }
    }
    let changed = with_settings(text, &changes).expect("settings that are there");
    let again = RuleFile::from_toml("rules.toml", &changed).expect("still a rule file");
    for (_, _, rule) in alerting(&again) {
        assert_eq!((rule.hold.pending, rule.hold.keep_firing), (hold, hold));
        assert!(rule.params.values().all(|value| *value == 12.5));
    }
    assert_eq!(alerting(&again).count(), alerting(&file).count());
}

/// The alerting rules, with their places.
fn alerting(file: &RuleFile) -> impl Iterator<Item = (usize, usize, &AlertingRule)> {
    file.groups.iter().enumerate().flat_map(|(g, group)| {
        let rules = group.rules.iter().enumerate();
        rules.filter_map(move |(r, rule)| Some((g, r, Rule::alerting(rule)?)))
    })
}

/// Reads a text as Alertmanager's configuration, as the same in TOML, and as events of silences.
///
/// # Panics
/// When a silence ends before it begins, or an error says nothing.
pub fn any_notifications(text: &str) {
    for name in ["am.yml", "am.toml"] {
        match read_notifications(name, text) {
            Ok(read) => assert!(read.doubts().iter().all(|doubt| !doubt.is_empty())),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    match read_silences("silences.ndjson", text) {
        Ok(silences) => {
            let ordered = |s: &crate::alert::Silence| s.range.start <= s.range.end;
            assert!(silences.iter().all(ordered));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const TEMPLATE: &str = "{{ $x := $value | humanize }}{{ if gt $value 1.5 }}{{ $labels.l | toUpper }}{{ else }}{{ printf \"%.1f%% %s\" $value $x }}{{ end }}{{ with $labels.path }}{{ . | urlQueryEscape }}{{ end }}{{- /* c */ -}} {{ $value | humanizeDuration }}";
    const TOML: &str = "[[group]]\nname = \"g\"\ninterval = \"1s\"\n[[group.rule]]\nalert = \"A\"\nexpr = 'x > $f' # why\nfor = \"10s\"\nparams = { f = 2 }\n  [[group.rule]]\n  record = \"a:b\"\n  expr = \"sum(x)\"\n[route]\nreceiver = \"r\"\n[[receiver]]\nname = \"r\"\n";
    const YAML: &str = "route:\n  receiver: team\n  group_by: [service]\n  routes:\n  - matchers: [severity=\"P1\"]\n    receiver: team\n    mute_time_intervals: [night]\nreceivers:\n- name: team\n  webhook_configs: [{url: 'http://secret', send_resolved: false}]\ninhibit_rules:\n- {source_matchers: [severity=P1], target_matchers: [severity=P2], equal: [service]}\ntime_intervals:\n- name: night\n  time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}], weekdays: ['monday:friday'], location: 'Europe/Berlin'}]\n";
    const SILENCES: &str = "{\"at\": \"2026-11-23T05:00:00Z\", \"silence\": \"deploy\", \"service\": \"cart\", \"severity\": \"P2\", \"for\": \"30m\", \"matchers\": [\"a=~\\\"b|c\\\"\"]}\n{\"at\": \"2026-11-23T05:10:00Z\", \"expire\": \"deploy\"}\n";

    /// Some of the text, with stretches of all four put in at places.
    fn mixed(text: &str, changes: &[(Index, Index, usize)]) -> String {
        let all: Vec<char> = [TEMPLATE, TOML, YAML, SILENCES].concat().chars().collect();
        let mut text: Vec<char> = text.chars().collect();
        for (at, from, length) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + length / 2).min(text.len());
            let from = from.index(all.len());
            let to = (from + length).min(all.len());
            text.splice(at..end, all[from..to].iter().copied());
        }
        text.into_iter().collect()
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            changes in prop::collection::vec((any::<Index>(), any::<Index>(), 0usize..12), 0..4),
        ) {
            any_template(&mixed(TEMPLATE, &changes));
            any_change(&mixed(TOML, &changes));
            for text in [TOML, YAML, SILENCES] {
                any_notifications(&mixed(text, &changes));
            }
        }
    }
}
