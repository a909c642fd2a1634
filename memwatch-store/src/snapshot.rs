//! What was committed when it was taken: the way to read a store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use memwatch_core::TimeRange;
use memwatch_core::incident::Incident;
use memwatch_core::record::Identity;

use crate::damage::{Gap, LeftOut};
use crate::manifest::{InstanceRows, Segment, SourceHash, State};
use crate::scan::{Instances, Scan};
use crate::schema::{Table, decode_incidents};
use crate::series::StoreSeries;
use crate::{Error, Result, Shared};

/// What was committed when it was taken. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Arc<State>,
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>, state: Arc<State>) -> Snapshot {
        Snapshot { shared, state }
    }

    /// The number of the last commit in it; 0 for an empty store.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The segments of a table, in the order of days.
    #[must_use]
    pub fn segments(&self, table: Table) -> &[Arc<Segment>] {
        self.state.of(table)
    }

    /// Where a segment lies. A reader that opens it there should go on to [`Snapshot::scan`]'s checks, or use [`Snapshot::verify_segment`].
    #[must_use]
    pub fn path(&self, segment: &Segment) -> PathBuf {
        self.shared.layout.segment(&segment.path)
    }

    /// Reads the whole of a segment once per process and compares checksums.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] with the file when a byte is not what was written.
    pub fn verify_segment(&self, segment: &Arc<Segment>) -> Result<()> {
        crate::segment::verify(&self.shared, segment)
    }

    /// The same without the segments that are damaged, and what is missing with them. Reads every byte once.
    ///
    /// # Errors
    /// When a segment cannot be read for another reason.
    pub fn without_damage(&self) -> Result<(Snapshot, Vec<LeftOut>)> {
        let mut state = State::clone(&self.state);
        let mut left_out = Vec::new();
        for segment in Table::all().flat_map(|table| self.segments(table)) {
            match self.verify_segment(segment) {
                Ok(()) => {}
                Err(Error::Damaged {
                    expected, found, ..
                }) => {
                    let table = &mut state.segments[segment.path.table.index()];
                    table.retain(|s| s.path != segment.path);
                    left_out.push(LeftOut {
                        file: segment.path.to_string(),
                        problem: format!("expected {expected}, found {found}"),
                        gap: Some(Gap::of(segment)),
                    });
                }
                Err(error) => return Err(error),
            }
        }
        let snapshot = Snapshot::new(Arc::clone(&self.shared), Arc::new(state));
        Ok((snapshot, left_out))
    }

    /// Whether an input with this hash was taken whole.
    #[must_use]
    pub fn has_source(&self, hash: &SourceHash) -> bool {
        self.state.sources.contains_key(hash)
    }

    /// The rows of a table inside of `range`, of some instances, some columns of them (`None`: all) in the order asked.
    ///
    /// Batches come segment by segment, each in the order of its table's key; only what may hold such rows is read, and it is compared
    /// with its checksum.
    ///
    /// # Errors
    /// When a column does not exist.
    pub fn scan(
        &self,
        table: Table,
        columns: Option<&[&str]>,
        range: TimeRange,
        instances: &Instances,
    ) -> Result<Scan> {
        Scan::new(self, table, columns, range, instances)
    }

    /// The store as series, for expressions.
    #[must_use]
    pub fn series(&self) -> StoreSeries {
        StoreSeries::new(self.clone())
    }

    /// The labelled stretches that touch `range`, by start, then service, instance and kind.
    ///
    /// # Errors
    /// When a segment cannot be read or is damaged.
    pub fn incidents(&self, range: TimeRange) -> Result<Vec<Incident>> {
        let mut found = Vec::new();
        // A stretch may begin before the range: they are few, so all are read.
        for batch in self.scan(Table::Incidents, None, TimeRange::ALL, &Instances::All)? {
            found.extend(decode_incidents(&batch?));
        }
        found.retain(|i| i.range.start < range.end && i.range.end > range.start);
        let key = |i: &Incident| {
            (
                i.range.start,
                i.service.clone(),
                i.instance.clone(),
                i.kind.clone(),
                i.range.end,
            )
        };
        found.sort_by_key(key);
        Ok(found)
    }

    /// What is in the store.
    #[must_use]
    pub fn info(&self) -> Info {
        let tables = Table::all()
            .map(|table| table_info(table, self.segments(table)))
            .collect();
        Info {
            version: self.version(),
            sources: self.state.sources.len(),
            tables,
        }
    }
}

/// What is in a store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// The number of the last commit.
    pub version: u64,
    /// How many inputs were taken whole.
    pub sources: usize,
    /// All tables, also empty ones.
    pub tables: Vec<TableInfo>,
}

/// What is in a table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TableInfo {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: u64,
    /// The size of its segments.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// From the first row to the last; `None` when it is empty.
    pub range: Option<TimeRange>,
    /// Its instances by service and name.
    pub instances: Vec<InstanceInfo>,
}

/// What a table has of an instance.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InstanceInfo {
    /// Which instance.
    pub identity: Identity,
    /// Its rows.
    pub rows: u64,
    /// From its first row to its last.
    pub range: TimeRange,
}

fn table_info(table: Table, segments: &[Arc<Segment>]) -> TableInfo {
    let hull = |a: TimeRange, b: TimeRange| TimeRange {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    };
    let mut instances: BTreeMap<&Identity, (u64, TimeRange)> = BTreeMap::new();
    for rows in segments.iter().flat_map(|s| &s.instances) {
        let rows: &InstanceRows = rows;
        let entry = instances
            .entry(&rows.identity)
            .or_insert((0, rows.time_range()));
        *entry = (entry.0 + rows.rows, hull(entry.1, rows.time_range()));
    }
    TableInfo {
        table,
        rows: segments.iter().map(|s| s.rows).sum(),
        bytes: segments.iter().map(|s| s.bytes).sum(),
        segments: segments.len(),
        range: segments.iter().map(|s| s.time_range()).reduce(hull),
        instances: instances
            .into_iter()
            .map(|(identity, (rows, range))| InstanceInfo {
                identity: identity.clone(),
                rows,
                range,
            })
            .collect(),
    }
}

/// The tables that expressions read.
const SERIES_TABLES: [Table; 3] = [Table::Samples, Table::Metrics, Table::GcPauses];

impl Info {
    /// From the first to the last row that series are made of; `None` when there is none.
    #[must_use]
    pub fn series_range(&self) -> Option<TimeRange> {
        self.series_tables().filter_map(|t| t.range).reduce(hull)
    }

    /// The processes of which there are series, and when.
    #[must_use]
    pub fn processes(&self) -> BTreeMap<Identity, TimeRange> {
        let mut found: BTreeMap<Identity, TimeRange> = BTreeMap::new();
        for instance in self.series_tables().flat_map(|t| &t.instances) {
            let range = found
                .entry(instance.identity.clone())
                .or_insert(instance.range);
            *range = hull(*range, instance.range);
        }
        found
    }

    fn series_tables(&self) -> impl Iterator<Item = &TableInfo> {
        self.tables
            .iter()
            .filter(|t| SERIES_TABLES.contains(&t.table))
    }
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    }
}
