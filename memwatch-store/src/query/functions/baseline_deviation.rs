//! `baseline_deviation`: how surprising a value is, given all before it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use memwatch_core::expr::baseline_options;
use memwatch_core::stats::baseline::{Baseline, BaselineOptions, State};
use memwatch_core::stats::window::Width;

use super::kind::{Kind, Rows, Setting, Statistic, as_text};
use super::{Body, SqlFunction};

pub(super) static BASELINE_DEVIATION: SqlFunction = SqlFunction {
    name: "baseline_deviation",
    arguments: "ts, value[, process][, option, …]",
    about: "How surprising the newest value is, given all before it, as −log₁₀ of the probability: 2 warns, 3.2 pages, whatever the series. \
            0 when nothing is unusual, and while a greater surprise of the last 60 rows holds; NULL in the warm-up (150 rows and 5 minutes). \
            A fold over the rows in the order of time, so with OVER the whole partition is needed: no frame, and no filter by time \
            underneath. A column that changes with the process (`process`) tells restarts. Options are those of the function in rules, as \
            texts, like `'direction = up'`, `'kind = counter'` (the increase a second is looked at) or `'rel_min = 10%'`.",
    example: "SELECT ts, baseline_deviation(ts, heap_inuse_bytes, process, 'direction = up')\n\
              \x20 OVER (PARTITION BY service, instance ORDER BY ts) AS surprise FROM samples",
    body: Body::Statistic(&Unbound),
};

#[derive(Debug)]
struct Unbound;

#[derive(Debug)]
struct Surprise {
    options: BaselineOptions,
}

impl Kind for Unbound {
    fn columns(&self, types: &[DataType]) -> usize {
        1 + usize::from(types.get(2).is_some_and(DataType::is_numeric))
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting::Text]
    }

    fn optional(&self) -> usize {
        1
    }

    fn repeats(&self) -> bool {
        true
    }

    fn bind(&self, settings: &[ScalarValue]) -> Result<Box<dyn Statistic>, String> {
        let texts = settings.iter().map(|setting| as_text(Some(setting)));
        let options = baseline_options(texts.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Box::new(Surprise { options }))
    }
}

impl Surprise {
    fn scores(&self, rows: Rows<'_>, mut each: impl FnMut(Option<f64>)) {
        let mut baseline = Baseline::new(self.options.clone());
        let mut process = None;
        for (row, (at, value)) in rows.at_ns.iter().zip(rows.values).enumerate() {
            if let Some(now) = rows.second.get(row).copied().filter(|p| !p.is_nan()) {
                if process.is_some_and(|before| before != now) {
                    baseline.restart();
                }
                process = Some(now);
            }
            let deviation = baseline.push(*at, *value);
            each((deviation.state == State::Scored).then_some(deviation.score));
        }
    }
}

impl Statistic for Surprise {
    fn of(&self, rows: Rows<'_>) -> Result<ScalarValue> {
        let mut last = None;
        self.scores(rows, |score| last = score);
        Ok(ScalarValue::Float64(last))
    }

    fn windows(&self, rows: Rows<'_>, width: Width) -> Option<ArrayRef> {
        let all = matches!(width, Width::Rows(count) if count >= rows.values.len());
        all.then(|| {
            let mut scores = Vec::with_capacity(rows.values.len());
            self.scores(rows, |score| scores.push(score));
            Arc::new(Float64Array::from(scores)) as ArrayRef
        })
    }
}
