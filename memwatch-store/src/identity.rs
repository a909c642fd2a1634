//! Which rows are the same row, and which of two that are stays.
//!
//! Rows of a table are the same when their key is. Of two with different payloads the one that says more stays (more fields that are not
//! NULL), then the one with the greater values, compared column by column: an order over payloads that does not depend on which came
//! first, so neither does what is stored.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, new_null_array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int32Type;
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::HashMap;

use crate::Result;
use crate::buffer::RowInputs;
use crate::schema::{Column, Table};

/// The keys of a batch's rows: bytes that compare as the table sorts.
pub(crate) fn keys(table: Table, batch: &RecordBatch) -> Result<Rows> {
    let def = table.def();
    let columns = def
        .key
        .iter()
        .filter_map(|name| def.columns.iter().find(|c| c.name == *name))
        .map(|column| column_of(batch, column));
    rows(columns.collect())
}

/// The payloads of a batch's rows: bytes of which the greatest stays.
pub(crate) fn payloads(table: Table, batch: &RecordBatch) -> Result<Rows> {
    let payload: Vec<ArrayRef> = table
        .def()
        .payload()
        .map(|(_, column)| column_of(batch, column))
        .collect();
    let said = (0..batch.num_rows())
        .map(|row| {
            payload
                .iter()
                .map(|column| i64::from(column.is_valid(row)))
                .sum::<i64>()
        })
        .collect::<Int64Array>();
    rows(
        [Arc::new(said) as ArrayRef]
            .into_iter()
            .chain(payload)
            .collect(),
    )
}

/// A column of a batch; NULLs when the batch is older than the column.
fn column_of(batch: &RecordBatch, column: &Column) -> ArrayRef {
    batch
        .column_by_name(column.name)
        .cloned()
        .unwrap_or_else(|| new_null_array(&column.data_type(), batch.num_rows()))
}

fn rows(columns: Vec<ArrayRef>) -> Result<Rows> {
    // Dictionaries are compared as the values that they stand for.
    let fields = columns
        .iter()
        .map(|c| SortField::new(c.data_type().clone()))
        .collect();
    Ok(RowConverter::new(fields)?.convert_columns(&columns)?)
}

/// The rows of a batch in the order of their keys, each key once.
pub(crate) struct Distinct {
    /// Rows of the batch.
    pub(crate) rows: Vec<u32>,
    /// For each of them, the input that gave that key first.
    pub(crate) inputs: Vec<u32>,
    /// For each row left out, its input, and whether it took the place of one given earlier.
    pub(crate) duplicates: Vec<(u32, bool)>,
}

/// The rows of a batch in the order of their keys; of equal ones, the one that came first comes first.
fn ordered(batch: &RecordBatch, keys: &Rows) -> Vec<u32> {
    let numbers = |column: usize| batch.column(column).as_dictionary::<Int32Type>().keys();
    let (services, instances) = (numbers(1).values(), numbers(2).values());
    let count = u32::try_from(batch.num_rows()).expect("a buffer of fewer rows");
    // Rows of many instances take turns, those of one mostly come in order: put together by instance they are sorted already, which
    // a stable sort sees in one pass.
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut known = HashMap::new();
    let mut last = None;
    for (row, of) in (0..count).zip(services.iter().zip(instances)) {
        let group = match last {
            Some((before, group)) if before == of => group,
            _ => *known.entry(of).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            }),
        };
        last = Some((of, group));
        groups[group].push(row);
    }
    let key = |row: &u32| keys.row(*row as usize);
    groups.sort_by(|a, b| a.first().map(key).cmp(&b.first().map(key)));
    let mut order = groups.concat();
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    order
}

/// Sorts a batch, text that repeats in dictionaries, by key and keeps one row of each.
pub(crate) fn distinct(
    table: Table,
    batch: &RecordBatch,
    keys: &Rows,
    inputs: &RowInputs,
) -> Result<Distinct> {
    let key = |row: u32| keys.row(row as usize);
    let order = ordered(batch, keys);
    let mut kept = Distinct {
        rows: Vec::with_capacity(order.len()),
        inputs: Vec::with_capacity(order.len()),
        duplicates: Vec::new(),
    };
    for same in order.chunk_by(|a, b| key(*a) == key(*b)) {
        let mut winner = 0;
        if same.len() > 1 {
            let candidates = payloads(
                table,
                &take_record_batch(batch, &UInt32Array::from(same.to_vec()))?,
            )?;
            for (at, row) in same.iter().enumerate().skip(1) {
                let wins = candidates.row(at) > candidates.row(winner);
                kept.duplicates.push((inputs.of(*row as usize), wins));
                if wins {
                    winner = at;
                }
            }
        }
        kept.rows.push(same[winner]);
        kept.inputs.push(inputs.of(same[0] as usize));
    }
    Ok(kept)
}

/// Ascending row numbers as stretches.
pub(crate) fn stretches(rows: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match found.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => found.push(row..row + 1),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample};
    use proptest::prelude::*;

    use super::*;
    use crate::buffer::Columns;

    proptest! {
        #[test]
        fn rows_are_in_the_order_of_their_keys_and_then_as_they_came(
            rows in prop::collection::vec((0u8..3, 0u8..2, 0i64..6), 0..60),
        ) {
            let mut columns = Columns::new(Table::Metrics);
            for (service, instance, at) in &rows {
                let of = Identity {
                    service: format!("s{}", 9 - service).into(),
                    instance: format!("i{instance}").into(),
                };
                let at = Timestamp(at * 1_000_000);
                let row = MetricSample::new(at, "m".into(), "".into(), 1.0, MetricKind::Gauge);
                columns.push(&of, &row, 0);
            }
            let (batch, _) = columns.finish().unwrap();
            let keys = keys(Table::Metrics, &batch).unwrap();
            let mut naive: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).collect();
            naive.sort_by_key(|row| {
                let (service, instance, at) = rows[*row as usize];
                (9 - service, instance, at, *row)
            });
            prop_assert_eq!(ordered(&batch, &keys), naive);
        }
    }

    #[test]
    fn row_numbers_become_stretches() {
        assert_eq!(stretches([1, 2, 3, 7, 9, 10]), [1..4, 7..8, 9..11]);
        assert!(stretches([]).is_empty());
    }
}
