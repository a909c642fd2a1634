//! The notification timeline: a day of alerts through routes, groups, inhibitions and silences.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memwatch_core::alert::{FiredAlert, Notifications, Silence, parse_matcher, simulate};
use memwatch_core::rule::RuleFile;
use memwatch_core::{Nanos, TimeRange, Timestamp};

const DAY_S: i64 = 86_400;

/// P1 keeps the others of its process back; groups by rule and service; a hundred silences of half an hour.
fn config() -> Notifications {
    let text = r#"
        [route]
        receiver = "team"
        group_by = ["alertname", "service"]
        [[route.routes]]
        matchers = ['severity="P1"']
        receiver = "page"
        group_wait = "10s"
        group_interval = "1m"
        [[receiver]]
        name = "team"
        webhook = { url_env = "TEAM" }
        [[receiver]]
        name = "page"
        pagerduty = { routing_key_env = "PAGE" }
        wecom = { url_env = "ROBOT" }
        [[inhibit]]
        source = ['severity="P1"']
        target = ['severity="P2"']
        equal = ["service", "instance"]
    "#;
    let mut config = RuleFile::from_toml("bench.toml", text)
        .expect("a rule file")
        .notifications;
    for i in 0..100 {
        let matcher = parse_matcher(&format!("service=\"s{}\"", i % 50)).expect("a matcher");
        let start = Timestamp(i * DAY_S / 100 * Nanos::SECOND.0);
        let end = start.plus(Nanos(30 * Nanos::MINUTE.0));
        config
            .silences
            .push(Silence::new(vec![matcher], TimeRange { start, end }));
    }
    config
}

/// Alerts of 1,000 rules on 50 services over a day, each of 1 to 30 minutes, one after the other where labels are equal.
fn alerts(count: usize) -> Vec<FiredAlert> {
    let mut random = 1_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((random >> 33) % below).unwrap_or(0)
    };
    (0..count)
        .map(|i| {
            let (rule, service) = (next(1000), next(50));
            let labels = [
                ("alertname", format!("Rule{rule}")),
                ("service", format!("s{service}")),
                ("instance", format!("s{service}-{i}")),
                ("severity", ["P1", "P2", "P3"][i % 3].to_owned()),
            ];
            let at = |s: i64| Timestamp(s * Nanos::SECOND.0);
            let from = next(86_000);
            let to = from + 60 + next(1740);
            FiredAlert::new(
                labels.into_iter().collect(),
                Vec::new(),
                at(from),
                Some(at(to)),
            )
        })
        .collect()
}

fn timeline(c: &mut Criterion) {
    let config = config();
    let mut group = c.benchmark_group("timeline");
    group.sample_size(10);
    for count in [1_000, 10_000, 100_000] {
        let alerts = alerts(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("day", format!("{count}_alerts")), |b| {
            b.iter(|| {
                let end = Timestamp(DAY_S * Nanos::SECOND.0);
                black_box(simulate(&config, &alerts, Timestamp(0), end))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, timeline);
criterion_main!(benches);
