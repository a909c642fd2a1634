//! Rows not yet in a segment: the columns of one table, growing row by row.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanBufferBuilder, BooleanBuilder, DictionaryArray,
    Int32Array, PrimitiveArray, RecordBatch, StringArray, StringBuilder,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
};
use hashbrown::HashMap;
use memwatch_core::Timestamp;
use memwatch_core::record::Identity;

use crate::schema::{Column, ColumnEncoding, ColumnType, Row, Table};
use crate::wal::{Cell, Rows};
use crate::{Error, Result};

/// The columns of one table in memory.
pub(crate) struct Columns {
    table: Table,
    columns: Vec<ColumnBuffer>,
    /// The column that takes the next value.
    next: usize,
    rows: usize,
    bytes: usize,
    /// From which row on the rows came from which input.
    inputs: Vec<(usize, u32)>,
}

impl Columns {
    pub(crate) fn new(table: Table) -> Columns {
        let columns = table.def().columns.iter().map(ColumnBuffer::new).collect();
        Columns {
            table,
            columns,
            next: 0,
            rows: 0,
            bytes: 0,
            inputs: Vec::new(),
        }
    }

    /// Without rows, in the memory of a batch of this table, where nobody else holds it: fresh pages cost more than the rows.
    pub(crate) fn reusing(table: Table, batch: RecordBatch) -> Columns {
        let held: Vec<Option<Buffer>> = batch
            .columns()
            .iter()
            .map(|column| column.to_data().buffers().first().cloned())
            .collect();
        drop(batch);
        let mut columns = Columns::new(table);
        for (column, buffer) in columns.columns.iter_mut().zip(held) {
            match (column, buffer) {
                (ColumnBuffer::Timestamp(b), Some(buffer)) => b.reuse(buffer),
                (ColumnBuffer::Int(b), Some(buffer)) => b.reuse(buffer),
                (ColumnBuffer::Float(b), Some(buffer)) => b.reuse(buffer),
                _ => {}
            }
        }
        columns
    }

    /// Takes all rows away and keeps the memory.
    pub(crate) fn clear(&mut self) {
        for column in &mut self.columns {
            column.clear();
        }
        (self.rows, self.bytes) = (0, 0);
        self.inputs.clear();
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// About how many bytes of memory the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn table(&self) -> Table {
        self.table
    }

