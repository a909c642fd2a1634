//! Rows of a table: prune, read, verify.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use memwatch_core::TimeRange;
use memwatch_core::record::Identity;

use crate::schema::Table;
use crate::{Result, Snapshot};

/// Which instances to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Instances {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(BTreeSet<Identity>),
}

/// The rows of a table, batch by batch.
pub struct Scan {
    schema: SchemaRef,
}

impl Scan {
    pub(crate) fn new(
        _snapshot: &Snapshot,
        table: Table,
        _columns: Option<&[&str]>,
        _range: TimeRange,
        _instances: &Instances,
    ) -> Result<Scan> {
        Ok(Scan {
            schema: table.schema(),
        })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
