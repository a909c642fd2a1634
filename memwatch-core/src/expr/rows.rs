//! Intermediate results: series × evaluations, while names may still have to go.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rayon::prelude::*;

use super::{Bits, StepSeries, Values};
use crate::Labels;

/// An intermediate result.
#[derive(Debug, Clone)]
pub(crate) enum Val {
    /// One number per evaluation.
    Scalar(Vec<f64>),
    /// Series with at most one value per evaluation.
    Vector(Vec<Row>),
    Text(Arc<str>),
}

/// One series of an intermediate result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(super) labels: Labels,
    /// The name has lost its meaning and goes at the end (only with delayed removal).
    pub(super) drop_name: bool,
    pub(super) values: Values,
    pub(super) present: Bits,
}

impl Val {
    /// From now on a clone costs little.
    pub(super) fn share(&mut self) {
        if let Val::Vector(rows) = self {
            rows.iter_mut().for_each(|row| row.values.share());
        }
    }

    /// How many values it holds.
    pub(super) fn cells(&self) -> usize {
        match self {
            Val::Scalar(values) => values.len(),
            Val::Vector(rows) => rows.iter().map(|row| row.values.len()).sum(),
            Val::Text(_) => 0,
        }
    }
}

impl Row {
    pub(super) fn empty(labels: Labels, steps: usize) -> Row {
        Row {
            labels,
            drop_name: false,
            values: vec![0.0; steps].into(),
            present: Bits::none(steps),
        }
    }

    /// The way to write many values: whether others hold them is settled once.
    pub(super) fn out(&mut self) -> Out<'_> {
        Out {
            values: &mut self.values,
            present: &mut self.present,
        }
    }

    pub(super) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.set(step);
    }

    pub(super) fn finish(self) -> StepSeries {
        StepSeries {
            labels: if self.drop_name {
                self.labels.without_name()
            } else {
                self.labels
            },
            values: self.values,
            present: self.present,
        }
    }
}

/// The values of a row being written.
pub(super) struct Out<'r> {
    values: &'r mut [f64],
    present: &'r mut Bits,
}

impl Out<'_> {
    pub(super) fn set(&mut self, step: usize, value: f64) {
        self.values[step] = value;
        self.present.set(step);
    }

    /// Sets `length` values from `start`, a multiple of [`BLOCK`], on. Bit `i` of `there` says whether there is a value `i`; `of` is
    /// asked for the others too, to no effect, so that no branch is needed.
    pub(super) fn set_block(
        &mut self,
        start: usize,
        there: u64,
        length: usize,
        of: impl Fn(usize) -> f64,
    ) {
        let values = self.values[start..start + length].iter_mut();
        values.enumerate().for_each(|(i, value)| {
            let this = of(i);
            *value = if there >> i & 1 == 1 { this } else { 0.0 };
        });
        self.present.set_word(start / BLOCK, there);
    }
}

/// How many values are set at once by [`Out::set_block`], at most.
pub(super) const BLOCK: usize = 64;

/// Two rows have the same labels at the same evaluation.
pub(super) struct SameLabels;

/// Joins rows with the same labels that are never present at the same evaluation; drops rows that never are present.
pub(super) fn join(rows: Vec<Row>) -> Result<Vec<Row>, SameLabels> {
    let mut by_labels: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut joined: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.present.any() {
            continue;
        }
        match by_labels.entry(row.labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(joined.len());
                joined.push(row);
            }
            Entry::Occupied(entry) => {
                let kept = &mut joined[*entry.get()];
                if kept.present.intersects(&row.present) {
                    return Err(SameLabels);
                }
                for step in row.present.iter() {
                    kept.values[step] = row.values[step];
                }
                kept.present.or(&row.present);
                kept.drop_name &= row.drop_name;
            }
        }
    }
    Ok(joined)
}

/// Below this many values or samples, other threads cost more than they save.
const WORTH_THREADS: usize = 50_000;

/// Maps every item, in order; on several threads when there is enough to do.
pub(super) fn map<T: Sync, R: Send>(
    items: &[T],
    work: usize,
    f: impl Fn(&T) -> R + Sync + Send,
) -> Vec<R> {
    if items.len() > 1 && work >= WORTH_THREADS {
        items.par_iter().map(f).collect()
    } else {
        items.iter().map(f).collect()
    }
}
