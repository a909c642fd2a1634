//! A store, samples in it, SQL, and a rule proved: `cargo run --release -p memwatch-store --example embed`.
#![allow(clippy::print_stdout)] // A program.

use memwatch_core::backtest::Backtest;
use memwatch_core::record::{Identity, MemorySample, RecordSink};
use memwatch_core::rule::RuleFile;
use memwatch_core::{Bytes, Nanos, Timestamp};
use memwatch_store::Store;
use memwatch_store::query::Engine;

const RULES: &str = r#"
    [[group]]
    name = "memory"
    interval = "1s"
    [[group.rule]]
    alert = "HeapLarge"
    expr = 'heap_inuse_bytes > 64Mi'
    for = "5s"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("memwatch-embed-{}", std::process::id()));
    let store = Store::create(&folder)?;

    // One writer at a time; what commit() has returned for is on disk.
    let mut writer = store.writer()?;
    let (service, instance) = ("checkout".into(), "checkout-0".into());
    let of = Identity { service, instance };
    let start = Timestamp::parse_rfc3339("2026-11-23T05:00:00Z")?;
    for i in 0..300 {
        let mut sample = MemorySample::default();
        sample.at = start.plus(Nanos(i * 200_000_000));
        let leaking = (100..200).contains(&i);
        sample.heap_inuse = Some(Bytes(if leaking { 90 << 20 } else { 8 << 20 }));
        writer.sample(&of, &sample)?;
    }
    writer.commit(&[])?;
    // Readers see what was committed when the snapshot was taken.
    let snapshot = store.snapshot()?;
    let engine = Engine::new(&snapshot)?;
    for batch in engine.sql("SELECT service, count(*) AS n, max(heap_inuse_bytes) AS peak FROM samples GROUP BY service")? {
        println!("{:?}", batch?.columns());
    }

    let rules = RuleFile::parse("rules.toml", RULES)?;
    let info = snapshot.info();
    let range = info.series_range().ok_or("no rows")?;
    let outcome = Backtest::new(&rules)
        .range(range)
        .recorded(info.processes())
        .run(&snapshot.series())?;
    for alert in &outcome.alerts {
        println!("{} fired at {}", alert.labels, alert.fired_at);
    }
    assert_eq!(outcome.alerts.len(), 1);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
