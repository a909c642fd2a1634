//! Rows of one instance or series inside of a window, in the order of time, wherever they are stored.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use memwatch_core::Window;

use super::blocks::{Blocks, Stretch};
use super::names::Scale;
use crate::Result;

/// First and last stored microsecond inside of a window, which is open on the left.
pub(super) fn micros_of(window: Window) -> (i64, i64) {
    (
        window.after.0.div_euclid(1_000).saturating_add(1),
        window.until.0.div_euclid(1_000),
    )
}

/// Rows in the order of time, each instant once.
pub(super) struct Frame {
    pub(super) at_ns: Arc<[i64]>,
    /// Each ascending in time.
    pub(super) parts: Vec<Stretch>,
    /// Which of the parts' rows, when these are not in order or hold an instant twice.
    order: Option<Vec<usize>>,
}

/// Values with the instants at which there is one.
pub(super) type Points = (Arc<[i64]>, Arc<[f64]>);

impl Frame {
    /// The rows of `stretches` (each ascending in time) inside of the window. Of rows of one instant the one with the greatest value in
    /// column `tie` stays. The blocks hold their instants.
    pub(super) fn new(
        stretches: impl IntoIterator<Item = Stretch>,
        window: Window,
        tie: Option<usize>,
        blocks: &Blocks,
    ) -> Result<Frame> {
        let (from_us, to_us) = micros_of(window);
        let mut parts: Vec<(i64, Stretch, Vec<ArrayRef>)> = Vec::new();
        for Stretch { reader, rows } in stretches {
            let mut start = rows.start;
            for piece in blocks.column(
                &Stretch {
                    reader: Arc::clone(&reader),
                    rows,
                },
                0,
            ) {
                let at_us = micros(&piece);
                let from = at_us.partition_point(|at| *at < from_us);
                let to = at_us.partition_point(|at| *at <= to_us).max(from);
                if from < to {
                    let rows = start + from..start + to;
                    let inside = piece.slice(from, to - from);
                    match parts.last_mut() {
                        // The next piece of the same stretch.
                        Some((_, last, pieces))
                            if Arc::ptr_eq(&last.reader, &reader)
                                && last.rows.end == rows.start =>
                        {
                            last.rows.end = rows.end;
                            pieces.push(inside);
                        }
                        _ => {
                            let part = Stretch {
                                reader: Arc::clone(&reader),
                                rows,
                            };
                            parts.push((at_us[from], part, vec![inside]));
                        }
                    }
                }
                start += piece.len();
            }
        }
        let place = |part: &Stretch| (part.reader.segment.path.clone(), part.rows.start);
        parts.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| place(&a.1).cmp(&place(&b.1))));
        let count = parts.iter().map(|(_, part, _)| part.rows.len()).sum();
        let mut at_ns: Arc<[i64]> = repeat_n(0, count).collect();
        let mut free = Arc::make_mut(&mut at_ns);
        let (mut before, mut in_order) = (i64::MIN, true);
        for piece in parts.iter().flat_map(|(_, _, pieces)| pieces) {
            let slots = take_first(&mut free, piece.len());
            let both = slots.iter_mut().zip(micros(piece));
            let mut ascends = true;
            for (slot, at_us) in both {
                let this = at_us.saturating_mul(1_000);
                ascends &= before < this;
                (before, *slot) = (this, this);
            }
            in_order &= ascends;
        }
        let parts: Vec<Stretch> = parts.into_iter().map(|(_, part, _)| part).collect();
        let mut order = None;
        if !in_order {
            let ties: Vec<Option<f64>> = match tie {
                Some(column) => {
                    let blocks = Blocks::load(&parts, &[column])?;
                    numbers(&parts, column, &blocks, |v| v).options()
                }
                None => vec![None; at_ns.len()],
            };
            let tie_of = |row: usize| ties[row].unwrap_or(f64::NEG_INFINITY);
            let mut rows: Vec<usize> = (0..at_ns.len()).collect();
            rows.sort_by(|a, b| {
                at_ns[*a]
                    .cmp(&at_ns[*b])
                    .then(tie_of(*a).total_cmp(&tie_of(*b)))
            });
            let last = |pair: &[usize]| pair.len() == 1 || at_ns[pair[0]] != at_ns[pair[1]];
            let rows: Vec<usize> = (0..rows.len())
                .filter(|i| last(&rows[*i..rows.len().min(i + 2)]))
                .map(|i| rows[i])
                .collect();
            at_ns = rows.iter().map(|row| at_ns[*row]).collect();
            order = Some(rows);
        }
        Ok(Frame {
            at_ns,
            parts,
            order,
        })
    }

    /// A numeric column; `None` for NULL.
    pub(super) fn column(&self, column: usize) -> Result<Vec<Option<f64>>> {
        let blocks = Blocks::load(&self.parts, &[column])?;
        Ok(self.numbers(column, &blocks, |v| v).options())
    }

    fn numbers(&self, column: usize, blocks: &Blocks, of: impl Fn(f64) -> f64 + Copy) -> Numbers {
        let all = numbers(&self.parts, column, blocks, of);
        match &self.order {
            None => all,
            Some(rows) => all.in_order(rows),
        }
    }

    /// The sum of columns where all of them have a value. Shares the instants when that is everywhere. The blocks hold the columns.
    pub(super) fn points(
        &self,
        columns: &[usize],
        scale: Scale,
        factor: f64,
        blocks: &Blocks,
    ) -> Points {
        let scaled = |value: f64| match scale {
            Scale::NanosToSeconds => value / 1e9,
            #[allow(clippy::float_cmp)] // A constant of the table of names.
            Scale::AsIs if factor == 1.0 => value, // Keeps the payload of a NaN.
            Scale::AsIs => value * factor,
        };
        let Numbers { values, present } = match columns {
            [] => return (Arc::from([]), Arc::from([])),
            [one] => match (scale, factor) {
                (Scale::AsIs, 1.0) => self.numbers(*one, blocks, |v| v),
                _ => self.numbers(*one, blocks, scaled),
            },
            [first, rest @ ..] => {
                let mut sums = self.numbers(*first, blocks, |v| v);
                for column in rest {
                    sums.add(self.numbers(*column, blocks, |v| v));
                }
                let values = Arc::make_mut(&mut sums.values);
                values.iter_mut().for_each(|v| *v = scaled(*v));
                sums
            }
        };
        let Some(present) = present else {
            return (Arc::clone(&self.at_ns), values);
        };
        let kept = || present.iter().enumerate().filter(|(_, p)| **p);
        (
            kept().map(|(i, _)| self.at_ns[i]).collect(),
            kept().map(|(i, _)| values[i]).collect(),
        )
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.at_ns.len() * 8
            + self.order.as_ref().map_or(0, |o| o.len() * 8)
            + self.parts.len() * 64
    }
}

