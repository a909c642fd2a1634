//! Rows of one table as bytes, column by column.
//!
//! ```text
//! table     length u8, name
//! rows u32 | columns u16
//! column    presence u8 (0: all NULL, 1: none, 2: a bitmap follows) | layout u8 | values
//! layout    1  8 bytes a row           2  a bitmap
//!           3  count u32, texts; u32 a row, which of them     4  a text a row
//! text      length u32, UTF-8
//! ```
//!
//! Where a value is NULL its place holds zeros. A payload of fewer columns than its table has comes from an older version: the rest is NULL.

use arrow::buffer::NullBuffer;

use crate::buffer::{ColumnBuffer, Columns};
use crate::schema::{ColumnType, Table};

const ALL_NULL: u8 = 0;
const NO_NULL: u8 = 1;
const SOME_NULL: u8 = 2;

const WORDS: u8 = 1;
const BITS: u8 = 2;
const NUMBERED: u8 = 3;
const TEXTS: u8 = 4;

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    /// NULL.
    Null,
    /// An integer, an instant, or the bits of a float.
    Word(i64),
    /// True or false.
    Bit(bool),
    /// Text.
    Text(&'a str),
}

/// Rows of one table, by column.
#[derive(Debug, PartialEq)]
pub(crate) struct Rows<'a> {
    pub(crate) table: Table,
    pub(crate) rows: usize,
    /// As many columns as the table has, each of `rows` cells.
    pub(crate) columns: Vec<Vec<Cell<'a>>>,
}

