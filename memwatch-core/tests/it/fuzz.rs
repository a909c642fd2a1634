//! The inputs that the fuzz targets found worth keeping: none makes its target panic.

use std::path::Path;

use memwatch_core::fuzz::{TARGETS, run};

#[test]
fn the_corpus_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, _) in TARGETS {
        let bin = root.join("fuzz_targets").join(format!("{name}.rs"));
        assert!(bin.is_file(), "no target `{name}`");
        // Not every target has one yet; the samples of the formats are in another test.
        for entry in std::fs::read_dir(root.join("corpus").join(name))
            .into_iter()
            .flatten()
        {
            run(name, &std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
