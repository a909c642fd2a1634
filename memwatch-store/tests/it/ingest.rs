//! Ingest from outside: inputs, context, idempotence, rejections.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use memwatch_core::Timestamp;
use memwatch_store::ingest::{Ingest, IngestReport, OnError, Outcome, open_or_ingest};
use memwatch_store::{Error, Store, Table};

use crate::rows::dump_all;

const START: i64 = 1_795_410_189_562_606_739;

/// A recording of two processes, `n` readings each.
fn samples(service: &str, n: i64) -> String {
    let mut text = String::new();
    for process in 1..=2i64 {
        let start = START + (process - 1) * 60_000_000_000;
        text.push_str(&format!(
            "{{\"type\":\"meta\",\"format\":\"memwatch-samples/1\",\"ts\":{start},\"service\":\"{service}\",\"instance\":\"{service}-0\",\"proc\":{process}}}\n"
        ));
        for i in 1..=n {
            let uptime = i * 200_000_000;
            text.push_str(&format!(
                "{{\"type\":\"sample\",\"ts\":{},\"service\":\"{service}\",\"instance\":\"{service}-0\",\"version\":\"v1\",\"go\":\"go1.27.3\",\"proc\":{process},\"uptime_ns\":{uptime},\"read_ns\":1,\"goroutines\":9,\"gogc\":100,\"memlimit\":9223372036854775807,\"rss\":1,\"cpu_user_us\":1,\"cpu_sys_us\":1,\"reqs\":3,\"memstats\":{{\"Alloc\":{i},\"TotalAlloc\":{i},\"Sys\":9,\"Mallocs\":5,\"Frees\":2,\"HeapAlloc\":{i},\"HeapInuse\":8192,\"HeapIdle\":0,\"HeapSys\":8192,\"HeapObjects\":3,\"NextGC\":4194304,\"LastGC\":0,\"PauseTotalNs\":0,\"NumGC\":0,\"NumForcedGC\":0,\"GCCPUFraction\":0.0}},\"pauses\":[],\"pauses_dropped\":0}}\n",
                start + uptime
            ));
        }
    }
    text
}

fn gctrace(processes: usize) -> String {
    let line = |n: u32| {
        format!(
            "gc {n} @{n}.071s 0%: 0.038+1.1+0.004 ms clock, 0.077+0/0.73/0.45+0.008 ms cpu, 23->25->14 MB, 28 MB goal, 0 MB stacks, 0 MB globals, 2 P\n"
        )
    };
    (0..processes).flat_map(|_| (1..=3).map(line)).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A folder of recordings as a recorder leaves it.
fn recordings(root: &Path) {
    let folder = root.join("api");
    fs::create_dir_all(folder.join("artifacts")).unwrap();
    fs::write(
        folder.join("samples.ndjson.zst"),
        zstd::encode_all(samples("api", 20).as_bytes(), 1).unwrap(),
    )
    .unwrap();
    fs::write(folder.join("stderr.log.gz"), gzip(&gctrace(2))).unwrap();
    fs::write(
        folder.join("artifacts/goroutine-late.txt"),
        "goroutine 1 [running]:\nmain.main()\n\t/x/main.go:1 +0x1\n\n",
    )
    .unwrap();
    fs::write(root.join("notes.md"), "# nothing to read\n").unwrap();
}

fn ingest(store: &Store, input: &Path) -> IngestReport {
    Ingest::new(store)
        .inputs([input.display().to_string()])
        .run()
        .unwrap()
}

fn outcome<'a>(report: &'a IngestReport, name: &str) -> &'a Outcome {
    let input = report.inputs.iter().find(|i| i.input.contains(name));
    &input
        .unwrap_or_else(|| panic!("{name} in {report:?}"))
        .outcome
}

fn new_rows(report: &IngestReport, table: Table) -> u64 {
    report.rows().get(&table).map_or(0, |c| c.new)
}

