//! The tables: which columns they have, how rows are told apart, in which order and encoding they are kept.
//!
//! Everything that deals with tables walks [`TABLES`]; a table is one file here and one line there. A column is never renamed or
//! retyped once released; new ones are added at the end, nullable.
//!
//! Encodings follow measurements (bytes a value at ZSTD 3 on 200 ms samples): differences for counters and timestamps (1.5 to 2.7
//! against 2.4 to 3.4 plain), byte streams for noisy gauges (`heap_inuse_bytes` 1.75 against 2.37), plain for what moves only at a
//! collection or by large steps (long repeats suit zstd: 0.33 against 0.55), a dictionary for near constants and strings. Dictionaries
//! everywhere, the usual default, need 1.9 times the bytes. `examples/sizes.rs` prints what each column takes.

mod artifacts;
mod gc_cycles;
mod gc_pauses;
mod goroutines;
mod incidents;
mod metrics;
mod profiles;
mod runs;
mod samples;
mod spans;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub(crate) use artifacts::Stored as StoredArtifact;
pub(crate) use gc_pauses::{best_origin, parse_origin};
pub(crate) use incidents::decode as decode_incidents;
pub(crate) use metrics::SPARSE_HISTOGRAM;
pub use runs::Run;

use crate::buffer::Columns;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// An instant: microseconds, UTC.
    Timestamp,
    /// 64 bits, signed.
    Int,
    /// 64 bits.
    Float,
    /// True or false.
    Bool,
    /// UTF-8.
    Text,
}

/// How a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnEncoding {
    /// Differences: counters, timestamps, small steps.
    Delta,
    /// The bytes of a value in streams of their own: noisy gauges.
    ByteStreamSplit,
    /// As it is: what repeats in long runs, which zstd folds.
    Plain,
    /// A dictionary: strings that repeat, near constants.
    Dictionary,
    /// Strings one after the other, sharing prefixes: strings that do not repeat.
    DeltaText,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether it may be NULL: what a source did not report.
    pub nullable: bool,
    /// How it is written.
    pub encoding: ColumnEncoding,
}

impl Column {
    const fn new(name: &'static str, kind: ColumnType, encoding: ColumnEncoding) -> Column {
        Column {
            name,
            kind,
            nullable: true,
            encoding,
        }
    }

    const fn required(self) -> Column {
        Column {
            nullable: false,
            ..self
        }
    }

    /// The Arrow type.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        match self.kind {
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnType::Int => DataType::Int64,
            ColumnType::Float => DataType::Float64,
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Text => DataType::Utf8,
        }
    }
}

/// The columns that every table begins with.
const TS: Column = Column::new("ts", ColumnType::Timestamp, ColumnEncoding::Delta).required();
const SERVICE: Column = text("service").required();
const INSTANCE: Column = text("instance").required();

const fn timestamp(name: &'static str) -> Column {
    Column::new(name, ColumnType::Timestamp, ColumnEncoding::Delta)
}

/// Text that repeats.
const fn text(name: &'static str) -> Column {
    Column::new(name, ColumnType::Text, ColumnEncoding::Dictionary)
}

/// Text that is different in each row.
const fn unique_text(name: &'static str) -> Column {
    Column::new(name, ColumnType::Text, ColumnEncoding::DeltaText)
}

const fn boolean(name: &'static str) -> Column {
    Column::new(name, ColumnType::Bool, ColumnEncoding::Plain)
}

/// A number that moves by small steps or only grows.
const fn delta(name: &'static str) -> Column {
    Column::new(name, ColumnType::Int, ColumnEncoding::Delta)
}

/// A number that jumps around.
const fn noisy(name: &'static str) -> Column {
    Column::new(name, ColumnType::Int, ColumnEncoding::ByteStreamSplit)
}

/// A number that stays the same for many rows, then takes any other value.
const fn stepwise(name: &'static str) -> Column {
    Column::new(name, ColumnType::Int, ColumnEncoding::Plain)
}

/// A number of few different values.
const fn constant(name: &'static str) -> Column {
    Column::new(name, ColumnType::Int, ColumnEncoding::Dictionary)
}

const fn float(name: &'static str, encoding: ColumnEncoding) -> Column {
    Column::new(name, ColumnType::Float, encoding)
}

