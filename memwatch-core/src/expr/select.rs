//! Selectors → samples: reads windows from the reader, and picks the sample that is current at each evaluation.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::ast::{AtModifier, NodeKind, Subquery, TimeShift, VectorSelector};
use super::eval::Evaluator;
use super::rows::{self, Row, Val};
use super::staleness::markers;
use super::{Bits, Node, StaleAfter};
use crate::series::{Series, is_stale};
use crate::stats::sliding::Bounds;
use crate::{Labels, Nanos, Result, Steps, Timestamp, Window};

/// Samples of one series inside of the window that was asked for; a reader may give more.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    pub(super) labels: Labels,
    pub(super) drop_name: bool,
    at_ns: Arc<[i64]>,
    values: Arc<[f64]>,
    inside: Range<usize>,
}

impl Samples {
    fn new(series: Series, window: Window) -> Samples {
        let from = series.at_ns.partition_point(|at| *at <= window.after.0);
        let to = from + series.at_ns[from..].partition_point(|at| *at <= window.until.0);
        Samples {
            labels: series.labels,
            drop_name: false,
            at_ns: series.at_ns,
            values: series.values,
            inside: from..to,
        }
    }

    /// When each was read.
    pub(super) fn at_ns(&self) -> &[i64] {
        &self.at_ns[self.inside.clone()]
    }

    /// The values.
    pub(super) fn values(&self) -> &[f64] {
        &self.values[self.inside.clone()]
    }

    fn without_markers(mut self) -> Samples {
        if has_markers(self.values()) {
            let kept: Vec<usize> = self
                .inside
                .clone()
                .filter(|i| !is_stale(self.values[*i]))
                .collect();
            self.at_ns = kept.iter().map(|i| self.at_ns[*i]).collect();
            self.values = kept.iter().map(|i| self.values[*i]).collect();
            self.inside = 0..kept.len();
        }
        self
    }
}

/// A range vector: for each evaluation the window `(until − width, until]` of every series.
pub(super) struct Ranges {
    pub(super) series: Vec<Samples>,
    pub(super) until_ns: Vec<i64>,
    pub(super) width_ns: i64,
}

/// What is taken from the sample that is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Value,
    /// When it was read, in seconds.
    Time,
}

/// Seconds since the epoch, without the rounding of a division of large numbers.
pub(super) fn seconds(at_ns: i64) -> f64 {
    at_ns.div_euclid(1_000_000_000) as f64 + at_ns.rem_euclid(1_000_000_000) as f64 / 1e9
}

impl Evaluator<'_> {
    /// The times that a selector or subquery looks at, one for each evaluation.
    fn looks_at(&self, when: TimeShift, steps: Steps) -> Vec<i64> {
        let shifted = |at: Timestamp| at.minus(when.offset).0;
        match when.at {
            None => steps.iter().map(shifted).collect(),
            Some(at) => {
                let fixed = match at {
                    AtModifier::Start => self.query_range.0,
                    AtModifier::End => self.query_range.1,
                    AtModifier::Time(at) => at,
                };
                vec![shifted(fixed); steps.count()]
            }
        }
    }

    fn read(&self, selector: &VectorSelector, window: Window) -> Result<Vec<Samples>> {
        let mut found: Vec<Series> = Vec::new();
        for matchers in &selector.alternatives {
            found.extend(self.reader.select(matchers, window)?);
        }
        if selector.alternatives.len() > 1 {
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
            found.dedup_by(|a, b| a.labels == b.labels);
        }
        Ok(found
            .into_iter()
            .map(|series| Samples::new(series, window))
            .collect())
    }

    /// The current value of every series at each evaluation.
    pub(super) fn instant(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        pick: Pick,
    ) -> Result<Vec<Row>> {
        let looks_at = self.looks_at(selector.when, steps);
        let (Some(first), Some(last)) = (looks_at.first(), looks_at.last()) else {
            return Ok(Vec::new());
        };
        let lookback = self.options.lookback;
        let reach = instant_reach(lookback, self.options.stale_after);
        let window = Window {
            after: Timestamp(*first).minus(reach),
            until: Timestamp(*last),
        };
        let series = self.read(selector, window)?;
        if steps.count() > self.steps.count() {
            // Within a subquery.
            self.check_values(series.len(), steps, self.expr.root.span)?;
        }
        let current = distinct(series.iter().map(Samples::at_ns), |at_ns| {
            current_samples(at_ns, &looks_at, lookback, self.options.stale_after)
        });
        let work = series.len() * looks_at.len();
        Ok(rows::map(&series, work, |s| {
            let mut row = Row::empty(s.labels.clone(), looks_at.len());
            let current = &current[&identity(s.at_ns())];
            let (at_ns, values) = (s.at_ns(), s.values());
            let mut out = row.out();
            for (step, sample) in current.iter().enumerate() {
                let Some(sample) = (*sample as usize).checked_sub(1) else {
                    continue;
                };
                let value = values[sample];
                if !is_stale(value) {
                    let value = match pick {
                        Pick::Value => value,
                        Pick::Time => seconds(at_ns[sample]),
                    };
                    out.set(step, value);
                }
            }
            row
        })
        .into_iter()
        .filter(|row| row.present.any())
        .collect())
    }

    /// The windows of a range selector or subquery; with the samples of `widths` windows before each evaluation.
    pub(super) fn ranges(&self, node: &Node, steps: Steps, widths: i64) -> Result<Ranges> {
        match &node.without_parens().kind {
            NodeKind::Range { selector, range } => {
                self.range_selector(selector, *range, steps, widths)
            }
            NodeKind::Subquery(subquery) => self.subquery(subquery, steps, widths),
            _ => unreachable!("checked: only selectors and subqueries are range vectors"),
        }
    }

    fn range_selector(
        &self,
        selector: &VectorSelector,
        range: Nanos,
        steps: Steps,
        widths: i64,
    ) -> Result<Ranges> {
        let until_ns = self.looks_at(selector.when, steps);
        let series = match (until_ns.first(), until_ns.last()) {
            (Some(first), Some(last)) => self.read(
                selector,
                Window {
                    after: Timestamp(first.saturating_sub(range.0.saturating_mul(widths))),
                    until: Timestamp(*last),
                },
            )?,
            _ => Vec::new(),
        };
        Ok(Ranges {
            series: series.into_iter().map(Samples::without_markers).collect(),
            until_ns,
            width_ns: range.0,
        })
    }

    fn subquery(&self, subquery: &Subquery, steps: Steps, widths: i64) -> Result<Ranges> {
        let until_ns = self.looks_at(subquery.when, steps);
        let mut series = Vec::new();
        if let (Some(first), Some(last)) = (until_ns.first(), until_ns.last()) {
            let step = subquery.step.unwrap_or(self.options.subquery_step);
            let after = first.saturating_sub(subquery.range.0.saturating_mul(widths));
            // Multiples of the step since the epoch, so that the same times are looked at whenever the query runs.
            let start = (after.div_euclid(step.0) + 1).saturating_mul(step.0);
            let inner = Steps {
                start: Timestamp(start),
                end: Timestamp(*last),
                step,
            };
            if inner.count() > 0 {
                self.check_values(1, inner, subquery.expr.span)?;
                if let Val::Vector(rows) = self.eval(&subquery.expr, inner)? {
                    series = as_samples(rows, inner);
                }
            }
        }
        Ok(Ranges {
            series,
            until_ns,
            width_ns: subquery.range.0,
        })
    }
}

