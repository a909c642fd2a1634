//! The small samples of `testdata/`: each is recognized by one format alone, and no damage to them makes a source panic.

use std::path::{Path, PathBuf};

use memwatch_core::source::fuzz::{Collected, any_artifact, any_bytes};
use memwatch_core::source::{
    ARTIFACT_SOURCES, HEAD_BYTES, Recognized, SOURCES, Source, recognize, unreadable,
};
use proptest::prelude::*;

/// All samples: name of the format, name of the file, content.
fn samples() -> Vec<(String, String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut found = Vec::new();
    let names = SOURCES.iter().map(|source| source.name());
    for format in names.chain(ARTIFACT_SOURCES.iter().map(|source| source.name())) {
        let folder = std::fs::read_dir(root.join(format))
            .unwrap_or_else(|_| panic!("testdata/{format} is missing"));
        let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "testdata/{format} is empty");
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let content = std::fs::read(&file).unwrap();
            found.push((format.to_owned(), name, content));
        }
    }
    found
}

fn source(name: &str) -> Option<&'static dyn Source> {
    SOURCES.iter().find(|s| s.name() == name).copied()
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = SOURCES.iter().map(|s| s.name()).collect();
    names.extend(ARTIFACT_SOURCES.iter().map(|s| s.name()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn each_sample_is_recognized_by_one_format_alone() {
    for (format, file, content) in samples() {
        let head = &content[..content.len().min(HEAD_BYTES)];
        // Also with what editors and Windows tools do to a file.
        let mut marked = b"\xef\xbb\xbf".to_vec();
        marked.extend_from_slice(head);
        for head in [head, &marked] {
            let is_text = std::str::from_utf8(head).is_ok();
            if head.starts_with(b"\xef\xbb\xbf") && (!is_text || source(&format).is_none()) {
                continue;
            }
            let mut by: Vec<&str> = SOURCES
                .iter()
                .filter(|s| s.recognizes(head))
                .map(|s| s.name())
                .collect();
            by.extend(
                ARTIFACT_SOURCES
                    .iter()
                    .filter(|s| s.recognizes(head))
                    .map(|s| s.name()),
            );
            assert_eq!(by, [&*format], "{format}/{file}");
            assert_eq!(unreadable(head), None, "{format}/{file}");
        }
    }
}

#[test]
fn other_files_are_not_recognized() {
    for text in [
        "",
        "\n",
        "hello world\n",
        "a,b\n1,2\n",
        "{}",
        "{\"a\":1}",
        "[1,2]",
        "null",
        "2026-11-23T05:03:55.851Z caller=main.go:513 level=info msg=\"x\"\n",
        "gc 1 @office\n",
        "x 1\n",
        "\0\0\0\0",
        "# a heading\n\nsome text\n",
        "#!/bin/sh\necho 1\n",
    ] {
        assert!(
            matches!(recognize(text.as_bytes()), Recognized::Unknown),
            "{text:?}"
        );
    }
    for block in [&b"\xba\xaa\xd7\x00\x02"[..], b"\x85\xbd\x40\xdd\x01"] {
        assert!(matches!(recognize(block), Recognized::Unreadable(_)));
    }
}

#[test]
fn samples_give_these_rows() {
    // Logs without a wall clock give nothing: their cycles are rejected, not placed by guess.
    let expected: &[(&str, &str)] = &[
        ("expvar/answer.json", "1 samples, 12 pauses, 119 metrics"),
        ("expvar/lines.ndjson", "2 samples, 20 pauses, 238 metrics"),
        ("gctrace/go1.19.log", "9 rejected"),
        ("gctrace/go1.27.log", "9 rejected"),
        (
            "gctrace/three-processes.log",
            "21 cycles, 42 pauses, 8 rejected",
        ),
        ("gctrace/torn.log", "13 rejected"),
        ("labels/pricing.json", "4 incidents"),
        ("metrics/steady.ndjson", "167 metrics"),
        ("prometheus-query/goroutines.json", "4 metrics"),
        ("prometheus/no-types.prom", "1 samples, 10 metrics"),
        ("prometheus/openmetrics.om", "1 samples, 48 metrics"),
        ("prometheus/own-times.prom", "3 metrics"),
        ("prometheus/scrapes.prom", "2 samples, 96 metrics"),
        ("samples/restart.ndjson", "5 samples, 7 pauses"),
        ("spans/both-sides.ndjson", "6 spans"),
        ("tsdb-dump/client-demo.txt", "24 metrics"),
    ];
    let mut found = Vec::new();
    for (format, file, content) in samples() {
        let Some(source) = source(&format) else {
            continue;
        };
        let read = Collected::of(source, &content);
        let counts: Vec<String> = [
            ("samples", read.samples.len()),
            ("cycles", read.gc_cycles.len()),
            ("pauses", read.gc_pauses.len()),
            ("metrics", read.metrics.len()),
            ("spans", read.spans.len()),
            ("incidents", read.incidents.len()),
            ("rejected", read.rejected.len()),
            ("failed", usize::from(read.failed.is_some())),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(table, count)| format!("{count} {table}"))
        .collect();
        found.push((format!("{format}/{file}"), counts.join(", ")));
    }
    found.sort();
    let found: Vec<(&str, &str)> = found.iter().map(|(f, c)| (&**f, &**c)).collect();
    assert_eq!(found, expected);
}

/// Prefixes of this length are all tried; of longer ones a part.
const ALL_PREFIXES: usize = 2_500;

#[test]
fn no_prefix_of_a_sample_makes_a_source_panic() {
    for (format, _, content) in samples() {
        let step = |cut: &usize| {
            *cut <= ALL_PREFIXES || cut.is_multiple_of(131) || cut + 40 > content.len()
        };
        for cut in (0..=content.len()).filter(step) {
            let prefix = &content[..cut];
            match source(&format) {
                Some(source) => any_bytes(source, prefix),
                None => any_artifact(prefix),
            }
        }
    }
}

/// A prefix never gives a row that the whole does not give: a cut value is not taken for a shorter one.
#[test]
fn prefixes_give_no_other_rows() {
    for (format, file, content) in samples() {
        let Some(source) = source(&format) else {
            continue;
        };
        // Cycles of a log are placed by all of it, and a bare object is read whole or not at all.
        if matches!(&*format, "gctrace" | "labels") {
            continue;
        }
        let whole = Collected::of(source, &content);
        for cut in
            (0..content.len()).filter(|cut| cut.is_multiple_of(29) || cut + 100 > content.len())
        {
            let part = Collected::of(source, &content[..cut]);
            let name = format!("{file} to {cut}");
            let metrics = part.metrics.len();
            let rows = |all: &[_]| format!("{all:?}");
            assert_eq!(
                rows(&part.metrics),
                rows(&whole.metrics[..metrics]),
                "{name}"
            );
            assert_eq!(part.spans, whole.spans[..part.spans.len()], "{name}");
            assert_eq!(
                part.gc_pauses,
                whole.gc_pauses[..part.gc_pauses.len()],
                "{name}"
            );
            // The sample of a scrape is complete only with the scrape.
            if format != "prometheus" {
                assert_eq!(part.samples, whole.samples[..part.samples.len()], "{name}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_make_no_source_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        any_artifact(&bytes);
        for source in SOURCES {
            any_bytes(*source, &bytes);
        }
    }

    #[test]
    fn damaged_samples_make_no_source_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let all = samples();
        let (_, _, content) = &all[which.index(all.len())];
        let mut bytes = content.clone();
        for (place, what, byte, other) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match what {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                // Characters of the formats are where parsers turn.
                2 => bytes[at] = b"{}[]\",: \n\\0-.e+@#/"[usize::from(byte) % 18],
                _ => {
                    let end = (at + 1 + other.index(64)).min(bytes.len());
                    let moved: Vec<u8> = bytes.drain(at..end).collect();
                    let to = other.index(bytes.len() + 1);
                    bytes.splice(to..to, moved);
                }
            }
        }
        any_artifact(&bytes);
        for source in SOURCES {
            any_bytes(*source, &bytes);
        }
    }
}