/// The rows of a buffer as bytes.
pub(super) fn encode(columns: &Columns) -> Vec<u8> {
    let name = columns.table().name();
    let rows = columns.rows();
    let mut out = Vec::with_capacity(columns.bytes() + 64);
    out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(name.as_bytes());
    put_count(&mut out, rows);
    let count = u16::try_from(columns.columns().len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for column in columns.columns() {
        encode_column(&mut out, column, rows);
    }
    out
}

fn encode_column(out: &mut Vec<u8>, column: &ColumnBuffer, rows: usize) {
    match column {
        ColumnBuffer::Timestamp(b) => {
            let values = b.values().iter().map(|v| v.to_le_bytes());
            put_words(out, rows, b.present().as_ref(), values);
        }
        ColumnBuffer::Int(b) => {
            let values = b.values().iter().map(|v| v.to_le_bytes());
            put_words(out, rows, b.present().as_ref(), values);
        }
        ColumnBuffer::Float(b) => {
            let values = b.values().iter().map(|v| v.to_le_bytes());
            put_words(out, rows, b.present().as_ref(), values);
        }
        ColumnBuffer::Bool(b) => {
            if put_presence(out, rows, b.validity_slice()) {
                out.push(BITS);
                out.extend_from_slice(&b.values_slice()[..rows.div_ceil(8)]);
            }
        }
        ColumnBuffer::Text(b) => {
            if put_presence(out, rows, b.validity_slice()) {
                out.push(TEXTS);
                for ends in b.offsets_slice().windows(2) {
                    let end = |at: usize| usize::try_from(ends[at]).unwrap_or(0);
                    put_bytes(out, &b.values_slice()[end(0)..end(1)]);
                }
            }
        }
        ColumnBuffer::Interned(b) => {
            let present = bitmap(rows, |row| b.number(row).is_some());
            if put_presence(out, rows, Some(&present)) {
                out.push(NUMBERED);
                put_count(out, b.values().len());
                for value in b.values() {
                    put_bytes(out, value.as_bytes());
                }
                for row in 0..rows {
                    out.extend_from_slice(&b.number(row).unwrap_or(0).to_le_bytes());
                }
            }
        }
    }
}

fn put_words(
    out: &mut Vec<u8>,
    rows: usize,
    present: Option<&NullBuffer>,
    values: impl Iterator<Item = [u8; 8]>,
) {
    if put_presence(out, rows, present.map(NullBuffer::validity)) {
        out.push(WORDS);
        out.reserve(8 * rows);
        values.for_each(|value| out.extend_from_slice(&value));
    }
}

/// Says which rows have a value (`None`: all); whether any has.
fn put_presence(out: &mut Vec<u8>, rows: usize, present: Option<&[u8]>) -> bool {
    let Some(present) = present else {
        out.push(NO_NULL);
        return true;
    };
    let is_set = |row: usize| bit(present, row);
    match (0..rows).filter(|row| is_set(*row)).count() {
        0 => {
            out.push(ALL_NULL);
            false
        }
        all if all == rows => {
            out.push(NO_NULL);
            true
        }
        _ => {
            out.push(SOME_NULL);
            out.extend_from_slice(&bitmap(rows, is_set));
            true
        }
    }
}

fn bitmap(rows: usize, is_set: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut bits = vec![0; rows.div_ceil(8)];
    for row in (0..rows).filter(|row| is_set(*row)) {
        bits[row / 8] |= 1 << (row % 8);
    }
    bits
}

fn bit(bits: &[u8], row: usize) -> bool {
    bits.get(row / 8)
        .is_some_and(|byte| byte >> (row % 8) & 1 == 1)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Reads rows; says what was expected where the bytes are something else.
pub(crate) fn decode(bytes: &[u8]) -> Result<Rows<'_>, &'static str> {
    let mut from = Reader(bytes);
    let length = usize::from(from.byte()?);
    let name = from.text_of(length)?;
    let table = Table::from_name(name).ok_or("a table of this version")?;
    let rows = from.count()?;
    let count = usize::from(u16::from_le_bytes(from.array()?));
    let def = table.def();
    if count > def.columns.len() {
        return Err("no more columns than this version knows");
    }
    // A row takes a byte at least: what claims more is not one of ours, and would ask for too much memory.
    if rows > bytes.len() {
        return Err("as many rows as there is room for");
    }
    let mut columns = Vec::with_capacity(def.columns.len());
    for column in &def.columns[..count] {
        let cells = decode_column(&mut from, rows, column.kind)?;
        if !column.nullable && cells.contains(&Cell::Null) {
            return Err("a value in each row of a column that is never NULL");
        }
        columns.push(cells);
    }
    for column in &def.columns[count..] {
        if !column.nullable {
            return Err("a column that is never NULL");
        }
        columns.push(vec![Cell::Null; rows]);
    }
    if !from.0.is_empty() {
        return Err("the end");
    }
    Ok(Rows {
        table,
        rows,
        columns,
    })
}

fn decode_column<'a>(
    from: &mut Reader<'a>,
    rows: usize,
    kind: ColumnType,
) -> Result<Vec<Cell<'a>>, &'static str> {
    let present = match from.byte()? {
        ALL_NULL => return Ok(vec![Cell::Null; rows]),
        NO_NULL => None,
        SOME_NULL => Some(from.take(rows.div_ceil(8))?),
        _ => return Err("which rows have a value"),
    };
    let layout = from.byte()?;
    let mut cells: Vec<Cell<'a>> = Vec::with_capacity(rows);
    match (layout, kind) {
        (WORDS, ColumnType::Timestamp | ColumnType::Int | ColumnType::Float) => {
            for _ in 0..rows {
                cells.push(Cell::Word(i64::from_le_bytes(from.array()?)));
            }
        }
        (BITS, ColumnType::Bool) => {
            let bits = from.take(rows.div_ceil(8))?;
            cells.extend((0..rows).map(|row| Cell::Bit(bit(bits, row))));
        }
        (NUMBERED, ColumnType::Text) => {
            let count = from.count()?;
            if count > from.0.len() {
                return Err("as many texts as there is room for");
            }
            let texts: Vec<&str> = (0..count).map(|_| from.text()).collect::<Result<_, _>>()?;
            for row in 0..rows {
                let number = from.count()?;
                // Where there is none its number means nothing.
                let text = texts.get(number).copied();
                match text.or((!is_present(present, row)).then_some("")) {
                    Some(text) => cells.push(Cell::Text(text)),
                    None => return Err("the number of a text"),
                }
            }
        }
        (TEXTS, ColumnType::Text) => {
            for _ in 0..rows {
                cells.push(Cell::Text(from.text()?));
            }
        }
        _ => return Err("a layout that fits the column"),
    }
    for (row, cell) in cells.iter_mut().enumerate() {
        if !is_present(present, row) {
            *cell = Cell::Null;
        }
    }
    Ok(cells)
}

fn is_present(present: Option<&[u8]>, row: usize) -> bool {
    present.is_none_or(|bits| bit(bits, row))
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("more bytes")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        Ok(self.array::<1>()?[0])
    }

    fn count(&mut self) -> Result<usize, &'static str> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| "a count that fits memory")
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let length = self.count()?;
        self.text_of(length)
    }

    fn text_of(&mut self, length: usize) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.take(length)?).map_err(|_| "UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use memwatch_core::record::{Identity, MemorySample, MetricKind, MetricSample, Span};
    use memwatch_core::{Bytes, Nanos, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn identity(n: i64) -> Identity {
        Identity {
            service: "s".into(),
            instance: format!("é{}", n % 3).into(),
        }
    }

    /// Some rows of each of three tables, with and without values.
    fn buffers() -> Vec<Columns> {
        let mut samples = Columns::new(Table::Samples);
        let mut metrics = Columns::new(Table::Metrics);
        let mut spans = Columns::new(Table::Spans);
        for n in 0..11 {
            let mut sample = MemorySample::default();
            sample.at = Timestamp(n * 1_000_000);
            sample.heap_inuse = (n % 3 > 0).then_some(Bytes(n << 40));
            sample.gc_cpu_fraction = Some(if n == 4 { f64::NAN } else { 0.25 });
            sample.enable_gc = (n % 2 > 0).then_some(n % 4 == 1);
            sample.version = (n > 5).then(|| format!("v{n}").into());
            samples.push(&identity(n), &sample, 0);
            let at = Timestamp(n);
            let metric = MetricSample::new(at, "m".into(), "".into(), -0.0, MetricKind::Counter);
            metrics.push(&identity(n), &metric, 0);
            let mut span = Span::default();
            span.trace_id = format!("{n:x}").into();
            span.duration = Nanos(n);
            spans.push(&identity(n), &span, 0);
        }
        vec![samples, metrics, spans]
    }

    #[test]
    fn rows_come_back_as_they_were() {
        for buffer in buffers() {
            let bytes = encode(&buffer);
            let rows = decode(&bytes).unwrap();
            assert_eq!(rows.rows, 11);
            let mut again = Columns::new(buffer.table());
            again.extend(&rows, 0).unwrap();
            assert_eq!(encode(&again), bytes);
            let (expected, found) = (buffer.finish().unwrap().0, again.finish().unwrap().0);
            assert_eq!(format!("{expected:?}"), format!("{found:?}"));
        }
    }

    #[test]
    fn fewer_columns_are_those_of_an_older_version() {
        let buffer = &buffers()[0];
        let mut bytes = encode(buffer);
        // The last column of `samples` is NULL in all rows: one byte.
        bytes.pop();
        let count = 1 + "samples".len() + 4;
        let columns = u16::try_from(Table::Samples.def().columns.len() - 1).unwrap();
        bytes[count..count + 2].copy_from_slice(&columns.to_le_bytes());
        let rows = decode(&bytes).unwrap();
        assert_eq!(rows.columns.len(), Table::Samples.def().columns.len());
    }

    #[test]
    fn every_prefix_is_refused() {
        for buffer in buffers() {
            let bytes = encode(&buffer);
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{end} of {}", bytes.len());
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            which in 0usize..3,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = encode(&buffers()[which]);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(rows) = decode(&bytes) {
                let mut again = Columns::new(rows.table);
                let _ = again.extend(&rows, 0);
            }
        }
    }
}
