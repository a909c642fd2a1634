//! `cross_check`: a recording that agrees with itself, and copies of it that are broken in known ways.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use memwatch_store::Store;
use memwatch_store::ingest::Ingest;
use memwatch_store::query::Engine;

use crate::sql::answer;

/// The first minute and a half of one service.
#[derive(Clone)]
struct Copy {
    samples: Vec<String>,
    metrics: Vec<String>,
    log: Vec<String>,
}

impl Copy {
    fn of(service: &str) -> Copy {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../testdata/recordings")
            .join(service);
        let lines = |name: &str, most: usize| -> Vec<String> {
            let bytes = fs::read(folder.join(name)).unwrap();
            let mut text = String::new();
            if name.ends_with(".gz") {
                let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
                decoder.read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
            }
            text.lines().take(most).map(str::to_owned).collect()
        };
        Copy {
            samples: lines("samples.ndjson.zst", 450),
            metrics: lines("metrics.ndjson.zst", 90),
            log: lines("stderr.log.gz", usize::MAX),
        }
    }

    /// Check, rounded agreement and finding of each check that something can be said of.
    fn checked(&self) -> Vec<(String, i64, String)> {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("input");
        fs::create_dir(&input).unwrap();
        for (name, lines) in [
            ("samples.ndjson", &self.samples),
            ("metrics.ndjson", &self.metrics),
            ("stderr.log", &self.log),
        ] {
            fs::write(input.join(name), lines.join("\n") + "\n").unwrap();
        }
        let store = Store::create(dir.path().join("store")).unwrap();
        let inputs = [input.to_string_lossy().into_owned()];
        Ingest::new(&store).inputs(inputs).run().unwrap();
        let engine = Engine::new(&store.snapshot().unwrap()).unwrap();
        let sql = "SELECT replace(\"check\", ' ', '_'), floor(agreement_percent)::bigint, finding FROM cross_check \
                   WHERE agreement_percent IS NOT NULL ORDER BY \"check\"";
        let row = |row: String| {
            let mut parts = row.splitn(3, ' ').map(str::to_owned);
            let mut next = || parts.next().unwrap();
            (next(), next().parse().unwrap(), next())
        };
        answer(&engine, sql).unwrap().into_iter().map(row).collect()
    }

    /// The checks that find something, and a word of what.
    fn found(&self) -> Vec<String> {
        let found = self
            .checked()
            .into_iter()
            .filter(|(_, _, finding)| finding != "NULL");
        found
            .map(|(check, _, finding)| format!("{check}: {finding}"))
            .collect()
    }
}

fn finds(found: &[String], check: &str, words: &str) {
    let yes = found
        .iter()
        .any(|f| f.starts_with(check) && f.contains(words));
    assert!(yes, "expected {check} to find `{words}`, found {found:#?}");
}

#[test]
fn a_recording_agrees_with_itself_and_broken_copies_do_not() {
    let whole = Copy::of("checkout-api");
    let checked = whole.checked();
    let names: Vec<&str> = checked.iter().map(|(check, ..)| &**check).collect();
    assert_eq!(
        names,
        [
            "counters",
            "gctrace_clock",
            "gctrace_cycles",
            "gctrace_heap_goal",
            "gctrace_pauses",
            "runtime/metrics",
            "sums"
        ]
    );
    for (check, percent, finding) in &checked {
        assert!(
            *percent >= 95 && finding == "NULL",
            "{check}: {percent} % {finding}"
        );
    }

    // Every third line of the collector is lost.
    let mut lost = whole.clone();
    let mut line = 0;
    lost.log.retain(|text| {
        line += usize::from(text.contains("gc "));
        !text.contains("gc ") || line % 3 != 0
    });
    let found = lost.found();
    finds(&found, "gctrace_cycles", "lines of gctrace are missing");
    finds(&found, "gctrace_pauses", "do not add up");

    // The process is taken to have begun half a minute later.
    let mut shifted = whole.clone();
    for text in &mut shifted.log {
        if let Some((before, rest)) = text.split_once(" @")
            && let Some((at, after)) = rest.split_once("s ")
            && let Ok(at) = at.parse::<f64>()
        {
            *text = format!("{before} @{:.3}s {after}", at + 30.0);
        }
    }
    finds(&shifted.found(), "gctrace_clock", "ended at other times");

    // The log is that of another process.
    let other = Copy::of("session-store");
    let swapped = Copy {
        log: other.log.clone(),
        ..whole.clone()
    };
    let found = swapped.found();
    finds(&found, "gctrace_cycles", "missing");

    // Two processes under one name.
    let rename = |lines: &[String]| -> Vec<String> {
        let renamed = |line: &String| {
            line.replace("session-store-2", "checkout-api-0")
                .replace("session-store", "checkout-api")
        };
        lines.iter().map(renamed).collect()
    };
    let mut merged = whole.clone();
    merged.samples.extend(rename(&other.samples));
    let found = merged.found();
    finds(&found, "counters", "two processes under one name");
    finds(&found, "runtime/metrics", "another process");

    // Readings put together from several.
    let mut torn = whole;
    for line in torn.samples.iter_mut().skip(20).take(5) {
        *line = line.replacen("\"HeapIdle\":", "\"HeapIdle\":1", 1);
    }
    finds(&torn.found(), "sums", "do not add up");
}
