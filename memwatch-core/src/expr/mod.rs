//! PromQL → vectors: parses an expression and evaluates it at many times at once.
//!
//! ```text
//! text ─► lex ─► parse ─► check (types) ─► Expr ─► eval ─► Evaluated
//! ```
//!
//! The semantics are those of Prometheus 3; what it adds stands in [`RULE_FUNCTIONS`], numbers may carry `k M G T Ki Mi Gi Ti`, and
//! `$name` stands for a parameter.

mod ast;
mod bits;
mod error;
mod functions;
mod options;
mod value;

use std::collections::BTreeMap;

pub use ast::{
    Aggregate, AggregateOp, AtModifier, Binary, BinaryOp, Cardinality, Expr, Grouping, Matching,
    Node, NodeKind, Number, Subquery, TimeShift, VectorSelector,
};
pub use bits::Bits;
pub use error::{ExprError, Span};
pub use functions::{Function, RULE_FUNCTIONS};
pub use options::{EvalOptions, NameRemoval, StaleAfter};
pub use value::{Annotation, AnnotationLevel, Evaluated, Matrix, StepSeries, Value, ValueType};

use crate::series::SeriesReader;
use crate::{Matcher, Nanos, Result, Steps, Window};

/// Parses and type-checks an expression without parameters.
///
/// # Errors
/// When it is not PromQL, with the place.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    parse_with(text, &BTreeMap::new())
}

/// As [`parse`], with values for the parameters that the expression names as `$name`.
///
/// # Errors
/// When it is not PromQL, or a parameter is not in `params`; with the place.
pub fn parse_with(text: &str, _params: &BTreeMap<String, f64>) -> Result<Expr, ExprError> {
    Err(ExprError {
        expression: text.into(),
        span: None,
        message: "the parser follows in the next commit".into(),
        help: None,
    })
}

/// What an expression reads: one of its selectors.
#[derive(Debug, Clone)]
pub struct Selector {
    /// A series is taken when it satisfies all matchers of one of these lists.
    pub alternatives: Vec<Vec<Matcher>>,
    /// Where it stands.
    pub span: Span,
    /// The samples that it needs for the evaluations asked about, staleness included.
    pub window: Window,
}

impl Expr {
    /// Every selector with the window of samples that it reads when the expression is evaluated at `steps`.
    #[must_use]
    pub fn selectors(&self, _steps: Steps, _options: &EvalOptions) -> Vec<Selector> {
        Vec::new()
    }

    /// How much data before the first evaluation the expression needs: ranges, offsets, subqueries, lookback and staleness added
    /// up. What a selector with a fixed time (`@`) reads does not count.
    #[must_use]
    pub fn history(&self, _options: &EvalOptions) -> Nanos {
        Nanos(0)
    }
}

/// Evaluates an expression at every step. An instant is one step ([`Steps::instant`]).
///
/// The result does not depend on how many steps are evaluated together, nor on the number of threads, to the last bit.
///
/// # Errors
/// When the data cannot be read, or the expression cannot be applied to it (for example many-to-many matching).
pub fn evaluate(
    expr: &Expr,
    _steps: Steps,
    _reader: &dyn SeriesReader,
    _options: &EvalOptions,
) -> Result<Evaluated> {
    Err(expr
        .error(Span::default(), "the evaluator follows in the next commits")
        .into())
}
