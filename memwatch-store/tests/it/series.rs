//! The store as series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memwatch_core::record::{GcPause, Identity, MetricKind, PauseKind, PauseOrigin, RecordSink};
use memwatch_core::series::{Readings, Series, SeriesReader};
use memwatch_core::{Bytes, MatchOp, Matcher, Nanos, Timestamp, Window};
use memwatch_store::{Snapshot, Store};
use proptest::prelude::*;

use crate::rows::{AnyRow, DAY, MS, identity, metric, pause, sample, write};

const ALL: Window = Window {
    after: Timestamp(i64::MIN),
    until: Timestamp(i64::MAX),
};

fn stored(rows: &[AnyRow], commit_every: usize) -> (tempfile::TempDir, Snapshot) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    for rows in rows.chunks(commit_every) {
        write(&mut writer, rows);
        writer.commit(&[]).unwrap();
    }
    (dir, store.snapshot().unwrap())
}

fn named(name: &str) -> [Matcher; 1] {
    [Matcher::equal("__name__", name)]
}

/// `labels@ms=value …` of each series, milliseconds after [`DAY`].
fn show(series: &[Series]) -> Vec<String> {
    let points = |s: &Series| {
        let point = |(at, v): (&i64, &f64)| format!("{}={v}", (at - DAY) as f64 / 1e6);
        s.at_ns
            .iter()
            .zip(s.values.iter())
            .map(point)
            .collect::<Vec<_>>()
            .join(" ")
    };
    series
        .iter()
        .map(|s| format!("{} @ {}", s.labels, points(s)))
        .collect()
}

fn check(snapshot: &Snapshot, matchers: &[Matcher], window: Window, expected: &[&str]) {
    assert_eq!(
        show(&snapshot.series().select(matchers, window).unwrap()),
        expected
    );
}

fn window(after_ms: i64, until_ms: i64) -> Window {
    Window {
        after: Timestamp(DAY + after_ms * MS),
        until: Timestamp(DAY + until_ms * MS),
    }
}

