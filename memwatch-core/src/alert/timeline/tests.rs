//! What Alertmanager does, statement by statement (`a1` to `a15` in the order of its documents).

use super::*;
use crate::alert::notifications::{
    GroupBy, Inhibit, Integration, IntegrationKind, Receiver, Route, Silence, parse_matcher,
};
use crate::alert::time_interval::{NamedInterval, TimeInterval};
use crate::{Matcher, TimeRange};

fn at(s: i64) -> Timestamp {
    Timestamp(s * 1_000_000_000)
}

fn seconds(s: i64) -> Option<Nanos> {
    Some(Nanos(s * Nanos::SECOND.0))
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts
        .iter()
        .map(|text| parse_matcher(text).unwrap())
        .collect()
}

/// Groups by alertname; wait 10 s, interval 60 s, repeat 1 h; receivers `team`, `oncall`, `quiet` (tells no resolves).
fn config() -> Notifications {
    let mut config = Notifications::default();
    let mut route = Route::new();
    route.receiver = Some("team".into());
    route.group_by = Some(GroupBy::Labels(vec!["alertname".into()]));
    (
        route.group_wait,
        route.group_interval,
        route.repeat_interval,
    ) = (seconds(10), seconds(60), seconds(3600));
    config.route = Some(route);
    let mut quiet = Integration::new(IntegrationKind::Webhook);
    quiet.send_resolved = false;
    for (name, integration) in [
        ("team", Integration::new(IntegrationKind::Webhook)),
        ("oncall", Integration::new(IntegrationKind::PagerDuty)),
        ("quiet", quiet),
    ] {
        config
            .receivers
            .push(Receiver::new(name, vec![integration]));
    }
    config
}

fn child(receiver: &str, conditions: &[&str]) -> Route {
    let mut route = Route::new();
    route.receiver = Some(receiver.into());
    route.matchers = matchers(conditions);
    route
}

/// An alert `NAME{i="…"}` that fires from `from` to `to` (0: still).
fn alert(name: &str, i: &str, from: i64, to: i64) -> FiredAlert {
    let labels = [("alertname", name), ("i", i)].into_iter().collect();
    FiredAlert::new(labels, Vec::new(), at(from), (to != 0).then(|| at(to)))
}

/// The messages until 3 h, like `10 team A/1 +A/2 -A/3 First`: firing with +, resolved with -.
fn play(config: &Notifications, alerts: &[FiredAlert]) -> Vec<String> {
    let timeline = simulate(config, alerts, at(0), at(10_800));
    let name = |i: &usize| {
        format!(
            "{}/{}",
            alerts[*i].labels.get("alertname"),
            alerts[*i].labels.get("i")
        )
    };
    timeline
        .messages
        .iter()
        .map(|m| {
            let firing = m.firing.iter().map(|i| format!(" +{}", name(i)));
            let resolved = m.resolved.iter().map(|i| format!(" -{}", name(i)));
            let told: String = firing.chain(resolved).collect();
            format!(
                "{} {}{told} {:?}",
                m.at.0 / 1_000_000_000,
                config.receivers[m.receiver].name,
                m.reason
            )
        })
        .collect()
}

#[test]
fn a1_the_first_matching_child_wins_unless_it_continues() {
    let mut config = config();
    let root = config.route.as_mut().unwrap();
    root.routes = vec![
        child("oncall", &["alertname=\"A\""]),
        child("quiet", &["alertname=~\"A|B\""]),
    ];
    let alerts = [
        alert("A", "1", 0, 0),
        alert("B", "1", 0, 0),
        alert("C", "1", 0, 0),
    ];
    assert_eq!(
        play(&config, &alerts)[..3],
        [
            "10 team +C/1 First",
            "10 oncall +A/1 First",
            "10 quiet +B/1 First"
        ]
    );
    config.route.as_mut().unwrap().routes[0].continues = true;
    let messages = play(&config, &alerts);
    assert!(
        messages.contains(&"10 quiet +A/1 First".to_owned()),
        "{messages:?}"
    );
    assert!(
        messages.contains(&"10 oncall +A/1 First".to_owned()),
        "{messages:?}"
    );
}