/// The declaration of one table.
#[derive(Debug)]
pub struct TableDef {
    /// Its name, also that of its folder.
    pub name: &'static str,
    /// What one row is.
    pub about: &'static str,
    /// Its columns; the first three are `ts`, `service` and `instance`.
    pub columns: &'static [Column],
    /// What tells rows apart, in the order in which segments are sorted; begins with `service`, `instance`.
    pub key: &'static [&'static str],
}

impl TableDef {
    /// The place of a column in [`TableDef::columns`].
    #[must_use]
    pub fn index_of(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// Whether `ts` is part of what tells rows apart. If not, a row of any day may equal one of another.
    #[must_use]
    pub fn key_has_ts(&self) -> bool {
        self.key.contains(&"ts")
    }

    /// Whether the rows of one instance are in the order of time.
    #[must_use]
    pub fn sorted_by_time(&self) -> bool {
        self.key.get(2) == Some(&"ts")
    }

    /// The columns that are not part of the key.
    pub(crate) fn payload(&self) -> impl Iterator<Item = (usize, &'static Column)> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, c)| !self.key.contains(&c.name))
    }
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `TableDef::about` says it.
pub enum Table {
    Samples,
    GcCycles,
    GcPauses,
    Metrics,
    Spans,
    Goroutines,
    Profiles,
    Artifacts,
    Incidents,
    Runs,
}

/// Every table, in the order in which they are listed.
pub const TABLES: &[(Table, &TableDef)] = &[
    (Table::Samples, &samples::TABLE),
    (Table::GcCycles, &gc_cycles::TABLE),
    (Table::GcPauses, &gc_pauses::TABLE),
    (Table::Metrics, &metrics::TABLE),
    (Table::Spans, &spans::TABLE),
    (Table::Goroutines, &goroutines::TABLE),
    (Table::Profiles, &profiles::TABLE),
    (Table::Artifacts, &artifacts::TABLE),
    (Table::Incidents, &incidents::TABLE),
    (Table::Runs, &runs::TABLE),
];

static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(|| {
    let schema = |def: &TableDef| {
        let fields = def
            .columns
            .iter()
            .map(|c| Field::new(c.name, c.data_type(), c.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    };
    TABLES.iter().map(|(_, def)| schema(def)).collect()
});

impl Table {
    /// Its place in [`TABLES`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Its declaration.
    #[must_use]
    pub fn def(self) -> &'static TableDef {
        TABLES[self.index()].1
    }

    /// Its name, also that of its folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.def().name
    }

    /// The table of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Table> {
        TABLES
            .iter()
            .find(|(_, def)| def.name == name)
            .map(|(table, _)| *table)
    }

    /// All tables, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Table> {
        TABLES.iter().map(|(table, _)| *table)
    }

    /// Its Arrow schema.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        Arc::clone(&SCHEMAS[self.index()])
    }
}

/// A record that has a table.
pub(crate) trait Row {
    /// Its table.
    const TABLE: Table;
    /// Writes one value into each column, in their order.
    fn append(&self, of: &memwatch_core::record::Identity, to: &mut Columns);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn declarations_hold_together() {
        for (at, (table, def)) in TABLES.iter().enumerate() {
            assert_eq!(table.index(), at, "{}", def.name);
            assert_eq!(Table::from_name(def.name), Some(*table));
            let names: Vec<&str> = def.columns.iter().map(|c| c.name).collect();
            assert_eq!(names[..3], ["ts", "service", "instance"], "{}", def.name);
            assert_eq!(def.key[..2], ["service", "instance"], "{}", def.name);
            assert_eq!(
                names.iter().collect::<HashSet<_>>().len(),
                names.len(),
                "{}",
                def.name
            );
            assert!(def.key.iter().all(|k| names.contains(k)), "{}", def.name);
            assert!(!def.about.is_empty());
            for column in def.columns {
                let fits = match column.encoding {
                    ColumnEncoding::Delta => {
                        matches!(column.kind, ColumnType::Int | ColumnType::Timestamp)
                    }
                    ColumnEncoding::ByteStreamSplit => {
                        matches!(column.kind, ColumnType::Int | ColumnType::Float)
                    }
                    ColumnEncoding::DeltaText => column.kind == ColumnType::Text,
                    ColumnEncoding::Plain => true,
                    ColumnEncoding::Dictionary => column.kind != ColumnType::Bool,
                };
                assert!(fits, "{}.{}", def.name, column.name);
                let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
                assert!(column.name.bytes().all(lower), "{}", column.name);
            }
        }
    }
}
