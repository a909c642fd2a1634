//! What is wrong with an expression, and where: printed with a caret under the fault.

use std::fmt;
use std::sync::Arc;

/// A stretch of an expression's text, in bytes: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// From the beginning of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        Span {
            start: self.start,
            end: other.end,
        }
    }

    /// Line and column within `text`, both from 1, columns in bytes, as Prometheus counts.
    #[must_use]
    pub fn line_column(self, text: &str) -> (usize, usize) {
        let before = &text.as_bytes()[..self.start.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |i| i + 1);
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (line, before.len() - line_start + 1)
    }
}

/// Why an expression cannot be parsed or evaluated.
///
/// Its `Display` shows the faulty line with a caret under the fault:
///
/// ```
/// # use memwatch_core::expr;
/// let error = expr::parse("rat(allocs_total[1m])").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown function with name \"rat\"\n  rat(allocs_total[1m])\n  ^^^\nhelp: did you mean `rate`?"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// The expression as the user wrote it.
    pub expression: Arc<str>,
    /// Where the fault lies, when that is known.
    pub span: Option<Span>,
    /// What is wrong, in one line, as Prometheus words it where it has words for it.
    pub message: String,
    /// What would help, for example `did you mean ...?`.
    pub help: Option<String>,
}

impl ExprError {
    pub(crate) fn new(expression: &Arc<str>, span: Span, message: impl Into<String>) -> Self {
        ExprError {
            expression: expression.clone(),
            span: Some(span),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(span) = self.span
            && !self.expression.is_empty()
        {
            let text = &*self.expression;
            let start = floor_boundary(text, span.start);
            let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
            let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
            let line = &text[line_start..line_end];
            // A tab stays a tab in the line of carets, so that the columns agree however wide tabs are shown.
            let indent: String = text[line_start..start]
                .chars()
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let end = floor_boundary(text, span.end.clamp(start, line_end));
            let width = text[start..end].chars().count().max(1);
            write!(f, "\n  {line}\n  {indent}{}", "^".repeat(width))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_fault() {
        let check = |text: &str, start, end, expected: &str| {
            let error = ExprError::new(&Arc::from(text), Span { start, end }, "bad");
            assert_eq!(error.to_string(), expected);
        };
        check("a + b", 4, 5, "bad\n  a + b\n      ^");
        check("a +\n\tfoo(b)", 5, 8, "bad\n  \tfoo(b)\n  \t^^^");
        check("é + b", 5, 6, "bad\n  é + b\n      ^");
        check("a", 1, 1, "bad\n  a\n   ^");
        check("a +\nb", 2, 5, "bad\n  a +\n    ^");
    }

    #[test]
    fn lines_and_columns_begin_at_one() {
        let at = |start| Span { start, end: start }.line_column("ab\ncd");
        assert_eq!(
            [at(0), at(2), at(3), at(4)],
            [(1, 1), (1, 3), (2, 1), (2, 2)]
        );
    }
}
