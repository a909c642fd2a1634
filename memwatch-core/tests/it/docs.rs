//! Documents that repeat what the code declares are compared with it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use memwatch_core::expr::{Function, RULE_FUNCTIONS, all_functions};
use memwatch_core::source::{ARTIFACT_SOURCES, SOURCES};

/// Compares what stands in `docs/FILE` between the mark `NAME` and the next `<!-- end -->`, or writes it when UPDATE_DOCS is set.
fn check(file: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file);
    let text = fs::read_to_string(&path).unwrap();
    let start = text
        .find(&format!("<!-- {name}: "))
        .expect("the mark before it");
    let start = start + text[start..].find('\n').unwrap() + 1;
    let end = start
        + text[start..]
            .find("<!-- end -->")
            .expect("the mark after it");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            &path,
            format!("{}{expected}{}", &text[..start], &text[end..]),
        )
        .unwrap();
    } else {
        assert_eq!(
            &text[start..end],
            expected,
            "run `UPDATE_DOCS=1 cargo test -p memwatch-core docs`"
        );
    }
}

#[test]
fn docs_sources_lists_the_formats() {
    let mut text = "| `--format` | what it is | becomes |\n|---|---|---|\n".to_owned();
    for source in SOURCES {
        let _ = writeln!(text, "| `{}` | {} | rows |", source.name(), source.about());
    }
    for source in ARTIFACT_SOURCES {
        let _ = writeln!(
            text,
            "| `{}` | {} | kept whole |",
            source.name(),
            source.about()
        );
    }
    check("sources.md", "formats", &text);
}

#[test]
fn docs_functions_lists_the_functions() {
    let mut text = "## Added by memwatch\n\n".to_owned();
    let mut told: Vec<([&str; 3], &str)> = Vec::new();
    let mut list = |text: &mut String, function: &Function| {
        let _ = writeln!(
            text,
            "- `{}` → {}: {}",
            function.usage(),
            function.returns,
            function.about
        );
        let mut elsewhere: Vec<&str> = Vec::new();
        for option in function.options.iter().flat_map(|o| o.describe()) {
            match told.iter().find(|(known, _)| *known == option) {
                Some((_, of)) if elsewhere.contains(of) => {}
                Some((_, of)) => elsewhere.push(of),
                None => {
                    let [name, expects, about] = option;
                    let _ = writeln!(text, "  - `\"{name} = …\"` ({expects}): {about}");
                    told.push((option, function.name));
                }
            }
        }
        for of in elsewhere {
            let _ = writeln!(text, "  - the settings of `{of}`");
        }
    };
    RULE_FUNCTIONS.iter().for_each(|f| list(&mut text, f));
    text.push_str("\n## PromQL\n\n");
    let mut others: Vec<&Function> = all_functions()
        .filter(|f| !RULE_FUNCTIONS.iter().any(|r| r.name == f.name))
        .collect();
    others.sort_by_key(|f| f.name);
    others.iter().for_each(|f| list(&mut text, f));
    check("functions.md", "functions", &text);
}