    pub(crate) fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// Adds rows of this table that were read from bytes; says what was expected when their values do not fit its columns.
    pub(crate) fn extend(&mut self, rows: &Rows<'_>, input: u32) -> Result<(), &'static str> {
        if rows.table != self.table || rows.columns.len() != self.columns.len() {
            return Err("rows of this table");
        }
        if self.inputs.last().is_none_or(|(_, last)| *last != input) {
            self.inputs.push((self.rows, input));
        }
        for (column, cells) in self.columns.iter_mut().zip(&rows.columns) {
            match cells {
                Some(cells) => {
                    for cell in cells {
                        self.bytes += column.push(*cell)?;
                    }
                }
                None => {
                    for _ in 0..rows.rows {
                        self.bytes += column.push(Cell::Null)?;
                    }
                }
            }
        }
        self.rows += rows.rows;
        Ok(())
    }

    /// Adds a row that came from that input.
    pub(crate) fn push<R: Row>(&mut self, of: &Identity, row: &R, input: u32) {
        debug_assert_eq!(self.table, R::TABLE, "a row of this table");
        if self.inputs.last().is_none_or(|(_, last)| *last != input) {
            self.inputs.push((self.rows, input));
        }
        row.append(of, self);
    }

    /// Begins a row with the three columns that every table begins with.
    pub(crate) fn begin(&mut self, at: Timestamp, of: &Identity) {
        debug_assert_eq!(self.next, 0, "the row before has ended");
        self.timestamp(Some(at));
        self.text(Some(&of.service));
        self.text(Some(&of.instance));
    }

    /// Ends a row.
    pub(crate) fn end(&mut self) {
        assert_eq!(
            self.next,
            self.columns.len(),
            "a value for each column of {}",
            self.table.name()
        );
        self.next = 0;
        self.rows += 1;
    }

    pub(crate) fn timestamp(&mut self, value: Option<Timestamp>) {
        match self.column() {
            ColumnBuffer::Timestamp(b) => b.append(value.map(Timestamp::micros)),
            _ => unreachable!("a timestamp column"),
        }
        self.bytes += 8;
    }

    pub(crate) fn int(&mut self, value: Option<i64>) {
        match self.column() {
            ColumnBuffer::Int(b) => b.append(value),
            _ => unreachable!("an integer column"),
        }
        self.bytes += 8;
    }

    /// Values for the next columns, one each.
    pub(crate) fn ints<const N: usize>(&mut self, values: [Option<i64>; N]) {
        let columns = &mut self.columns[self.next..self.next + N];
        for (column, value) in columns.iter_mut().zip(&values) {
            match column {
                ColumnBuffer::Int(b) => b.append(*value),
                _ => unreachable!("an integer column"),
            }
        }
        self.next += N;
        self.bytes += 8 * N;
    }

    pub(crate) fn float(&mut self, value: Option<f64>) {
        match self.column() {
            ColumnBuffer::Float(b) => b.append(value),
            _ => unreachable!("a float column"),
        }
        self.bytes += 8;
    }

    pub(crate) fn boolean(&mut self, value: Option<bool>) {
        match self.column() {
            ColumnBuffer::Bool(b) => b.append_option(value),
            _ => unreachable!("a boolean column"),
        }
    }

    pub(crate) fn text(&mut self, value: Option<&str>) {
        let bytes = match self.column() {
            ColumnBuffer::Text(b) => {
                b.append_option(value);
                value.map_or(4, |v| v.len() + 4)
            }
            ColumnBuffer::Interned(b) => b.append(value),
            _ => unreachable!("a text column"),
        };
        self.bytes += bytes;
    }

    fn column(&mut self) -> &mut ColumnBuffer {
        let column = self.next;
        self.next += 1;
        &mut self.columns[column]
    }

    /// All rows as one batch, in the order in which they came, text that repeats as dictionaries, and for each row its input.
    pub(crate) fn finish(self) -> Result<(RecordBatch, RowInputs)> {
        let arrays = self
            .columns
            .into_iter()
            .map(ColumnBuffer::finish)
            .collect::<Result<Vec<ArrayRef>>>()?;
        let batch = RecordBatch::try_new(buffer_schema(self.table), arrays)?;
        Ok((batch, RowInputs(self.inputs)))
    }
}

/// Which row of a buffer came from which input.
pub(crate) struct RowInputs(Vec<(usize, u32)>);

impl RowInputs {
    pub(crate) fn of(&self, row: usize) -> u32 {
        let after = self.0.partition_point(|(first, _)| *first <= row);
        after.checked_sub(1).map_or(0, |i| self.0[i].1)
    }
}

/// The Arrow type of a column while it is in memory.
fn buffer_type(column: &Column) -> DataType {
    match (column.kind, column.encoding) {
        (ColumnType::Text, ColumnEncoding::Dictionary) => dictionary_type(),
        _ => column.data_type(),
    }
}

/// Text by numbers.
pub(crate) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A table's schema with text that repeats as dictionaries.
pub(crate) fn buffer_schema(table: Table) -> SchemaRef {
    let fields = table
        .def()
        .columns
        .iter()
        .map(|c| Field::new(c.name, buffer_type(c), c.nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The values of one column.
pub(crate) enum ColumnBuffer {
    Timestamp(Words<TimestampMicrosecondType>),
    Int(Words<Int64Type>),
    Float(Words<Float64Type>),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Interned(Interned),
}

impl ColumnBuffer {
    fn new(column: &Column) -> ColumnBuffer {
        match (column.kind, column.encoding) {
            (ColumnType::Timestamp, _) => ColumnBuffer::Timestamp(Words::new(column)),
            (ColumnType::Int, _) => ColumnBuffer::Int(Words::new(column)),
            (ColumnType::Float, _) => ColumnBuffer::Float(Words::new(column)),
            (ColumnType::Bool, _) => ColumnBuffer::Bool(BooleanBuilder::new()),
            (ColumnType::Text, ColumnEncoding::Dictionary) => {
                ColumnBuffer::Interned(Interned::default())
            }
            (ColumnType::Text, _) => ColumnBuffer::Text(StringBuilder::new()),
        }
    }

    /// Adds a value; says how many bytes it takes.
    fn push(&mut self, cell: Cell<'_>) -> Result<usize, &'static str> {
        match (self, cell) {
            (ColumnBuffer::Timestamp(b), Cell::Word(v)) => b.append(Some(v)),
            (ColumnBuffer::Timestamp(b), Cell::Null) => b.append(None),
            (ColumnBuffer::Int(b), Cell::Word(v)) => b.append(Some(v)),
            (ColumnBuffer::Int(b), Cell::Null) => b.append(None),
            (ColumnBuffer::Float(b), Cell::Word(v)) => {
                b.append(Some(f64::from_le_bytes(v.to_le_bytes())));
            }
            (ColumnBuffer::Float(b), Cell::Null) => b.append(None),
            (ColumnBuffer::Bool(b), Cell::Bit(v)) => b.append_value(v),
            (ColumnBuffer::Bool(b), Cell::Null) => b.append_null(),
            (ColumnBuffer::Text(b), Cell::Text(v)) => {
                b.append_value(v);
                return Ok(v.len() + 4);
            }
            (ColumnBuffer::Text(b), Cell::Null) => b.append_null(),
            (ColumnBuffer::Interned(b), Cell::Text(v)) => return Ok(b.append(Some(v))),
            (ColumnBuffer::Interned(b), Cell::Null) => return Ok(b.append(None)),
            _ => return Err("a value that fits its column"),
        }
        Ok(8)
    }

    fn clear(&mut self) {
        match self {
            ColumnBuffer::Timestamp(b) => b.clear(),
            ColumnBuffer::Int(b) => b.clear(),
            ColumnBuffer::Float(b) => b.clear(),
            ColumnBuffer::Bool(b) => *b = BooleanBuilder::new(),
            ColumnBuffer::Text(b) => *b = StringBuilder::new(),
            ColumnBuffer::Interned(b) => *b = Interned::default(),
        }
    }

    fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            ColumnBuffer::Timestamp(b) => Arc::new(b.finish()),
            ColumnBuffer::Int(b) => Arc::new(b.finish()),
            ColumnBuffer::Float(b) => Arc::new(b.finish()),
            ColumnBuffer::Bool(mut b) => Arc::new(b.finish()),
            ColumnBuffer::Text(mut b) => Arc::new(b.finish()),
            ColumnBuffer::Interned(b) => b.finish()?,
        })
    }
}

/// Values of a column that go there together: what a line of the cache holds.
const NEWEST: usize = 8;

/// Values of eight bytes, of which some may be missing. Arrow's builder keeps a bit for each value that is there, this one a number for
/// each that is not: most are. The memory of a column that no row has a value for does not grow.
pub(crate) struct Words<T: ArrowPrimitiveType> {
    kind: DataType,
    /// Rows so far, as long as none has a value.
    empty: usize,
    /// The values, with a zero for each that is missing.
    values: Vec<T::Native>,
    /// Those after them, and how many. The ends of all columns lie a whole number of pages apart and so compete for a few places of the
    /// nearest cache: written one value at a time, each would be fetched anew.
    newest: [T::Native; NEWEST],
    held: usize,
    /// Rows without a value.
    missing: Vec<u32>,
}

impl<T: ArrowPrimitiveType> Words<T> {
    fn new(column: &Column) -> Words<T> {
        Words {
            kind: column.data_type(),
            empty: 0,
            values: Vec::new(),
            newest: [T::Native::default(); NEWEST],
            held: 0,
            missing: Vec::new(),
        }
    }

    fn reuse(&mut self, buffer: Buffer) {
        if let Ok(values) = buffer.into_vec() {
            self.values = values;
            self.clear();
        }
    }

    fn clear(&mut self) {
        (self.empty, self.held) = (0, 0);
        self.values.clear();
        self.missing.clear();
    }

    #[inline]
    fn append(&mut self, value: Option<T::Native>) {
        match value {
            Some(value) if self.empty == 0 => self.put(value),
            value => self.append_around(value),
        }
    }

    /// A value that is missing, or before which all were.
    #[inline(never)]
    fn append_around(&mut self, value: Option<T::Native>) {
        match value {
            Some(value) => {
                let before = std::mem::take(&mut self.empty);
                self.missing.extend(0..row_number(before));
                self.values.resize(before, T::Native::default());
                self.put(value);
            }
            None if self.len() == 0 => self.empty += 1,
            None => {
                self.missing.push(row_number(self.len()));
                self.put(T::Native::default());
            }
        }
    }

    #[inline]
    fn put(&mut self, value: T::Native) {
        // With the value that comes after them, when all have long been written: a load of what was just stored waits for it.
        if self.held == NEWEST {
            self.values.extend_from_slice(&self.newest);
            self.held = 0;
        }
        self.newest[self.held % NEWEST] = value;
        self.held += 1;
    }

    /// How many values there are, with those that are missing, unless all are.
    fn len(&self) -> usize {
        self.values.len() + self.held
    }

    /// The values, with a zero for each that is missing; nothing when all are.
    pub(crate) fn values(&self) -> impl Iterator<Item = T::Native> {
        self.values.iter().chain(&self.newest[..self.held]).copied()
    }

    /// Which values are there; `None` when all are.
    pub(crate) fn present(&self) -> Option<NullBuffer> {
        if self.empty > 0 {
            return Some(NullBuffer::new_null(self.empty));
        }
        if self.missing.is_empty() {
            return None;
        }
        let mut bits = BooleanBufferBuilder::new(self.len());
        bits.append_n(self.len(), true);
        for row in &self.missing {
            bits.set_bit(*row as usize, false);
        }
        Some(NullBuffer::new(bits.finish()))
    }

    fn finish(mut self) -> PrimitiveArray<T> {
        let array = if self.empty > 0 {
            PrimitiveArray::new_null(self.empty)
        } else {
            let present = self.present();
            self.values.extend_from_slice(&self.newest[..self.held]);
            PrimitiveArray::new(self.values.into(), present)
        };
        array.with_data_type(self.kind)
    }
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a buffer of fewer rows")
}

/// Text that repeats: each value once, rows by number.
#[derive(Default)]
pub(crate) struct Interned {
    rows: Vec<Option<i32>>,
    values: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, i32>,
    /// The number of the row before: neighbouring rows mostly agree.
    last: i32,
}

impl Interned {
    /// Adds a row; says how many bytes it took.
    fn append(&mut self, value: Option<&str>) -> usize {
        let Some(value) = value else {
            self.rows.push(None);
            return 8;
        };
        let known = |values: &[Arc<str>], number: i32| {
            usize::try_from(number)
                .ok()
                .and_then(|n| values.get(n))
                .is_some_and(|v| **v == *value)
        };
        let mut bytes = 8;
        if !known(&self.values, self.last) {
            self.last = match self.numbers.get(value) {
                Some(number) => *number,
                None => {
                    let number = i32::try_from(self.values.len()).expect("a buffer of fewer rows");
                    let value: Arc<str> = value.into();
                    bytes += value.len() + 64;
                    self.values.push(Arc::clone(&value));
                    self.numbers.insert(value, number);
                    number
                }
            };
        }
        self.rows.push(Some(self.last));
        bytes
    }

    /// The number of a row's value; `None` for NULL.
    pub(crate) fn number(&self, row: usize) -> Option<i32> {
        self.rows[row]
    }

    /// The values by number.
    pub(crate) fn values(&self) -> &[Arc<str>] {
        &self.values
    }

    fn finish(self) -> Result<ArrayRef> {
        let values = StringArray::from_iter_values(self.values.iter().map(|v| v.as_ref()));
        let rows = Int32Array::from(self.rows);
        Ok(Arc::new(
            DictionaryArray::<Int32Type>::try_new(rows, Arc::new(values)).map_err(Error::from)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_those_that_came(
            before in 0usize..4,
            values in prop::collection::vec(prop::option::of(any::<i64>()), 0..40),
        ) {
            let def = Table::Samples.def();
            let column = &def.columns[def.index_of("num_gc").unwrap()];
            let mut words = Words::<Int64Type>::new(column);
            // Whatever was in it, and in whatever memory.
            for _ in 0..before {
                words.append(Some(7));
                words.append(None);
            }
            let buffer = words.finish().to_data().buffers()[0].clone();
            let mut words = Words::<Int64Type>::new(column);
            words.reuse(buffer);
            for value in &values {
                words.append(*value);
            }
            // Without rows again, in the same memory, as a buffer of the WAL is.
            words.clear();
            for value in &values {
                words.append(*value);
            }
            let all: Vec<i64> = words.values().collect();
            let filled = values.iter().map(|v| v.unwrap_or_default());
            if values.iter().any(Option::is_some) {
                prop_assert_eq!(all, filled.collect::<Vec<_>>());
            } else {
                prop_assert_eq!(all, Vec::<i64>::new());
            }
            let present = words.present();
            let is_present = |row| present.as_ref().is_none_or(|p| p.is_valid(row));
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(is_present(row), value.is_some());
            }
            let array = words.finish();
            prop_assert_eq!(array.len(), values.len());
            prop_assert_eq!(array.iter().collect::<Vec<_>>(), values);
        }
    }
}
