//! The rows of one group, as they come; sorted when all are there.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeListArray, TimestampNanosecondArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::kind::Rows;

/// Rows of one group: 16 bytes each, or 8 without time, and 8 for a second column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected {
    at_ns: Vec<i64>,
    values: Vec<f64>,
    second: Vec<f64>,
}

/// The arguments of a batch: times and numbers, with the rows that have them all.
pub(crate) struct Arguments<'a> {
    at_ns: Option<&'a TimestampNanosecondArray>,
    values: &'a Float64Array,
    second: Option<&'a Float64Array>,
}

impl<'a> Arguments<'a> {
    /// The columns of a statistic that has a time or not, and one or two columns of numbers.
    pub(crate) fn new(arrays: &'a [ArrayRef], timed: bool, columns: usize) -> Result<Self> {
        let float = |i: usize| {
            arrays
                .get(i + usize::from(timed))
                .and_then(|a| a.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| exec_datafusion_err!("expected a column of numbers"))
        };
        let at_ns = match (timed, arrays.first()) {
            (false, _) => None,
            (true, first) => Some(
                first
                    .and_then(|a| a.as_any().downcast_ref::<TimestampNanosecondArray>())
                    .ok_or_else(|| exec_datafusion_err!("expected a column of times"))?,
            ),
        };
        Ok(Arguments {
            at_ns,
            values: float(0)?,
            second: (columns > 1).then(|| float(1)).transpose()?,
        })
    }

    /// Whether no row lacks its time or its value.
    pub(crate) fn complete(&self) -> bool {
        self.values.null_count() == 0
            && self.at_ns.is_none_or(|at| at.null_count() == 0)
            && self.second.is_none_or(|second| second.null_count() == 0)
    }

    /// Whether a row has its time and its value.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.values.is_valid(row) && self.at_ns.is_none_or(|at| at.is_valid(row))
    }

    /// All rows as they lie, where none lacks anything.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            at_ns: self.at_ns.map_or(&[], |at| at.values()),
            values: self.values.values(),
            second: self.second.map_or(&[], |second| second.values()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl Collected {
    /// Takes the rows of a range, where none lacks anything.
    pub(crate) fn extend(&mut self, from: Rows<'_>, rows: std::ops::Range<usize>) {
        if !from.at_ns.is_empty() {
            self.at_ns.extend_from_slice(&from.at_ns[rows.clone()]);
        }
        self.values.extend_from_slice(&from.values[rows.clone()]);
        if !from.second.is_empty() {
            self.second.extend_from_slice(&from.second[rows]);
        }
    }

    /// Takes one row if it has its time and its value.
    pub(crate) fn push(&mut self, from: &Arguments<'_>, row: usize) {
        if from.has(row) {
            self.push_at(from, row, from.at_ns.map(|at| at.value(row)));
        }
    }

    /// Takes one row that has a value, at that time.
    pub(crate) fn push_at(&mut self, from: &Arguments<'_>, row: usize, at_ns: Option<i64>) {
        self.at_ns.extend(at_ns);
        self.values.push(from.values.value(row));
        if let Some(second) = from.second {
            self.second.push(if second.is_valid(row) {
                second.value(row)
            } else {
                f64::NAN
            });
        }
    }

    /// Takes the rows that have all of it.
    pub(crate) fn push_all(&mut self, from: &Arguments<'_>) {
        if from.complete() {
            self.extend(from.rows(), 0..from.len());
        } else {
            (0..from.len()).for_each(|row| self.push(from, row));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows in the order of time; of one time by value, so that the order in which they came does not matter.
    pub(crate) fn sorted(&mut self) -> Rows<'_> {
        if self.at_ns.windows(2).any(|w| w[0] >= w[1]) {
            let mut order: Vec<usize> = (0..self.at_ns.len()).collect();
            let second = |i: usize| self.second.get(i).copied().unwrap_or(0.0);
            order.sort_by(|a, b| {
                self.at_ns[*a]
                    .cmp(&self.at_ns[*b])
                    .then_with(|| self.values[*a].total_cmp(&self.values[*b]))
                    .then_with(|| second(*a).total_cmp(&second(*b)))
            });
            let floats = |of: &[f64]| order.iter().filter_map(|i| of.get(*i).copied()).collect();
            (self.values, self.second) = (floats(&self.values), floats(&self.second));
            self.at_ns = order.iter().map(|i| self.at_ns[*i]).collect();
        }
        self.rows()
    }

    /// The rows as they came.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            at_ns: &self.at_ns,
            values: &self.values,
            second: &self.second,
        }
    }

    /// Bytes held.
    pub(crate) fn size(&self) -> usize {
        8 * (self.at_ns.capacity() + self.values.capacity() + self.second.capacity())
    }
}

/// The state that goes from one aggregation to the next: a list a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) timed: bool,
    pub(crate) columns: usize,
}

