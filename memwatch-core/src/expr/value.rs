//! What an expression evaluates to.

use std::fmt;
use std::sync::Arc;

use super::{Bits, Span, Values};
use crate::series::Series;
use crate::{Labels, Steps};

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number per evaluation.
    Scalar,
    /// Labelled series, each with at most one value per evaluation.
    Vector,
    /// Labelled series, each with a window of samples per evaluation.
    Range,
    /// A text.
    Text,
}

impl fmt::Display for ValueType {
    /// As Prometheus names types in its messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueType::Scalar => "scalar",
            ValueType::Vector => "instant vector",
            ValueType::Range => "range vector",
            ValueType::Text => "string",
        })
    }
}

/// The values of one label set at every evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSeries {
    /// Its labels; `__name__` is one of them where PromQL keeps it.
    pub labels: Labels,
    /// One value per evaluation; where `present` says no, it has no meaning.
    pub values: Values,
    /// At which evaluations there is a value.
    pub present: Bits,
}

impl StepSeries {
    /// The value at evaluation `i`, if there is one.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<f64> {
        self.present.get(i).then(|| self.values[i])
    }

    /// Index and value of every evaluation that has one.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.present.iter().map(|i| (i, self.values[i]))
    }
}

/// Series × evaluations.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// The evaluations: the columns.
    pub steps: Steps,
    /// The rows, each label set once, none without a value. In the order of their labels, except for an instant whose outermost
    /// function orders its result (`sort`, `topk` …).
    pub series: Vec<StepSeries>,
}

/// The result of an evaluation.
#[derive(Debug, Clone)]
pub enum Value {
    /// Labelled series with at most one value per evaluation.
    Vector(Matrix),
    /// One number per evaluation.
    Scalar(Vec<f64>),
    /// A text; only at an instant.
    Text(String),
    /// Windows of samples; only at an instant.
    Range(Vec<Series>),
}

/// Something worth knowing about a result that is none the less returned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// How bad it is.
    pub level: AnnotationLevel,
    /// What, in Prometheus' words.
    pub message: String,
    /// Which part of the expression.
    pub span: Span,
    /// The expression.
    pub expression: Arc<str>,
}

/// How bad an [`Annotation`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AnnotationLevel {
    /// The result is probably not what was meant.
    Warning,
    /// The result may not be what was meant.
    Info,
}

impl fmt::Display for Annotation {
    /// `PromQL warning: … (1:7)`, with line and column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            AnnotationLevel::Warning => "warning",
            AnnotationLevel::Info => "info",
        };
        let (line, column) = self.span.line_column(&self.expression);
        write!(f, "PromQL {level}: {} ({line}:{column})", self.message)
    }
}

/// A result and what is worth knowing about it.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The result.
    pub value: Value,
    /// What is worth knowing, each once, sorted.
    pub annotations: Vec<Annotation>,
}
