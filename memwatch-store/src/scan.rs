//! Rows of a table: prune by the manifest, then by pages; verify; read.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{FieldRef, SchemaRef, TimestampMicrosecondType};
use memwatch_core::TimeRange;
use memwatch_core::record::Identity;

use crate::manifest::Segment;
use crate::schema::Table;
use crate::segment::{SegmentReader, Wanted};
use crate::{Error, Result, Shared, Snapshot};

/// Which instances to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Instances {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(BTreeSet<Identity>),
}

impl Instances {
    /// Whether this one is to be read.
    #[must_use]
    pub fn contains(&self, identity: &Identity) -> bool {
        match self {
            Instances::All => true,
            Instances::Only(these) => these.contains(identity),
        }
    }
}

/// The rows of a table, batch by batch.
pub struct Scan {
    shared: Arc<Shared>,
    table: Table,
    /// The asked columns by their place in the table, in the order asked.
    columns: Vec<usize>,
    schema: SchemaRef,
    /// First and last microsecond asked for.
    from_us: i64,
    to_us: i64,
    instances: Instances,
    segments: VecDeque<Arc<Segment>>,
    current: Option<crate::segment::SegmentBatches>,
    failed: bool,
}

/// The first and last microsecond whose instant lies in `range`.
pub(crate) fn micros_of(range: TimeRange) -> (i64, i64) {
    // A stored microsecond u stands for the instant u·1000 ns.
    let from = range.start.0.div_euclid(1_000) + i64::from(range.start.0.rem_euclid(1_000) != 0);
    let to = if range.end == TimeRange::ALL.end {
        i64::MAX
    } else {
        (range.end.0 - 1).div_euclid(1_000)
    };
    let from = if range.start == TimeRange::ALL.start {
        i64::MIN
    } else {
        from
    };
    (from, to)
}

impl Scan {
    pub(crate) fn new(
        snapshot: &Snapshot,
        table: Table,
        columns: Option<&[&str]>,
        range: TimeRange,
        instances: &Instances,
    ) -> Result<Scan> {
        let def = table.def();
        let columns = match columns {
            None => (0..def.columns.len()).collect(),
            Some(names) => names
                .iter()
                .map(|name| {
                    def.index_of(name).ok_or_else(|| Error::UnknownColumn {
                        table: def.name,
                        column: (*name).to_owned(),
                    })
                })
                .collect::<Result<Vec<_>>>()?,
        };
        let schema = Arc::new(table.schema().project(&columns)?);
        let (from_us, to_us) = if range.is_empty() {
            (1, 0)
        } else {
            micros_of(range)
        };
        let wanted = |s: &&Arc<Segment>| {
            s.min_us <= to_us
                && from_us <= s.max_us
                && s.instances.iter().any(|i| {
                    i.min_us <= to_us && from_us <= i.max_us && instances.contains(&i.identity)
                })
        };
        Ok(Scan {
            shared: Arc::clone(&snapshot.shared),
            table,
            columns,
            schema,
            from_us,
            to_us,
            instances: instances.clone(),
            segments: snapshot
                .segments(table)
                .iter()
                .filter(wanted)
                .cloned()
                .collect(),
            current: None,
            failed: false,
        })
    }

    /// The schema of the batches: the asked columns in the order asked.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn open_next(&mut self) -> Result<bool> {
        let Some(segment) = self.segments.pop_front() else {
            return Ok(false);
        };
        let reader = SegmentReader::open(&self.shared, &segment)?;
        let (from_us, to_us) = (self.from_us, self.to_us);
        let rows = reader.rows_in(|i| {
            self.instances
                .contains(&i.identity)
                .then(|| Wanted::times(from_us, to_us))
        });
        // `ts` is read in any case: it is narrow, and says how many rows there are when no other column is asked for.
        let mut columns = self.columns.clone();
        columns.push(0);
        self.current = Some(reader.read(&self.table.schema(), &columns, &rows)?);
        Ok(true)
    }

    /// Drops the rows outside of the range and arranges the columns as asked.
    fn arrange(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let ts = batch
            .column_by_name("ts")
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
            .map(|c| c.values().as_ref())
            .unwrap_or_default();
        let inside = |at: &i64| self.from_us <= *at && *at <= self.to_us;
        let batch = if ts.iter().all(inside) {
            batch.clone()
        } else {
            filter_record_batch(
                batch,
                &ts.iter()
                    .map(|at| Some(inside(at)))
                    .collect::<BooleanArray>(),
            )?
        };
        widen(&batch, &self.schema)
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let Some(current) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(None);
            };
            match current.next().transpose()? {
                None => self.current = None,
                Some(batch) => {
                    let batch = self.arrange(&batch)?;
                    if batch.num_rows() > 0 {
                        return Ok(Some(batch));
                    }
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}

/// The columns of `schema` in its order; NULLs for those that are younger than the segment.
pub(crate) fn widen(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), rows),
    };
    let columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
