//! Functions of classic histograms: series with a cumulative count for each upper bound `le`.

use super::labels::grouped;
use super::over_time::warn_of_quantiles;
use super::{Body, Call, Function, SCALAR, TEXT, VECTOR};
use crate::expr::eval::Evaluator;
use crate::expr::print::{general, quoted};
use crate::expr::rows::{Row, Val};
use crate::expr::{AnnotationLevel, Node};
use crate::labels::METRIC_NAME;
use crate::stats::buckets::{Bucket, fraction, prepare, quantile};
use crate::{Labels, Result, Steps};

const NATIVE: &str = "native histograms";

const fn native(name: &'static str, about: &'static str) -> Function {
    Function::new(name, &[VECTOR], VECTOR, Body::Unsupported(NATIVE), about)
}

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("histogram_quantile", &[SCALAR, VECTOR], VECTOR, Body::Rows(histogram_quantile), "Quantile of the observations in a classic histogram, linear within the bucket that holds it, so no finer than the buckets are."),
    Function::new("histogram_quantiles", &[VECTOR, TEXT, SCALAR], VECTOR, Body::Rows(histogram_quantiles), "`histogram_quantiles(v, label, q, …)`: several quantiles of a classic histogram, told apart by the given label.").repeating(),
    Function::new("histogram_fraction", &[SCALAR, SCALAR, VECTOR], VECTOR, Body::Rows(histogram_fraction), "`histogram_fraction(lower, upper, v)`: share of the observations in a classic histogram between two values, linear within buckets."),
    native("histogram_count", "Number of observations in a native histogram."),
    native("histogram_sum", "Sum of the observations in a native histogram."),
    native("histogram_avg", "Mean of the observations in a native histogram."),
    native("histogram_stddev", "Estimated standard deviation of the observations in a native histogram."),
    native("histogram_stdvar", "Estimated variance of the observations in a native histogram."),
];

/// One classic histogram over time.
struct Histogram {
    /// Labels without `le`.
    labels: Labels,
    /// Its buckets by upper bound.
    rows: Vec<(f64, Row)>,
}

impl Histogram {
    /// The buckets that are there at one evaluation.
    fn at(&self, step: usize, buckets: &mut Vec<Bucket>) {
        buckets.clear();
        let present = self.rows.iter().filter(|(_, row)| row.present.get(step));
        buckets.extend(present.map(|(upper, row)| Bucket {
            upper: *upper,
            count: row.values[step],
        }));
    }
}

/// The histograms in a vector; warns of elements whose bound is missing or no number.
fn histograms(evaluator: &Evaluator<'_>, arg: &Node, steps: Steps) -> Result<Vec<Histogram>> {
    let rows = evaluator.vector(arg, steps)?;
    let mut told: Vec<(String, String)> = Vec::new();
    let mut found = Vec::new();
    for (labels, rows) in grouped(rows, |labels| labels.filter(|name| name != "le")) {
        let mut bounded = Vec::with_capacity(rows.len());
        for row in rows {
            let le = row.labels.get("le");
            match bound(le) {
                Some(upper) => bounded.push((upper, row)),
                None => {
                    let what = (row.labels.name().to_owned(), le.to_owned());
                    if !told.contains(&what) {
                        told.push(what);
                    }
                }
            }
        }
        if !bounded.is_empty() {
            bounded.sort_by(|a, b| a.0.total_cmp(&b.0));
            found.push(Histogram {
                labels,
                rows: bounded,
            });
        }
    }
    for (name, le) in told {
        let metric = if name.is_empty() {
            String::new()
        } else {
            format!(" for metric name {}", quoted(&name))
        };
        let message = format!(
            "bucket label \"le\" is missing or has a malformed value of {}{metric}",
            quoted(&le)
        );
        evaluator.annotate(AnnotationLevel::Warning, arg.span, message);
    }
    Ok(found)
}