impl State {
    /// Its columns.
    pub(crate) fn fields(self, name: &str) -> Vec<FieldRef> {
        let list = |what: &str, of: DataType| {
            let items = Field::new_list_field(of, false);
            let kind = DataType::LargeList(Arc::new(items));
            Arc::new(Field::new(format!("{name}[{what}]"), kind, true))
        };
        let mut fields = Vec::new();
        if self.timed {
            fields.push(list("at", DataType::Int64));
        }
        fields.push(list("values", DataType::Float64));
        if self.columns > 1 {
            fields.push(list("second", DataType::Float64));
        }
        fields
    }

    /// Groups as columns of it.
    pub(crate) fn write(self, groups: &[Collected]) -> Result<Vec<ArrayRef>> {
        let lengths = || OffsetBuffer::<i64>::from_lengths(groups.iter().map(|g| g.values.len()));
        let list = |values: ArrayRef| -> Result<ArrayRef> {
            let items = Arc::new(Field::new_list_field(values.data_type().clone(), false));
            Ok(Arc::new(LargeListArray::try_new(
                items,
                lengths(),
                values,
                None,
            )?))
        };
        let floats = |of: fn(&Collected) -> &[f64]| -> ArrayRef {
            let slices: Vec<&[f64]> = groups.iter().map(of).collect();
            Arc::new(Float64Array::from(slices.concat()))
        };
        let mut columns = Vec::new();
        if self.timed {
            let slices: Vec<&[i64]> = groups.iter().map(|g| &g.at_ns[..]).collect();
            columns.push(list(Arc::new(Int64Array::from(slices.concat())))?);
        }
        columns.push(list(floats(|g| &g.values))?);
        if self.columns > 1 {
            columns.push(list(floats(|g| &g.second))?);
        }
        Ok(columns)
    }

    /// Gives `take` the rows of each entry.
    pub(crate) fn read(
        self,
        state: &[ArrayRef],
        mut take: impl FnMut(usize, Rows<'_>),
    ) -> Result<()> {
        let lists = state
            .iter()
            .map(|column| column.as_list_opt::<i64>())
            .collect::<Option<Vec<_>>>()
            .filter(|lists| lists.len() == self.columns + usize::from(self.timed))
            .ok_or_else(|| exec_datafusion_err!("expected the state of a statistic"))?;
        let (at, floats) = lists.split_at(usize::from(self.timed));
        let at_ns = at
            .first()
            .and_then(|l| l.values().as_primitive_opt::<Int64Type>());
        let numbers = |i: usize| {
            floats
                .get(i)
                .and_then(|l| l.values().as_primitive_opt::<Float64Type>())
        };
        let (Some(values), second) = (numbers(0), numbers(1)) else {
            return Err(exec_datafusion_err!("expected the state of a statistic"));
        };
        for (entry, bounds) in floats[0].offsets().windows(2).enumerate() {
            if floats[0].is_null(entry) {
                continue;
            }
            let place = |offset: i64| usize::try_from(offset).unwrap_or(0);
            let rows = place(bounds[0])..place(bounds[1]);
            let none: &[f64] = &[];
            take(
                entry,
                Rows {
                    at_ns: at_ns.map_or(&[], |a| &a.values()[rows.clone()]),
                    values: &values.values()[rows.clone()],
                    second: second.map_or(none, |s| &s.values()[rows]),
                },
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(at_ns: &[i64], values: &[f64]) -> Collected {
        Collected {
            at_ns: at_ns.to_vec(),
            values: values.to_vec(),
            second: Vec::new(),
        }
    }

    #[test]
    fn rows_are_put_in_order_whichever_way_they_came() {
        for (at, values) in [
            ([1, 2, 2, 3], [1.0, 5.0, 7.0, 9.0]),
            ([3, 2, 1, 2], [9.0, 7.0, 1.0, 5.0]),
            ([2, 3, 2, 1], [7.0, 9.0, 5.0, 1.0]),
        ] {
            let mut collected = rows(&at, &values);
            let sorted = collected.sorted();
            assert_eq!(sorted.at_ns, [1, 2, 2, 3]);
            assert_eq!(sorted.values, [1.0, 5.0, 7.0, 9.0]);
        }
    }

    #[test]
    fn a_state_is_read_back() {
        let state = State {
            timed: true,
            columns: 1,
        };
        let groups = [
            rows(&[1, 2], &[3.0, 4.0]),
            Collected::default(),
            rows(&[5], &[6.0]),
        ];
        let columns = state.write(&groups).unwrap();
        let mut found = vec![Collected::default(); 3];
        let take = |entry: usize, from: Rows<'_>| found[entry].extend(from, 0..from.values.len());
        state.read(&columns, take).unwrap();
        for (found, group) in found.iter().zip(&groups) {
            assert_eq!((&found.at_ns, &found.values), (&group.at_ns, &group.values));
        }
        assert!(state.read(&columns[1..], |_, _| ()).is_err());
    }
}
