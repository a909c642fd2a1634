//! What templates compute with.

use crate::Labels;

use super::format;

/// A value inside of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Int(i64),
    Str(String),
    Bool(bool),
    /// A map of labels; a name that is absent is `""`.
    Map(Labels),
}

impl Value {
    /// As `{{ . }}` prints it (Go's `%v`).
    pub(crate) fn print(&self) -> String {
        match self {
            Value::Float(v) => format::float(*v, b'g', None),
            Value::Int(v) => v.to_string(),
            Value::Str(v) => v.clone(),
            Value::Bool(v) => v.to_string(),
            Value::Map(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}:{v}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
        }
    }

    /// The name of its type in Go, for messages.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Value::Float(_) => "float64",
            Value::Int(_) => "int",
            Value::Str(_) => "string",
            Value::Bool(_) => "bool",
            Value::Map(_) => "map[string]string",
        }
    }

    /// What `if`, `and`, `or` and `not` ask: anything but the empty value of its type.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Value::Float(v) => *v != 0.0,
            Value::Int(v) => *v != 0,
            Value::Str(v) => !v.is_empty(),
            Value::Bool(v) => *v,
            Value::Map(labels) => !labels.is_empty(),
        }
    }

    /// What the `humanize` functions take: a number, or text that is one.
    pub(crate) fn number(&self) -> Result<f64, String> {
        match self {
            Value::Float(v) => Ok(*v),
            #[allow(clippy::cast_precision_loss)] // As Go's conversion.
            Value::Int(v) => Ok(*v as f64),
            Value::Str(text) => text
                .parse()
                .map_err(|_| format!("expected a number, found {:?}", text)),
            other => Err(format!("expected a number, found a {}", other.go_type())),
        }
    }

    pub(crate) fn text(&self) -> Result<&str, String> {
        match self {
            Value::Str(text) => Ok(text),
            other => Err(format!("expected a string, found a {}", other.go_type())),
        }
    }
}
