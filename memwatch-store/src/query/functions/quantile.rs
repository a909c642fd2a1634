//! `quantile`: exact quantiles, one or several at once.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use memwatch_core::stats::quantile::{order, quantile};
use memwatch_core::stats::window::{Width, quantiles_by_count, quantiles_by_time};

use super::kind::{Kind, Rows, Setting, Statistic, as_number};
use super::{Body, SqlFunction};

pub(super) static QUANTILE: SqlFunction = SqlFunction {
    name: "quantile",
    arguments: "value, q, …",
    about: "Exact quantile, R-7: linear between the neighbors of rank `q·(n − 1)`, as PromQL's `quantile_over_time`. With several `q` a list \
            of as many, found at once: `quantile(v, 0.5, 0.99)[2]`. NaN ranks before all others. DataFusion's `percentile_cont` is the same \
            but rounds `q` to six digits.",
    example: "SELECT service, instance, quantile(pause_ns, 0.99) AS p99_ns FROM gc_pauses_best GROUP BY service, instance",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
pub(super) struct Of {
    pub(super) qs: Vec<f64>,
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Float64, true))
}

impl Kind for Unbound {
    fn timed(&self) -> bool {
        false
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Number]
    }

    fn repeats(&self) -> bool {
        true
    }

    fn returns(&self, settings: usize) -> DataType {
        match settings {
            ..=1 => DataType::Float64,
            _ => DataType::List(item()),
        }
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        let mut qs = Vec::new();
        for setting in settings {
            let q = as_number(Some(setting))?;
            if !(0.0..=1.0).contains(&q) {
                return Err(format!("expected a quantile from 0 to 1, found {q}"));
            }
            qs.push(q);
        }
        Ok(Box::new(Of { qs }))
    }
}

impl Statistic for Of {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let mut sorted = rows.values.to_vec();
        sorted.sort_unstable_by(|a, b| order(*a, *b));
        let found: Vec<f64> = self.qs.iter().map(|q| quantile(*q, &sorted)).collect();
        Ok(match found[..] {
            [one] => ScalarValue::Float64(Some(one)),
            _ => {
                let values = Arc::new(Float64Array::from(found));
                let offsets = OffsetBuffer::from_lengths([values.len()]);
                ScalarValue::List(Arc::new(ListArray::try_new(item(), offsets, values, None)?))
            }
        })
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        let count = rows.values.len();
        let mut columns = vec![vec![0.0; count]; self.qs.len()];
        let mut out: Vec<&mut [f64]> = columns.iter_mut().map(|c| &mut c[..]).collect();
        match width {
            Width::Rows(width) => quantiles_by_count(&self.qs, rows.values, width, &mut out),
            Width::Time(ns) => {
                quantiles_by_time(&self.qs, rows.at_ns, rows.values, ns, &mut out);
            }
        }
        if let [one] = &mut columns[..] {
            return Some(Arc::new(Float64Array::from(std::mem::take(one))));
        }
        let lists = (0..count).flat_map(|row| columns.iter().map(move |column| column[row]));
        let values = Arc::new(Float64Array::from_iter_values(lists));
        let lengths = OffsetBuffer::from_lengths(std::iter::repeat_n(self.qs.len(), count));
        let lists = ListArray::try_new(item(), lengths, values, None).ok()?;
        Some(Arc::new(lists))
    }
}
