//! Which files: what the user named, spelled out, in a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One file to read, or standard input.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// As the user named it, or as it was found below what the user named.
    pub(crate) name: Arc<str>,
    /// Where it is; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// Whether the user named it itself: then it is an error when it cannot be used.
    pub(crate) explicit: bool,
    /// Size on disk; 0 for what is not a plain file.
    pub(crate) size_bytes: u64,
    /// The folder named by the user below which it was found; what is above is not asked for context.
    pub(crate) below: Option<PathBuf>,
}

/// Something below a folder that is not read.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) name: Arc<str>,
    pub(crate) why: String,
    /// It should have been read, and could not be.
    pub(crate) failed: bool,
}

/// Everything that the user named.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// By folder, in the order of their paths, so that a folder's context is known before its files are read.
    pub(crate) folders: BTreeMap<PathBuf, Vec<Candidate>>,
    /// `-` was among them.
    pub(crate) standard_input: Option<Candidate>,
    /// What was passed over.
    pub(crate) passed: Vec<Passed>,
}

/// Why what was named cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{input}: {why}")]
pub struct InputError {
    /// As the user named it.
    pub input: String,
    /// What is wrong.
    pub why: String,
}

impl Inputs {
    /// Spells out files, folders, patterns and `-`.
    pub(crate) fn expand(named: &[String]) -> Result<Inputs, InputError> {
        let mut inputs = Inputs::default();
        let mut seen = BTreeSet::new();
        for name in named {
            let wrong = |why: String| InputError {
                input: name.clone(),
                why,
            };
            if name == "-" {
                inputs.standard_input = Some(Candidate {
                    name: "-".into(),
                    path: None,
                    explicit: true,
                    size_bytes: 0,
                    below: None,
                });
                continue;
            }
            let path = Path::new(name);
            match fs::metadata(path) {
                Ok(meta) if meta.is_dir() => inputs.walk_named(path, &mut seen)?,
                Ok(meta) => inputs.push(path, meta.len(), true, None, &mut seen),
                Err(error) if error.kind() == io::ErrorKind::NotFound && is_pattern(name) => {
                    let mut any = false;
                    let found = glob::glob(name)
                        .map_err(|e| wrong(format!("expected a file or a pattern: {}", e.msg)))?;
                    for path in found {
                        let path = path.map_err(|e| wrong(e.error().to_string()))?;
                        any = true;
                        match fs::metadata(&path) {
                            Ok(meta) if meta.is_dir() => inputs.walk_named(&path, &mut seen)?,
                            Ok(meta) => inputs.push(&path, meta.len(), false, None, &mut seen),
                            Err(error) => inputs.fail(&path, &error),
                        }
                    }
                    if !any {
                        return Err(wrong("no file matches this pattern".to_owned()));
                    }
                }
                Err(error) => return Err(wrong(plain(&error))),
            }
        }
        Ok(inputs)
    }

    /// Number of files, standard input included.
    pub(crate) fn len(&self) -> usize {
        self.folders.values().map(Vec::len).sum::<usize>()
            + usize::from(self.standard_input.is_some())
    }

