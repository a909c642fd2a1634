//! Changes single settings in the text of a rule file; comments and formatting stay as they are.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, TableLike, Value};

use crate::{Error, Nanos, Result};

/// One setting that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingChange {
    /// Index of the group in the file.
    pub group: usize,
    /// Index of the rule in its group.
    pub rule: usize,
    /// What changes and to what.
    pub to: NewSetting,
}

/// The new value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum NewSetting {
    /// A parameter, by name.
    Param(String, f64),
    /// `for`
    For(Nanos),
    /// `keep_firing_for`
    KeepFiringFor(Nanos),
}

/// The text of a TOML rule file with these settings.
///
/// ```
/// # use memwatch_core::{Nanos, rule::{NewSetting, SettingChange, with_settings}};
/// let text = "[[group]]\n[[group.rule]]\nalert = \"A\"\nfor = \"5s\"   # short\nexpr = \"a > 1\"\n";
/// let change = SettingChange { group: 0, rule: 0, to: NewSetting::For(Nanos(10_000_000_000)) };
/// assert_eq!(with_settings(text, &[change]).unwrap(), text.replace("5s", "10s"));
/// ```
///
/// # Errors
/// When the text is no TOML, or has no such rule or parameter.
pub fn with_settings(text: &str, changes: &[SettingChange]) -> Result<String> {
    let mut document: DocumentMut =
        text.parse()
            .map_err(|error: toml_edit::TomlError| Error::Value {
                expected: "a rule file in TOML",
                found: error.message().to_owned(),
            })?;
    for change in changes {
        let missing = |what: &'static str| Error::Value {
            expected: what,
            found: format!(
                "none at group {}, rule {}",
                change.group + 1,
                change.rule + 1
            ),
        };
        let groups = document
            .get_mut("group")
            .ok_or_else(|| missing("a group"))?;
        let group = nth(groups, change.group).ok_or_else(|| missing("a group"))?;
        let rules = group.get_mut("rule").ok_or_else(|| missing("a rule"))?;
        let rule = nth(rules, change.rule).ok_or_else(|| missing("a rule"))?;
        match &change.to {
            NewSetting::Param(name, value) => {
                let params = rule
                    .get_mut("params")
                    .and_then(Item::as_table_like_mut)
                    .ok_or_else(|| missing("a rule with params"))?;
                let old = params.get(name).ok_or_else(|| missing("the parameter"))?;
                let new = number(*value, old);
                replace(params, name, new);
            }
            NewSetting::For(duration) => replace(rule, "for", duration.to_string().into()),
            NewSetting::KeepFiringFor(duration) => {
                replace(rule, "keep_firing_for", duration.to_string().into());
            }
        }
    }
    Ok(document.to_string())
}

/// A table by its place, in whichever way TOML writes lists of tables.
fn nth(list: &mut Item, index: usize) -> Option<&mut dyn TableLike> {
    match list {
        Item::ArrayOfTables(tables) => {
            let tables: &mut ArrayOfTables = tables;
            tables.get_mut(index).map(|t| t as &mut dyn TableLike)
        }
        Item::Value(Value::Array(values)) => {
            let values: &mut Array = values;
            let table = values.get_mut(index)?.as_inline_table_mut()?;
            Some(table as &mut dyn TableLike)
        }
        _ => None,
    }
}

/// As whole as it was where the new value is whole too.
fn number(value: f64, old: &Item) -> Value {
    #[allow(clippy::cast_possible_truncation)] // Compared with what it came from.
    let whole = value as i64;
    if old.is_integer() && whole as f64 == value {
        whole.into()
    } else {
        value.into()
    }
}

/// Sets a value and keeps the space and the comments around it.
fn replace(table: &mut dyn TableLike, key: &str, mut new: Value) {
    match table.get_mut(key) {
        Some(item) => {
            if let Some(old) = item.as_value() {
                *new.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(new);
        }
        None => {
            table.insert(key, Item::Value(new));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::RuleFile;

    const TEXT: &str = r#"# Head.
[[group]]
name = "g"

[[group.rule]]
record = "a:rate"
expr = "rate(a[1m])"

  [[group.rule]]   # indented
  alert = "High"
  expr = "a > $limit and b < $low"
  for =    "5s"      # why five
  params = { limit = 4, low = 0.5 }   # sizes
  tune = { limit = [1, 2] }

[[group]]
name = "h"
rule = [{ alert = "Low", expr = "c < $x", params = { x = 1.5 } }]
"#;

    #[test]
    fn nothing_else_changes() {
        let change = |group, rule, to| SettingChange { group, rule, to };
        let changes = [
            change(0, 1, NewSetting::Param("limit".to_owned(), 6.0)),
            change(0, 1, NewSetting::Param("low".to_owned(), 0.25)),
            change(0, 1, NewSetting::For(Nanos(90 * Nanos::SECOND.0))),
            change(1, 0, NewSetting::Param("x".to_owned(), 2.0)),
        ];
        let expected = TEXT
            .replace("limit = 4,", "limit = 6,")
            .replace("low = 0.5 ", "low = 0.25 ")
            .replace("\"5s\" ", "\"1m30s\" ")
            .replace("x = 1.5", "x = 2.0");
        let found = with_settings(TEXT, &changes).unwrap();
        assert_eq!(found, expected);
        assert!(RuleFile::from_toml("r.toml", &found).is_ok());
        assert_eq!(with_settings(TEXT, &[]).unwrap(), TEXT);
    }

    #[test]
    fn a_setting_that_was_not_there_is_added() {
        let change = SettingChange {
            group: 0,
            rule: 1,
            to: NewSetting::KeepFiringFor(Nanos(Nanos::MINUTE.0)),
        };
        let found = with_settings(TEXT, &[change]).unwrap();
        let file = RuleFile::from_toml("r.toml", &found).unwrap();
        let rule = file.groups[0].rules[1].alerting().unwrap();
        assert_eq!(rule.hold.keep_firing, Nanos::MINUTE);
        assert!(found.contains("# why five") && found.lines().count() == TEXT.lines().count() + 1);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for (group, rule) in [(2, 0), (0, 2), (0, 0)] {
            let to = NewSetting::Param("limit".to_owned(), 1.0);
            assert!(with_settings(TEXT, &[SettingChange { group, rule, to }]).is_err());
        }
        assert!(with_settings("group = ", &[]).is_err());
    }
}
