//! String functions whose answer can be far larger than the question, with a limit.
//!
//! `repeat('x', 1000000000)` takes gigabytes that the memory pool never sees. These wrappers look at the arguments first; all else
//! is the wrapped function's.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

/// How the size of an answer follows from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// `repeat(text, n)`: n times the text.
    Times,
    /// `lpad(text, n, …)`: n characters.
    Length,
    /// `replace(text, from, to)`: `to` for each `from`.
    Replacement,
    /// `regexp_replace(text, pattern, to, …)`: `to` for each place of the text.
    PatternReplacement,
}

impl Growth {
    /// Most bytes that one call may make for one batch of rows. Replacements are counted as if each place of the text were
    /// replaced, which never happens, so more is allowed there.
    fn limit_bytes(self) -> u64 {
        match self {
            Growth::Times | Growth::Length => 256 << 20,
            Growth::Replacement | Growth::PatternReplacement => 2 << 30,
        }
    }
}

/// The functions that are wrapped.
const BOUNDED: &[(&str, Growth)] = &[
    ("repeat", Growth::Times),
    ("lpad", Growth::Length),
    ("rpad", Growth::Length),
    ("replace", Growth::Replacement),
    ("regexp_replace", Growth::PatternReplacement),
];

/// The wrapped functions among `all`, to be registered over them.
pub(crate) fn wrap<'a>(lookup: impl Fn(&str) -> Option<&'a Arc<ScalarUDF>>) -> Vec<ScalarUDF> {
    BOUNDED
        .iter()
        .filter_map(|(name, growth)| {
            lookup(name).map(|inner| {
                ScalarUDF::new_from_impl(Bounded {
                    inner: Arc::clone(inner),
                    growth: *growth,
                })
            })
        })
        .collect()
}

/// A function with a limit on what it makes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let rows = args.number_rows;
        let made: u64 = match (self.growth, &args.args[..]) {
            (Growth::Times, [text, times, ..]) => {
                let (text, times) = (lengths(text, rows)?, numbers(times, rows)?);
                sum(rows, |row| text.at(row).saturating_mul(times.at(row)))
            }
            (Growth::Length, [_, length, ..]) => {
                let length = numbers(length, rows)?;
                // Up to four bytes a character.
                sum(rows, |row| length.at(row).saturating_mul(4))
            }
            (Growth::Replacement, [text, from, to, ..]) => {
                let (text, from, to) = (
                    lengths(text, rows)?,
                    lengths(from, rows)?,
                    lengths(to, rows)?,
                );
                sum(rows, |row| {
                    (text.at(row) / from.at(row).max(1)).saturating_mul(to.at(row))
                })
            }
            (Growth::PatternReplacement, [text, _, to, ..]) => {
                let (text, to) = (lengths(text, rows)?, lengths(to, rows)?);
                sum(rows, |row| text.at(row).saturating_mul(to.at(row)))
            }
            _ => 0,
        };
        let limit = self.growth.limit_bytes();
        if made > limit {
            return exec_err!(
                "{}: expected an answer of at most {} MiB, found that it could take {} MiB",
                self.inner.name(),
                limit >> 20,
                made >> 20
            );
        }
        Ok(())
    }
}

/// A number for each row, or one for all.
struct Numbers {
    values: Vec<u64>,
}

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        match self.values[..] {
            [one] => one,
            _ => self.values.get(row).copied().unwrap_or(0),
        }
    }
}

fn sum(rows: usize, of: impl Fn(usize) -> u64) -> u64 {
    (0..rows.max(1)).fold(0, |total: u64, row| total.saturating_add(of(row)))
}

fn array(value: &ColumnarValue, rows: usize, to: &DataType) -> Result<ArrayRef> {
    let array = match value {
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
        ColumnarValue::Array(array) => array.slice(0, rows.min(array.len())),
    };
    Ok(cast(&array, to)?)
}

fn lengths(value: &ColumnarValue, rows: usize) -> Result<Numbers> {
    let array = array(value, rows, &DataType::Utf8View)?;
    let values = match array.downcast_ref::<StringViewArray>() {
        Some(text) => text
            .iter()
            .map(|t| t.map_or(0, |t| t.len() as u64))
            .collect(),
        None => Vec::new(),
    };
    Ok(Numbers { values })
}

fn numbers(value: &ColumnarValue, rows: usize) -> Result<Numbers> {
    let array = array(value, rows, &DataType::Int64)?;
    let values = match array.downcast_ref::<Int64Array>() {
        Some(numbers) => numbers
            .iter()
            .map(|n| n.map_or(0, |n| u64::try_from(n).unwrap_or(0)))
            .collect(),
        None => Vec::new(),
    };
    Ok(Numbers { values })
}

/// `downcast_ref` of arrays, without naming `Any`.
trait Downcast {
    fn downcast_ref<T: 'static>(&self) -> Option<&T>;
}

impl Downcast for ArrayRef {
    fn downcast_ref<T: 'static>(&self) -> Option<&T> {
        self.as_any().downcast_ref()
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }
}
