//! The inputs that the fuzz targets found worth keeping, and each of them with some bytes changed: none makes its target panic.

use std::path::{Path, PathBuf};

use memwatch_store::fuzz::{TARGETS, run};
use proptest::prelude::*;
use proptest::sample::Index;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The corpus of a target, by the names of its files.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(root().join("corpus").join(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[test]
fn the_corpus_passes() {
    for (name, _) in TARGETS {
        let bin = root().join("fuzz_targets").join(format!("{name}.rs"));
        assert!(bin.is_file(), "no target `{name}`");
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "no corpus of `{name}`");
        corpus.iter().for_each(|bytes| run(name, bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn changed_bytes_pass(
        target in 0..TARGETS.len(),
        file in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        end in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let name = TARGETS[target].0;
        let corpus = corpus(name);
        let mut bytes = file.get(&corpus).clone();
        if !bytes.is_empty() {
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len()));
            }
        }
        run(name, &bytes);
    }
}
