//! Reading YAML so that every complaint has its place.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use crate::Nanos;

use super::error::{Fault, Problem, RuleError, shorten};
use super::source_map::SourceMap;

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// Whether a file may hold passwords and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// It holds none: complaints show the line.
    None,
    /// Complaints show no line, and no value of which it is not known what it is.
    Possible,
}

/// The file that is read, and what is wrong with it so far.
pub(super) struct Reader<'t> {
    file: Arc<str>,
    text: &'t str,
    secrets: Secrets,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: &str, text: &'t str) -> Self {
        Reader {
            file: file.into(),
            text,
            secrets: Secrets::None,
            problems: Vec::new(),
        }
    }

    /// A file of which no line and no unknown value is shown.
    pub(super) fn with_secrets(file: &str, text: &'t str) -> Self {
        Reader {
            secrets: Secrets::Possible,
            ..Reader::new(file, text)
        }
    }

    /// The file as a value; `None` when it is none, which is reported.
    pub(super) fn parse<T: DeserializeOwned>(&mut self) -> Option<T> {
        // The default budget of the parser bounds depth (64), size and the blow-up by aliases.
        let options = serde_saphyr::options! { with_snippet: false };
        match serde_saphyr::from_str_with_options::<T>(self.text, options) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let span = error.location().map_or(0..0, |at| self.span_at(&at));
                let message = error.to_string();
                // The parser repeats the place in front of or behind its message; ours stands in front already.
                let first = message.lines().next().unwrap_or("not YAML");
                let said = first.split(" at line ").next().unwrap_or(first);
                let said = said.strip_prefix("error: ").unwrap_or(said);
                let said = match self.secrets {
                    Secrets::None => said.to_owned(),
                    Secrets::Possible => without_values(said),
                };
                self.report_at(span, String::new(), Fault::Other(said), None);
                None
            }
        }
    }

    /// What is wrong, if anything is.
    pub(super) fn finish(mut self) -> Result<(), RuleError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|p| (p.line, p.column));
        Err(RuleError {
            problems: self.problems,
        })
    }

    /// The bytes at which a location begins, up to the end of its line.
    pub(super) fn span_at(&self, at: &serde_saphyr::Location) -> Range<usize> {
        let line = usize::try_from(at.line().max(1) - 1).unwrap_or(0);
        let column = usize::try_from(at.column().max(1) - 1).unwrap_or(0);
        let line_start: usize = self
            .text
            .split_inclusive('\n')
            .take(line)
            .map(str::len)
            .sum();
        let rest = &self.text[line_start..];
        let start = line_start + rest.chars().take(column).map(char::len_utf8).sum::<usize>();
        let end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |i| start + i);
        start..end
    }

    /// What of the file a text was read from; `None` for an alias.
    pub(super) fn source(&self, value: &Text) -> Option<SourceMap> {
        let start = self.span_at(&value.referenced).start;
        SourceMap::yaml(self.text, start, &value.value)
    }

    /// Where a text stands: its content, of an alias its name.
    pub(super) fn span(&self, value: &Text) -> Range<usize> {
        match self.source(value) {
            Some(source) => source.whole(),
            None => self.span_at(&value.referenced),
        }
    }

    pub(super) fn report(&mut self, at: &Text, key: String, fault: Fault) {
        let span = self.span(at);
        self.report_at(span, key, fault, None);
    }

    pub(super) fn report_at(
        &mut self,
        span: Range<usize>,
        key: String,
        fault: Fault,
        help: Option<String>,
    ) {
        let mut problem = Problem::at(&self.file, self.text, span, key, fault);
        problem.help = help;
        if self.secrets == Secrets::Possible {
            problem.excerpt = None;
        }
        self.problems.push(problem);
    }

    pub(super) fn wrong(&mut self, at: &Text, key: String, expected: &str) {
        let fault = Fault::Value {
            expected: expected.to_owned(),
            found: format!("`{}`", shorten(&at.value)),
        };
        self.report(at, key, fault);
    }

    pub(super) fn duration(
        &mut self,
        value: Option<&Text>,
        key: impl Fn() -> String,
    ) -> Option<Nanos> {
        let value = value?;
        let found = Nanos::parse(&value.value);
        if found.is_none() {
            self.wrong(value, key(), "a duration like 30s or 5m");
        }
        found
    }
}

/// A message of the parser without the texts of the file that it quotes.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}…{}", &message[..=open], &message[close..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_are_left_out() {
        let said = "invalid type: string \"https://x/\"y\", expected a sequence";
        assert_eq!(
            without_values(said),
            "invalid type: string \"…\", expected a sequence"
        );
        assert_eq!(
            without_values("missing field `name`"),
            "missing field `name`"
        );
    }
}
