//! `increase`: increase of a counter.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Increase, Width, whole};

use super::kind::{Kind, Rows, Statistic, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static INCREASE: SqlFunction = SqlFunction {
    name: "increase",
    arguments: "ts, counter",
    about: "Increase of a counter from the first to the last row, a fall counted as a restart from zero. NULL unless there are \
            two rows. Not extended to the edges of the window, as PromQL's is.",
    example: "SELECT service, instance, increase(ts, num_gc) AS cycles FROM samples GROUP BY service, instance",
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
        Ok(defined(whole(Increase, rows.at_ns, rows.values)))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        Some(defined_all(rows.folded(Increase, width)))
    }
}