/// The first `count` places of those that are free.
fn take_first<'f, T>(free: &mut &'f mut [T], count: usize) -> &'f mut [T] {
    let all = std::mem::take(free);
    let (first, rest) = all.split_at_mut(count.min(all.len()));
    *free = rest;
    first
}

fn micros(piece: &ArrayRef) -> &[i64] {
    piece.as_primitive::<TimestampMicrosecondType>().values()
}

/// Values of a column.
struct Numbers {
    /// Where there is none, a number without meaning. Nobody else holds them.
    values: Arc<[f64]>,
    /// Where there is one; `None`: everywhere.
    present: Option<Vec<bool>>,
}

impl Numbers {
    fn options(self) -> Vec<Option<f64>> {
        let values = self.values.iter().enumerate();
        let there = |i: usize| self.present.as_ref().is_none_or(|present| present[i]);
        values.map(|(i, v)| there(i).then_some(*v)).collect()
    }

    fn in_order(&self, rows: &[usize]) -> Numbers {
        Numbers {
            values: rows.iter().map(|row| self.values[*row]).collect(),
            present: self
                .present
                .as_ref()
                .map(|p| rows.iter().map(|row| p[*row]).collect()),
        }
    }

    fn add(&mut self, other: Numbers) {
        let sums = Arc::make_mut(&mut self.values).iter_mut();
        for (sum, value) in sums.zip(&*other.values) {
            *sum += value;
        }
        self.present = match (self.present.take(), other.present) {
            (Some(mut mine), Some(others)) => {
                mine.iter_mut().zip(others).for_each(|(m, o)| *m &= o);
                Some(mine)
            }
            (mine, others) => mine.or(others),
        };
    }
}

/// A numeric column of some rows, each value as `of` makes it.
fn numbers(
    parts: &[Stretch],
    column: usize,
    blocks: &Blocks,
    of: impl Fn(f64) -> f64 + Copy,
) -> Numbers {
    let count = parts.iter().map(|p| p.rows.len()).sum();
    let mut values: Arc<[f64]> = repeat_n(0.0, count).collect();
    let mut free = Arc::make_mut(&mut values);
    let mut present: Option<Vec<bool>> = None;
    let mut before = 0;
    for piece in parts.iter().flat_map(|part| blocks.column(part, column)) {
        let slots = take_first(&mut free, piece.len()).iter_mut();
        let known = match piece.data_type() {
            DataType::Float64 => {
                let piece = piece.as_primitive::<Float64Type>().values();
                slots.zip(piece).for_each(|(slot, v)| *slot = of(*v));
                true
            }
            DataType::Int64 => {
                let piece = piece.as_primitive::<Int64Type>().values();
                slots.zip(piece).for_each(|(slot, v)| *slot = of(*v as f64));
                true
            }
            _ => false,
        };
        if !known || piece.null_count() > 0 {
            present.get_or_insert_with(|| vec![true; before]);
        }
        if let Some(present) = &mut present {
            present.extend((0..piece.len()).map(|i| known && piece.is_valid(i)));
        }
        before += piece.len();
    }
    Numbers { values, present }
}
