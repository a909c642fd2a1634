//! What Alertmanager does, statement by statement (`a1` to `a15` in the order of its documents).

use super::*;
use crate::alert::fired::HandOver;
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
fn messages(config: &Notifications, alerts: &[FiredAlert]) -> Vec<String> {
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
        messages(&config, &alerts)[..3],
        [
            "10 team +C/1 First",
            "10 oncall +A/1 First",
            "10 quiet +B/1 First"
        ]
    );
    config.route.as_mut().unwrap().routes[0].continues = true;
    let messages = messages(&config, &alerts);
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
        messages(&config, &alerts)[..2],
        ["10 team +A/1 +A/2 First", "10 team +B/1 First"]
    );
    config.route.as_mut().unwrap().group_by = Some(GroupBy::Labels(Vec::new()));
    assert_eq!(
        messages(&config, &alerts)[0],
        "10 team +A/1 +A/2 +B/1 First"
    );
    config.route.as_mut().unwrap().group_by = Some(GroupBy::All);
    assert_eq!(
        messages(&config, &alerts)[..3],
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
        messages(&config(), &alerts)[..2],
        ["10 team +A/1 First", "130 team +A/1 +A/2 +A/3 NewAlerts"]
    );
}

#[test]
fn a3_an_alert_that_fired_long_ago_does_not_wait() {
    // Told resolved at 70 and forgotten at 90. Heard of again at 100, its wait from 0 on is over: a flush at once, but nothing is new.
    let again = |at_s: i64, ends: Option<i64>| HandOver {
        at: at(at_s),
        ends_at: ends.map(at),
    };
    let first = alert("A", "1", 0, 65);
    let back = first
        .clone()
        .handed_over(vec![again(0, Some(65)), again(100, None)]);
    assert_eq!(
        messages(&config(), &[back])[..3],
        [
            "10 team +A/1 First",
            "70 team -A/1 AllResolved",
            "100 team +A/1 First"
        ]
    );
}

#[test]
fn a4_inhibition_comes_before_intervals_before_silences() {
    let mut config = config();
    config.time_intervals = vec![NamedInterval::new("always", vec![TimeInterval::default()])];
    config.route.as_mut().unwrap().mute_time_intervals = vec!["always".into()];
    config.silences = vec![silence(&["alertname=~\".+\""], 0, 100_000)];
    config.inhibits = vec![Inhibit::new(
        matchers(&["alertname=\"S\""]),
        matchers(&["alertname=\"A\""]),
        Vec::new(),
    )];
    let alerts = [alert("A", "1", 0, 0), alert("S", "1", 0, 0)];
    let by = |config: &Notifications| simulate(config, &alerts, at(0), at(100)).muted;
    assert_eq!(by(&config)[0], BTreeSet::from([Muted::Inhibited]));
    assert_eq!(by(&config)[1], BTreeSet::from([Muted::Interval]));
    config.inhibits.clear();
    assert_eq!(by(&config)[0], BTreeSet::from([Muted::Interval]));
    config.route.as_mut().unwrap().mute_time_intervals.clear();
    assert_eq!(by(&config)[0], BTreeSet::from([Muted::Silenced]));
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
        assert_eq!(messages(&config(), alerts), expected, "{alerts:?}");
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
    let messages = messages(&config, &[alert("A", "1", 0, 20)]);
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
        messages(&config(), &alerts)[..3],
        [
            "10 team +A/1 +A/2 First",
            "70 team +A/2 -A/1 SomeResolved",
            "130 team +A/2 +A/3 NewAlerts"
        ]
    );
}

