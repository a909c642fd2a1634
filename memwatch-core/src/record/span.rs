//! One request.

use std::sync::Arc;

use crate::{Nanos, Timestamp};

/// One request as one side saw it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Span {
    /// When it began.
    pub at: Timestamp,
    /// Joins the sides and services of one request.
    pub trace_id: Arc<str>,
    /// The route, not the URL.
    pub route: Option<Arc<str>>,
    /// Which side: `server` or `client`.
    pub kind: Option<Arc<str>>,
    /// How long it took.
    pub duration: Nanos,
    /// HTTP status.
    pub status: Option<i64>,
    /// Why it was kept: `head` (a fixed share of all; rates come from these) or `slow`.
    pub sampled: Option<Arc<str>>,
}
