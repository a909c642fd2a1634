//! Rows of one instance or series inside of a window, in the order of time, wherever they are stored.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use memwatch_core::Window;

use super::blocks;
use super::names::Scale;
use crate::Result;
use crate::segment::SegmentReader;

/// First and last stored microsecond inside of a window, which is open on the left.
pub(super) fn micros_of(window: Window) -> (i64, i64) {
    (
        window.after.0.div_euclid(1_000).saturating_add(1),
        window.until.0.div_euclid(1_000),
    )
}

/// Consecutive rows of one segment, ascending in time.
pub(super) struct Part {
    reader: Arc<SegmentReader>,
    rows: Range<usize>,
}

/// Rows in the order of time, each instant once.
pub(super) struct Frame {
    pub(super) at_ns: Arc<[i64]>,
    parts: Vec<Part>,
    /// Which of the parts' rows, when these are not in order or hold an instant twice.
    order: Option<Vec<usize>>,
}

/// Values with the instants at which there is one.
pub(super) type Points = (Arc<[i64]>, Arc<[f64]>);

impl Frame {
    /// The rows of `stretches` (each ascending in time) inside of the window. Of rows of one instant the one with the greatest value in
    /// column `tie` stays.
    pub(super) fn new(
        stretches: impl IntoIterator<Item = (Arc<SegmentReader>, Range<usize>)>,
        window: Window,
        tie: Option<usize>,
    ) -> Result<Frame> {
        let (from_us, to_us) = micros_of(window);
        let mut parts: Vec<(Part, Vec<i64>)> = Vec::new();
        for (reader, rows) in stretches {
            let mut at_us: Vec<i64> = Vec::with_capacity(rows.len());
            for piece in blocks::column(&reader, 0, &rows)? {
                at_us.extend_from_slice(piece.as_primitive::<TimestampMicrosecondType>().values());
            }
            let from = at_us.partition_point(|at| *at < from_us);
            let to = at_us.partition_point(|at| *at <= to_us).max(from);
            if from < to {
                let rows = rows.start + from..rows.start + to;
                parts.push((Part { reader, rows }, at_us[from..to].to_vec()));
            }
        }
        parts.sort_by_key(|(part, at)| (at[0], part.reader.segment.path.clone(), part.rows.start));
        let mut at_us: Vec<i64> = Vec::with_capacity(parts.iter().map(|(_, at)| at.len()).sum());
        let parts: Vec<Part> = parts
            .into_iter()
            .map(|(part, at)| {
                at_us.extend(at);
                part
            })
            .collect();
        let mut order = None;
        if !at_us.is_sorted_by(|a, b| a < b) {
            let ties: Vec<Option<f64>> = match tie {
                Some(column) => values_of(&parts, column)?,
                None => vec![None; at_us.len()],
            };
            let tie_of = |row: usize| ties[row].unwrap_or(f64::NEG_INFINITY);
            let mut rows: Vec<usize> = (0..at_us.len()).collect();
            rows.sort_by(|a, b| {
                at_us[*a]
                    .cmp(&at_us[*b])
                    .then(tie_of(*a).total_cmp(&tie_of(*b)))
            });
            let last = |pair: &[usize]| pair.len() == 1 || at_us[pair[0]] != at_us[pair[1]];
            let rows: Vec<usize> = (0..rows.len())
                .filter(|i| last(&rows[*i..rows.len().min(i + 2)]))
                .map(|i| rows[i])
                .collect();
            at_us = rows.iter().map(|row| at_us[*row]).collect();
            order = Some(rows);
        }
        let at_ns = at_us.iter().map(|at| at.saturating_mul(1_000)).collect();
        Ok(Frame {
            at_ns,
            parts,
            order,
        })
    }

    /// A numeric column; `None` for NULL.
    pub(super) fn column(&self, column: usize) -> Result<Vec<Option<f64>>> {
        let values = values_of(&self.parts, column)?;
        Ok(match &self.order {
            None => values,
            Some(rows) => rows.iter().map(|row| values[*row]).collect(),
        })
    }

    /// The sum of columns where all of them have a value. Shares the instants when that is everywhere.
    pub(super) fn points(&self, columns: &[usize], scale: Scale, factor: f64) -> Result<Points> {
        let mut sums = match columns.split_first() {
            Some((first, _)) => self.column(*first)?,
            None => Vec::new(),
        };
        for column in columns.iter().skip(1) {
            for (sum, value) in sums.iter_mut().zip(self.column(*column)?) {
                *sum = sum.zip(value).map(|(a, b)| a + b);
            }
        }
        let scaled = |value: f64| match scale {
            Scale::NanosToSeconds => value / 1e9,
            #[allow(clippy::float_cmp)] // A constant of the table of names.
            Scale::AsIs if factor == 1.0 => value, // Keeps the payload of a NaN.
            Scale::AsIs => value * factor,
        };
        if sums.iter().all(Option::is_some) {
            return Ok((
                Arc::clone(&self.at_ns),
                sums.into_iter().flatten().map(scaled).collect(),
            ));
        }
        let present = || {
            self.at_ns
                .iter()
                .zip(&sums)
                .filter_map(|(at, v)| v.map(|v| (*at, v)))
        };
        Ok((
            present().map(|(at, _)| at).collect(),
            present().map(|(_, v)| scaled(v)).collect(),
        ))
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.at_ns.len() * 8
            + self.order.as_ref().map_or(0, |o| o.len() * 8)
            + self.parts.len() * 64
    }
}

fn values_of(parts: &[Part], column: usize) -> Result<Vec<Option<f64>>> {
    let mut values = Vec::with_capacity(parts.iter().map(|p| p.rows.len()).sum());
    for part in parts {
        for piece in blocks::column(&part.reader, column, &part.rows)? {
            match piece.data_type() {
                DataType::Float64 => values.extend(piece.as_primitive::<Float64Type>().iter()),
                DataType::Int64 => {
                    values.extend(
                        piece
                            .as_primitive::<Int64Type>()
                            .iter()
                            .map(|v| v.map(|v| v as f64)),
                    );
                }
                _ => values.extend(std::iter::repeat_n(None, piece.len())),
            }
        }
    }
    Ok(values)
}