#[test]
fn a8_short_alerts_are_told_only_when_the_group_lives() {
    assert!(messages(&config(), &[alert("A", "1", 0, 9)]).is_empty());
    let alerts = [alert("A", "1", 0, 0), alert("A", "2", 20, 30)];
    assert_eq!(
        messages(&config(), &alerts)[..2],
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
    assert_eq!(messages(&config, &alerts), ["10 team +A/1 First"]);
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
fn a9_a_resolve_that_is_repeated_may_be_told_after_the_silence() {
    let mut config = config();
    config.silences = vec![silence(&["alertname=\"A\""], 60, 100)];
    let said = |at_s: i64, ends: Option<i64>| HandOver {
        at: at(at_s),
        ends_at: ends.map(at),
    };
    // As Prometheus does: resolved at 65, said again at 126 when the group of 70 is forgotten, so that a new one tells at once.
    let alert = alert("A", "1", 0, 65);
    let alert = alert.handed_over(vec![said(0, None), said(65, Some(65)), said(126, Some(65))]);
    let alerts = [alert];
    assert_eq!(
        messages(&config, &alerts),
        ["10 team +A/1 First", "126 team -A/1 AllResolved"]
    );
    let timeline = simulate(&config, &alerts, at(0), at(1000));
    assert!(timeline.lost_resolves.is_empty());
}

#[test]
fn a10_unmuted_later_waits_for_the_next_tick() {
    let mut config = config();
    config.silences = vec![silence(&["alertname=\"A\""], 0, 11)];
    assert_eq!(
        messages(&config, &[alert("A", "1", 0, 0)])[..1],
        ["70 team +A/1 First"]
    );
}

#[test]
fn a11_without_send_resolved_the_resolve_is_logged_and_not_sent() {
    let mut config = config();
    config.route.as_mut().unwrap().receiver = Some("quiet".into());
    let alerts = [alert("A", "1", 0, 65), alert("A", "1", 75, 0)];
    assert_eq!(
        messages(&config, &alerts)[..2],
        ["10 quiet +A/1 First", "130 quiet +A/1 First"]
    );
    let alerts = [alert("A", "1", 0, 65), alert("A", "2", 0, 0)];
    assert_eq!(
        messages(&config, &alerts)[..2],
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
        messages(&config, &alerts)[..2],
        ["10 team +A/1 First", "10 team +B/2 First"]
    );
    // A silenced source inhibits all the same; a resolved one no more.
    config.silences = vec![silence(&["alertname=\"A\""], 0, 100_000)];
    let alerts = [alert("A", "1", 0, 65), alert("B", "1", 0, 0)];
    assert_eq!(messages(&config, &alerts)[..1], ["70 team +B/1 First"]);
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
        messages(&config, &[alert("A", "1", 0, 0)])[..1],
        ["70 team +A/1 First"]
    );
    config.route.as_mut().unwrap().mute_time_intervals.clear();
    config.route.as_mut().unwrap().active_time_intervals = vec!["later".into()];
    assert_eq!(
        messages(&config, &[alert("A", "1", 0, 0)])[..1],
        ["130 team +A/1 First"]
    );
}

#[test]
fn a14_an_alert_that_nobody_ends_does_not_time_out() {
    let messages = messages(&config(), &[alert("A", "1", 0, 0)]);
    assert_eq!(
        messages,
        [
            "10 team +A/1 First",
            "3670 team +A/1 Repeat",
            "7330 team +A/1 Repeat"
        ]
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
        |at: i64| messages(&config, &[alert("A", "1", 0, 65), alert("A", "1", at, 0)])[1].clone();
    assert_eq!(second(75), "130 team +A/1 Repeat");
    assert_eq!(second(141), "151 team +A/1 Repeat");
    assert_eq!(second(889), "899 team +A/1 Repeat");
    assert_eq!(second(890), "900 team +A/1 First");
    // A resolve that was kept back in between is told after all, where the entry would have been forgotten.
    config.silences = vec![silence(&["alertname=\"A\""], 60, 135)];
    assert_eq!(
        messages(&config, &[alert("A", "1", 0, 141)])[..2],
        ["10 team +A/1 First", "190 team -A/1 AllResolved"]
    );
}

#[test]
fn an_empty_group_is_forgotten_at_the_next_maintenance() {
    // Resolved at the flush of 70, forgotten at 90: an alert at 89 joins the timer of 130, one at 91 waits for a new group.
    assert_eq!(
        messages(&config(), &[alert("A", "1", 0, 65), alert("A", "2", 89, 0)])[2],
        "130 team +A/2 First"
    );
    assert_eq!(
        messages(&config(), &[alert("A", "1", 0, 65), alert("A", "2", 91, 0)])[2],
        "101 team +A/2 First"
    );
}

/// What became of each alert, like `A/1 team 10: group_wait 10`, or the reason why nobody was told.
fn fates(config: &Notifications, alerts: &[FiredAlert], end: i64) -> Vec<String> {
    let timeline = simulate(config, alerts, at(0), at(end));
    let show = |d: &Delivery| {
        let labels = &alerts[d.alert].labels;
        let waits = d.waits.iter().map(|(by, held)| {
            let seconds = held.0 / Nanos::SECOND.0;
            format!(" {} {seconds}", by.name())
        });
        let told = match d.told {
            Ok(index) => (timeline.messages[index].at.0 / 1_000_000_000).to_string(),
            Err(untold) => untold.name().to_owned(),
        };
        format!(
            "{}/{} {} {told}:{}",
            labels.get("alertname"),
            labels.get("i"),
            config.receivers[d.receiver].name,
            waits.collect::<String>()
        )
    };
    timeline.deliveries.iter().map(show).collect()
}

#[test]
fn what_held_an_alert_back_is_told() {
    let mut config = config();
    config.silences = vec![silence(&["i=\"3\""], 0, 80)];
    config.receivers.push(Receiver::new("nobody", Vec::new()));
    config.route.as_mut().unwrap().routes = vec![child("nobody", &["alertname=\"N\""])];
    let alerts = [
        alert("A", "1", 0, 0),
        alert("A", "2", 11, 0),  // The timer runs: 70.
        alert("A", "3", 5, 0),   // Silenced at 10 and 70.
        alert("A", "4", 75, 80), // Gone before 130: told as resolved, because the group lives.
        alert("B", "1", 20, 25), // Gone before the flush of a new group.
        alert("C", "3", 20, 60), // Silenced until it ended.
        alert("D", "1", 295, 0), // Not flushed at the end.
        alert("N", "1", 0, 0),
    ];
    assert_eq!(
        fates(&config, &alerts, 300),
        [
            "A/1 team 10: group_wait 10",
            "A/2 team 70: group_interval 59",
            "A/3 team 130: group_wait 5 silenced 120",
            "A/4 team 130: group_interval 55",
            "B/1 team ended_first: group_wait 10",
            "C/3 team silenced: group_wait 10 silenced 60",
            "D/1 team not_yet: group_wait 5",
            "N/1 nobody no_integration:",
        ]
    );
    // The sum is the time from firing to the message.
    let timeline = simulate(&config, &alerts, at(0), at(300));
    for delivery in &timeline.deliveries {
        if let (Ok(index), Some(delay)) = (delivery.told, delivery.delay()) {
            let fired_at = alerts[delivery.alert].fired_at;
            assert_eq!(timeline.messages[index].at.since(fired_at), delay);
        }
    }
}

#[test]
fn an_alert_that_comes_back_before_its_end_was_told_is_believed_to_fire() {
    let alerts = [alert("A", "1", 0, 65), alert("A", "1", 68, 0)];
    assert_eq!(
        fates(&config(), &alerts, 1000),
        [
            "A/1 team 10: group_wait 10",
            "A/1 team believed: group_interval 2 believed 930",
        ]
    );
}

#[test]
fn a_robot_takes_twenty_messages_a_minute() {
    let mut config = config();
    let mut robot = Integration::new(IntegrationKind::WeCom);
    robot.secret_env = Some("ROBOT".into());
    let receivers = ["one", "two"];
    for name in receivers {
        config
            .receivers
            .push(Receiver::new(name, vec![robot.clone()]));
    }
    let root = config.route.as_mut().unwrap();
    root.group_by = Some(GroupBy::All);
    root.routes = vec![child("one", &["alertname=\"A\""]), child("two", &[])];
    // 15 messages each at 10 s, through one robot: ten are refused. At 80 s it takes more.
    let mut alerts: Vec<FiredAlert> = (0..15)
        .flat_map(|i| ["A", "B"].map(|name| alert(name, &i.to_string(), 0, 0)))
        .collect();
    alerts.push(alert("A", "late", 70, 0));
    let timeline = simulate(&config, &alerts, at(0), at(100));
    let refused: Vec<usize> = (0..timeline.messages.len())
        .filter(|i| timeline.messages[*i].refused.is_some())
        .collect();
    assert_eq!(timeline.messages.len(), 31);
    assert_eq!(refused, (20..30).collect::<Vec<_>>());
    let untold = |d: &&Delivery| d.told == Err(Untold::Refused);
    assert_eq!(timeline.deliveries.iter().filter(untold).count(), 10);
    // Robots of their own take all.
    config.receivers[3].integrations[0].secret_env = Some("OTHER".into());
    let timeline = simulate(&config, &alerts, at(0), at(100));
    assert!(timeline.messages.iter().all(|m| m.refused.is_none()));
}

#[test]
fn a_silence_tells_what_it_kept_back() {
    let mut config = config();
    config.silences = vec![
        silence(&["i=\"1\""], 0, 200),
        silence(&["i=\"2\""], 500, 600),
        silence(&["alertname=\"A\""], 0, 65),
    ];
    // Without the first one: A/1 at 70 (the third keeps it until then) and its end at 130.
    let alerts = [alert("A", "1", 0, 125), alert("A", "2", 0, 400)];
    let timeline = simulate(&config, &alerts, at(0), at(1000));
    let did: Vec<(usize, Vec<usize>)> = timeline
        .suppressed
        .iter()
        .map(|s| (s.messages, s.alerts.iter().copied().collect()))
        .collect();
    assert_eq!(did, [(2, vec![0]), (0, vec![]), (1, vec![0, 1])]);
}

#[test]
fn what_lapses_is_told_as_resolved() {
    // The evaluator was silent: the alert ended at 240 by itself, and fires again when it speaks at 400.
    let said = |at_s: i64, ends: Option<i64>| HandOver {
        at: at(at_s),
        ends_at: ends.map(at),
    };
    let alert = alert("A", "1", 0, 0).handed_over(vec![said(0, Some(240)), said(400, None)]);
    assert_eq!(
        messages(&config(), &[alert])[..3],
        [
            "10 team +A/1 First",
            "250 team -A/1 AllResolved",
            "400 team +A/1 First"
        ]
    );
}

proptest::proptest! {
    /// What one group does depends on no other: a simulation of all is the simulations of each, and alerts in another order change nothing.
    #[test]
    fn groups_are_independent(
        spans in proptest::collection::vec((0usize..4, 0usize..3, 0i64..300, 1i64..200), 1..20),
        silenced in 0i64..300,
    ) {
        let mut config = config();
        config.silences = vec![silence(&["i=\"1\""], silenced, silenced + 100)];
        let mut last = BTreeMap::new();
        let mut alerts: Vec<FiredAlert> = Vec::new();
        for (name, i, gap, lasts) in spans {
            // One after the other for each label set.
            let from = last.get(&(name, i)).copied().unwrap_or(0) + gap + 1;
            last.insert((name, i), from + lasts);
            alerts.push(alert(["A", "B", "C", "D"][name], &i.to_string(), from, from + lasts));
        }
        let mut all = messages(&config, &alerts);
        let mut each: Vec<String> = Vec::new();
        for name in ["A", "B", "C", "D"] {
            let some: Vec<FiredAlert> = alerts
                .iter()
                .filter(|a| a.labels.get("alertname") == name)
                .cloned()
                .collect();
            each.extend(messages(&config, &some));
        }
        all.sort();
        each.sort();
        proptest::prop_assert_eq!(&all, &each);
        alerts.reverse();
        let mut reversed = messages(&config, &alerts);
        reversed.sort();
        proptest::prop_assert_eq!(&all, &reversed);
    }

    /// Flushes at which nothing can happen are passed over; playing each gives the same, waits and all.
    #[test]
    fn passing_over_flushes_changes_nothing(
        spans in proptest::collection::vec((0usize..3, 0usize..3, 0i64..900, 1i64..1500), 1..12),
        (interval, repeat) in (1i64..200, 1i64..900),
        (silenced, lasts) in (0i64..1500, 1i64..600),
        intervals: bool,
        lapses in proptest::option::of(1i64..500),
    ) {
        let mut config = config();
        let root = config.route.as_mut().unwrap();
        (root.group_interval, root.repeat_interval) = (seconds(interval), seconds(repeat));
        if intervals {
            root.mute_time_intervals = vec!["some".into()];
        }
        let some = TimeInterval { times: vec![(3, 7), (11, 12)], ..TimeInterval::default() };
        config.time_intervals = vec![NamedInterval::new("some", vec![some])];
        config.silences = vec![silence(&["i=\"1\""], silenced, silenced + lasts)];
        config.inhibits = vec![Inhibit::new(
            matchers(&["alertname=\"A\""]),
            matchers(&["alertname=~\"B|C\""]),
            vec!["i".into()],
        )];
        let mut last = BTreeMap::new();
        let mut alerts: Vec<FiredAlert> = Vec::new();
        for (name, i, gap, lasts) in spans {
            let from = last.get(&(name, i)).copied().unwrap_or(0) + gap + 1;
            last.insert((name, i), from + lasts);
            let one = alert(["A", "B", "C"][name], &i.to_string(), from, from + lasts);
            let said = lapses.filter(|after| *after + 30 < lasts).map(|after| vec![
                HandOver { at: at(from), ends_at: Some(at(from + after)) },
                HandOver { at: at(from + after + 30), ends_at: None },
                HandOver { at: at(from + lasts), ends_at: Some(at(from + lasts)) },
            ]);
            alerts.push(one.handed_over(said.unwrap_or_default()));
        }
        let played = |every_flush| play(&config, &alerts, at(0), at(4000), every_flush);
        proptest::prop_assert_eq!(played(false), played(true));
    }
}

#[test]
fn without_a_route_nothing_is_sent() {
    assert!(messages(&Notifications::default(), &[alert("A", "1", 0, 0)]).is_empty());
}
