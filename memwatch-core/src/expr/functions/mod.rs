//! The functions of expressions: one table of names, types and documentation.

use super::ValueType;

/// A function that expressions can call.
#[derive(Debug)]
#[non_exhaustive]
pub struct Function {
    /// As it is written in an expression.
    pub name: &'static str,
    /// The types of its arguments.
    pub args: &'static [ValueType],
    /// How many of them, from the end, may be left out.
    pub optional: usize,
    /// Whether the last may be given several times.
    pub repeats: bool,
    /// The type of its result.
    pub returns: ValueType,
    /// What it does, in a sentence or two; markdown.
    pub about: &'static str,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What memwatch adds to PromQL.
pub const RULE_FUNCTIONS: &[&Function] = &[];