/// Whether a staleness marker is among the values. It is a NaN, and NaN are found a block at a time without a branch.
fn has_markers(values: &[f64]) -> bool {
    let has_nan = |block: &[f64]| block.iter().fold(false, |any, v| any | v.is_nan());
    let mut blocks = values.chunks(256);
    blocks.any(|block| has_nan(block) && block.iter().any(|v| is_stale(*v)))
}

/// How far before an evaluation an instant selector reads.
pub(super) fn instant_reach(lookback: Nanos, stale_after: StaleAfter) -> Nanos {
    match stale_after {
        StaleAfter::Auto => Nanos(lookback.0.saturating_mul(2)),
        StaleAfter::Lookback | StaleAfter::After(_) => lookback,
    }
}

/// What tells arrays apart without looking at what they hold.
pub(super) fn identity(array: &[i64]) -> (usize, usize) {
    (array.as_ptr().addr(), array.len())
}

/// Something made of each distinct array: series of one process share one.
pub(super) fn distinct<'a, T>(
    arrays: impl Iterator<Item = &'a [i64]>,
    make: impl Fn(&[i64]) -> T,
) -> HashMap<(usize, usize), T> {
    let mut made = HashMap::new();
    for array in arrays {
        made.entry(identity(array)).or_insert_with(|| make(array));
    }
    made
}

/// For each time looked at, one more than the index of the sample that is current then; 0 for none.
fn current_samples(
    at_ns: &[i64],
    looks_at: &[i64],
    lookback: Nanos,
    stale_after: StaleAfter,
) -> Vec<u32> {
    let markers = markers(at_ns, lookback, stale_after);
    let mut next_marker = 0;
    let newest = Bounds::find(at_ns, looks_at, lookback.0);
    (0..looks_at.len())
        .map(|step| {
            let samples = newest.range(step);
            let Some(sample) = samples.end.checked_sub(1).filter(|_| !samples.is_empty()) else {
                return 0;
            };
            while markers.get(next_marker).is_some_and(|m| m.after < sample) {
                next_marker += 1;
            }
            let ended = markers
                .get(next_marker)
                .is_some_and(|m| m.after == sample && m.at_ns <= looks_at[step]);
            if ended { 0 } else { newest.to[step] }
        })
        .collect()
}

fn as_samples(rows: Vec<Row>, steps: Steps) -> Vec<Samples> {
    let all_ns: Arc<[i64]> = steps.iter().map(|t| t.0).collect();
    let full = Bits::all(all_ns.len());
    rows.into_iter()
        .map(|row| {
            let (at_ns, values): (Arc<[i64]>, Arc<[f64]>) = if row.present == full {
                (all_ns.clone(), Arc::from(&*row.values))
            } else {
                (
                    row.present.iter().map(|i| all_ns[i]).collect(),
                    row.present.iter().map(|i| row.values[i]).collect(),
                )
            };
            Samples {
                labels: row.labels,
                drop_name: row.drop_name,
                inside: 0..at_ns.len(),
                at_ns,
                values,
            }
        })
        .collect()
}
