//! What is known to have happened: from label files, or from the store.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use memwatch_core::TimeRange;
use memwatch_core::incident::Incident;
use memwatch_core::source::{Context, read_labels};
use memwatch_store::Snapshot;

use super::say;

/// Incidents, and whose.
pub struct Truth {
    /// What happened.
    pub incidents: Vec<Incident>,
    /// The services whose incidents are all known; `None` for every recorded one.
    pub services: Option<BTreeSet<Arc<str>>>,
}

/// What the store's `incidents` table says; `None` when it is empty.
pub fn of_store(snapshot: &Snapshot) -> anyhow::Result<Option<Truth>> {
    let incidents = snapshot.incidents(TimeRange::ALL)?;
    Ok((!incidents.is_empty()).then_some(Truth {
        incidents,
        services: None,
    }))
}

/// What label files say; `None` without files. A line that cannot be understood is told on standard error.
pub fn read_label_files(paths: &[PathBuf]) -> anyhow::Result<Option<Truth>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let mut incidents = Vec::new();
    let mut services = BTreeSet::new();
    for path in paths {
        let text =
            std::fs::read(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let context = {
            let mut context = Context::default();
            context.input = path.to_string_lossy().into();
            context
        };
        let labels = read_labels(&text, &context)?;
        for rejected in &labels.rejected {
            say(&format!(
                "warning: {}: {}: expected {}, found `{}`",
                rejected.place, rejected.field, rejected.expected, rejected.found
            ));
        }
        services.extend(labels.identity.iter().map(|i| i.service.clone()));
        services.extend(labels.incidents.iter().map(|i| i.service.clone()));
        incidents.extend(labels.incidents);
    }
    Ok(Some(Truth {
        incidents,
        services: Some(services),
    }))
}
