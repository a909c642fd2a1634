//! What is wrong in a rule file, with the place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What is wrong with a rule file: all of it at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// One thing that is wrong or doubtful in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Which key, with what it belongs to: ``alert `X`: `for` ``. Empty when it is the file as a whole.
    pub key: String,
    /// What is wrong.
    pub fault: Fault,
    /// What would help.
    pub help: Option<String>,
    /// The line, and how many characters of it from `column` on are meant.
    pub excerpt: Option<(String, usize)>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A value is not what its key takes.
    Value {
        /// What would be right.
        expected: String,
        /// What stands there, shortened.
        found: String,
    },
    /// Anything else, in words.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        match &self.fault {
            Fault::Value { expected, found } => write!(f, "expected {expected}, found {found}")?,
            Fault::Other(message) => f.write_str(message)?,
        }
        if let Some((line, width)) = &self.excerpt {
            let number = self.line.to_string();
            let margin = " ".repeat(number.len());
            // A tab stays a tab in the line of carets, so that the columns agree however wide tabs are shown.
            let indent: String = line
                .chars()
                .take(self.column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let carets = "^".repeat((*width).max(1));
            write!(
                f,
                "\n{margin} |\n{number} | {line}\n{margin} | {indent}{carets}"
            )?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl Problem {
    /// A problem at the bytes `span` of `text`.
    pub(crate) fn at(
        file: &Arc<str>,
        text: &str,
        span: Range<usize>,
        key: String,
        fault: Fault,
    ) -> Problem {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[line_start..].lines().next().unwrap_or("");
        let mut end = span.end.clamp(start, (line_start + line.len()).max(start));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Problem {
            file: file.clone(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            key,
            fault,
            help: None,
            excerpt: Some((line.to_owned(), text[start..end].chars().count())),
        }
    }
}

/// Text of a file, shortened for a message.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let mut short: String = line.chars().take(60).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_show_the_line_with_carets() {
        let text = "a = 1\n\té = \"x y\"\nlast";
        let value = text.find('"').unwrap();
        let mut problem = Problem::at(
            &"r.toml".into(),
            text,
            value..value + 5,
            "`é`".to_owned(),
            Fault::Value {
                expected: "a number".to_owned(),
                found: "`x y`".to_owned(),
            },
        );
        problem.help = Some("try 1".to_owned());
        assert_eq!(
            problem.to_string(),
            "r.toml:2:6: `é`: expected a number, found `x y`\n  |\n2 | \té = \"x y\"\n  | \t    ^^^^^\n  help: try 1"
        );
        let end = Problem::at(
            &"r.toml".into(),
            text,
            999..1000,
            String::new(),
            Fault::Other("ends".to_owned()),
        );
        assert!(end.to_string().starts_with("r.toml:3:5: ends\n"));
    }
}
