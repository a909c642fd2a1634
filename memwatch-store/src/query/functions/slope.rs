//! `slope`: slope of the least-squares line.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Slope, Width, whole};

use super::kind::{Kind, Rows, Statistic, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static SLOPE: SqlFunction = SqlFunction {
    name: "slope",
    arguments: "ts, value",
    about: "Slope of the least-squares line, a second. NULL unless there are two different times.",
    example: "SELECT service, instance, slope(ts, heap_inuse_bytes) AS bytes_per_second FROM samples GROUP BY service, instance",
    body: Body::Statistic(&Of),
};

#[derive(Debug)]
struct Of;

impl Kind for Of {
    fn bind(&self, _: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        Ok(Box::new(Of))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        Ok(defined(whole(Slope, rows.at_ns, rows.values)))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        Some(defined_all(rows.folded(Slope, width)))
    }
}
