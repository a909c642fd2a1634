//! `rate`: increase of a counter a second.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Rate, Width, whole};

use super::kind::{Kind, Rows, Statistic, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static RATE: SqlFunction = SqlFunction {
    name: "rate",
    arguments: "ts, counter",
    about: "Increase of a counter a second over the time from the first to the last row, a fall counted as a restart from zero. NULL unless \
            there are two different times. Not extended to the edges of the window, as PromQL's is: `rate(x[1m])` times the time covered, over \
            the time that PromQL takes for covered.",
    example: "SELECT ts, rate(ts, mallocs_total) OVER (PARTITION BY service, instance ORDER BY ts\n\
              \x20 RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS objects_per_second FROM samples",
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
        Ok(defined(whole(Rate, rows.at_ns, rows.values)))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        Some(defined_all(rows.folded(Rate, width)))
    }
}
