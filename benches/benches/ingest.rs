//! NDJSON into records, on one core, against the least that any parser has to do.
//!
//! `samples` reads a recording of `testdata/` into a sink that counts rows. `digits_only` looks at each byte of the same lines once and puts digits
//! together to numbers: no keys, no strings, no rows. `lines_only` looks for the ends of lines.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use memwatch_core::Result;
use memwatch_core::incident::Incident;
use memwatch_core::record::{
    Artifact, GcCycle, GcPause, Identity, MemorySample, MetricSample, RecordSink, Span,
};
use memwatch_core::source::{Context, Rejection, SOURCES};

/// So much of a recording, repeated, is more than the caches hold.
const BYTES: usize = 64 << 20;

#[derive(Default)]
struct Counted(u64);

impl RecordSink for Counted {
    fn sample(&mut self, _: &Identity, row: &MemorySample) -> Result<()> {
        black_box(row);
        self.0 += 1;
        Ok(())
    }
    fn gc_cycle(&mut self, _: &Identity, _: &GcCycle) -> Result<()> {
        Ok(())
    }
    fn gc_pause(&mut self, _: &Identity, row: &GcPause) -> Result<()> {
        black_box(row);
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

fn digits(text: &[u8]) -> u64 {
    let (mut sum, mut number) = (0u64, 0u64);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else {
            sum = sum.wrapping_add(number);
            number = 0;
        }
    }
    sum
}

fn samples(c: &mut Criterion) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/recordings/search-web/samples.ndjson.zst");
    let file = std::fs::File::open(file).expect("a recording of testdata");
    let recording = zstd::decode_all(file).expect("a recording that decompresses");
    let mut text = Vec::with_capacity(BYTES + recording.len());
    while text.len() < BYTES {
        text.extend_from_slice(&recording);
    }
    let source = SOURCES.iter().find(|source| source.name() == "samples");
    let source = source.expect("samples are read");
    let context = Context::default();
    let rows = || {
        let mut sink = Counted::default();
        source
            .parse(&mut &text[..], &context, &mut sink)
            .expect("a recording that is read");
        sink.0
    };
    let mut group = c.benchmark_group("ndjson");
    group.sample_size(10);
    for (unit, throughput) in [
        ("rows", Throughput::Elements(rows())),
        ("bytes", Throughput::Bytes(text.len() as u64)),
    ] {
        group.throughput(throughput);
        group.bench_function(format!("samples/{unit}"), |b| b.iter(rows));
        group.bench_function(format!("digits_only/{unit}"), |b| {
            b.iter(|| digits(black_box(&text)));
        });
        group.bench_function(format!("lines_only/{unit}"), |b| {
            b.iter(|| black_box(&text).split(|b| *b == b'\n').count());
        });
    }
    group.finish();
}

criterion_group!(benches, samples);
criterion_main!(benches);
