//! Whom alerts are told: the rule file's routes or those of another file, and silences.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use memwatch_core::alert::Notifications;
use memwatch_core::rule::{RuleFile, read_notifications, read_silences};

use super::say;
use crate::args::NotifyArgs;

/// What the alerts of a rule file go through.
pub fn notifications(args: &NotifyArgs, file: &RuleFile) -> anyhow::Result<Arc<Notifications>> {
    let own = &file.notifications;
    let mut found = match &args.alertmanager {
        None => own.clone(),
        Some(path) => {
            if own.route.is_some() || !own.receivers.is_empty() || !own.inhibits.is_empty() {
                bail!(
                    "{} has routes, receivers or inhibitions of its own: expected these in one file, found them also in \
                     --alertmanager {}",
                    file.name,
                    path.display()
                );
            }
            let mut other = read_notifications(&path.to_string_lossy(), &text(path)?)?;
            other.silences.extend(own.silences.iter().cloned());
            other
        }
    };
    for path in &args.silences {
        found
            .silences
            .extend(read_silences(&path.to_string_lossy(), &text(path)?)?);
    }
    Ok(Arc::new(found))
}

/// Says what is doubtful in what alerts go through, once when several have it.
pub fn say_doubts(args: &NotifyArgs, told: &[&Notifications]) {
    let mut said: Vec<String> = Vec::new();
    for one in told {
        let mut doubts = one.doubts();
        if one.route.is_none() && !(args.silences.is_empty() && one.silences.is_empty()) {
            let doubt = "there is no route, so nobody is told and silences keep nothing back";
            doubts.push(doubt.to_owned());
        }
        for doubt in doubts {
            if !said.contains(&doubt) {
                say(&format!("warning: {doubt}"));
                said.push(doubt);
            }
        }
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))
}
