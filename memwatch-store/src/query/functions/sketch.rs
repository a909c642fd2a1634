//! `sketch`: a mergeable summary of many values, for quantiles within 1 %.

use std::fmt;
use std::hash::{Hash, Hasher};

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature, Volatility,
};
use memwatch_core::stats::sketch::Sketch;

use super::{Body, SqlFunction};

pub(super) static SKETCH: SqlFunction = SqlFunction {
    name: "sketch",
    arguments: "value",
    about: "A summary of the values as bytes (a logarithmic histogram, some hundred bytes to a few kilobytes) of which `sketch_quantile` gives \
            quantiles within 1 % of the value, and which `sketch_merge` puts together: keep one a minute, ask for the p99 of a month. The \
            same values give the same bytes, in whatever order. NaN is counted apart; NULL of nothing.",
    example: "SELECT service, date_trunc('minute', ts) AS minute, sketch(pause_ns) AS pauses FROM gc_pauses_best GROUP BY 1, 2",
    body: Body::Aggregate(|function| {
        AggregateUDF::new_from_impl(Summarize::new(function, Takes::Values))
    }),
};

/// Share of a value that a quantile may be off.
const ACCURACY: f64 = 0.01;

/// What is put into the sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Values,
    Sketches,
}

/// An aggregate whose answer and state is a sketch.
pub(super) struct Summarize {
    function: &'static SqlFunction,
    takes: Takes,
    signature: Signature,
}

impl Summarize {
    pub(super) fn new(function: &'static SqlFunction, takes: Takes) -> Summarize {
        Summarize {
            function,
            takes,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl fmt::Debug for Summarize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.name)
    }
}

impl PartialEq for Summarize {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Summarize {}

impl Hash for Summarize {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl AggregateUDFImpl for Summarize {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.function.name;
        match (self.takes, types) {
            (Takes::Values, [value]) if value.is_numeric() || value.is_null() => {
                Ok(vec![DataType::Float64])
            }
            (Takes::Sketches, [sketch]) if is_binary(sketch) => Ok(vec![DataType::Binary]),
            (Takes::Values, [found]) => plan_err!("{name}: expected a number, found {found}"),
            (Takes::Sketches, [found]) => plan_err!("{name}: expected a sketch, found {found}"),
            _ => plan_err!("{name}: expected one argument, found {}", types.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[sketch]", args.name);
        Ok(vec![Field::new(name, DataType::Binary, true).into()])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{}: expected all rows, found DISTINCT", self.function.name);
        }
        Ok(Box::new(Summary {
            takes: self.takes,
            sketch: None,
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(self.function)
    }
}

/// Whether a column may hold sketches.
pub(super) fn is_binary(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null
    )
}

/// What was taken so far.
#[derive(Debug)]
struct Summary {
    takes: Takes,
    sketch: Option<Sketch>,
}

impl Summary {
    fn merge(&mut self, column: &ArrayRef) -> Result<()> {
        let sketches = column
            .as_binary_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("expected a column of sketches"))?;
        for bytes in sketches.iter().flatten() {
            let other = Sketch::from_bytes(bytes).map_err(|e| exec_datafusion_err!("{e}"))?;
            match &mut self.sketch {
                Some(sketch) if sketch.accuracy() == other.accuracy() => sketch.merge(&other),
                Some(sketch) => {
                    return Err(exec_datafusion_err!(
                        "expected sketches of one accuracy, found {} and {}",
                        sketch.accuracy(),
                        other.accuracy()
                    ));
                }
                none => *none = Some(other),
            }
        }
        Ok(())
    }

    fn bytes(&self) -> ScalarValue {
        ScalarValue::Binary(self.sketch.as_ref().map(Sketch::to_bytes))
    }
}

impl Accumulator for Summary {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(column) = columns.first() else {
            return Ok(());
        };
        if self.takes == Takes::Sketches {
            return self.merge(column);
        }
        let values = column
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| exec_datafusion_err!("expected a column of numbers"))?;
        for value in values.iter().flatten() {
            let sketch = self.sketch.get_or_insert_with(|| Sketch::new(ACCURACY));
            sketch.accumulate(value);
        }
        Ok(())
    }

    fn merge_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        columns.first().map_or(Ok(()), |column| self.merge(column))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.bytes())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.as_ref().map_or(0, Sketch::size_bytes)
    }
}
