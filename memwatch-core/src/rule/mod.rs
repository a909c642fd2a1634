//! What to watch: rules and rule files.

mod suggest;
pub mod template;

pub use suggest::suggest;

/// What is wrong with a rule file.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// What is wrong.
    pub message: String,
}
