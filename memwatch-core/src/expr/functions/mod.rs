//! The functions of expressions: one table of names, types and documentation, one file per family.
//!
//! A function of a window is a kernel over one series ([`window::WindowKernel`]); everything else is given the whole call.

mod baseline_deviation;
mod calendar;
mod call_options;
mod counters;
mod elementwise;
mod ewma;
mod growth;
mod histograms;
mod info;
mod labels;
mod leak;
mod line_deviation;
mod over_time;
mod quantiles_over_time;
mod robust_z;
mod scalars;
mod sorting;
mod trend;
mod window;

use std::fmt;

use super::eval::Evaluator;
use super::rows::Val;
use super::{Node, Span, ValueType};
use crate::{Result, Steps};

pub(crate) use baseline_deviation::remembers;
pub use baseline_deviation::{Surprise, baseline_memories, baseline_options, explain_baselines};
pub use call_options::DescribedOptions;
pub(crate) use growth::is_counter;
pub(super) use info::TARGET_INFO;
pub(super) use labels::grouped;
pub use leak::LeakRule;
pub(super) use over_time::warn_of_quantiles;
pub(crate) use window::WindowKernel;

/// A function that expressions can call.
#[non_exhaustive]
pub struct Function {
    /// As it is written in an expression.
    pub name: &'static str,
    /// The types of its arguments.
    pub args: &'static [ValueType],
    /// How many of them, from the end, may be left out.
    pub optional: usize,
    /// Whether the last may be given several times (or, where it is optional, not at all).
    pub repeats: bool,
    /// The type of its result.
    pub returns: ValueType,
    /// What it does, in a sentence or two; markdown.
    pub about: &'static str,
    /// The settings that its last arguments may name, as in `"rel_min = 0.1"`.
    pub options: Option<&'static dyn DescribedOptions>,
    /// An argument, by its place, that may be a scalar although it is said to be an instant vector.
    pub(crate) scalar_too: Option<usize>,
    /// Whether its result depends on the time of the evaluation by more than its arguments.
    pub(crate) sees_time: bool,
    /// Whether it gives the elements of an instant vector in an order that matters.
    pub(crate) orders: bool,
    pub(crate) body: Body,
}

/// How a function is computed.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// Of each window of one series.
    Window(WindowKernel),
    /// Of each value.
    Element(fn(f64) -> f64),
    /// Of everything at once.
    Rows(RowsFunction),
    /// Not at all: the feature that it would need.
    Unsupported(&'static str),
}

type RowsFunction = fn(&Evaluator<'_>, &Call<'_>) -> Result<Val>;

/// A call being evaluated.
pub(crate) struct Call<'a> {
    pub(crate) function: &'static Function,
    pub(crate) args: &'a [Node],
    pub(crate) span: Span,
    pub(crate) steps: Steps,
}

const SCALAR: ValueType = ValueType::Scalar;
const VECTOR: ValueType = ValueType::Vector;
const RANGE: ValueType = ValueType::Range;
const TEXT: ValueType = ValueType::Text;

/// What memwatch adds to PromQL.
pub static RULE_FUNCTIONS: &[Function] = &[
    growth::GROWTH,
    baseline_deviation::BASELINE_DEVIATION,
    robust_z::ROBUST_Z,
    ewma::EWMA_OVER_TIME,
    line_deviation::LINE_DEVIATION,
    quantiles_over_time::QUANTILES_OVER_TIME,
    leak::LEAK,
    leak::LEAK_PART,
    leak::TIME_TO_LIMIT,
];

/// Every function, family by family.
static TABLES: &[&[Function]] = &[
    counters::FUNCTIONS,
    over_time::FUNCTIONS,
    trend::FUNCTIONS,
    elementwise::FUNCTIONS,
    calendar::FUNCTIONS,
    histograms::FUNCTIONS,
    labels::FUNCTIONS,
    info::FUNCTIONS,
    scalars::FUNCTIONS,
    sorting::FUNCTIONS,
    RULE_FUNCTIONS,
];

/// Every function that expressions can call: PromQL's, then [`RULE_FUNCTIONS`].
pub fn all() -> impl Iterator<Item = &'static Function> {
    TABLES.iter().copied().flatten()
}

/// The function of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Function> {
    all().find(|f| f.name == name)
}

/// Help for names that functions had, or have in other programs.
pub(super) fn renamed(name: &str) -> Option<String> {
    let now = match name {
        "holt_winters" => "double_exponential_smoothing",
        "median_over_time" => "quantile_over_time(0.5, …)",
        "median" => "quantile(0.5, …)",
        _ => return None,
    };
    Some(format!("it is called `{now}`"))
}

impl Function {
    const fn new(
        name: &'static str,
        args: &'static [ValueType],
        returns: ValueType,
        body: Body,
        about: &'static str,
    ) -> Function {
        Function {
            name,
            args,
            optional: 0,
            repeats: false,
            returns,
            about,
            options: None,
            scalar_too: None,
            sees_time: false,
            orders: false,
            body,
        }
    }

    const fn optional(mut self, count: usize) -> Function {
        self.optional = count;
        self
    }

    const fn repeating(mut self) -> Function {
        self.repeats = true;
        self
    }

    /// The texts that may be repeated at the end are settings.
    const fn with_options(mut self, options: &'static dyn DescribedOptions) -> Function {
        self.options = Some(options);
        self
    }

    const fn scalar_or_vector(mut self, argument: usize) -> Function {
        self.scalar_too = Some(argument);
        self
    }

    const fn seeing_time(mut self) -> Function {
        self.sees_time = true;
        self
    }

    const fn ordering(mut self) -> Function {
        self.orders = true;
        self
    }

    /// The feature that is missing for it to work; a call of it is refused with that name.
    #[must_use]
    pub fn unsupported(&self) -> Option<&'static str> {
        match self.body {
            Body::Unsupported(feature) => Some(feature),
            _ => None,
        }
    }

    /// How many windows before each evaluation it looks at.
    pub(crate) fn widths(&self) -> i64 {
        match &self.body {
            Body::Window(kernel) => kernel.widths,
            _ => 1,
        }
    }

    /// How it is called: `rate(range vector)`.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut text = format!("{}(", self.name);
        for (i, arg) in self.args.iter().enumerate() {
            let optional = i >= self.args.len() - self.optional;
            let (open, close) = if optional { ("[", "]") } else { ("", "") };
            let comma = if i == 0 { "" } else { ", " };
            let or = if self.scalar_too == Some(i) {
                " or scalar"
            } else {
                ""
            };
            text.push_str(&format!("{open}{comma}{arg}{or}{close}"));
        }
        text.push_str(if self.repeats { ", …)" } else { ")" });
        text
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.usage())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let mut names: Vec<&str> = all().map(|f| f.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "a name twice");
        for f in all() {
            assert!(
                f.about.ends_with('.') || f.about.ends_with('`'),
                "{}: {}",
                f.name,
                f.about
            );
            assert!(f.optional <= f.args.len(), "{}", f.name);
        }
        assert_eq!(
            find("round").unwrap().usage(),
            "round(instant vector[, scalar])"
        );
    }
}
