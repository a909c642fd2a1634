//! The shipped rule files parse, and lint finds nothing to say about them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use memwatch_core::incident::INCIDENT_KINDS;
use memwatch_core::rule::{RuleFile, lint};

fn shipped(name: &str) -> RuleFile {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/rules");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    RuleFile::from_toml(name, &text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn shipped_rules_have_no_findings() {
    for name in ["go-memory.toml", "articles.toml"] {
        let findings = lint(&shipped(name), None).unwrap();
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}

#[test]
fn go_memory_covers_each_incident_kind() {
    let pack = shipped("go-memory.toml");
    let rules: Vec<_> = pack.groups.iter().flat_map(|group| &group.rules).collect();
    let rules: Vec<_> = rules.iter().filter_map(|rule| rule.alerting()).collect();
    let covered: BTreeSet<_> = rules.iter().flat_map(|rule| &rule.detects).collect();
    for (kind, _) in INCIDENT_KINDS {
        assert!(
            covered.iter().any(|k| k.as_ref() == *kind),
            "no rule detects {kind}"
        );
    }
    for rule in rules {
        assert!(!rule.params.is_empty(), "{} has nothing to tune", rule.name);
        assert!(!rule.annotations.is_empty(), "{} says nothing", rule.name);
    }
}