#[test]
fn a_folder_is_read_once_however_often_it_is_given() {
    let root = tempfile::tempdir().unwrap();
    let (input, data) = (root.path().join("in"), root.path().join("data"));
    recordings(&input);
    let store = Store::create(&data).unwrap();
    let report = ingest(&store, &input);
    assert_eq!(new_rows(&report, Table::Samples), 40);
    // Both processes of the log are placed by the samples beside it.
    assert_eq!(new_rows(&report, Table::GcCycles), 6);
    assert!(matches!(
        outcome(&report, "notes.md"),
        Outcome::Skipped { .. }
    ));
    // The dump has no time, and no heap profile beside it has one.
    let dump = report
        .inputs
        .iter()
        .find(|i| i.input.contains("goroutine-late"))
        .unwrap();
    assert_eq!(dump.rejected, 1);
    assert!(dump.rejections[0].expected.contains("--at"), "{dump:?}");

    let before = dump_all(&store.snapshot().unwrap());
    let again = ingest(&store, &input);
    assert_eq!((again.new_rows(), again.duplicates()), (0, 0));
    assert_eq!(outcome(&again, "samples"), &Outcome::Known);
    // The same rows in another wrapping are read, and change nothing.
    fs::write(input.join("api/copy.ndjson"), samples("api", 20)).unwrap();
    let copy = ingest(&store, &input);
    assert_eq!((copy.new_rows(), copy.duplicates()), (0, 40));
    assert_eq!(dump_all(&store.snapshot().unwrap()), before);
}

#[test]
fn what_lines_do_not_say_comes_from_the_folder_or_the_user() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("worker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("gc.log"), gctrace(1)).unwrap();
    let store = Store::create(root.path().join("data")).unwrap();

    // Nothing says when the process began: nothing is invented.
    let report = ingest(&store, &folder);
    assert_eq!(report.new_rows(), 0);
    assert!(
        report.rejected() + report.inputs[0].notes.len() as u64 > 0,
        "{report:?}"
    );

    let start = Timestamp(START);
    let report = Ingest::new(&store)
        .inputs([folder.display().to_string()])
        .starts([start])
        .run()
        .unwrap();
    assert_eq!(new_rows(&report, Table::GcCycles), 3);
    let note = report.inputs[0].notes.join("\n");
    assert!(note.contains("folder's name, `worker`"), "{note}");

    let report = Ingest::new(&store)
        .inputs(["-"])
        .standard_input(Cursor::new(gzip(&gctrace(1))))
        .service(Some("api"))
        .instance(Some("api-7"))
        .starts([start])
        .run()
        .unwrap();
    assert_eq!(new_rows(&report, Table::GcCycles), 3);
    let info = store.snapshot().unwrap().info();
    let cycles = info
        .tables
        .iter()
        .find(|t| t.table == Table::GcCycles)
        .unwrap();
    let names: Vec<String> = cycles
        .instances
        .iter()
        .map(|i| format!("{}/{}", i.identity.service, i.identity.instance))
        .collect();
    assert_eq!(names, ["api/api-7", "worker/worker"]);
}

#[test]
fn a_bad_line_is_counted_or_stops_as_asked() {
    let root = tempfile::tempdir().unwrap();
    let good = root.path().join("a.ndjson");
    let bad = root.path().join("b.ndjson");
    let after = root.path().join("c.ndjson");
    fs::write(&good, samples("a", 3)).unwrap();
    let mut text = samples("b", 3);
    text.push_str("{\"type\":\"sample\",\"ts\":\"x\"}\nnot json\n");
    fs::write(&bad, text).unwrap();
    fs::write(&after, samples("c", 3)).unwrap();

    let store = Store::create(root.path().join("skip")).unwrap();
    let inputs = [&good, &bad, &after].map(|p| p.display().to_string());
    let report = Ingest::new(&store).inputs(inputs.clone()).run().unwrap();
    assert_eq!((report.new_rows(), report.rejected()), (18, 2));
    let first = &report.inputs[1].rejections[0].place;
    assert_eq!((&*first.input, first.line), (inputs[1].as_str(), 9));

    let store = Store::create(root.path().join("fail")).unwrap();
    let report = Ingest::new(&store)
        .inputs(inputs)
        .on_error(OnError::Fail)
        .run()
        .unwrap();
    assert_eq!(report.new_rows(), 6);
    assert_eq!(report.failures().count(), 2, "{report:?}");
    let (_, why) = report.failures().next().unwrap();
    assert!(why.starts_with("line 9: field `ts`: expected"), "{why}");
    let info = store.snapshot().unwrap().info();
    assert_eq!(info.tables.iter().map(|t| t.rows).sum::<u64>(), 6);
}

