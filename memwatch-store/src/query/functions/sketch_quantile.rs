//! `sketch_quantile`: a quantile of a sketch.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use memwatch_core::stats::sketch::Sketch;

use super::sketch::is_binary;
use super::{Body, SqlFunction};

pub(super) static SKETCH_QUANTILE: SqlFunction = SqlFunction {
    name: "sketch_quantile",
    arguments: "sketch, q",
    about: "Quantile of the values of a sketch, within 1 % of the value of rank `⌊q·(n − 1)⌋`. NULL of an empty sketch.",
    example: "SELECT service, sketch_quantile(sketch(pause_ns), 0.99) AS p99_ns FROM gc_pauses_best GROUP BY service",
    body: Body::Scalar(|_| {
        ScalarUDF::new_from_impl(Of {
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }),
};

#[derive(Debug, PartialEq, Eq, Hash)]
struct Of {
    signature: Signature,
}

impl ScalarUDFImpl for Of {
    fn name(&self) -> &str {
        SKETCH_QUANTILE.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [sketch, q] if is_binary(sketch) && (q.is_numeric() || q.is_null()) => {
                Ok(vec![DataType::Binary, DataType::Float64])
            }
            _ => plan_err!("sketch_quantile: expected a sketch and a number, found {types:?}"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(sketches), Some(qs)) = (
            arrays.first().and_then(|a| a.as_binary_opt::<i32>()),
            arrays
                .get(1)
                .and_then(|a| a.as_primitive_opt::<Float64Type>()),
        ) else {
            return Err(exec_datafusion_err!(
                "sketch_quantile: expected a sketch and a number"
            ));
        };
        let mut found = Vec::with_capacity(sketches.len());
        for (sketch, q) in sketches.iter().zip(qs.iter()) {
            found.push(match (sketch, q) {
                (Some(_), Some(q)) if !(0.0..=1.0).contains(&q) => {
                    return Err(exec_datafusion_err!(
                        "sketch_quantile: expected a quantile from 0 to 1, found {q}"
                    ));
                }
                (Some(bytes), Some(q)) => Sketch::from_bytes(bytes)
                    .map_err(|e| exec_datafusion_err!("sketch_quantile: {e}"))?
                    .quantile(q),
                _ => None,
            });
        }
        Ok(ColumnarValue::Array(Arc::new(Float64Array::from(found))))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(&SKETCH_QUANTILE)
    }
}
