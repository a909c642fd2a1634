//! `list_element`: what `list[1]` means.

use std::sync::LazyLock;

use datafusion::arrow::array::{Array, AsArray, UInt64Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::{Body, SqlFunction};

pub(super) static LIST_ELEMENT: SqlFunction = SqlFunction {
    name: "list_element",
    arguments: "list, place",
    about: "The element of a list, counted from 1; `list[place]` says the same. NULL where there is none.",
    example: "SELECT list_element(quantile(pause_ns, 0.5, 0.99), 2) AS p99_ns FROM gc_pauses_best",
    body: Body::Scalar(|_| FUNCTION.clone()),
};

static FUNCTION: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::new_from_impl(Of {
        signature: Signature::user_defined(Volatility::Immutable),
    })
});

/// The call that `list[place]` stands for.
pub(super) fn call(list: Expr, place: Expr) -> Expr {
    FUNCTION.call(vec![list, place])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Of {
    signature: Signature,
}

impl ScalarUDFImpl for Of {
    fn name(&self) -> &str {
        LIST_ELEMENT.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list @ DataType::List(_), place] if place.is_integer() || place.is_null() => {
                Ok(vec![list.clone(), DataType::Int64])
            }
            _ => plan_err!("list_element: expected a list and a whole number, found {types:?}"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::List(item)) => Ok(item.data_type().clone()),
            other => plan_err!("list_element: expected a list, found {other:?}"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(lists), Some(places)) = (
            arrays.first().and_then(|a| a.as_list_opt::<i32>()),
            arrays
                .get(1)
                .and_then(|a| a.as_primitive_opt::<Int64Type>()),
        ) else {
            return Err(exec_datafusion_err!(
                "list_element: expected a list and a whole number"
            ));
        };
        let elements = (0..lists.len()).map(|row| {
            if lists.is_null(row) || places.is_null(row) {
                return None;
            }
            let place = usize::try_from(places.value(row)).ok()?.checked_sub(1)?;
            let begin = usize::try_from(lists.value_offsets()[row]).ok()?;
            (place < usize::try_from(lists.value_length(row)).ok()?).then(|| (begin + place) as u64)
        });
        let elements = UInt64Array::from_iter(elements);
        Ok(ColumnarValue::Array(take(lists.values(), &elements, None)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(&LIST_ELEMENT)
    }
}
