//! Whether the statistics that queries prune by are true: least and greatest values of pages and row groups, and how many are NULL.

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use crate::segment::{ROWS_PER_PAGE, SegmentReader, TextColumn};
use crate::{Error, Result};

/// Goes along the rows of a segment, batch by batch; a batch is a page.
pub(super) struct Bounds<'a> {
    reader: &'a SegmentReader,
    rows: usize,
    group: usize,
    /// Rows of the row group so far.
    in_group: usize,
}

impl<'a> Bounds<'a> {
    pub(super) fn new(reader: &'a SegmentReader) -> Bounds<'a> {
        Bounds {
            reader,
            rows: 0,
            group: 0,
            in_group: 0,
        }
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Compares the next rows with what is said of them.
    pub(super) fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let Some(chunk) = self.reader.segment.row_groups.get(self.group) else {
                return Err(self.lie("rows", "no more of them"));
            };
            let group_rows = usize::try_from(chunk.rows).unwrap_or(0);
            let page_left = ROWS_PER_PAGE - self.in_group % ROWS_PER_PAGE;
            let take = (batch.num_rows() - from)
                .min(page_left)
                .min(group_rows - self.in_group);
            for (at, column) in batch.columns().iter().enumerate() {
                self.check_column(at, &column.slice(from, take))?;
            }
            from += take;
            self.rows += take;
            self.in_group += take;
            if self.in_group == group_rows {
                self.group += 1;
                self.in_group = 0;
            }
        }
        Ok(())
    }

    fn check_column(&self, at: usize, values: &ArrayRef) -> Result<()> {
        if !self.reader.has_column(at) {
            return Ok(());
        }
        let metadata = self.reader.metadata();
        let whole = metadata.row_group(self.group).column(at).statistics();
        if !whole.is_none_or(|whole| within_group(values, whole)) {
            return Err(self.lie(self.name(at), "values outside of those of its row group"));
        }
        let index = metadata.column_index();
        let Some(index) = index.and_then(|index| index.get(self.group)?.get(at)) else {
            return Ok(());
        };
        // Pages are cut by rows: where they are not, a batch is not a page, and only the row group can be compared.
        let offsets = metadata.offset_index();
        let page = self.in_group / ROWS_PER_PAGE;
        let starts = offsets.and_then(|index| {
            let pages = index.get(self.group)?.get(at)?.page_locations();
            let rows = i64::try_from(self.in_group).ok()?;
            let next = i64::try_from(self.in_group + values.len()).ok()?;
            let follows = pages
                .get(page + 1)
                .is_none_or(|p| p.first_row_index == next);
            Some(pages.get(page)?.first_row_index == rows && follows)
        });
        if starts == Some(true) && !within_page(values, index, page) {
            return Err(self.lie(self.name(at), "values outside of those of its page"));
        }
        Ok(())
    }

    fn name(&self, at: usize) -> &'static str {
        let columns = self.reader.segment.path.table.def().columns;
        columns.get(at).map_or("", |c| c.name)
    }

    fn lie(&self, column: &str, found: &str) -> Error {
        Error::damaged(
            self.reader.path(),
            format!("statistics of `{column}` that hold at row {}", self.rows),
            found,
        )
    }
}

/// All values lie between two bounds, as far as these are known.
fn between<T: PartialOrd + Copy>(
    values: impl Iterator<Item = T>,
    least: Option<T>,
    most: Option<T>,
) -> bool {
    let mut values = values;
    values.all(|v| {
        // NaN is in no order and in no bounds.
        v.partial_cmp(&v).is_none()
            || (least.is_none_or(|least| least <= v) && most.is_none_or(|most| v <= most))
    })
}

fn ints(values: &ArrayRef) -> Vec<i64> {
    match values.data_type() {
        DataType::Timestamp(..) => {
            let values = values.as_primitive::<TimestampMicrosecondType>();
            values.iter().flatten().collect()
        }
        _ => values
            .as_primitive::<Int64Type>()
            .iter()
            .flatten()
            .collect(),
    }
}

fn texts(values: &ArrayRef) -> Vec<&[u8]> {
    let Some(text) = TextColumn::new(values.as_ref()) else {
        return Vec::new();
    };
    let rows = (0..values.len()).filter(|row| values.is_valid(*row));
    rows.map(|row| text.value(row).as_bytes()).collect()
}

fn within_group(values: &ArrayRef, said: &Statistics) -> bool {
    let no_nulls = said.null_count_opt() == Some(0);
    if no_nulls && values.null_count() > 0 {
        return false;
    }
    match said {
        Statistics::Boolean(s) => {
            let values = values.as_boolean().iter().flatten();
            between(values, s.min_opt().copied(), s.max_opt().copied())
        }
        Statistics::Int64(s) => between(
            ints(values).into_iter(),
            s.min_opt().copied(),
            s.max_opt().copied(),
        ),
        Statistics::Double(s) => {
            let values = values.as_primitive::<Float64Type>().iter().flatten();
            between(values, s.min_opt().copied(), s.max_opt().copied())
        }
        Statistics::ByteArray(s) => between(
            texts(values).into_iter(),
            s.min_bytes_opt(),
            s.max_bytes_opt(),
        ),
        _ => false,
    }
}

fn within_page(values: &ArrayRef, said: &ColumnIndexMetaData, page: usize) -> bool {
    let nulls = i64::try_from(values.null_count()).unwrap_or(i64::MAX);
    match said {
        ColumnIndexMetaData::NONE => true,
        ColumnIndexMetaData::BOOLEAN(s) => {
            s.null_count(page).is_none_or(|n| n == nulls)
                && between(
                    values.as_boolean().iter().flatten(),
                    s.min_value(page).copied(),
                    s.max_value(page).copied(),
                )
        }
        ColumnIndexMetaData::INT64(s) => {
            s.null_count(page).is_none_or(|n| n == nulls)
                && between(
                    ints(values).into_iter(),
                    s.min_value(page).copied(),
                    s.max_value(page).copied(),
                )
        }
        ColumnIndexMetaData::DOUBLE(s) => {
            s.null_count(page).is_none_or(|n| n == nulls)
                && between(
                    values.as_primitive::<Float64Type>().iter().flatten(),
                    s.min_value(page).copied(),
                    s.max_value(page).copied(),
                )
        }
        ColumnIndexMetaData::BYTE_ARRAY(s) => {
            s.null_count(page).is_none_or(|n| n == nulls)
                && between(
                    texts(values).into_iter(),
                    s.min_value(page),
                    s.max_value(page),
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_or_not() {
        assert!(between([1, 2, 3].into_iter(), Some(1), Some(3)));
        assert!(!between([1, 2, 3].into_iter(), Some(2), Some(3)));
        assert!(!between([1, 2, 3].into_iter(), Some(1), Some(2)));
        assert!(between([1, 2].into_iter(), None, None));
        assert!(between([f64::NAN, 1.0].into_iter(), Some(1.0), Some(1.0)));
        assert!(between([-0.0].into_iter(), Some(0.0), Some(0.0)));
    }
}
