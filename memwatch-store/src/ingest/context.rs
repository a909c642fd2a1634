//! What a folder says of the recordings in it: whose they are, when its processes began, when a dump was taken.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use memwatch_core::record::{ArtifactKind, Identity};
use memwatch_core::source::{self, Context, Recognized};
use memwatch_core::{Nanos, Timestamp};

use super::content::Content;

/// The file that labels a recording.
const LABELS: &str = "labels.json";
/// Folder of what was taken beside a recording: it belongs to the recording above it.
const ARTIFACTS: &str = "artifacts";
/// Largest labels file. Real ones have 1 to 4 kB.
const LABELS_BYTES_MAX: u64 = 16 << 20;
/// Largest profile that is asked for its moment. Real ones have 2 to 500 kB.
const PROFILE_BYTES_MAX: u64 = 64 << 20;
/// Two readings of one process' start differ by how the clock was adjusted in between.
const SAME_START: Nanos = Nanos::SECOND;

/// Where an identity comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The user.
    Given,
    /// A labels file, or a recording that says it of itself.
    Recorded,
    /// Nothing but the folder's name.
    FolderName,
}

/// What a folder says.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    identity: Option<(Identity, Basis)>,
    label_starts: Vec<Timestamp>,
    /// Samples recordings in it, with whose they are.
    samples: Vec<(PathBuf, Option<Identity>)>,
    starts: OnceCell<Vec<Timestamp>>,
    parent: Option<Rc<Folder>>,
}

/// The folders looked at so far.
#[derive(Debug, Default)]
pub(crate) struct Folders(HashMap<PathBuf, Rc<Folder>>);

impl Folders {
    /// What a folder says. `below` is the folder that the user named: what lies above it is not asked.
    pub(crate) fn get(&mut self, path: &Path, below: Option<&Path>) -> Rc<Folder> {
        if let Some(known) = self.0.get(path) {
            return Rc::clone(known);
        }
        let own = Folder::look(path);
        let inside = below.is_some_and(|below| path != below && path.starts_with(below));
        let parent = path
            .parent()
            .filter(|_| own.says_nothing() && (inside || named(path, ARTIFACTS)))
            .map(|parent| self.get(parent, below))
            .filter(|parent| !parent.says_nothing() || named(path, ARTIFACTS));
        let folder = Rc::new(Folder { parent, ..own });
        self.0.insert(path.to_owned(), Rc::clone(&folder));
        folder
    }
}

fn named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|n| n == name)
}

impl Folder {
    fn look(path: &Path) -> Folder {
        let listed = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let mut files: Vec<PathBuf> = fs::read_dir(listed)
            .map(|entries| entries.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        files.retain(|p| p.is_file());
        files.sort();
        let mut folder = Folder {
            path: path.to_owned(),
            identity: None,
            label_starts: Vec::new(),
            samples: Vec::new(),
            starts: OnceCell::new(),
            parent: None,
        };
        if let Some(labels) = files.iter().find(|p| named(p, LABELS)) {
            folder.read_labels(labels);
        }
        for file in files.iter().filter(|p| may_be_samples(p)) {
            folder.look_for_samples(file);
        }
        if folder.identity.is_none() {
            folder.identity = folder
                .samples
                .iter()
                .find_map(|(_, identity)| identity.clone())
                .map(|identity| (identity, Basis::Recorded));
        }
        folder
    }

    /// A labels file that cannot be read says nothing here; it is reported when it is itself read.
    fn read_labels(&mut self, path: &Path) {
        let Some(bytes) = read_limited(path, LABELS_BYTES_MAX) else {
            return;
        };
        let mut context = Context::default();
        context.input = path.display().to_string().into();
        if let Ok(labels) = source::read_labels(&bytes, &context) {
            self.identity = labels.identity.map(|i| (i, Basis::Recorded));
            self.label_starts = labels.process_starts;
        }
    }

    fn look_for_samples(&mut self, path: &Path) {
        let Some(content) = open(path) else { return };
        if let Recognized::Records(source) = source::recognize(content.head())
            && source.name() == SAMPLES
            && let Ok(said) = source::read_processes(&mut Cursor::new(content.head()))
        {
            self.samples.push((path.to_owned(), said.identity));
        }
    }

    /// Neither labels nor a recording that says whose it is.
    fn says_nothing(&self) -> bool {
        self.identity.is_none() && self.samples.is_empty()
    }

    /// Whose recordings lie in it.
    pub(crate) fn identity(&self) -> Option<(Identity, Basis)> {
        if let Some(known) = &self.identity {
            return Some(known.clone());
        }
        if let Some(parent) = &self.parent {
            return parent.identity();
        }
        let real = fs::canonicalize(if self.path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &self.path
        })
        .ok()?;
        let name: Arc<str> = real.file_name()?.to_string_lossy().into();
        Some((
            Identity {
                service: Arc::clone(&name),
                instance: name,
            },
            Basis::FolderName,
        ))
    }

