//! One file kept whole.

use std::sync::Arc;

use crate::Timestamp;

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// A pprof heap profile.
    HeapProfile,
    /// A pprof goroutine profile.
    GoroutineProfile,
    /// Any other pprof profile.
    Profile,
    /// A goroutine dump in text.
    GoroutineDump,
    /// An execution trace.
    Trace,
}

/// One file kept whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifact {
    /// The moment it shows; `None` when neither the content nor the user says.
    pub at: Option<Timestamp>,
    /// What it is.
    pub kind: ArtifactKind,
    /// The file's name as it was found.
    pub name: Arc<str>,
}

impl Artifact {
    /// An artifact of that name.
    #[must_use]
    pub fn new(at: Option<Timestamp>, kind: ArtifactKind, name: Arc<str>) -> Self {
        Artifact { at, kind, name }
    }
}
