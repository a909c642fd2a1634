//! Every step that changes a store, one after the other: so that a test can stop a writer at any of them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// One step that changes the place of the files.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Step<'a> {
    /// In a folder `create`, `write`, `sync`, `rename`, `link`, `remove`, `create folder`, `sync folder`; in a bucket `put`, `copy`,
    /// `remove`.
    pub name: &'static str,
    /// The file or folder; of `rename`, `link` and `copy` the new name.
    pub path: &'a Path,
    /// Of `rename`, `link` and `copy` the name before.
    pub from: Option<&'a Path>,
}

/// Asked before each step; an error stops the writer there as a crash would.
pub type StepHook = Arc<dyn Fn(&Step<'_>) -> io::Result<()> + Send + Sync>;

/// The steps of one store.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    hook: Option<StepHook>,
    /// After the first failure of the hook nothing is written any more.
    crashed: Arc<AtomicBool>,
}

impl Steps {
    pub(crate) fn failing(hook: StepHook) -> Steps {
        Steps {
            hook: Some(hook),
            crashed: Arc::default(),
        }
    }

    pub(super) fn step(&self, name: &'static str, path: &Path) -> Result<()> {
        self.step_from(name, path, None)
    }

    pub(super) fn step_from(
        &self,
        name: &'static str,
        path: &Path,
        from: Option<&Path>,
    ) -> Result<()> {
        let Some(hook) = &self.hook else {
            return Ok(());
        };
        let asked = if self.has_crashed() {
            Err(io::Error::other("crashed before"))
        } else {
            hook(&Step { name, path, from })
        };
        asked.map_err(|source| {
            self.crashed.store(true, Ordering::SeqCst);
            Error::io(path, name)(source)
        })
    }

    /// Whether a test stopped this store: then it does nothing any more, not even behind its writer's back.
    pub(super) fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }
}
