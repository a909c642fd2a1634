//! `memwatch backtest`: who would have been told what.

use std::fs;
use std::path::Path;

use crate::backtest::{RULES, folder, json};
use crate::memwatch;

/// To a robot and a webhook: 5 s after the first alert, each 10 s.
const ROUTE: &str = r#"
[route]
receiver = "oncall"
group_by = ["alertname"]
group_wait = "5s"
group_interval = "10s"

[[receiver]]
name = "oncall"
wecom = { url_env = "ROBOT_URL", mentioned_list = ["@all"] }
webhook = { url_env = "HOOK_URL" }

[links]
prometheus = "https://prometheus.example/"
"#;

/// The alert of `RULES` fires 23 s after the minute's beginning and is resolved after 40 s.
fn with_route() -> tempfile::TempDir {
    folder(&format!("{RULES}\n{ROUTE}"))
}

fn run(folder: &Path, more: &[&str]) -> String {
    let args = [&["backtest", "rules.toml", "rec"][..], more].concat();
    memwatch(folder, &args).ended(0).out
}

#[test]
fn the_document_holds_each_message_as_it_would_have_been_sent() {
    let dir = with_route();
    let out = run(dir.path(), &["--format", "json"]);
    assert_eq!(out, run(dir.path(), &["--format", "json"]));
    let found = json(&out);
    assert_eq!(found["settings"]["notifications"], "simulated");
    let sent = found["notifications"].as_array().unwrap();
    let short: Vec<String> = sent
        .iter()
        .map(|m| {
            let at = m["at"].as_str().unwrap();
            format!(
                "{} {} {} {}",
                &at[at.len() - 10..],
                m["integration"].as_str().unwrap(),
                m["status"].as_str().unwrap(),
                m["reason"].as_str().unwrap()
            )
        })
        .collect();
    // It fired at :32 and ended at :49; START is 9 s after a full minute.
    assert_eq!(
        short,
        [
            "37.000000Z webhook firing first",
            "37.000000Z wecom firing first",
            "57.000000Z webhook resolved all_resolved",
            "57.000000Z wecom resolved all_resolved",
        ]
    );
    let alert = &found["alerts"][0];
    for message in sent {
        assert_eq!(message["receiver"], "oncall");
        assert_eq!(message["group_key"], r#"{}:{alertname="HeapLarge"}"#);
        assert_eq!(message["alerts"][0], alert["id"]);
        let payload = message["payload"].as_str().unwrap();
        assert_eq!(message["bytes"], payload.len());
        assert_eq!(message["truncated"], serde_json::Value::Null);
    }
    let robot = json(sent[1]["payload"].as_str().unwrap());
    assert_eq!(robot["text"]["mentioned_list"][0], "@all");
    let text = robot["text"]["content"].as_str().unwrap();
    assert!(
        text.starts_with("[FIRING:1] HeapLarge (api-0 api P2)\n● api-0 uses 900MB since "),
        "{text}"
    );
    let hook = json(sent[2]["payload"].as_str().unwrap());
    assert_eq!(hook["version"], "4");
    assert_eq!(hook["alerts"][0]["status"], "resolved");
    assert_eq!(
        hook["alerts"][0]["generatorURL"],
        "https://prometheus.example/graph?g0.expr=service%3Aheap+%3E+%24limit&g0.tab=1"
    );
    let delivery = &alert["deliveries"][0];
    assert_eq!(delivery["delay_s"], 5.0);
    assert_eq!(delivery["waits"][0]["by"], "group_wait");
    assert_eq!(delivery["untold"], serde_json::Value::Null);
    let robot = &found["receivers"][0]["integrations"][1];
    assert_eq!(robot["secret_env"], "ROBOT_URL");
    assert_eq!(robot["limits"][1], "20 messages a minute");
    // A line each.
    let lines = run(dir.path(), &["--format", "ndjson"]);
    assert_eq!(lines.matches("{\"type\":\"notification\",").count(), 4);
    assert_eq!(lines.matches("{\"type\":\"receiver\",").count(), 1);
}

#[test]
fn the_text_says_what_the_receiver_would_have_seen() {
    let dir = with_route();
    let text = run(dir.path(), &[]);
    for expected in [
        "Notifications",
        "oncall wecom",
        "FIRING 1: HeapLarge api-0",
        "RESOLVED 1: HeapLarge api-0",
        "4 messages to oncall webhook 2, oncall wecom 2",
        "from firing to the first message: median 5.0s, slowest 5.0s (HeapLarge api-0 to oncall: group_wait\n  5.0s)",
        "limits: wecom 2048 bytes of content, 20 messages a minute",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.lines().all(|l| l.chars().count() <= 100), "{text}");
    let markdown = run(dir.path(), &["--format", "markdown"]);
    assert!(
        markdown.contains("- 4 messages to oncall webhook 2"),
        "{markdown}"
    );
    assert!(markdown.contains("| oncall wecom"), "{markdown}");
    // Without a route nobody is told, and that is said.
    let dir = folder(RULES);
    let text = run(dir.path(), &[]);
    assert!(text.contains("no route, so nobody is told"), "{text}");
    assert!(!text.contains("Notifications"), "{text}");
}

#[test]
fn a_silence_acts_from_when_it_was_made_and_tells_what_it_kept_back() {
    let dir = with_route();
    // START is 2026-11-23T05:03:09Z. Made at :40, when the first message was out already; it would have begun earlier.
    let events = r#"{"at":"2026-11-23T05:03:40Z","silence":"deploy","from":"2026-11-23T05:03:00Z","service":"api","for":"30m","comment":"v2"}
{"at":"2026-11-23T05:04:05Z","expire":"deploy"}
"#;
    fs::write(dir.path().join("silences.ndjson"), events).unwrap();
    let args = ["--silences", "silences.ndjson", "--format", "json"];
    let found = json(&run(dir.path(), &args));
    assert_eq!(found["notifications"].as_array().unwrap().len(), 2);
    let settings = &found["settings"];
    assert_eq!(settings["alertmanager"], serde_json::Value::Null);
    assert_eq!(settings["silences"], serde_json::json!(["silences.ndjson"]));
    let silence = &found["silences"][0];
    assert_eq!(silence["id"], "deploy");
    assert_eq!(silence["from"], "2026-11-23T05:03:40.000000Z");
    assert_eq!(silence["to"], "2026-11-23T05:04:05.000000Z");
    assert_eq!(silence["suppressed_messages"], 2);
    assert_eq!(silence["alerts"].as_array().unwrap().len(), 1);
    let lost = &found["lost_resolves"][0];
    assert_eq!(
        (&lost["by"], &lost["receiver"]),
        (&"silenced".into(), &"oncall".into())
    );
    let text = run(dir.path(), &args[..2]);
    assert!(
        text.ends_with("\nsilences from silences.ndjson\n"),
        "{text}"
    );
    let text = text.replace("\n  ", " ");
    assert!(
        text.contains("(v2): kept 1 alert back; without it 2 messages more would have been sent"),
        "{text}"
    );
    assert!(text.contains("1 resolve never told"), "{text}");
    // A mistake has its place.
    fs::write(dir.path().join("silences.ndjson"), "{\"at\":\"soon\"}").unwrap();
    let args = [
        "backtest",
        "rules.toml",
        "rec",
        "--silences",
        "silences.ndjson",
    ];
    let failed = memwatch(dir.path(), &args).ended(2);
    assert!(
        failed
            .err
            .contains("silences.ndjson:1:1: `at`: expected a time like"),
        "{}",
        failed.err
    );
}

const ALERTMANAGER: &str = r"
global: {slack_api_url: 'https://hooks.slack.example/canary-1'}
route:
  receiver: team
  group_by: [alertname]
  group_wait: 5s
  group_interval: 10s
  routes:
  - match: {severity: P2}
    receiver: oncall
    repeat_interval: 5s
receivers:
- name: team
- name: oncall
  pagerduty_configs: [{routing_key: canary-2}]
  webhook_configs: [{url: 'http://127.0.0.1:9/canary-3'}]
  slack_configs: [{channel: '#x', send_resolved: true}]
";

#[test]
fn alertmanagers_own_file_says_who_is_told() {
    let dir = folder(RULES);
    fs::write(dir.path().join("am.yml"), ALERTMANAGER).unwrap();
    let args = ["--alertmanager", "am.yml"];
    let found = json(&run(
        dir.path(),
        &[&args[..], &["--format", "json"]].concat(),
    ));
    assert_eq!(found["settings"]["alertmanager"], "am.yml");
    let told: Vec<(&str, bool)> = found["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["integration"].as_str().unwrap(), m["payload"].is_string()))
        .collect();
    let each = [("webhook", true), ("pagerduty", true), ("slack", false)];
    assert_eq!(told, [each, each, each].concat());
    let all = [&["backtest", "rules.toml", "rec"][..], &args].concat();
    let text = memwatch(dir.path(), &all).ended(0);
    assert!(text.out.contains("\nroutes from am.yml\n"), "{}", text.out);
    let lines = text.out.replace("\n  ", " ");
    assert!(
        lines.contains("what slack gets exactly is not simulated"),
        "{lines}"
    );
    assert!(
        text.err
            .contains("`repeat_interval` is 5s, less than `group_interval` (10s)"),
        "{}",
        text.err
    );
    // Routes in both files: neither is the right one.
    let dir = with_route();
    fs::write(dir.path().join("am.yml"), ALERTMANAGER).unwrap();
    let failed = memwatch(dir.path(), &all).ended(2);
    assert!(
        failed
            .err
            .contains("expected these in one file, found them also in --alertmanager am.yml"),
        "{}",
        failed.err
    );
}

#[test]
fn the_alerts_of_both_rule_files_go_through_what_is_given() {
    let dir = folder(RULES);
    fs::write(dir.path().join("am.yml"), ALERTMANAGER).unwrap();
    // One minute's alert fires 2 s later by the new rules, and so do its messages.
    let later = RULES.replace("for = \"3s\"", "for = \"5s\"");
    assert_ne!(later, RULES);
    fs::write(dir.path().join("new.toml"), later).unwrap();
    let args = ["diff", "rules.toml", "new.toml", "rec"];
    let diff = |more: &[&str]| memwatch(dir.path(), &[&args[..], more].concat());
    let changes = |more: &[&str]| -> Vec<String> {
        let more = [more, &["--format", "json"]].concat();
        let found = json(&diff(&more).ended(0).out);
        let messages = found["messages"].as_array().unwrap();
        let short = |m: &serde_json::Value| {
            let text = |key: &str| m[key].as_str().unwrap().to_owned();
            let later = &m["later_s"];
            let (change, by, status) = (text("change"), text("integration"), text("status"));
            format!("{change} {by} {status} {later}")
        };
        messages.iter().map(short).collect()
    };
    assert_eq!(changes(&[]), [""; 0]);
    let through = ["--alertmanager", "am.yml"];
    let told = changes(&through);
    assert_eq!(told.len(), 9, "{told:?}");
    for by in ["pagerduty", "slack", "webhook"] {
        assert!(told.contains(&format!("moved {by} firing 2.0")), "{told:?}");
    }
    // What is doubtful in it is said once, not for each rule file.
    let ran = diff(&through).ended(0);
    assert_eq!(ran.err.matches("`repeat_interval` is 5s").count(), 1);
    assert!(ran.out.contains("Messages that changed"), "{}", ran.out);
    // A page of a rule file without a route of its own counts for the limit.
    let limit = ["--max-pages-per-week", "5"];
    let ran = diff(&[&through[..], &limit].concat()).ended(1);
    // By the old rules it fires from :32 to :49 and is told at :37, repeated at :47; by the new ones told at :39, and over at :49.
    assert!(
        ran.err.contains("1 pages in 59.0s (they were 2)"),
        "{}",
        ran.err
    );

    // A silence of everything until after the last message: both sides are silent.
    let event = r#"{"at":"2026-11-23T05:00:00Z","silence":"all","matchers":["alertname!=\"\""],"for":"1h"}"#;
    fs::write(dir.path().join("silences.ndjson"), event).unwrap();
    let silenced = [&through[..], &["--silences", "silences.ndjson"]].concat();
    assert_eq!(changes(&silenced), [""; 0]);
    let found = json(
        &diff(&[&silenced[..], &["--format", "json"]].concat())
            .ended(0)
            .out,
    );
    assert_eq!(found["alertmanager"], "am.yml");
    assert_eq!(found["silences"], serde_json::json!(["silences.ndjson"]));

    // Routes of the old file and of --alertmanager: neither is the right one.
    fs::write(dir.path().join("rules.toml"), format!("{RULES}\n{ROUTE}")).unwrap();
    let failed = diff(&through).ended(2);
    assert!(
        failed.err.contains(
            "rules.toml has routes, receivers or inhibitions of its own: expected these in one file"
        ),
        "{}",
        failed.err
    );
}

#[test]
fn no_secret_is_in_any_output() {
    let dir = folder(RULES);
    fs::write(dir.path().join("am.yml"), ALERTMANAGER).unwrap();
    for format in ["table", "markdown", "json", "ndjson"] {
        let args = [
            "backtest",
            "rules.toml",
            "rec",
            "--alertmanager",
            "am.yml",
            "--format",
            format,
            "--report",
            "report.html",
        ];
        let ran = memwatch(dir.path(), &args).ended(0);
        let report = fs::read_to_string(dir.path().join("report.html")).unwrap();
        assert!(
            report.contains("<dt>routes of</dt><dd><bdi>am.yml</bdi></dd>"),
            "{report}"
        );
        for shown in [&ran.out, &ran.err, &report] {
            assert!(!shown.contains("canary"), "{format}\n{shown}");
        }
    }
    // Nor in what is said of a file that is wrong.
    let broken = ALERTMANAGER.replace(
        "routing_key: canary-2",
        "routing_key: canary-2, send_resolved: canary-4",
    );
    fs::write(dir.path().join("am.yml"), broken).unwrap();
    let args = ["backtest", "rules.toml", "rec", "--alertmanager", "am.yml"];
    let failed = memwatch(dir.path(), &args).ended(2);
    assert!(failed.err.contains("am.yml:15:"), "{}", failed.err);
    assert!(!failed.err.contains("canary"), "{}", failed.err);
}

#[test]
fn the_shipped_tiers_call_somebody_for_p1_and_write_the_rest() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let told = |recording: &str| {
        let args = [
            "backtest",
            "rules/go-memory.toml",
            recording,
            "--alertmanager",
            "rules/tiers.toml",
            "--format",
            "json",
        ];
        let found = json(&memwatch(&testdata, &args).ended(0).out);
        let alerts = found["alerts"].as_array().unwrap();
        let severity = |id: &serde_json::Value| {
            let alert = alerts.iter().find(|a| a["id"] == *id).unwrap();
            alert["labels"]["severity"].as_str().unwrap().to_owned()
        };
        let mut told: Vec<String> = Vec::new();
        for message in found["notifications"].as_array().unwrap() {
            let of = severity(&message["alerts"][0]);
            let (receiver, by) = (&message["receiver"], &message["integration"]);
            let (receiver, by) = (receiver.as_str().unwrap(), by.as_str().unwrap());
            let body = message["payload"].as_str().unwrap();
            let calls = if body.contains("\"@all\"") {
                " @all"
            } else {
                ""
            };
            let status = message["status"].as_str().unwrap();
            told.push(format!("{of} {status} {receiver} {by}{calls}"));
        }
        told.sort();
        told.dedup();
        // A P1 that was told to nobody would be one that a tier for calling people lost.
        for alert in alerts.iter().filter(|a| a["labels"]["severity"] == "P1") {
            for delivery in alert["deliveries"].as_array().unwrap() {
                assert_ne!(delivery["untold"], "ended_first", "{alert}");
            }
        }
        let inhibited = alerts
            .iter()
            .filter(|a| a["deliveries"][0]["untold"] == "inhibited")
            .count();
        (told, inhibited)
    };
    // A P1 of the same process keeps its P2 back.
    let (messages, inhibited) = told("recordings/risk-score");
    assert_eq!(
        messages,
        [
            "P1 firing page pagerduty",
            "P1 firing page wecom @all",
            "P1 resolved page pagerduty",
            "P1 resolved page wecom",
        ]
    );
    assert!(inhibited > 0);
    let (messages, _) = told("recordings/report-render");
    assert!(
        messages.contains(&"P2 firing channel wecom".to_owned()),
        "{messages:?}"
    );
    assert!(
        messages.contains(&"P2 firing channel webhook".to_owned()),
        "{messages:?}"
    );
    let check = memwatch(&testdata, &["check", "rules/tiers.toml"]);
    assert_eq!(check.code, 0, "{}", check.out);
}