    /// When its processes began, in order: as a samples recording of `identity` in it says, else as its labels say.
    pub(crate) fn process_starts(&self, identity: Option<&Identity>) -> Vec<Timestamp> {
        let recorded = self.starts.get_or_init(|| {
            let mut starts: Vec<Timestamp> = self
                .samples
                .iter()
                .filter(|(_, of)| of.is_none() || identity.is_none() || of.as_ref() == identity)
                .filter_map(|(path, _)| source::read_processes(&mut open(path)?).ok())
                .flat_map(|said| said.starts)
                .collect();
            starts.sort();
            // Of a recording in several files, each tells the start of the process again.
            starts.dedup_by(|later, earlier| later.since(*earlier).0 < SAME_START.0);
            starts
        });
        match (&recorded[..], &self.label_starts[..], &self.parent) {
            ([], [], Some(parent)) => parent.process_starts(identity),
            ([], labelled, _) => labelled.to_vec(),
            (recorded, ..) => recorded.to_vec(),
        }
    }
}

/// Name of the format that says when processes began.
const SAMPLES: &str = "samples";

fn may_be_samples(path: &Path) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.contains("samples") || name.contains(".ndjson") || name.contains(".jsonl")
    })
}

fn open(path: &Path) -> Option<Content> {
    Content::new(Box::new(File::open(path).ok()?)).ok()
}

/// All of a file, decompressed; `None` when it cannot be read or is larger.
fn read_limited(path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    BufReader::new(open(path)?.take(bytes_max + 1))
        .read_to_end(&mut bytes)
        .ok()?;
    (bytes.len() as u64 <= bytes_max).then_some(bytes)
}

/// The moment of the heap profile that was taken together with a dump or trace: `heap-TAG.pb.gz` beside `goroutine-TAG.txt.gz`.
///
/// Recorders take the profile first and the others within three seconds.
pub(crate) fn moment_of_companion(path: &Path) -> Option<(Timestamp, String)> {
    let tag = |name: &str| {
        let stem = name.split('.').next()?;
        let (what, tag) = stem.split_once('-')?;
        Some((what.to_owned(), tag.to_owned()))
    };
    let (what, wanted) = tag(&path.file_name()?.to_string_lossy())?;
    if what == "heap" {
        return None;
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let mut files: Vec<PathBuf> = fs::read_dir(folder.unwrap_or(Path::new(".")))
        .ok()?
        .flatten()
        .map(|e| e.path())
        .collect();
    files.sort();
    files.iter().find_map(|file| {
        let name = file.file_name()?.to_string_lossy().into_owned();
        let (what, of) = tag(&name)?;
        if what != "heap" || of != wanted {
            return None;
        }
        let content = read_limited(file, PROFILE_BYTES_MAX)?;
        let Recognized::Artifact(format) =
            source::recognize(&content[..content.len().min(source::HEAD_BYTES)])
        else {
            return None;
        };
        let profile = format.describe(&content, &name, &Context::default()).ok()?;
        let at = profile
            .at
            .filter(|_| profile.kind == ArtifactKind::HeapProfile)?;
        Some((at, name))
    })
}
