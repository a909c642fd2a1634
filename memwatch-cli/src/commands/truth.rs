//! What is known to have happened: from label files, from the store, or marked on the command line.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use memwatch_core::TimeRange;
use memwatch_core::incident::{Incident, Marked, Verdict};
use memwatch_core::source::{Context, read_labels};
use memwatch_store::Snapshot;

use super::{now, say};

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

/// Adds incidents that were marked on the command line. Where nothing else is known, the services that they name are scored.
pub fn with_marked(
    truth: Option<Truth>,
    marked: &[String],
    snapshot: &Snapshot,
) -> anyhow::Result<Option<Truth>> {
    if marked.is_empty() {
        return Ok(truth);
    }
    let recorded: BTreeSet<Arc<str>> = snapshot
        .info()
        .processes()
        .into_keys()
        .map(|who| who.service)
        .collect();
    let mut truth = truth.unwrap_or(Truth {
        incidents: Vec::new(),
        services: Some(BTreeSet::new()),
    });
    for text in marked {
        let marked = Marked::parse(text, now()).context("--incident")?;
        let service = match marked.service {
            Some(service) => service,
            None => match (recorded.len(), recorded.first()) {
                (1, Some(only)) => only.clone(),
                (n, _) => bail!(
                    "--incident {text}: expected @service at its end, because {n} services are recorded"
                ),
            },
        };
        if !recorded.contains(&service) {
            bail!(
                "--incident {text}: expected a recorded service, found `{service}`{}",
                memwatch_core::suggest::closest(&service, recorded.iter().map(AsRef::as_ref))
                    .map_or_else(String::new, |like| format!("; did you mean `{like}`?"))
            );
        }
        if let Some(services) = &mut truth.services {
            services.insert(service.clone());
        }
        truth.incidents.push(Incident {
            service,
            instance: marked.instance.unwrap_or_default(),
            kind: marked.kind,
            range: marked.range,
            impact: None,
            detail: "marked on the command line".into(),
            verdict: Verdict::Wrong,
        });
    }
    Ok(Some(truth))
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
