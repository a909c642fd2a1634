//! PromQL → vectors: parses an expression and evaluates it at many times at once.
//!
//! ```text
//! text ─► lex ─► parse ─► check (types) ─► Expr ─► eval ─► Evaluated
//! ```
//!
//! The semantics are those of Prometheus 3; what it adds stands in [`RULE_FUNCTIONS`], numbers may carry `k M G T Ki Mi Gi Ti`, and
//! `$name` stands for a parameter.

mod aggregate;
mod ast;
mod binary;
mod bits;
mod check;
mod error;
mod eval;
mod folds;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod hash;
mod history;
mod lex;
#[cfg(test)]
mod messages;
mod options;
mod parse;
mod print;
mod rows;
#[doc(hidden)]
pub mod script;
mod select;
mod session;
pub mod staleness;
mod stretches;
#[cfg(test)]
mod tests;
mod value;
mod values;

pub use ast::{
    Aggregate, AggregateOp, AtModifier, Binary, BinaryOp, Cardinality, Expr, Grouping, Matching,
    Node, NodeKind, Number, Subquery, TimeShift, VectorSelector,
};
pub use bits::Bits;
pub use error::{ExprError, Span};
pub use eval::{evaluate, evaluate_with};
pub use folds::Memory;
pub use functions::{
    DescribedOptions, Function, LeakRule, RULE_FUNCTIONS, Surprise, all as all_functions,
    baseline_memories, baseline_options, explain_baselines, find as find_function,
};
pub(crate) use functions::{is_counter, remembers};
pub use history::Selector;
pub use options::{EvalOptions, NameRemoval, StaleAfter};
pub use parse::{MAX_DEPTH, parse, parse_with};
pub(crate) use print::number;
pub use session::Session;
pub use stretches::evaluate_range;
pub use value::{Annotation, AnnotationLevel, Evaluated, Matrix, StepSeries, Value, ValueType};
pub use values::Values;