#[test]
fn samples_answer_under_their_names_in_the_names_units() {
    let mut rows = Vec::new();
    for n in 0..4 {
        let mut row = sample(DAY + n * 200 * MS, (n != 2).then_some(n << 20));
        row.pause_total = Some(Nanos(n * 1_500_000));
        row.cpu_user = Some(Nanos(n * 1_000_000_000));
        row.cpu_system = (n > 0).then_some(Nanos(500_000_000));
        row.mallocs_total = Some(1000 * n);
        row.memory_limit = Some(Bytes(i64::MAX));
        rows.push(AnyRow::Sample(identity(0), row));
    }
    rows.push(AnyRow::Sample(identity(1), sample(DAY + 100 * MS, Some(5))));
    rows.reverse();
    let (_dir, snapshot) = stored(&rows, 2);
    let of = r#"{instance="instance-0", job="service-0", service="service-0"}"#;
    let cases = [
        ("allocs_total", "0=0 200=1000 400=2000 600=3000"),
        (
            "go_memstats_mallocs_total",
            "0=0 200=1000 400=2000 600=3000",
        ),
        ("heap_inuse_bytes", "0=0 200=1048576 600=3145728"),
        ("process_heap_inuse_bytes", "0=0 200=1048576 600=3145728"),
        (
            "go_memstats_pause_total_ns",
            "0=0 200=1500000 400=3000000 600=4500000",
        ),
        (
            "go_gc_duration_seconds_sum",
            "0=0 200=0.0015 400=0.003 600=0.0045",
        ),
        ("process_cpu_seconds_total", "200=1.5 400=2.5 600=3.5"),
    ];
    let only = Matcher::equal("instance", "instance-0");
    for (name, points) in cases {
        let [by_name] = named(name);
        check(
            &snapshot,
            &[by_name, only.clone()],
            ALL,
            &[&format!("{name}{of} @ {points}")],
        );
    }
    let [by_name] = named("heap_inuse_bytes");
    // Open on the left, closed on the right.
    check(
        &snapshot,
        std::slice::from_ref(&by_name),
        window(0, 200),
        &[
            &format!("heap_inuse_bytes{of} @ 200=1048576"),
            r#"heap_inuse_bytes{instance="instance-1", job="service-0", service="service-0"} @ 100=5"#,
        ],
    );
    check(
        &snapshot,
        std::slice::from_ref(&by_name),
        window(600, 900),
        &[],
    );
    let not = Matcher::new("instance", MatchOp::NotRegex, "instance-[0-8]").unwrap();
    check(&snapshot, &[by_name.clone(), not], ALL, &[]);
    check(
        &snapshot,
        &[by_name, Matcher::equal("le", "")],
        window(0, 100),
        &[
            r#"heap_inuse_bytes{instance="instance-1", job="service-0", service="service-0"} @ 100=5"#,
        ],
    );
    check(&snapshot, &named("go_goroutines"), ALL, &[]);
    check(&snapshot, &named("nothing"), ALL, &[]);

    // Columns of one instance share their instants, also from one selector to the next.
    let series = snapshot.series();
    let a = series.select(&named("allocs_total"), ALL).unwrap();
    let b = series
        .select(&named("go_memstats_pause_total_ns"), ALL)
        .unwrap();
    assert!(Arc::ptr_eq(&a[0].at_ns, &b[0].at_ns));

    let names = series.metric_names().unwrap();
    for name in [
        "allocs_total",
        "go_memstats_heap_inuse_bytes",
        "memwatch_read_seconds",
    ] {
        assert!(names.iter().any(|n| &**n == name), "{name}");
    }
    assert!(
        names.is_sorted() && !names.iter().any(|n| n.contains("gc_pauses")),
        "{names:?}"
    );

    // Without a name, each quantity once; by a regular expression also under its short names.
    let count = |m: Matcher| series.select(&[m, only.clone()], ALL).unwrap().len();
    assert_eq!(
        count(Matcher::new("__name__", MatchOp::Regex, ".*heap_inuse.*").unwrap()),
        3
    );
    let all = series.select(&[only], ALL).unwrap();
    let distinct: BTreeSet<&str> = all.iter().map(|s| s.labels.name()).collect();
    assert!(
        distinct.contains("go_memstats_heap_inuse_bytes") && !distinct.contains("heap_inuse_bytes")
    );
}

