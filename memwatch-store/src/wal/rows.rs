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
use crate::schema::Table;

pub(super) const ALL_NULL: u8 = 0;
pub(super) const NO_NULL: u8 = 1;
pub(super) const SOME_NULL: u8 = 2;

pub(super) const WORDS: u8 = 1;
pub(super) const BITS: u8 = 2;
pub(super) const NUMBERED: u8 = 3;
pub(super) const TEXTS: u8 = 4;

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
    /// As many columns as the table has, each of `rows` cells; `None` when all of them are NULL.
    pub(crate) columns: Vec<Option<Vec<Cell<'a>>>>,
}

/// The rows of a buffer as bytes.
pub(crate) fn encode(columns: &Columns) -> Vec<u8> {
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
            let values = b.values().map(|v| v.to_le_bytes());
            put_words(out, rows, b.present().as_ref(), values);
        }
        ColumnBuffer::Int(b) => {
            let values = b.values().map(|v| v.to_le_bytes());
            put_words(out, rows, b.present().as_ref(), values);
        }
        ColumnBuffer::Float(b) => {
            let values = b.values().map(|v| v.to_le_bytes());
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

pub(super) fn bit(bits: &[u8], row: usize) -> bool {
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

#[cfg(test)]
mod tests {
    use memwatch_core::record::{Identity, MemorySample, MetricKind, MetricSample, Span};
    use memwatch_core::{Bytes, Nanos, Timestamp};
    use proptest::prelude::*;

    use super::super::decode::decode;
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