#[test]
fn a2_groups_are_by_route_and_labels() {
    let alerts = [
        alert("A", "1", 0, 0),
        alert("A", "2", 1, 0),
        alert("B", "1", 0, 0),
    ];
    let mut config = config();
    assert_eq!(
        play(&config, &alerts)[..2],
        ["10 team +A/1 +A/2 First", "10 team +B/1 First"]
    );
    config.route.as_mut().unwrap().group_by = Some(GroupBy::Labels(Vec::new()));
    assert_eq!(play(&config, &alerts)[0], "10 team +A/1 +A/2 +B/1 First");
    config.route.as_mut().unwrap().group_by = Some(GroupBy::All);
    assert_eq!(
        play(&config, &alerts)[..3],
        [
            "10 team +A/1 First",
            "10 team +B/1 First",
            "11 team +A/2 First"
        ]
    );
    let key = &simulate(&config, &alerts, at(0), at(100)).messages[0].group_key;
    assert_eq!(key, r#"{}:{alertname="A", i="1"}"#);
}

#[test]
fn a3_the_timer_counts_from_the_flush_whether_or_not_anything_was_sent() {
    // Flushes at 10, 70, 130 …: an alert at 71 waits until 130, one at 129 is in the same message.
    let alerts = [
        alert("A", "1", 0, 0),
        alert("A", "2", 71, 0),
        alert("A", "3", 129, 0),
    ];
    assert_eq!(
        play(&config(), &alerts)[..2],
        ["10 team +A/1 First", "130 team +A/1 +A/2 +A/3 NewAlerts"]
    );
}

#[test]
fn a5_what_changed_decides_whether_to_send() {
    let cases: [(&[FiredAlert], &[&str]); 4] = [
        (
            &[alert("A", "1", 0, 65)],
            &["10 team +A/1 First", "70 team -A/1 AllResolved"],
        ),
        (
            &[alert("A", "1", 0, 65), alert("A", "2", 0, 200)],
            &[
                "10 team +A/1 +A/2 First",
                "70 team +A/2 -A/1 SomeResolved",
                "250 team -A/2 AllResolved",
            ],
        ),
        // Back and gone again between two ticks, after its resolve was told: nothing that the receiver knows of changed.
        (
            &[alert("A", "1", 0, 65), alert("A", "1", 75, 100)],
            &["10 team +A/1 First", "70 team -A/1 AllResolved"],
        ),
        (&[alert("A", "1", 0, 5)], &[]),
    ];
    for (alerts, expected) in cases {
        assert_eq!(play(&config(), alerts), expected, "{alerts:?}");
    }
}

#[test]
fn a6_an_unchanged_group_is_repeated_at_the_first_tick_strictly_after_the_interval() {
    let mut config = config();
    let route = config.route.as_mut().unwrap();
    (
        route.group_wait,
        route.group_interval,
        route.repeat_interval,
    ) = (seconds(0), seconds(2), seconds(4));
    let messages = play(&config, &[alert("A", "1", 0, 20)]);
    let times: Vec<&str> = messages
        .iter()
        .map(|m| m.split(' ').next().unwrap())
        .collect();
    assert_eq!(times, ["0", "6", "12", "18", "20"]);
}

#[test]
fn a7_a_message_lists_all_and_resolved_ones_once() {
    let alerts = [
        alert("A", "1", 0, 65),
        alert("A", "2", 0, 0),
        alert("A", "3", 125, 0),
    ];
    assert_eq!(
        play(&config(), &alerts)[..3],
        [
            "10 team +A/1 +A/2 First",
            "70 team +A/2 -A/1 SomeResolved",
            "130 team +A/2 +A/3 NewAlerts"
        ]
    );
}

#[test]
fn a8_short_alerts_are_told_only_when_the_group_lives() {
    assert!(play(&config(), &[alert("A", "1", 0, 9)]).is_empty());
    let alerts = [alert("A", "1", 0, 0), alert("A", "2", 20, 30)];
    assert_eq!(
        play(&config(), &alerts)[..2],
        ["10 team +A/1 First", "70 team +A/1 -A/2 SomeResolved"]
    );
}

fn silence(conditions: &[&str], from: i64, to: i64) -> Silence {
    Silence::new(
        matchers(conditions),
        TimeRange {
            start: at(from),
            end: at(to),
        },
    )
}

#[test]
fn a9_a_resolve_inside_of_a_silence_is_never_told() {
    let mut config = config();
    config.silences = vec![silence(&["alertname=\"A\""], 60, 200)];
    let alerts = [alert("A", "1", 0, 65)];
    assert_eq!(play(&config, &alerts), ["10 team +A/1 First"]);
    let timeline = simulate(&config, &alerts, at(0), at(1000));
    assert_eq!(
        timeline.lost_resolves,
        [LostResolve {
            at: at(70),
            receiver: 0,
            alert: 0,
            by: Muted::Silenced
        }]
    );
    assert_eq!(timeline.muted[0], BTreeSet::from([Muted::Silenced]));
}

#[test]
fn a10_unmuted_later_waits_for_the_next_tick() {
    let mut config = config();
    config.silences = vec![silence(&["alertname=\"A\""], 0, 11)];
    assert_eq!(
        play(&config, &[alert("A", "1", 0, 0)])[..1],
        ["70 team +A/1 First"]
    );
}

#[test]
fn a11_without_send_resolved_the_resolve_is_logged_and_not_sent() {
    let mut config = config();
    config.route.as_mut().unwrap().receiver = Some("quiet".into());
    let alerts = [alert("A", "1", 0, 65), alert("A", "1", 75, 0)];
    assert_eq!(
        play(&config, &alerts)[..2],
        ["10 quiet +A/1 First", "130 quiet +A/1 First"]
    );
    let alerts = [alert("A", "1", 0, 65), alert("A", "2", 0, 0)];
    assert_eq!(
        play(&config, &alerts)[..2],
        ["10 quiet +A/1 +A/2 First", "3670 quiet +A/2 Repeat"]
    );
}

#[test]
fn a12_inhibition() {
    let mut config = config();
    config.inhibits = vec![Inhibit::new(
        matchers(&["alertname=\"A\""]),
        matchers(&["alertname=~\"A|B\""]),
        vec!["i".into(), "none".into()],
    )];
    // B/1 is inhibited by A/1, B/2 is not; A/1 matches both sides and is not inhibited by A alerts.
    let alerts = [
        alert("A", "1", 0, 0),
        alert("B", "1", 0, 0),
        alert("B", "2", 0, 0),
    ];
    assert_eq!(
        play(&config, &alerts)[..2],
        ["10 team +A/1 First", "10 team +B/2 First"]
    );
    // A silenced source inhibits all the same; a resolved one no more.
    config.silences = vec![silence(&["alertname=\"A\""], 0, 100_000)];
    let alerts = [alert("A", "1", 0, 65), alert("B", "1", 0, 0)];
    assert_eq!(play(&config, &alerts)[..1], ["70 team +B/1 First"]);
}

#[test]
fn a13_intervals_are_looked_at_when_flushing() {
    let minutes = |from, to| TimeInterval {
        times: vec![(from, to)],
        ..TimeInterval::default()
    };
    let mut config = config();
    config.time_intervals = vec![
        NamedInterval::new("first", vec![minutes(0, 1)]),
        NamedInterval::new("later", vec![minutes(2, 1440)]),
    ];
    config.route.as_mut().unwrap().mute_time_intervals = vec!["first".into()];
    assert_eq!(
        play(&config, &[alert("A", "1", 0, 0)])[..1],
        ["70 team +A/1 First"]
    );
    config.route.as_mut().unwrap().mute_time_intervals.clear();
    config.route.as_mut().unwrap().active_time_intervals = vec!["later".into()];
    assert_eq!(
        play(&config, &[alert("A", "1", 0, 0)])[..1],
        ["130 team +A/1 First"]
    );
}

#[test]
fn a15_the_log_forgets_at_the_maintenance_after_twice_the_repeat_interval() {
    let mut config = config();
    config.route.as_mut().unwrap().repeat_interval = seconds(65);
    // Told at 10 and resolved inside of a silence: the log still says that it fires, so when it is back it is nothing new. The entry expires at 140, but
    // the log is cleaned every 15 minutes only.
    config.silences = vec![silence(&["alertname=\"A\""], 60, 72)];
    let second =
        |at: i64| play(&config, &[alert("A", "1", 0, 65), alert("A", "1", at, 0)])[1].clone();
    assert_eq!(second(75), "130 team +A/1 Repeat");
    assert_eq!(second(141), "151 team +A/1 Repeat");
    assert_eq!(second(889), "899 team +A/1 Repeat");
    assert_eq!(second(890), "900 team +A/1 First");
    // A resolve that was kept back in between is told after all, where the entry would have been forgotten.
    config.silences = vec![silence(&["alertname=\"A\""], 60, 135)];
    assert_eq!(
        play(&config, &[alert("A", "1", 0, 141)])[..2],
        ["10 team +A/1 First", "190 team -A/1 AllResolved"]
    );
}

#[test]
fn an_empty_group_is_forgotten_at_the_next_maintenance() {
    // Resolved at the flush of 70, forgotten at 90: an alert at 89 joins the timer of 130, one at 91 waits for a new group.
    assert_eq!(
        play(&config(), &[alert("A", "1", 0, 65), alert("A", "2", 89, 0)])[2],
        "130 team +A/2 First"
    );
    assert_eq!(
        play(&config(), &[alert("A", "1", 0, 65), alert("A", "2", 91, 0)])[2],
        "101 team +A/2 First"
    );
}

#[test]
fn without_a_route_nothing_is_sent() {
    assert!(play(&Notifications::default(), &[alert("A", "1", 0, 0)]).is_empty());
}
