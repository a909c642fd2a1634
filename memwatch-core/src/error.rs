//! What can go wrong in this crate, said with the place, what was expected and what was found.

use std::fmt;
use std::sync::Arc;

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in an input something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The input as the user named it: a file path, or `-`.
    pub input: Arc<str>,
    /// Line within the decompressed input, from 1; 0 when the input has no lines.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}", self.input)
        } else {
            write!(f, "{}:{}", self.input, self.line)
        }
    }
}

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One field of an input is not what its format says.
    #[error("{place}: field `{field}`: expected {expected}, found `{found}`")]
    Field {
        /// Where.
        place: Place,
        /// The field, as its format calls it.
        field: String,
        /// What the format allows.
        expected: &'static str,
        /// What stood there, shortened.
        found: String,
    },
    /// An input as a whole is not what it should be.
    #[error("{place}: expected {expected}, found {found}")]
    Input {
        /// Where.
        place: Place,
        /// What the format allows.
        expected: String,
        /// What stood there, shortened.
        found: String,
    },
    /// Reading an input failed.
    #[error("{input}: cannot read")]
    Read {
        /// The input as the user named it.
        input: Arc<str>,
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// A value given by the user does not parse: a time, a duration, a number.
    #[error("expected {expected}, found `{found}`")]
    Value {
        /// What would have been right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A PromQL expression cannot be parsed or evaluated.
    #[error(transparent)]
    Expr(#[from] crate::expr::ExprError),
    /// A rule file is not right.
    #[error(transparent)]
    Rule(#[from] crate::rule::RuleError),
    /// What takes the records, or gives the series, failed.
    #[error(transparent)]
    Outside(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps the failure of a sink or reader that lives outside of this crate.
    pub fn outside(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Outside(Box::new(source))
    }
}
