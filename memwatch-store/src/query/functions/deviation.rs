//! `deviation`: distance from the least-squares line.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Deviation, Width, whole};

use super::kind::{Kind, Rows, Statistic, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static DEVIATION: SqlFunction = SqlFunction {
    name: "deviation",
    arguments: "ts, value",
    about: "The last value less the height of the least-squares line through all rows there: how far it left the trend. NULL \
            unless there are two different times.",
    example: "SELECT ts, deviation(ts, heap_inuse_bytes) OVER (PARTITION BY service, instance ORDER BY ts\n\
              \x20 RANGE BETWEEN INTERVAL '1 minute' PRECEDING AND CURRENT ROW) AS off_trend_bytes FROM samples",
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
        Ok(defined(whole(Deviation, rows.at_ns, rows.values)))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        Some(defined_all(rows.folded(Deviation, width)))
    }
}
