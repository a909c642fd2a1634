//! `label`: one label of a series.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use memwatch_core::Labels;

use super::{Body, SqlFunction};

pub(super) static LABEL: SqlFunction = SqlFunction {
    name: "label",
    arguments: "labels, name",
    about: "The value of one label in the `labels` of `metrics`, as in `label(labels, 'le')`. NULL where the series has no such label.",
    example: "SELECT DISTINCT label(labels, 'le') AS upper FROM metrics WHERE metric = 'go_gc_pauses_seconds_bucket'",
    body: Body::Scalar(|_| {
        ScalarUDF::new_from_impl(Of {
            signature: Signature::exact(
                vec![DataType::Utf8, DataType::Utf8],
                Volatility::Immutable,
            ),
        })
    }),
};

#[derive(Debug, PartialEq, Eq, Hash)]
struct Of {
    signature: Signature,
}

impl ScalarUDFImpl for Of {
    fn name(&self) -> &str {
        LABEL.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(labels), Some(names)) = (
            arrays.first().and_then(|a| a.as_string_opt::<i32>()),
            arrays.get(1).and_then(|a| a.as_string_opt::<i32>()),
        ) else {
            return Err(exec_datafusion_err!("label: expected two texts"));
        };
        // The labels of one series repeat row after row.
        let mut last: Option<(&str, Labels)> = None;
        let mut found: Vec<Option<String>> = Vec::with_capacity(labels.len());
        for (text, name) in labels.iter().zip(names.iter()) {
            let (Some(text), Some(name)) = (text, name) else {
                found.push(None);
                continue;
            };
            if last.as_ref().is_none_or(|(known, _)| *known != text) {
                let parsed = Labels::parse(text).map_err(|e| exec_datafusion_err!("label: {e}"))?;
                last = Some((text, parsed));
            }
            let value = last.as_ref().map(|(_, labels)| labels.get(name));
            found.push(value.filter(|v| !v.is_empty()).map(str::to_owned));
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(found))))
    }

    fn documentation(&self) -> Option<&Documentation> {
        super::documents::of(&LABEL)
    }
}