fn bound(le: &str) -> Option<f64> {
    // Rust reads `infinity` and `nan` in any case as Go does.
    let value: f64 = le.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// A row for each histogram.
fn per_histogram(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    histograms: &[Histogram],
    mut f: impl FnMut(&Histogram, usize, &mut Vec<Bucket>) -> f64,
) -> Result<Vec<Row>> {
    let mut buckets = Vec::new();
    let mut rows = Vec::with_capacity(histograms.len());
    for histogram in histograms {
        let mut row = Row::empty(histogram.labels.clone(), call.steps.count());
        for step in 0..call.steps.count() {
            histogram.at(step, &mut buckets);
            if !buckets.is_empty() {
                row.set(step, f(histogram, step, &mut buckets));
            }
        }
        row.drop_name = histogram.rows.iter().all(|(_, r)| r.drop_name);
        rows.push(row);
    }
    evaluator.unnamed(rows, call.span)
}

fn quantiles(
    evaluator: &Evaluator<'_>,
    call: &Call<'_>,
    vector: &Node,
    q: &[f64],
    histograms: &[Histogram],
) -> Result<Vec<Row>> {
    let mut falling: Vec<Labels> = Vec::new();
    let rows = per_histogram(
        evaluator,
        call,
        histograms,
        |histogram, step, buckets| match prepare(buckets) {
            None => f64::NAN,
            Some(fell) => {
                if fell && falling.last() != Some(&histogram.labels) {
                    falling.push(histogram.labels.clone());
                }
                quantile(q[step], buckets)
            }
        },
    )?;
    for labels in falling {
        let name = match labels.get(METRIC_NAME) {
            "" => String::new(),
            name => format!(" for metric name {}", quoted(name)),
        };
        let message = format!(
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){name}"
        );
        evaluator.annotate(AnnotationLevel::Info, vector.span, message);
    }
    Ok(rows)
}

fn histogram_quantile(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let q = evaluator.scalar(&call.args[0], call.steps)?;
    warn_of_quantiles(evaluator, call.args[0].span, &q);
    let found = histograms(evaluator, &call.args[1], call.steps)?;
    Ok(Val::Vector(quantiles(
        evaluator,
        call,
        &call.args[1],
        &q,
        &found,
    )?))
}

fn histogram_quantiles(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let label = evaluator.text(&call.args[1], call.steps)?;
    let found = histograms(evaluator, &call.args[0], call.steps)?;
    let mut rows = Vec::new();
    for arg in &call.args[2..] {
        let q = evaluator.scalar(arg, call.steps)?;
        warn_of_quantiles(evaluator, arg.span, &q);
        for row in quantiles(evaluator, call, &call.args[0], &q, &found)? {
            // The argument may differ between evaluations, and with it the label.
            let mut values: Vec<u64> = q.iter().map(|q| q.to_bits()).collect();
            values.sort_unstable();
            values.dedup();
            for bits in values {
                let mut part = row.clone();
                for step in row.present.iter().filter(|step| q[*step].to_bits() != bits) {
                    part.present.clear(step);
                }
                part.labels = row.labels.with(&label, &label_value(f64::from_bits(bits)));
                rows.push(part);
            }
        }
    }
    Ok(Val::Vector(evaluator.joined(rows, call.span)?))
}

/// A number as OpenMetrics writes it in labels: never without a point or exponent.
pub(super) fn label_value(value: f64) -> String {
    let mut text = general(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

fn histogram_fraction(evaluator: &Evaluator<'_>, call: &Call<'_>) -> Result<Val> {
    let lower = evaluator.scalar(&call.args[0], call.steps)?;
    let upper = evaluator.scalar(&call.args[1], call.steps)?;
    let found = histograms(evaluator, &call.args[2], call.steps)?;
    let rows = per_histogram(evaluator, call, &found, |_, step, buckets| {
        fraction(lower[step], upper[step], buckets)
    })?;
    Ok(Val::Vector(rows))
}