#[test]
fn what_was_cut_off_keeps_its_beginning_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let whole = gzip(&samples("cut", 2_000));
    let path = root.path().join("cut.ndjson.gz");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let store = Store::create(root.path().join("data")).unwrap();
    let report = ingest(&store, &path);
    assert_eq!(report.failures().count(), 1, "{report:?}");
    assert!(report.new_rows() > 100);
    // Then the whole arrives.
    fs::write(&path, &whole).unwrap();
    let report = ingest(&store, &path);
    assert_eq!(report.new_rows() + report.duplicates(), 4_000);
    assert_eq!(store.snapshot().unwrap().info().tables[0].rows, 4_000);
}

#[test]
fn every_prefix_of_a_recording_leaves_a_store_that_opens() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::create(root.path().join("data")).unwrap();
    let text = samples("p", 1);
    let zst = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (name, bytes) in [("plain", text.into_bytes()), ("zst", zst)] {
        let path = root.path().join(name);
        for cut in (0..bytes.len()).step_by(17) {
            fs::write(&path, &bytes[..cut]).unwrap();
            let _ = ingest(&store, &path);
        }
        fs::write(&path, &bytes).unwrap();
        ingest(&store, &path);
    }
    assert_eq!(store.snapshot().unwrap().info().tables[0].rows, 2);
}

#[test]
fn what_cannot_be_read_is_said() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::create(root.path().join("data")).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = root.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let mut tar = vec![0u8; 1_024];
    tar[257..262].copy_from_slice(b"ustar");
    for (path, why) in [
        (file("empty.log", b""), "empty"),
        (
            file("random.bin", &[0xff, 0x00, 0x17, 0x99]),
            "no format that memwatch knows",
        ),
        (file("x.tar", &tar), "tar archive"),
        (file("bad.gz", &[0x1f, 0x8b, 8, 0, 1, 2, 3]), ""),
    ] {
        let report = ingest(&store, &path);
        let (_, found) = report
            .failures()
            .next()
            .unwrap_or_else(|| panic!("{path:?}"));
        assert!(found.contains(why), "{path:?}: {found}");
        assert!(report.is_nothing());
    }
    for (input, message) in [
        ("/nowhere/at/all", "no such file or folder"),
        ("-", "no standard input"),
    ] {
        let error = Ingest::new(&store).inputs([input]).run().unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let error = Ingest::new(&store)
        .inputs(["-"])
        .format(Some("nope"))
        .run()
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected auto or one of samples"),
        "{error}"
    );
}

#[test]
fn data_may_be_a_folder_of_recordings() {
    let root = tempfile::tempdir().unwrap();
    let input = root.path().join("in");
    recordings(&input);
    let scratch = root.path().join("scratch");
    let (store, report) = open_or_ingest(&input, &scratch, |i| i).unwrap();
    assert_eq!(
        report.unwrap().new_rows(),
        store
            .snapshot()
            .unwrap()
            .info()
            .tables
            .iter()
            .map(|t| t.rows)
            .sum::<u64>()
    );
    let (again, report) = open_or_ingest(&scratch, &root.path().join("unused"), |i| i).unwrap();
    assert!(report.is_none() && again.snapshot().unwrap().version() > 0);
    assert!(!root.path().join("unused").exists());
    let missing = open_or_ingest(&root.path().join("missing"), &scratch, |i| i);
    assert!(matches!(missing.map(|_| ()), Err(Error::NotAStore { .. })));
}