#[test]
fn recorded_series_win_and_answer_to_short_names() {
    let of = identity(0);
    let scraped = identity(2);
    let mut derived = sample(DAY, Some(1));
    derived.mallocs_total = Some(7);
    derived.goroutines = Some(3);
    let rows = vec![
        AnyRow::Sample(of.clone(), derived),
        AnyRow::Metric(
            of.clone(),
            metric(DAY + MS, "go_memstats_mallocs_total", "", 8.0),
        ),
        AnyRow::Metric(
            of.clone(),
            metric(DAY + MS, "go_memstats_mallocs_total", "zone=\"a\"", 9.0),
        ),
        AnyRow::Metric(
            of.clone(),
            metric(DAY + MS, "go_sched_goroutines_goroutines", "", 4.0),
        ),
        AnyRow::Metric(
            scraped.clone(),
            metric(DAY, "go_memstats_mallocs_total", "", 1.0),
        ),
        AnyRow::Metric(
            scraped.clone(),
            metric(DAY + 5 * MS, "go_memstats_mallocs_total", "", 2.0),
        ),
        AnyRow::Metric(
            scraped.clone(),
            metric(DAY, "go_gc_duration_seconds_sum", "", 0.25),
        ),
        AnyRow::Metric(
            scraped.clone(),
            metric(DAY, "go_sched_goroutines_goroutines", "", 6.0),
        ),
        AnyRow::Metric(
            scraped,
            metric(DAY, "go_gc_duration_seconds", "quantile=\"0.5\"", 0.5),
        ),
    ];
    for commit_every in [1, 100] {
        let (_dir, snapshot) = stored(&rows, commit_every);
        let zero = r#"instance="instance-0", job="service-0", service="service-0""#;
        let two = r#"instance="instance-2", job="service-1", service="service-1""#;
        for name in ["go_memstats_mallocs_total", "allocs_total"] {
            check(
                &snapshot,
                &named(name),
                ALL,
                &[
                    &format!("{name}{{{zero}}} @ 1=8"),
                    &format!("{name}{{{zero}, zone=\"a\"}} @ 1=9"),
                    &format!("{name}{{{two}}} @ 0=1 5=2"),
                ],
            );
        }
        // Also where the recorded series has nothing in the window.
        check(
            &snapshot,
            &named("allocs_total"),
            window(1, 9),
            &[&format!("allocs_total{{{two}}} @ 5=2")],
        );
        check(
            &snapshot,
            &named("go_memstats_pause_total_ns"),
            ALL,
            &[&format!(
                "go_memstats_pause_total_ns{{{two}}} @ 0=250000000"
            )],
        );
        // What says the same under another name stands in only where there are no samples.
        check(
            &snapshot,
            &named("goroutines"),
            ALL,
            &[
                &format!("goroutines{{{zero}}} @ 0=3"),
                &format!("goroutines{{{two}}} @ 0=6"),
            ],
        );
        let quantile = [
            Matcher::equal("__name__", "go_gc_duration_seconds"),
            Matcher::equal("quantile", "0.5"),
        ];
        check(
            &snapshot,
            &quantile,
            ALL,
            &[&format!(
                "go_gc_duration_seconds{{{}}} @ 0=0.5",
                two.replace(", service", ", quantile=\"0.5\", service")
            )],
        );
    }
}

#[test]
fn pauses_are_a_histogram_at_the_readings_and_raw() {
    let of = identity(0);
    let mut rows: Vec<AnyRow> = (0..4)
        .map(|n| AnyRow::Sample(of.clone(), sample(DAY + n * 200 * MS, None)))
        .collect();
    // Two at the same moment; one of another origin, which does not count.
    for (ms, us, origin) in [
        (-100, 1, PauseOrigin::MemStats),
        (50, 100, PauseOrigin::MemStats),
        (200, 30_000, PauseOrigin::MemStats),
        (200, 40, PauseOrigin::MemStats),
        (210, 77, PauseOrigin::GcTrace),
        (700, 5, PauseOrigin::MemStats),
    ] {
        rows.push(AnyRow::Pause(
            of.clone(),
            pause(DAY + ms * MS, us * 1_000, origin),
        ));
    }
    let (_dir, snapshot) = stored(&rows, 3);
    let labels = r#"instance="instance-0", job="service-0", service="service-0""#;
    for base in ["gc_pauses_seconds", "go_gc_pauses_seconds"] {
        let count = format!("{base}_count");
        check(
            &snapshot,
            &named(&count),
            ALL,
            &[&format!("{count}{{{labels}}} @ 0=1 200=4 400=4 600=4")],
        );
        check(
            &snapshot,
            &named(&count),
            window(200, 400),
            &[&format!("{count}{{{labels}}} @ 400=4")],
        );
        let bucket = format!("{base}_bucket");
        for (le, points) in [
            ("0.0001", "0=1 200=3 400=3 600=3"),
            ("0.05", "0=1 200=4 400=4 600=4"),
            ("5e-05", "0=1 200=2 400=2 600=2"),
        ] {
            let shown = format!(
                "{bucket}{{instance=\"instance-0\", job=\"service-0\", le=\"{le}\", service=\"service-0\"}} @ {points}"
            );
            check(
                &snapshot,
                &[
                    Matcher::equal("__name__", &bucket),
                    Matcher::equal("le", le),
                ],
                ALL,
                &[&shown],
            );
        }
        assert_eq!(
            snapshot
                .series()
                .select(&named(&bucket), ALL)
                .unwrap()
                .len(),
            23
        );
    }
    let raw = format!("gc_pause_seconds{{{labels}}}");
    check(
        &snapshot,
        &named("gc_pause_seconds"),
        ALL,
        &[&format!(
            "{raw} @ -100=0.000001 50=0.0001 200=0.00004 200.000001=0.03 700=0.000005"
        )],
    );
    // The second of the moment lies after it.
    check(
        &snapshot,
        &named("gc_pause_seconds"),
        window(200, 650),
        &[&format!("{raw} @ 200.000001=0.03")],
    );
}

