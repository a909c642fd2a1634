//! What DataFusion says, in the user's words.

use datafusion::common::{DataFusionError, SchemaError};

use super::sql_error;
use super::views::VIEWS;
use crate::Error;
use crate::schema::Table;

/// The error of this crate for one of DataFusion. Errors that came from here pass through as they are.
pub(crate) fn translate(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => sql_error(other.to_string()),
        },
        DataFusionError::Context(_, inner) => translate(*inner),
        DataFusionError::Diagnostic(_, inner) => translate(*inner),
        DataFusionError::Shared(inner) => match inner.as_ref() {
            DataFusionError::External(ours) if ours.is::<Error>() => sql_error(ours.to_string()),
            other => sql_error(words(other)),
        },
        DataFusionError::Collection(mut all) if !all.is_empty() => translate(all.swap_remove(0)),
        other => sql_error(words(&other)),
    }
}

fn words(error: &DataFusionError) -> String {
    match error {
        DataFusionError::SQL(parse, _) => {
            let text = parse.to_string();
            strip(&text, &["sql parser error: "]).to_owned()
        }
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound {
                field,
                valid_fields,
            } => unknown_column(&field.name, valid_fields.iter().map(|c| c.name.as_str())),
            other => unqualified(&other.to_string()),
        },
        DataFusionError::ResourcesExhausted(text) => format!(
            "expected to need less memory than the limit, found more: raise it, or ask for less ({})",
            first_line(text)
        ),
        other => {
            let text = other.strip_backtrace();
            let text = strip(
                &text,
                &[
                    "Error during planning: ",
                    "Execution error: ",
                    "This feature is not implemented: ",
                    "Optimizer rule ",
                    "Arrow error: ",
                    "External error: ",
                    "Schema error: ",
                ],
            );
            unknown_table(text).unwrap_or_else(|| unqualified(text))
        }
    }
}

fn strip<'a>(text: &'a str, prefixes: &[&str]) -> &'a str {
    let mut text = text.trim();
    while let Some(rest) = prefixes.iter().find_map(|p| text.strip_prefix(p)) {
        text = rest.trim_start();
    }
    text
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Names as users write them: without our catalog and schema.
fn unqualified(text: &str) -> String {
    text.replace("memwatch.main.", "")
        .replace("memwatch.stored.", "stored.")
}

/// `table 'memwatch.main.sample' not found` names what there is instead.
fn unknown_table(text: &str) -> Option<String> {
    let name = text
        .strip_prefix("table '")?
        .split_once("' not found")?
        .0
        .rsplit('.')
        .next()?;
    let names = || {
        VIEWS
            .iter()
            .map(|v| v.name)
            .chain(Table::all().map(Table::name))
    };
    let mut known: Vec<&str> = names().collect();
    known.sort_unstable();
    known.dedup();
    let nearest = known
        .iter()
        .map(|k| (distance(k, &name.to_lowercase()), *k))
        .min();
    let hint = match nearest {
        Some((edits, near)) if edits <= 1 + name.len() / 4 => format!(": did you mean `{near}`?"),
        _ => String::new(),
    };
    Some(format!(
        "expected one of the tables {}, found `{name}`{hint}",
        known.join(", ")
    ))
}

/// Columns that are named instead of an unknown one.
const SUGGESTIONS: usize = 5;

/// Names the columns nearest to the one that does not exist: those that hold its words first, then by edits.
fn unknown_column<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let wanted = name.to_lowercase();
    let words: Vec<&str> = wanted.split('_').filter(|w| !w.is_empty()).collect();
    let mut known: Vec<(usize, usize, &str)> = known
        .map(|column| {
            let missing = words.iter().filter(|w| !column.contains(*w)).count();
            (missing, distance(column, &wanted), column)
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    let near: Vec<&str> = known
        .iter()
        .filter(|(missing, edits, _)| *missing < words.len() || *edits <= 1 + name.len() / 3)
        .take(SUGGESTIONS)
        .map(|(_, _, column)| *column)
        .collect();
    match (&near[..], known.is_empty()) {
        ([], true) => format!("expected no column here, found `{name}`"),
        ([], false) => {
            format!("expected a column, found `{name}`: DESCRIBE lists a table's columns")
        }
        (near, _) => format!(
            "expected a column, found `{name}`: did you mean `{}`?",
            near.join("`, `")
        ),
    }
}

/// Edits from one word to another.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_tables_are_answered_with_known_ones() {
        let text = unknown_table("table 'memwatch.main.sample' not found").unwrap();
        assert!(
            text.contains("found `sample`: did you mean `samples`?"),
            "{text}"
        );
        assert!(
            text.contains("gc_pauses, gc_pauses_best, goroutines"),
            "{text}"
        );
        let text = unknown_table("table 'memwatch.main.orders' not found").unwrap();
        assert!(text.ends_with("found `orders`"), "{text}");
    }

    #[test]
    fn unknown_columns_are_answered_with_the_nearest() {
        let columns = ["ts", "heap_inuse_bytes", "heap_idle_bytes", "read_ns"];
        for (name, answer) in [
            (
                "heap_inuse",
                "did you mean `heap_inuse_bytes`, `heap_idle_bytes`?",
            ),
            ("HeapInuse", "DESCRIBE"),
            ("t", "did you mean `ts`"),
            ("xyz", "DESCRIBE"),
        ] {
            let text = unknown_column(name, columns.into_iter());
            assert!(text.contains(answer), "{text}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, edits) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), edits);
        }
    }
}
