//! A small recording as a recorder leaves it.

use std::fs;
use std::path::Path;

/// Readings of the recording.
pub(crate) const READINGS: i64 = 25;

/// Writes `api/` with samples of one process, its gctrace log and a file that is no recording.
pub(crate) fn write(root: &Path) {
    let folder = root.join("api");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("samples.ndjson"), samples()).unwrap();
    fs::write(folder.join("stderr.log"), GCTRACE).unwrap();
    fs::write(folder.join("README.md"), "# api\n").unwrap();
}

/// Two gctrace lines between log lines.
pub(crate) const GCTRACE: &str = "\
started
gc 1 @0.071s 0%: 0.038+1.1+0.004 ms clock, 0.077+0/0.73/0.45+0.008 ms cpu, 3->3->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
listening
gc 2 @1.271s 0%: 0.053+1.1+0.004 ms clock, 0.077+0/0.73/0.45+0.008 ms cpu, 3->3->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P
";

/// Samples of one process.
pub(crate) fn samples() -> String {
    let start = 1_795_410_189_562_606_739i64;
    let mut text = format!(
        "{{\"type\":\"meta\",\"format\":\"memwatch-samples/1\",\"ts\":{start},\"service\":\"api\",\"instance\":\"api-0\",\"proc\":1}}\n"
    );
    for i in 1..=READINGS {
        let uptime = i * 200_000_000;
        text.push_str(&format!(
            "{{\"type\":\"sample\",\"ts\":{},\"service\":\"api\",\"instance\":\"api-0\",\"version\":\"v1\",\"go\":\"go1.27.3\",\
             \"proc\":1,\"uptime_ns\":{uptime},\"goroutines\":9,\"gogc\":100,\"memstats\":{{\"Alloc\":{i},\"HeapAlloc\":{i},\
             \"HeapInuse\":{},\"NumGC\":0,\"NextGC\":8946670875742138121}},\"pauses\":[],\"pauses_dropped\":0}}\n",
            start + uptime,
            i * 8_192,
        ));
    }
    text
}
