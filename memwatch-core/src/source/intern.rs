//! Strings that repeat from line to line, allocated once.

use std::sync::Arc;

use hashbrown::{Equivalent, HashSet};

use crate::record::Identity;

/// Above this many different strings they do not repeat enough to be worth keeping: all are forgotten.
const MAX_KEPT: usize = 1 << 16;

/// Strings seen before.
#[derive(Default)]
pub(crate) struct Strings {
    last: Option<Arc<str>>,
    all: HashSet<Arc<str>>,
}

impl Strings {
    pub(crate) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(last) = self.last.as_ref().filter(|last| &***last == text) {
            return last.clone();
        }
        if self.all.len() >= MAX_KEPT {
            self.all.clear();
        }
        let found = match self.all.get(text) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = text.into();
                self.all.insert(new.clone());
                new
            }
        };
        self.last = Some(found.clone());
        found
    }
}

/// Identities seen before.
#[derive(Default)]
pub(crate) struct Identities {
    last: Option<Identity>,
    all: HashSet<Identity>,
}

#[derive(Hash)]
struct Names<'a> {
    service: &'a str,
    instance: &'a str,
}

impl Equivalent<Identity> for Names<'_> {
    fn equivalent(&self, key: &Identity) -> bool {
        *key.service == *self.service && *key.instance == *self.instance
    }
}

impl Identities {
    /// The identity of these names; `fallback` stands for each that is missing or empty. `None` when one is missing in both.
    pub(crate) fn get(
        &mut self,
        service: Option<&str>,
        instance: Option<&str>,
        fallback: Option<&Identity>,
    ) -> Option<Identity> {
        let names = Names {
            service: own(service).or(fallback.map(|f| &*f.service))?,
            instance: own(instance).or(fallback.map(|f| &*f.instance))?,
        };
        if let Some(last) = self.last.as_ref().filter(|last| names.equivalent(last)) {
            return Some(last.clone());
        }
        if self.all.len() >= MAX_KEPT {
            self.all.clear();
        }
        let found = match self.all.get(&names) {
            Some(known) => known.clone(),
            None => {
                let new = Identity {
                    service: names.service.into(),
                    instance: names.instance.into(),
                };
                self.all.insert(new.clone());
                new
            }
        };
        self.last = Some(found.clone());
        Some(found)
    }
}

fn own(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}
