//! Bytes as rows: those of a frame, which may be anything. No more memory is asked for than the bytes that are there are worth.

use std::ops::RangeInclusive;

use super::frame::PAYLOAD_MAX;
use super::rows::{ALL_NULL, BITS, Cell, NO_NULL, NUMBERED, Rows, SOME_NULL, TEXTS, WORDS, bit};
use crate::schema::{Column, ColumnEncoding, ColumnType, Table, TableDef};

/// Cells of a frame, at most: a NULL takes less than a bit here and some bytes in memory. A writer ends a frame at an eighth of that.
const CELLS_MAX: usize = PAYLOAD_MAX / 8;

/// Microseconds that are an instant: others are none in nanoseconds, and on no day that can be named.
const INSTANTS: RangeInclusive<i64> = i64::MIN.div_euclid(1_000)..=i64::MAX.div_euclid(1_000);

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
    // What claims more is not one of ours, and would ask for too much memory.
    if rows > from.0.len() / row_bytes(def) || rows > CELLS_MAX / def.columns.len() {
        return Err("as many rows as there is room for");
    }
    let mut columns = Vec::with_capacity(def.columns.len());
    for column in &def.columns[..count] {
        let cells = decode_column(&mut from, rows, column)?;
        let has_null = cells.as_ref().map_or(rows > 0, |c| c.contains(&Cell::Null));
        if !column.nullable && has_null {
            return Err("a value in each row of a column that is never NULL");
        }
        columns.push(cells);
    }
    for column in &def.columns[count..] {
        if !column.nullable {
            return Err("a column that is never NULL");
        }
        columns.push(None);
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

/// The fewest bytes that a row takes: those of the columns that are never NULL.
fn row_bytes(def: &TableDef) -> usize {
    let required = def.columns.iter().filter(|column| !column.nullable);
    let bytes = required.map(|column| match column.kind {
        ColumnType::Timestamp | ColumnType::Int | ColumnType::Float => 8,
        ColumnType::Text => 4,
        ColumnType::Bool => 0,
    });
    bytes.sum()
}

/// The cells of a column; `None` when it says that all are NULL.
fn decode_column<'a>(
    from: &mut Reader<'a>,
    rows: usize,
    column: &Column,
) -> Result<Option<Vec<Cell<'a>>>, &'static str> {
    let present = match from.byte()? {
        ALL_NULL => return Ok(None),
        NO_NULL => None,
        SOME_NULL => Some(from.take(rows.div_ceil(8))?),
        _ => return Err("which rows have a value"),
    };
    let layout = from.byte()?;
    let mut cells: Vec<Cell<'a>> = Vec::with_capacity(rows);
    match (layout, column.kind) {
        (WORDS, ColumnType::Timestamp | ColumnType::Int | ColumnType::Float) => {
            for row in 0..rows {
                let word = i64::from_le_bytes(from.array()?);
                let is_instant = column.kind != ColumnType::Timestamp || INSTANTS.contains(&word);
                if !is_instant && is_present(present, row) {
                    return Err("an instant between the years 1677 and 2262");
                }
                cells.push(Cell::Word(word));
            }
        }
        (BITS, ColumnType::Bool) => {
            let bits = from.take(rows.div_ceil(8))?;
            cells.extend((0..rows).map(|row| Cell::Bit(bit(bits, row))));
        }
        (NUMBERED, ColumnType::Text) => {
            let count = from.count()?;
            // Each takes the four bytes of its length.
            if count > from.0.len() / 4 {
                return Err("as many texts as there is room for");
            }
            let texts: Vec<&str> = (0..count).map(|_| from.text()).collect::<Result<_, _>>()?;
            // Where each row gets its own, a long text of many rows would become many.
            let mut room = match column.encoding {
                ColumnEncoding::Dictionary => usize::MAX,
                _ => PAYLOAD_MAX,
            };
            for row in 0..rows {
                let number = from.count()?;
                // Where there is none its number means nothing.
                let text = texts.get(number).copied();
                match text.or((!is_present(present, row)).then_some("")) {
                    Some(text) => {
                        room = room
                            .checked_sub(text.len())
                            .ok_or("texts that fit into a frame")?;
                        cells.push(Cell::Text(text));
                    }
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
    Ok(Some(cells))
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
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample};

    use super::super::rows::encode;
    use super::*;
    use crate::buffer::Columns;

    /// A payload of `spans` or `metrics` that says what is given of its columns.
    fn payload(table: Table, rows: usize, columns: &[&[u8]]) -> Vec<u8> {
        let name = table.name();
        let mut bytes = vec![u8::try_from(name.len()).unwrap()];
        bytes.extend(name.as_bytes());
        bytes.extend(u32::try_from(rows).unwrap().to_le_bytes());
        bytes.extend(
            u16::try_from(table.def().columns.len())
                .unwrap()
                .to_le_bytes(),
        );
        columns.iter().for_each(|column| bytes.extend(*column));
        bytes
    }

    #[test]
    fn what_is_not_there_asks_for_no_memory() {
        // As many rows as bytes, which would be 24 times as much in memory for each column.
        let rows = 1 << 20;
        let mut bytes = payload(Table::Metrics, rows, &[&[NO_NULL, WORDS]]);
        bytes.resize(rows, 0);
        assert_eq!(decode(&bytes), Err("as many rows as there is room for"));
        // All that a row takes is there, and there are more rows than any writer puts into a frame.
        let rows = CELLS_MAX / Table::Samples.def().columns.len() + 1;
        let mut bytes = payload(Table::Samples, rows, &[&[NO_NULL, WORDS]]);
        bytes.resize(rows * 16 + 100, 0);
        assert_eq!(decode(&bytes), Err("as many rows as there is room for"));
        // More texts than there are bytes for their lengths.
        let instants = [
            &[NO_NULL, WORDS][..],
            &[0; 8],
            &[NO_NULL, NUMBERED, 200, 0, 0, 0],
        ];
        let mut bytes = payload(Table::Metrics, 1, &instants);
        bytes.resize(bytes.len() + 700, 0);
        assert_eq!(decode(&bytes), Err("as many texts as there is room for"));
    }

    #[test]
    fn one_long_text_does_not_become_many() {
        let def = Table::Spans.def();
        let at = def.index_of("trace_id").unwrap();
        assert_eq!(def.columns[at].encoding, ColumnEncoding::DeltaText);
        let rows = 1_000;
        let mut text = vec![NO_NULL, NUMBERED, 1, 0, 0, 0];
        text.extend(100_000u32.to_le_bytes());
        text.resize(text.len() + 100_000, b'x');
        text.resize(text.len() + 4 * rows, 0);
        let found = decode_column(&mut Reader(&text), rows, &def.columns[at]);
        assert_eq!(found, Err("texts that fit into a frame"));
        // Where text repeats it is kept once.
        let service = def.index_of("service").unwrap();
        let found = decode_column(&mut Reader(&text), rows, &def.columns[service]);
        assert_eq!(found.unwrap().map(|cells| cells.len()), Some(rows));
    }

    #[test]
    fn instants_are_on_a_day() {
        let of = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        let mut row =
            MetricSample::new(Timestamp(0), "m".into(), "".into(), 1.0, MetricKind::Gauge);
        for at_ns in [i64::MIN, i64::MAX] {
            row.at = Timestamp(at_ns);
            let mut columns = Columns::new(Table::Metrics);
            columns.push(&of, &row, 0);
            let bytes = encode(&columns);
            decode(&bytes).unwrap();
            let at = 1 + "metrics".len() + 4 + 2 + 2;
            for us in [
                i64::MIN,
                i64::MAX,
                *INSTANTS.start() - 1,
                *INSTANTS.end() + 1,
            ] {
                let mut other = bytes.clone();
                other[at..at + 8].copy_from_slice(&us.to_le_bytes());
                assert_eq!(
                    decode(&other),
                    Err("an instant between the years 1677 and 2262")
                );
            }
        }
    }
}
