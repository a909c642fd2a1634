//! One segment: checksums first, then every row and what is said of the rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::row::OwnedRow;

use super::bounds::Bounds;
use crate::buffer::buffer_schema;
use crate::identity::keys;
use crate::layout::Day;
use crate::manifest::Segment;
use crate::schema::Table;
use crate::segment::{SegmentReader, check_whole, count_instances};
use crate::{Error, Result, Shared};

/// The first thing that is not as it was written.
pub(super) fn check(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<()> {
    check_whole(shared, segment)?;
    let reader = SegmentReader::open(shared, segment)?;
    let table = segment.path.table;
    let schema = buffer_schema(table);
    check_columns(&reader)?;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let rows = 0..usize::try_from(segment.rows).unwrap_or(usize::MAX);
    let mut bounds = Bounds::new(&reader);
    let mut instances = Vec::new();
    let mut order = Order::new(table);
    let damaged =
        |expected: String, found: String| Err(Error::damaged(reader.path(), expected, found));
    for batch in reader.read(&schema, &all, std::slice::from_ref(&rows))? {
        let batch = batch?;
        if let Some(row) = order.misplaced(&batch)? {
            let at = bounds.rows() + row;
            return damaged(
                "rows in the order of their keys, each once".to_owned(),
                format!("row {at} at or before the one above it"),
            );
        }
        count_instances(&mut instances, &batch)?;
        bounds.check(&batch)?;
    }
    if instances != segment.instances {
        return damaged(
            format!("the {} instances of the manifest", segment.instances.len()),
            format!(
                "others, or other rows or times of them ({})",
                instances.len()
            ),
        );
    }
    let ends = (
        instances.iter().map(|i| i.min_us).min().unwrap_or(0),
        instances.iter().map(|i| i.max_us).max().unwrap_or(0),
    );
    if ends != (segment.min_us, segment.max_us) {
        return damaged(
            format!("rows from {} to {} µs", segment.min_us, segment.max_us),
            format!("rows from {} to {} µs", ends.0, ends.1),
        );
    }
    let day = segment.path.day;
    if Day::of_micros(ends.0) != day || Day::of_micros(ends.1) != day {
        return damaged(
            format!("rows of {day}"),
            format!(
                "rows of {} to {}",
                Day::of_micros(ends.0),
                Day::of_micros(ends.1)
            ),
        );
    }
    Ok(())
}

/// Goes along the rows of a segment, batch by batch: each comes behind the one above it.
#[derive(Clone)]
pub(super) struct Order {
    table: Table,
    last: Option<OwnedRow>,
}

impl Order {
    pub(super) fn new(table: Table) -> Order {
        Order { table, last: None }
    }

    /// The first row of the next batch that does not.
    pub(super) fn misplaced(&mut self, batch: &RecordBatch) -> Result<Option<usize>> {
        let keys = keys(self.table, batch)?;
        let ascends = |row: &usize| match (*row, &self.last) {
            (0, None) => true,
            (0, Some(last)) => last.row() < keys.row(0),
            (row, _) => keys.row(row - 1) < keys.row(row),
        };
        let misplaced = (0..batch.num_rows()).find(|row| !ascends(row));
        if let Some(last) = batch.num_rows().checked_sub(1) {
            self.last = Some(keys.row(last).owned());
        }
        Ok(misplaced)
    }
}

/// The columns of the file are the first ones of the table.
fn check_columns(reader: &SegmentReader) -> Result<()> {
    let def = reader.segment.path.table.def();
    let found: Vec<&str> = reader.column_names().collect();
    let expected: Vec<&str> = def
        .columns
        .iter()
        .map(|c| c.name)
        .take(found.len())
        .collect();
    if found == expected {
        return Ok(());
    }
    Err(Error::damaged(
        reader.path(),
        format!("the columns of {}: {}", def.name, expected.join(", ")),
        found.join(", "),
    ))
}
