//! `ewma`: exponentially weighted mean.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Ewma, Width, ewma};

use super::kind::{Kind, Rows, Setting, Statistic, as_interval, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static EWMA: SqlFunction = SqlFunction {
    name: "ewma",
    arguments: "ts, value, half_life",
    about: "Exponentially weighted mean at the newest row: a row weighs half after each `half_life`, however often rows come. NaN and \
            infinities are left out.",
    example: "SELECT ts, ewma(ts, heap_inuse_bytes, INTERVAL '30 seconds')\n\
              \x20 OVER (PARTITION BY service, instance ORDER BY ts) AS smooth_bytes FROM samples",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
struct Of {
    half_life_ns: i64,
}

impl Kind for Unbound {
    fn settings(&self) -> &'static [Setting] {
        &[Setting::Interval]
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        let half_life_ns = as_interval(settings.first())?;
        Ok(Box::new(Of { half_life_ns }))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let mut mean = Ewma::new(self.half_life_ns);
        let pairs = rows.at_ns.iter().zip(rows.values);
        Ok(defined(pairs.map(|(at, v)| mean.push(*at, *v)).last()))
    }

    /// Only of all rows so far: the mean of a shorter window does not follow from the one before.
    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        let all = matches!(width, Width::Rows(count) if count >= rows.values.len());
        let mut out = vec![0.0; rows.values.len()];
        all.then(|| {
            ewma(rows.at_ns, rows.values, self.half_life_ns, &mut out);
            defined_all(out)
        })
    }
}