    /// Their size on disk; `None` when standard input is among them.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        self.standard_input
            .is_none()
            .then(|| self.folders.values().flatten().map(|c| c.size_bytes).sum())
    }

    fn walk_named(
        &mut self,
        folder: &Path,
        seen: &mut BTreeSet<PathBuf>,
    ) -> Result<(), InputError> {
        let wrong = |why: String| InputError {
            input: folder.display().to_string(),
            why,
        };
        if folder.join(STORE_MARK).exists() {
            return Err(wrong(
                "is a store, not a recording: give it as --data".to_owned(),
            ));
        }
        let before = self.len() + self.passed.len();
        self.walk(folder, folder, seen)
            .map_err(|e| wrong(plain(&e)))?;
        if self.len() + self.passed.len() == before && seen.iter().all(|p| !p.starts_with(folder)) {
            return Err(wrong("no files in this folder".to_owned()));
        }
        Ok(())
    }

    fn walk(
        &mut self,
        folder: &Path,
        below: &Path,
        seen: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<io::Result<_>>()?;
        entries.sort();
        if is_prometheus_block(&entries) {
            self.pass(
                folder,
                "a Prometheus block: write it out with `promtool tsdb dump` first".to_owned(),
            );
            return Ok(());
        }
        for path in entries {
            let meta = match fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(error) => {
                    self.fail(&path, &error);
                    continue;
                }
            };
            let hidden = path
                .file_name()
                .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
            if hidden {
                self.pass(&path, "a hidden file: name it to read it".to_owned());
            } else if meta.is_symlink() {
                self.pass(&path, "a symbolic link: name it to follow it".to_owned());
            } else if meta.is_dir() {
                if path.join(STORE_MARK).exists() {
                    self.pass(&path, "a store, not a recording".to_owned());
                } else if let Err(error) = self.walk(&path, below, seen) {
                    self.fail(&path, &error);
                }
            } else if meta.is_file() {
                self.push(&path, meta.len(), false, Some(below), seen);
            } else {
                self.pass(&path, "not a plain file: name it to read it".to_owned());
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        path: &Path,
        size_bytes: u64,
        explicit: bool,
        below: Option<&Path>,
        seen: &mut BTreeSet<PathBuf>,
    ) {
        // Named twice is read once.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !seen.insert(real) {
            return;
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.folders.entry(folder).or_default().push(Candidate {
            name: path.display().to_string().into(),
            path: Some(path.to_owned()),
            explicit,
            size_bytes,
            below: below.map(Path::to_owned),
        });
    }

    fn pass(&mut self, path: &Path, why: String) {
        self.passed.push(Passed {
            name: path.display().to_string().into(),
            why,
            failed: false,
        });
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        self.passed.push(Passed {
            name: path.display().to_string().into(),
            why: plain(error),
            failed: true,
        });
    }
}

/// The file that makes a folder a store.
pub(crate) const STORE_MARK: &str = "memwatch.json";

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn is_prometheus_block(entries: &[PathBuf]) -> bool {
    let has = |name: &str| {
        entries
            .iter()
            .any(|p| p.file_name().is_some_and(|n| n == name))
    };
    has("meta.json") && has("index") && has("chunks")
}

/// What the system says, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "not permitted to read it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &Inputs, root: &Path) -> Vec<String> {
        inputs
            .folders
            .values()
            .flatten()
            .map(|c| {
                let path = c.path.as_ref().unwrap();
                path.strip_prefix(root).unwrap().display().to_string()
            })
            .collect()
    }

    #[test]
    fn folders_are_spelled_out_in_order() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for file in [
            "b/x.log",
            "a/samples.ndjson",
            "a/artifacts/h.pb.gz",
            "a/.hidden",
            "top.log",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "x").unwrap();
        }
        for file in ["meta.json", "index", "chunks"] {
            fs::create_dir_all(root.join("block")).unwrap();
            fs::write(root.join("block").join(file), "x").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("top.log"), root.join("link.log")).unwrap();
        let all = root.display().to_string();
        let inputs = Inputs::expand(&[all.clone(), format!("{all}/a/samples.ndjson")]).unwrap();
        assert_eq!(
            names(&inputs, root),
            [
                "top.log",
                "a/samples.ndjson",
                "a/artifacts/h.pb.gz",
                "b/x.log"
            ]
        );
        assert_eq!(inputs.size_bytes(), Some(4));
        assert!(
            inputs
                .passed
                .iter()
                .any(|p| p.why.contains("promtool tsdb dump"))
        );
        let matched = Inputs::expand(&[format!("{all}/*/*.log")]).unwrap();
        assert_eq!(names(&matched, root), ["b/x.log"]);
    }

    #[test]
    fn what_cannot_be_found_is_named() {
        let root = tempfile::tempdir().unwrap();
        let inside = |name: &str| root.path().join(name).display().to_string();
        for (name, why) in [
            (inside("missing"), "no such file or folder"),
            (inside("*.gz"), "no file matches this pattern"),
            (root.path().display().to_string(), "no files in this folder"),
        ] {
            let error = Inputs::expand(std::slice::from_ref(&name)).unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: {why}"));
        }
        fs::write(root.path().join(STORE_MARK), "{}").unwrap();
        let error = Inputs::expand(&[root.path().display().to_string()]).unwrap_err();
        assert!(error.why.contains("is a store"), "{error}");
    }
}
