//! `robust_z`: distance of the newest value from the median, in robust standard deviations.

use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::robust_z::{LeastScale, robust_z};

use super::kind::{Kind, Rows, Statistic, defined};
use super::{Body, SqlFunction};

pub(super) static ROBUST_Z: SqlFunction = SqlFunction {
    name: "robust_z",
    arguments: "ts, value",
    about: "How far the newest value is from the median of all, in robust standard deviations: the greatest of 1.4826 times the median \
            distance, 1.2533 times the mean distance, and 1 % of the median. The figure that explains; not one to alert on with one limit \
            for all series. A window of 1000 rows is usual; each is sorted anew.",
    example: "SELECT ts, robust_z(ts, heap_inuse_bytes) OVER (PARTITION BY service, instance ORDER BY ts\n\
              \x20 ROWS BETWEEN 999 PRECEDING AND CURRENT ROW) AS z FROM samples",
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
        let newest = rows.values.last().copied();
        let z = newest.and_then(|x| robust_z(x, rows.values, LeastScale::default()));
        Ok(defined(z))
    }
}
