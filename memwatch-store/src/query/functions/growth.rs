//! `growth`: this window over the one before it.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::window::{Growth, Width, growth_by_time};

use super::kind::{Kind, Rows, Setting, Statistic, as_interval, as_text, defined, defined_all};
use super::{Body, SqlFunction};

pub(super) static GROWTH: SqlFunction = SqlFunction {
    name: "growth",
    arguments: "ts, value, width[, 'counter']",
    about: "The mean of the rows of the last `width` over that of the rows of the `width` before, as a ratio: 2.5 is a growth by 150 %. With \
            `'counter'` increase over increase. The windows are `(t − width, t]` and `(t − 2·width, t − width]` of the newest row, as in PromQL. \
            NULL when one of them has no rows.",
    example: "SELECT ts, growth(ts, pause_total_ns, INTERVAL '1 minute', 'counter')\n\
              \x20 OVER (PARTITION BY service, instance ORDER BY ts) AS pause_growth FROM samples",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
struct Of {
    of: Growth,
    width_ns: i64,
}

impl Kind for Unbound {
    fn settings(&self) -> &'static [Setting] {
        &[Setting::Interval, Setting::Text]
    }

    fn optional(&self) -> usize {
        1
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        let of = match settings.get(1) {
            None => Growth::Gauge,
            kind => match as_text(kind)? {
                "gauge" => Growth::Gauge,
                "counter" => Growth::Counter,
                other => return Err(format!("expected 'gauge' or 'counter', found '{other}'")),
            },
        };
        let width_ns = as_interval(settings.first())?;
        Ok(Box::new(Of { of, width_ns }))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let Some(last) = rows.at_ns.last() else {
            return Ok(defined(None));
        };
        let begin = last.saturating_sub(self.width_ns.saturating_mul(2));
        let seen = rows.slice(rows.at_ns.partition_point(|at| *at <= begin)..rows.at_ns.len());
        let mut out = vec![0.0; seen.values.len()];
        growth_by_time(self.of, seen.at_ns, seen.values, self.width_ns, &mut out);
        Ok(defined(out.last().copied()))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        let seen = match width {
            Width::Rows(count) => count >= rows.values.len(),
            Width::Time(ns) => ns >= self.width_ns.saturating_mul(2),
        };
        let mut out = vec![0.0; rows.values.len()];
        seen.then(|| {
            growth_by_time(self.of, rows.at_ns, rows.values, self.width_ns, &mut out);
            defined_all(out)
        })
    }
}