#[test]
fn edges_of_sparse_histograms_are_filled_in() {
    let of = identity(0);
    let mut rows = Vec::new();
    let mut reading = |ms: i64, edges: &[(&str, f64)]| {
        for (le, count) in edges {
            let mut row = metric(
                DAY + ms * MS,
                "go_x_seconds_bucket",
                &format!("le=\"{le}\""),
                *count,
            );
            row.kind = MetricKind::SparseHistogram;
            rows.push(AnyRow::Metric(of.clone(), row));
        }
        let mut row = metric(
            DAY + ms * MS,
            "go_x_seconds_count",
            "",
            edges.last().map_or(0.0, |e| e.1),
        );
        row.kind = MetricKind::SparseHistogram;
        rows.push(AnyRow::Metric(of.clone(), row));
    };
    reading(0, &[]);
    reading(1, &[("0.5", 2.0), ("+Inf", 2.0)]);
    reading(
        2,
        &[("0.001", 1.0), ("0.5", 4.0), ("10", 5.0), ("+Inf", 5.0)],
    );
    let (_dir, snapshot) = stored(&rows, 4);
    let of = |le: &str| {
        format!(
            "go_x_seconds_bucket{{instance=\"instance-0\", job=\"service-0\", le=\"{le}\", service=\"service-0\"}}"
        )
    };
    check(
        &snapshot,
        &named("go_x_seconds_bucket"),
        ALL,
        &[
            &format!("{} @ 0=0 1=2 2=5", of("+Inf")),
            &format!("{} @ 0=0 1=0 2=1", of("0.001")),
            &format!("{} @ 0=0 1=2 2=4", of("0.5")),
            &format!("{} @ 0=0 1=2 2=5", of("10")),
        ],
    );
    let one = [
        Matcher::equal("__name__", "go_x_seconds_bucket"),
        Matcher::equal("le", "10"),
    ];
    check(
        &snapshot,
        &one,
        window(0, 1),
        &[&format!("{} @ 1=2", of("10"))],
    );
}

