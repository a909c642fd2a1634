//! Reading a TOML table key by key, so that every complaint has its place and no key goes unread.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Nanos;
use crate::rule::error::{Fault, Problem, shorten};
use crate::suggest::closest;

/// The file that is read, and what is wrong with it so far.
pub(super) struct Source<'t> {
    pub(super) file: Arc<str>,
    pub(super) text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// A value and the bytes of the file where it stands.
pub(super) type Located<T> = (T, Range<usize>);

impl<'t> Source<'t> {
    pub(super) fn new(file: &str, text: &'t str) -> Self {
        Source {
            file: file.into(),
            text,
            problems: RefCell::default(),
        }
    }

    pub(super) fn report(
        &self,
        span: Range<usize>,
        key: impl Into<String>,
        fault: Fault,
        help: Option<String>,
    ) {
        let key = key.into();
        let may_hold_secrets = key.starts_with("receiver");
        let mut problem = Problem::at(&self.file, self.text, span, key, fault);
        problem.help = help;
        if may_hold_secrets {
            // Somebody may have written a key where the name of a variable belongs.
            problem.excerpt = None;
        }
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.line, p.column));
        problems
    }

    /// Where the content of a string value begins, when the file holds it as it is (without escapes).
    pub(super) fn content_start(&self, span: &Range<usize>, content: &str) -> Option<usize> {
        let raw = self.text.get(span.clone())?;
        raw.find(content).map(|i| span.start + i)
    }
}

/// One table of the file.
pub(super) struct Fields<'s, 't> {
    source: &'s Source<'t>,
    table: &'s DeTable<'t>,
    /// For messages: ``alert `X` ``.
    pub(super) of: String,
    pub(super) span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'s, 't> Fields<'s, 't> {
    pub(super) fn new(
        source: &'s Source<'t>,
        table: &'s DeTable<'t>,
        of: impl Into<String>,
        span: Range<usize>,
    ) -> Self {
        Fields {
            source,
            table,
            of: of.into(),
            span,
            known: Vec::new(),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.of.is_empty() {
            format!("`{key}`")
        } else {
            format!("{}: `{key}`", self.of)
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'s Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    pub(super) fn has(&mut self, key: &'static str) -> Option<Range<usize>> {
        self.get(key).map(Spanned::span)
    }

    /// A value of `key` is not what it should be.
    pub(super) fn wrong(&self, key: &str, value: &Spanned<DeValue<'t>>, expected: &str) {
        let raw = self.source.text.get(value.span()).unwrap_or("");
        let found = match value.get_ref() {
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            _ => format!("`{}`", shorten(raw)),
        };
        self.fault(value.span(), key, expected, &found);
    }

    pub(super) fn fault(&self, span: Range<usize>, key: &str, expected: &str, found: &str) {
        let fault = Fault::Value {
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        self.source.report(span, self.key(key), fault, None);
    }

    /// Something is wrong with `key` that is best said in words.
    pub(super) fn other(&self, span: Range<usize>, key: &str, message: impl Into<String>) {
        self.source
            .report(span, self.key(key), Fault::Other(message.into()), None);
    }

    /// A key that must be there is not.
    pub(super) fn missing(&self, key: &str, expected: &str) {
        let name_end = self.span.end.min(self.span.start + 1_000_000);
        self.fault(self.span.start..name_end, key, expected, "nothing");
    }

    pub(super) fn string(&mut self, key: &'static str, expected: &str) -> Option<Located<&'s str>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), value.span())),
            _ => {
                self.wrong(key, value, expected);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(key, value, "true or false");
        }
        found
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Nanos> {
        const EXPECTED: &str = "a duration like \"30s\" or \"200ms\"";
        let value = self.get(key)?;
        let found = match value.get_ref() {
            DeValue::String(text) => Nanos::parse(text),
            DeValue::Integer(_) | DeValue::Float(_) => number(value.get_ref())
                .map(|v| v.to_string())
                .and_then(|v| Nanos::parse(&v)),
            _ => None,
        };
        if found.is_none() {
            self.wrong(key, value, EXPECTED);
        }
        found
    }

    /// As [`Fields::duration`], and more than nothing.
    pub(super) fn interval(&mut self, key: &'static str) -> Option<Nanos> {
        let duration = self.duration(key)?;
        if duration.0 > 0 {
            return Some(duration);
        }
        let value = self.get(key)?;
        self.wrong(key, value, "a duration of more than 0");
        None
    }

    pub(super) fn count(&mut self, key: &'static str) -> Option<usize> {
        let value = self.get(key)?;
        let found = value
            .get_ref()
            .as_integer()
            .and_then(|i| usize::from_str_radix(i.as_str(), i.radix()).ok());
        if found.is_none() {
            self.wrong(key, value, "a whole number from 0 on");
        }
        found
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.get(key)?;
        let found = number(value.get_ref());
        if found.is_none() {
            self.wrong(key, value, "a number");
        }
        found
    }

    pub(super) fn numbers(&mut self, key: &'static str) -> Option<Vec<f64>> {
        let value = self.get(key)?;
        let found = value
            .get_ref()
            .as_array()
            .and_then(|a| a.iter().map(|v| number(v.get_ref())).collect());
        if found.is_none() {
            self.wrong(key, value, "an array of numbers");
        }
        found
    }

    pub(super) fn strings(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Option<Vec<Located<&'s str>>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, expected);
            return None;
        };
        let mut found = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::String(text) => found.push((text.as_ref(), item.span())),
                _ => self.wrong(key, item, "a string"),
            }
        }
        Some(found)
    }

    /// A table of any keys.
    pub(super) fn entries(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Vec<(Located<&'s str>, &'s Spanned<DeValue<'t>>)> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(key, value, expected);
            return Vec::new();
        };
        let mut entries: Vec<_> = table
            .iter()
            .map(|(name, value)| ((name.get_ref().as_ref(), name.span()), value))
            .collect();
        entries.sort_by_key(|(name, _)| name.1.start);
        entries
    }

    pub(super) fn table(
        &mut self,
        key: &'static str,
        of: impl Into<String>,
    ) -> Option<Fields<'s, 't>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(self.source, table, of, value.span())),
            _ => {
                self.wrong(key, value, "a table");
                None
            }
        }
    }

    /// An array of tables, `[[key]]`.
    pub(super) fn tables(
        &mut self,
        key: &'static str,
        of: impl Fn(usize) -> String,
    ) -> Vec<Fields<'s, 't>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, &format!("an array of tables ([[{key}]])"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (i, item) in array.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    tables.push(Fields::new(self.source, table, of(i), item.span()));
                }
                _ => self.wrong(key, item, "a table"),
            }
        }
        tables
    }

    /// Complains of every key that nobody asked for.
    pub(super) fn finish(self) {
        for (name, _) in self.table.iter() {
            if self.known.contains(&name.get_ref().as_ref()) {
                continue;
            }
            let help = match closest(name.get_ref(), self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let of = if self.of.is_empty() {
                "the file".to_owned()
            } else {
                self.of.clone()
            };
            let fault = Fault::Other(format!("unknown key `{}`", name.get_ref()));
            self.source.report(name.span(), of, fault, Some(help));
        }
    }
}

/// An integer or float.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        #[allow(clippy::cast_precision_loss)] // Parameters are floats.
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
            .ok()
            .map(|v| v as f64),
        DeValue::Float(f) => f.as_str().parse().ok(),
        _ => None,
    }
}
