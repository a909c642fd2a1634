//! PromQL → vectors.

/// Why an expression cannot be parsed or evaluated.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// What is wrong.
    pub message: String,
}
