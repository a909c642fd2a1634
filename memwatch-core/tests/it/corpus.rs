//! Every file of a folder of real recordings, read and counted; the counts are those of `testdata/count_rows.py`, which shares no
//! code with the sources.
//!
//! The folder is named by `MEMWATCH_CORPUS`; without it these tests are skipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use memwatch_core::incident::Incident;
use memwatch_core::record::{
    Artifact, GcCycle, GcPause, Identity, MemorySample, MetricSample, PauseOrigin, RecordSink, Span,
};
use memwatch_core::source::{
    Context, HEAD_BYTES, Recognized, Rejection, read_labels, read_processes, recognize,
};
use memwatch_core::{Bytes, Nanos, Result};

fn corpus() -> Option<PathBuf> {
    let folder = std::env::var("MEMWATCH_CORPUS").ok().map(PathBuf::from);
    #[allow(clippy::print_stderr)] // A skipped test says so.
    if folder.is_none() {
        eprintln!("skipped: MEMWATCH_CORPUS names no folder of recordings");
    }
    folder
}

fn open(path: &Path) -> BufReader<Box<dyn Read>> {
    let file = File::open(path).unwrap();
    let decoded: Box<dyn Read> = match path.extension().and_then(|e| e.to_str()) {
        Some("zst") => Box::new(zstd::Decoder::new(file).unwrap()),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    BufReader::with_capacity(HEAD_BYTES, decoded)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What `memwatch ingest` knows of a recording beside the file: by labels, else samples, else the folder's name.
fn context(folder: &Path) -> Context {
    let mut context = Context::default();
    let name = folder.file_name().unwrap().to_string_lossy();
    let by_name = Identity {
        service: name.as_ref().into(),
        instance: name.as_ref().into(),
    };
    let labels = folder.join("labels.json");
    if labels.exists() {
        let mut text = Vec::new();
        open(&labels).read_to_end(&mut text).unwrap();
        let read = read_labels(&text, &context).unwrap();
        assert_eq!(read.rejected, []);
        context.identity = read.identity;
        context.process_starts = read.process_starts;
    }
    let samples = folder.join("samples.ndjson.zst");
    if samples.exists() {
        let read = read_processes(&mut open(&samples)).unwrap();
        assert_eq!(read.identity, context.identity);
        assert_eq!(read.starts, context.process_starts, "{}", folder.display());
    }
    context.identity.get_or_insert(by_name);
    context
}

#[derive(Default)]
struct Counting {
    rows: BTreeMap<&'static str, u64>,
    rejected: Vec<Rejection>,
    notes: Vec<String>,
    /// Sum and number of the recovered pauses, by process.
    pauses: BTreeMap<Option<i64>, (i64, i64)>,
    last: BTreeMap<Option<i64>, MemorySample>,
    checks: bool,
}

impl Counting {
    fn count(&mut self, table: &'static str) -> Result<()> {
        *self.rows.entry(table).or_default() += 1;
        Ok(())
    }
}

impl RecordSink for Counting {
    fn sample(&mut self, _: &Identity, row: &MemorySample) -> Result<()> {
        if self.checks {
            invariants(row);
        }
        self.last.insert(row.process, row.clone());
        self.count("samples")
    }
    fn gc_cycle(&mut self, _: &Identity, _: &GcCycle) -> Result<()> {
        self.count("gc_cycles")
    }
    fn gc_pause(&mut self, _: &Identity, row: &GcPause) -> Result<()> {
        if row.origin == PauseOrigin::MemStats {
            let (sum, count) = self.pauses.entry(row.process).or_default();
            *sum += row.pause.0;
            *count += 1;
            assert_eq!(row.gc_num, Some(*count));
        }
        self.count("gc_pauses")
    }
    fn metric(&mut self, _: &Identity, _: &MetricSample) -> Result<()> {
        self.count("metrics")
    }
    fn span(&mut self, _: &Identity, _: &Span) -> Result<()> {
        self.count("spans")
    }
    fn incident(&mut self, _: &Incident) -> Result<()> {
        self.count("incidents")
    }
    fn artifact(&mut self, _: &Identity, _: &Artifact, _: &[u8]) -> Result<()> {
        self.count("artifacts")
    }
    fn reject(&mut self, rejection: Rejection) -> Result<()> {
        self.rejected.push(rejection);
        Ok(())
    }
    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

/// What Go's runtime guarantees of one reading.
fn invariants(row: &MemorySample) {
    let bytes = |value: Option<Bytes>| value.unwrap().0;
    assert_eq!(
        bytes(row.heap_sys),
        bytes(row.heap_inuse) + bytes(row.heap_idle)
    );
    assert_eq!(
        row.heap_objects.unwrap(),
        row.mallocs_total.unwrap() - row.frees_total.unwrap()
    );
    let parts = [
        row.heap_sys,
        row.stack_sys,
        row.mspan_sys,
        row.mcache_sys,
        row.buck_hash_sys,
        row.gc_sys,
        row.other_sys,
    ];
    assert_eq!(bytes(row.sys), parts.into_iter().map(bytes).sum::<i64>());
    assert!(bytes(row.heap_released) <= bytes(row.heap_idle));
    assert!(bytes(row.heap_alloc) <= bytes(row.heap_inuse));
    assert!(bytes(row.stack_inuse) <= bytes(row.stack_sys));
    assert!(row.pauses_lost.unwrap_or(0) == 0);
}

fn read(path: &Path, context: &Context, checks: bool) -> Counting {
    let mut input = open(path);
    let head = input.fill_buf().unwrap().to_vec();
    let mut sink = Counting {
        checks,
        ..Counting::default()
    };
    match recognize(&head) {
        Recognized::Records(source) => source.parse(&mut input, context, &mut sink).unwrap(),
        Recognized::Artifact(source) => {
            let mut content = Vec::new();
            input.read_to_end(&mut content).unwrap();
            let name = path.file_name().unwrap().to_string_lossy();
            let artifact = source.describe(&content, &name, context).unwrap();
            assert_eq!(artifact.at.is_some(), source.name() == "pprof");
            sink.count("artifacts").unwrap();
        }
        Recognized::Unreadable(_) => {
            let text = path.to_string_lossy();
            assert!(text.contains("tsdb"), "{text} is not read");
        }
        Recognized::Unknown => panic!("{} is not recognized", path.display()),
    }
    sink
}

#[test]
fn every_recording_is_read_whole() {
    let Some(corpus) = corpus() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/count_rows.py");
    let counted = Command::new("python3")
        .args([script.as_os_str(), corpus.as_os_str(), "--files".as_ref()])
        .output()
        .expect("python3");
    assert!(counted.status.success());
    let expected: BTreeMap<String, BTreeMap<String, u64>> =
        serde_json::from_slice(&counted.stdout).unwrap();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = files(&corpus)
        .iter()
        .filter_map(|file| file.strip_prefix(&corpus).ok()?.components().next())
        .map(|first| corpus.join(first))
        .filter(|path| path.is_dir())
        .collect();
    folders.dedup();
    for folder in folders {
        let mut context = context(&folder);
        for file in files(&folder) {
            let name = file.strip_prefix(&corpus).unwrap().to_str().unwrap();
            context.input = name.into();
            let expvar_or_samples = name.contains("samples.ndjson") || name.contains("expvar");
            let read = read(&file, &context, expvar_or_samples);
            if name.contains("samples.ndjson") {
                for (process, last) in &read.last {
                    let (sum, count) = read.pauses.get(process).copied().unwrap_or_default();
                    assert_eq!(last.pause_total, Some(Nanos(sum)), "{name}");
                    assert_eq!(last.num_gc, Some(count), "{name}");
                }
            }
            let torn = name.contains("gctrace-samples") || name.contains("openmetrics-sample");
            if !torn {
                assert_eq!(read.rejected, [], "{name}");
            }
            println_notes(name, &read);
            if !read.rows.is_empty() {
                let rows = read.rows.iter().map(|(t, n)| ((*t).to_owned(), *n));
                found.insert(name.to_owned(), rows.collect());
            }
        }
    }
    for (name, rows) in &expected {
        assert_eq!(found.get(name), Some(rows), "{name}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Without a known start, log lines around place the cycles to within what the note says, or not at all.
#[test]
fn log_lines_place_cycles_where_the_known_start_does() {
    let Some(corpus) = corpus() else { return };
    let (mut placed, mut cycles) = (0, 0);
    for file in files(&corpus) {
        let folder = file.parent().unwrap();
        if !file.ends_with("stderr.log.gz") || !folder.join("samples.ndjson.zst").exists() {
            continue;
        }
        let mut context = context(folder);
        let Recognized::Records(source) = recognize(open(&file).fill_buf().unwrap()) else {
            panic!("{}", file.display());
        };
        let mut known = Placed::default();
        source
            .parse(&mut open(&file), &context, &mut known)
            .unwrap();
        context.process_starts.clear();
        let mut around = Placed::default();
        source
            .parse(&mut open(&file), &context, &mut around)
            .unwrap();
        for (cycle, at) in &around.0 {
            let off_ms = (at - known.0[cycle]) / 1_000_000;
            assert!(
                off_ms.abs() <= 1_000,
                "{}: {cycle:?} is {off_ms} ms off",
                file.display()
            );
        }
        placed += around.0.len();
        cycles += known.0.len();
    }
    #[allow(clippy::print_stderr)] // Shown with --nocapture.
    {
        eprintln!("{placed} of {cycles} cycles are placed by log lines around");
    }
}

/// When each cycle of each process began.
#[derive(Default)]
struct Placed(BTreeMap<(Option<i64>, i64), i64>);

impl RecordSink for Placed {
    fn gc_cycle(&mut self, _: &Identity, row: &GcCycle) -> Result<()> {
        self.0.insert((row.process, row.gc_num), row.at.0);
        Ok(())
    }
    fn sample(&mut self, _: &Identity, _: &MemorySample) -> Result<()> {
        Ok(())
    }
    fn gc_pause(&mut self, _: &Identity, _: &GcPause) -> Result<()> {
        Ok(())
    }
    fn metric(&mut self, _: &Identity, _: &MetricSample) -> Result<()> {
        Ok(())
    }
    fn span(&mut self, _: &Identity, _: &Span) -> Result<()> {
        Ok(())
    }
    fn incident(&mut self, _: &Incident) -> Result<()> {
        Ok(())
    }
    fn artifact(&mut self, _: &Identity, _: &Artifact, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn reject(&mut self, _: Rejection) -> Result<()> {
        Ok(())
    }
    fn note(&mut self, _: String) {}
}

#[allow(clippy::print_stderr)] // Shown with --nocapture.
fn println_notes(name: &str, read: &Counting) {
    for note in &read.notes {
        eprintln!("{name}: {note}");
    }
    if let Some(first) = read.rejected.first() {
        let count = read.rejected.len();
        eprintln!("{name}: {count} rejected, first: {first:?}");
    }
}

/// Rows per second of each format: `cargo test --release -p memwatch-core --test it -- --ignored --nocapture speed`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr)] // It prints what it measures.
fn speed() {
    let Some(corpus) = corpus() else { return };
    for name in [
        "checkout-api/samples.ndjson.zst",
        "checkout-api/metrics.ndjson.zst",
        "checkout-api/expvar.ndjson.zst",
        "checkout-api/spans.ndjson.zst",
        "image-resize/stderr.log.gz",
        "etcd/scrapes.prom.zst",
        "prometheus/tsdb-dump.txt.zst",
        "prometheus/query-range-goroutines.json.gz",
    ] {
        let path = corpus.join(name);
        let context = context(path.parent().unwrap());
        let mut content = Vec::new();
        open(&path).read_to_end(&mut content).unwrap();
        let Recognized::Records(source) = recognize(&content[..content.len().min(HEAD_BYTES)])
        else {
            panic!("{name}");
        };
        let mut best = f64::INFINITY;
        let mut rows = 0;
        for _ in 0..40 {
            let mut sink = Discarding(0);
            let begin = Instant::now();
            source
                .parse(&mut &content[..], &context, &mut sink)
                .unwrap();
            best = best.min(begin.elapsed().as_secs_f64());
            rows = sink.0;
        }
        let mib = content.len() as f64 / 1_048_576.0;
        eprintln!(
            "{:16} {rows:7} rows {:6.1} MiB {:9.0} rows/s {:6.0} MiB/s",
            source.name(),
            mib,
            rows as f64 / best,
            mib / best
        );
    }
}

/// Counts, and keeps nothing.
struct Discarding(u64);

impl RecordSink for Discarding {
    fn sample(&mut self, _: &Identity, _: &MemorySample) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn gc_cycle(&mut self, _: &Identity, _: &GcCycle) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn gc_pause(&mut self, _: &Identity, _: &GcPause) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn metric(&mut self, _: &Identity, _: &MetricSample) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn span(&mut self, _: &Identity, _: &Span) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn incident(&mut self, _: &Incident) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
    fn artifact(&mut self, _: &Identity, _: &Artifact, _: &[u8]) -> Result<()> {
        Ok(())
    }
    fn reject(&mut self, _: Rejection) -> Result<()> {
        Ok(())
    }
    fn note(&mut self, _: String) {}
}
