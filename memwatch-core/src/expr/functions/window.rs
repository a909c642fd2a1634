//! Calls of functions of a window: what all of them share.

use super::Call;
use crate::expr::eval::Evaluator;
use crate::expr::rows::{self, Row, Val};
use crate::expr::select::{Samples, distinct, identity};
use crate::expr::{AnnotationLevel, ValueType};
use crate::labels::METRIC_NAME;
use crate::stats::sliding::{Bounds, summarize};
use crate::{Result, Steps};

/// A function of each window of one series.
#[derive(Clone, Copy)]
pub(crate) struct WindowKernel {
    /// Computes all windows of one series; a message when a parameter is out of range.
    pub(crate) run: fn(&Windows<'_>, &mut Row) -> Result<(), String>,
    /// How many windows before each evaluation it looks at.
    pub(crate) widths: i64,
    /// Whether the result is still a value of the metric.
    pub(crate) keeps_name: bool,
    /// Whether it is meant for counters only.
    pub(crate) counters_only: bool,
}

impl WindowKernel {
    pub(crate) const fn new(run: fn(&Windows<'_>, &mut Row) -> Result<(), String>) -> WindowKernel {
        WindowKernel {
            run,
            widths: 1,
            keeps_name: false,
            counters_only: false,
        }
    }
}

/// The windows of one series: `(until − width, until]` for each evaluation.
pub(crate) struct Windows<'a> {
    pub(crate) at_ns: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) until_ns: &'a [i64],
    pub(crate) width_ns: i64,
    /// The samples of each window.
    pub(crate) bounds: &'a Bounds,
    /// The evaluations, which `offset` and `@` do not shift.
    pub(crate) steps: Steps,
    /// The other arguments: a number for each evaluation.
    pub(crate) params: &'a [Vec<f64>],
    /// The metric's name, or `""`.
    pub(crate) name: &'a str,
}

impl Windows<'_> {
    /// Sets a result for every window in which `f` gives one; it is given the window and its samples, at least one.
    pub(crate) fn each(
        &self,
        row: &mut Row,
        mut f: impl FnMut(usize, &[i64], &[f64]) -> Option<f64>,
    ) {
        let mut out = row.out();
        for window in 0..self.bounds.len() {
            let samples = self.bounds.range(window);
            if samples.is_empty() {
                continue;
            }
            if let Some(value) = f(window, &self.at_ns[samples.clone()], &self.values[samples]) {
                out.set(window, value);
            }
        }
    }

    /// Sets for every window with a sample what `result` makes of the summary of its samples, see [`summarize`].
    pub(crate) fn summarize<S: Copy>(
        &self,
        row: &mut Row,
        of: impl Fn(usize) -> S,
        merge: impl Fn(S, S) -> S,
        mut result: impl FnMut(usize, S) -> f64,
    ) {
        let mut out = row.out();
        summarize(
            self.at_ns,
            self.until_ns,
            self.width_ns,
            self.bounds,
            |i, _| of(i),
            merge,
            |window, summary| {
                out.set(window, result(window, summary));
            },
        );
    }
}

impl Evaluator<'_> {
    pub(crate) fn windows(&self, call: &Call<'_>, kernel: WindowKernel) -> Result<Val> {
        let mut params = Vec::new();
        let mut range = None;
        for arg in call.args {
            match arg.value_type() {
                ValueType::Range => range = Some(arg),
                _ => params.push(self.scalar(arg, call.steps)?),
            }
        }
        let Some(range) = range else {
            unreachable!("checked: one argument is a range vector");
        };
        let ranges = self.ranges(range, call.steps, kernel.widths)?;
        let bounds = distinct(ranges.series.iter().map(Samples::at_ns), |at_ns| {
            Bounds::find(at_ns, &ranges.until_ns, ranges.width_ns)
        });
        let samples: usize = ranges.series.iter().map(|s| s.values().len()).sum();
        let work = samples + ranges.series.len() * call.steps.count();
        let rows = rows::map(&ranges.series, work, |series: &Samples| {
            let mut row = Row::empty(series.labels.clone(), call.steps.count());
            row.drop_name = series.drop_name;
            let windows = Windows {
                at_ns: series.at_ns(),
                values: series.values(),
                until_ns: &ranges.until_ns,
                width_ns: ranges.width_ns,
                bounds: &bounds[&identity(series.at_ns())],
                steps: call.steps,
                params: &params,
                name: series.labels.name(),
            };
            (kernel.run)(&windows, &mut row).map(|()| row)
        });
        let rows: Result<Vec<Row>, String> = rows.into_iter().collect();
        let mut rows = rows.map_err(|message| self.fail(call.span, message))?;
        rows.retain(|row| row.present.any());
        if kernel.counters_only {
            self.look_for_gauges(&rows, range.span);
        }
        if kernel.keeps_name {
            Ok(Val::Vector(self.joined(rows, call.span)?))
        } else {
            Ok(Val::Vector(self.unnamed(rows, call.span)?))
        }
    }

    /// Says which metrics, by their names, are not counters.
    fn look_for_gauges(&self, rows: &[Row], span: crate::expr::Span) {
        let mut told: Vec<&str> = Vec::new();
        for row in rows {
            let name = row.labels.get(METRIC_NAME);
            let counter = ["_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|end| name.ends_with(end));
            if name.is_empty() || counter || told.contains(&name) {
                continue;
            }
            told.push(name);
            self.annotate(
                AnnotationLevel::Info,
                span,
                format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"),
            );
        }
    }
}
