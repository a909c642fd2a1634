//! `median`: the exact median of numbers.

use datafusion::common::{Result, ScalarValue};

use super::kind::{Kind, Statistic};
use super::quantile::Of;
use super::{Body, SqlFunction};

pub(super) static MEDIAN: SqlFunction = SqlFunction {
    name: "median",
    arguments: "value",
    about: "Exact median, the mean of the two in the middle where their count is even: `quantile(value, 0.5)`. It takes the place of \
            DataFusion's, which for whole numbers gives a whole number.",
    example: "SELECT service, instance, median(goroutines) AS goroutines FROM samples GROUP BY service, instance",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

impl Kind for Unbound {
    fn timed(&self) -> bool {
        false
    }

    fn bind(&self, _: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        Ok(Box::new(Of { qs: vec![0.5] }))
    }
}
