//! What to watch: rules and rule files.

/// What is wrong with a rule file.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// What is wrong.
    pub message: String,
}