/// The histogram's count at each reading by counting pauses one by one.
fn naive_counts(readings: &[(i64, i64)], pauses: &[(i64, GcPause)]) -> Vec<(i64, f64)> {
    let best = |process: i64| {
        [
            PauseOrigin::MemStats,
            PauseOrigin::Trace,
            PauseOrigin::GcTrace,
        ]
        .into_iter()
        .find(|o| {
            pauses
                .iter()
                .any(|(p, row)| *p == process && row.origin == *o)
        })
    };
    let counted = |at: i64, process: i64| {
        let here = pauses.iter().filter(|(p, row)| {
            *p == process && Some(row.origin) == best(process) && row.at.0 <= at
        });
        here.count() as f64
    };
    readings
        .iter()
        .map(|(at, process)| (*at, counted(*at, *process)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn windows_only_cut(
        steps in proptest::collection::vec((1i64..40, any::<bool>()), 1..30),
        pauses in proptest::collection::btree_map((0i64..900, 0u8..3), 1i64..50, 0..40),
        commit_every in 1usize..30,
        cuts in proptest::collection::vec((0i64..900, 0i64..400), 1..4),
    ) {
        let of: Identity = identity(0);
        let minutes = 7 * 60_000 * MS; // Several hours, two days.
        let (mut at, mut process) = (DAY - 100 * minutes, 1);
        let mut readings = Vec::new();
        let mut rows = Vec::new();
        for (step, restart) in steps {
            at += step * minutes;
            process += i64::from(restart);
            readings.push((at, process));
            let mut row = sample(at, Some(step));
            row.process = Some(process);
            rows.push(AnyRow::Sample(of.clone(), row));
        }
        let process_at = |at: i64| {
            readings.iter().find(|(t, _)| at <= *t).or(readings.last()).map_or(1, |(_, p)| *p)
        };
        let mut stored_pauses = Vec::new();
        for ((n, origin), us) in pauses {
            let at = DAY - 100 * minutes + n * minutes;
            let origin = [PauseOrigin::MemStats, PauseOrigin::Trace, PauseOrigin::GcTrace][usize::from(origin)];
            let mut row = GcPause::new(Timestamp(at), Nanos(us * 1_000), PauseKind::Unknown, origin);
            let process = process_at(at);
            // Some do not say which process they are of.
            row.process = (us % 3 != 0).then_some(process);
            rows.push(AnyRow::Pause(of.clone(), row.clone()));
            stored_pauses.push((process, row));
        }
        // An order that is not that of time.
        let middle = rows.len() / 2;
        rows.rotate_left(middle);
        let (_dir, snapshot) = stored(&rows, commit_every);
        let series = snapshot.series();
        let points = |name: &str, window: Window| -> BTreeMap<String, Vec<(i64, u64)>> {
            let found = series.select(&named(name), window).unwrap();
            found
                .iter()
                .map(|s| {
                    let points = s.at_ns.iter().zip(s.values.iter()).map(|(at, v)| (*at, v.to_bits()));
                    (s.labels.to_string(), points.collect())
                })
                .collect()
        };
        let counts = points("gc_pauses_seconds_count", ALL);
        if !stored_pauses.is_empty() {
            let expected: Vec<(i64, u64)> =
                naive_counts(&readings, &stored_pauses).into_iter().map(|(at, v)| (at, v.to_bits())).collect();
            prop_assert_eq!(counts.values().next(), Some(&expected));
        }
        for name in ["gc_pauses_seconds_bucket", "gc_pauses_seconds_sum", "gc_pause_seconds", "heap_inuse_bytes"] {
            let whole = points(name, ALL);
            for (from, length) in &cuts {
                let after = DAY - 100 * minutes + from * minutes;
                let window = Window { after: Timestamp(after), until: Timestamp(after + length * minutes) };
                let mut expected = whole.clone();
                for points in expected.values_mut() {
                    points.retain(|(at, _)| window.after.0 < *at && *at <= window.until.0);
                }
                expected.retain(|_, points| !points.is_empty());
                prop_assert_eq!(points(name, window), expected, "{}", name);
            }
        }
    }
}

#[test]
fn without_readings_the_histogram_is_counted_at_the_pauses() {
    let of = identity(0);
    let rows: Vec<AnyRow> = [(0, 10), (0, 20), (90, 30)]
        .map(|(ms, us)| {
            AnyRow::Pause(
                of.clone(),
                pause(DAY + ms * MS, us * 1_000, PauseOrigin::GcTrace),
            )
        })
        .into();
    let (_dir, snapshot) = stored(&rows, 1);
    let name = "gc_pauses_seconds_count";
    let labels = r#"{instance="instance-0", job="service-0", service="service-0"}"#;
    check(
        &snapshot,
        &named(name),
        ALL,
        &[&format!("{name}{labels} @ 0=2 90=3")],
    );
    check(
        &snapshot,
        &named(name),
        window(0, 90),
        &[&format!("{name}{labels} @ 90=3")],
    );
}

#[test]
fn a_reading_that_does_not_name_its_process_is_no_restart() {
    let of = identity(0);
    let mut rows = vec![AnyRow::Pause(
        of.clone(),
        pause(DAY - MS, 10_000, PauseOrigin::MemStats),
    )];
    for (ms, process) in [
        (0, Some(1)),
        (1, None),
        (2, Some(1)),
        (3, Some(2)),
        (4, None),
    ] {
        let mut row = sample(DAY + ms * MS, None);
        row.process = process;
        rows.push(AnyRow::Sample(of.clone(), row));
    }
    let (_dir, snapshot) = stored(&rows, 10);
    let name = "gc_pauses_seconds_count";
    let labels = r#"{instance="instance-0", job="service-0", service="service-0"}"#;
    let expected = format!("{name}{labels} @ 0=1 1=1 2=1 3=0 4=0");
    check(&snapshot, &named(name), ALL, &[&expected]);
}

#[test]
fn processes_are_read_when_they_have_rows() {
    let mut rows = Vec::new();
    for n in [3, 1, 2] {
        rows.push(AnyRow::Sample(identity(0), sample(DAY + n * MS, Some(n))));
        rows.push(AnyRow::Metric(
            identity(1),
            metric(DAY + 10 * n * MS, "up", "", 1.0),
        ));
    }
    // A series with fewer rows is none that stands for its process, and pauses are no readings.
    rows.push(AnyRow::Metric(
        identity(1),
        metric(DAY + 7 * MS, "a", "", 1.0),
    ));
    rows.push(AnyRow::Pause(
        identity(2),
        pause(DAY + 5 * MS, 1, PauseOrigin::MemStats),
    ));
    let (_dir, snapshot) = stored(&rows, 3);
    let shown = |window: Window| {
        let found = snapshot.series().readings(window).unwrap().unwrap();
        let at = |at: &i64| ((at - DAY) / MS).to_string();
        let one = |r: &Readings| {
            let at: Vec<String> = r.at_ns.iter().map(at).collect();
            format!("{} {} {}", r.of.instance, r.what, at.join(" "))
        };
        found.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(ALL),
        ["instance-0 samples 1 2 3", "instance-1 metrics 10 20 30"]
    );
    assert_eq!(
        shown(window(1, 10)),
        ["instance-0 samples 2 3", "instance-1 metrics 10"]
    );
}

#[test]
fn many_rows_in_many_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    let mut writer = store.writer().unwrap();
    // Two row groups of one instance, then every second instant again in a second segment of the next.
    for n in 0..150_000i64 {
        writer
            .sample(&identity(0), &sample(DAY + n * MS, Some(n)))
            .unwrap();
    }
    for n in 0..20_000i64 {
        writer
            .sample(&identity(1), &sample(DAY + n * 2 * MS, Some(2 * n)))
            .unwrap();
    }
    writer.commit(&[]).unwrap();
    for n in 0..20_000i64 {
        writer
            .sample(
                &identity(1),
                &sample(DAY + (n * 2 + 1) * MS, Some(2 * n + 1)),
            )
            .unwrap();
    }
    writer.commit(&[]).unwrap();
    let series = store.snapshot().unwrap();
    let series = series.series();
    for (from, to) in [
        (-1, 200_000),
        (8_190, 8_193),
        (100_000, 140_000),
        (131_070, 131_073),
        (5, 39_998),
    ] {
        let found = series
            .select(&named("heap_inuse_bytes"), window(from, to))
            .unwrap();
        for (series, count) in found.iter().zip([150_000i64, 40_000]) {
            let expected: Vec<i64> = ((from + 1).max(0)..=to.min(count - 1)).collect();
            let values: Vec<f64> = expected.iter().map(|n| *n as f64).collect();
            assert!(
                series.values[..] == values[..],
                "{from}..{to} {}",
                series.labels
            );
            assert!(
                series
                    .at_ns
                    .iter()
                    .zip(&expected)
                    .all(|(at, n)| *at == DAY + n * MS)
            );
        }
    }
}
