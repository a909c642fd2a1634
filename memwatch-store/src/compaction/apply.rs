//! Carries a plan out: one commit for each table and day, so that what is done stays done.

use std::sync::Arc;

use super::FAN_IN;
use super::merge::{Outputs, check_rows, merge, merge_into_one};
use super::plan::{Compaction, Merge, plan};
use crate::layout::Day;
use crate::manifest::Segment;
use crate::schema::Table;
use crate::writer::{Staging, Writer};
use crate::{Result, Store};

/// What became of one table and day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergedDay {
    /// The table.
    pub table: Table,
    /// The day.
    pub day: Day,
    /// Segments and their bytes before.
    pub before: (usize, u64),
    /// Segments and their bytes after; in a dry run `None`.
    pub after: Option<(usize, u64)>,
    /// Rows of these segments.
    pub rows: u64,
    /// Rows left out because another had their key.
    pub duplicates: u64,
}

/// What a compaction did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// The number of the last commit.
    pub version: u64,
    /// What was merged, by table and day.
    pub days: Vec<MergedDay>,
}

impl Store {
    /// Merges small and overlapping segments of each day.
    ///
    /// Each table and day is one commit: when it is interrupted, what was done stays. Memory is bounded whatever the size of the store.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] when there is another writer; when a segment is damaged, or something cannot be written.
    pub fn compact(&self, settings: &Compaction) -> Result<Compacted> {
        let mut writer = self.writer()?;
        let mut days = Vec::new();
        for table in tables(settings) {
            for merges in by_day(plan(table, writer.staging().state.of(table), settings)) {
                days.push(writer.guarded(|writer| apply(writer, &merges, settings))?);
            }
        }
        Ok(Compacted {
            version: writer.staging().state.version,
            days,
        })
    }

    /// What [`Store::compact`] would merge now. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn plan_compaction(&self, settings: &Compaction) -> Result<Compacted> {
        let snapshot = self.snapshot()?;
        let merges =
            tables(settings).flat_map(|table| plan(table, snapshot.segments(table), settings));
        let days = by_day(merges.collect());
        Ok(Compacted {
            version: snapshot.version(),
            days: days.iter().map(|merges| before(merges)).collect(),
        })
    }
}

fn tables(settings: &Compaction) -> impl Iterator<Item = Table> + use<> {
    let only = settings.table;
    Table::all().filter(move |table| only.is_none_or(|only| only == *table))
}

fn by_day(merges: Vec<Merge>) -> Vec<Vec<Merge>> {
    let same = |a: &Merge, b: &Merge| (a.table, a.day) == (b.table, b.day);
    merges.chunk_by(same).map(<[Merge]>::to_vec).collect()
}

fn before(merges: &[Merge]) -> MergedDay {
    let inputs = || merges.iter().flat_map(|m| &m.inputs);
    MergedDay {
        table: merges[0].table,
        day: merges[0].day,
        before: (inputs().count(), inputs().map(|s| s.bytes).sum()),
        after: None,
        rows: inputs().map(|s| s.rows).sum(),
        duplicates: 0,
    }
}

/// Merges what the plan says of one table and day, and commits it.
fn apply(writer: &mut Writer, merges: &[Merge], settings: &Compaction) -> Result<MergedDay> {
    let mut done = before(merges);
    let staging = writer.staging();
    for merge in merges {
        done.duplicates += merge_to_size(staging, merge, settings)?;
    }
    let made = &staging.pending;
    done.after = Some((made.len(), made.iter().map(|s| s.bytes).sum()));
    writer.publish(Vec::new())?;
    Ok(done)
}

/// Merges segments into such of the size aimed at; more than [`FAN_IN`] in several rounds, the smallest first.
fn merge_to_size(staging: &mut Staging, of: &Merge, settings: &Compaction) -> Result<u64> {
    let shared = Arc::clone(&staging.shared);
    let of_day = (of.table, of.day);
    let mut inputs: Vec<Arc<Segment>> = of.inputs.clone();
    let mut duplicates = 0;
    while inputs.len() > FAN_IN {
        inputs.sort_by_key(|s| std::cmp::Reverse((s.bytes, s.path.clone())));
        // As few as leave full rounds for the rest.
        let excess = (inputs.len() - FAN_IN + 1).min(FAN_IN);
        let smallest = inputs.split_off(inputs.len() - excess.max(2));
        let (one, dropped) = merge_into_one(&shared, of_day, &smallest)?;
        duplicates += dropped;
        let one = Arc::new(one);
        staging.pending.push(Arc::clone(&one));
        for segment in &smallest {
            staging.discard(&segment.path)?;
        }
        inputs.push(one);
    }
    let mut outputs = Outputs::new(&shared, of_day, of.cut_bytes, settings.max_bytes);
    duplicates += merge(&shared, of.table, &inputs, |batch| outputs.write(batch))?;
    let outputs = outputs.finish()?;
    check_rows(&of.inputs, outputs.iter().map(|s| s.rows).sum(), duplicates)?;
    for segment in &inputs {
        staging.discard(&segment.path)?;
    }
    staging.pending.extend(outputs.into_iter().map(Arc::new));
    Ok(duplicates)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
    use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink};
    use memwatch_core::{TimeRange, Timestamp};

    use super::*;
    use crate::Instances;

    const COMMITS: i64 = 40;
    const ROWS: i64 = 500;

    /// Time and value of each row, in the order in which a scan gives them.
    fn rows(store: &Store) -> Vec<(i64, f64)> {
        let columns = ["ts", "value"];
        let scan = store
            .snapshot()
            .unwrap()
            .scan(
                Table::Metrics,
                Some(&columns),
                TimeRange::ALL,
                &Instances::All,
            )
            .unwrap();
        let mut found = Vec::new();
        for batch in scan {
            let batch = batch.unwrap();
            let at = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            let values = batch.column(1).as_primitive::<Float64Type>();
            found.extend(
                at.values()
                    .iter()
                    .copied()
                    .zip(values.values().iter().copied()),
            );
        }
        found
    }

    /// More segments of one day than are merged at once, with rows of all of them between each other.
    fn scattered(store: &Store) -> Writer {
        let mut writer = store.writer().unwrap();
        for commit in 0..COMMITS {
            for row in 0..ROWS {
                let n = row * COMMITS + commit;
                let of = Identity {
                    service: "s".into(),
                    instance: format!("i{}", n % 7).into(),
                };
                let at = Timestamp(n * 1_000_000);
                let noise = (n.wrapping_mul(0x9e37_79b9) % 1_000) as f64;
                let row = MetricSample::new(at, "m".into(), "".into(), noise, MetricKind::Gauge);
                writer.metric(&of, &row).unwrap();
            }
            // Without the merge of small segments that a commit brings.
            writer.staging().flush_all().unwrap();
            writer.publish(Vec::new()).unwrap();
        }
        writer
    }

    #[test]
    fn more_segments_than_are_merged_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        drop(scattered(&store));
        let mut before = rows(&store);
        before.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let snapshot = store.snapshot().unwrap();
        assert!(snapshot.segments(Table::Metrics).len() > 2 * FAN_IN);

        let planned = store.plan_compaction(&Compaction::default()).unwrap();
        let done = store.compact(&Compaction::default()).unwrap();
        assert_eq!(planned.days[0].before, done.days[0].before);
        assert_eq!(done.days[0].after.unwrap().0, 1);
        assert_eq!(done.days[0].duplicates, 0);
        let mut after = rows(&store);
        after.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(before, after);
        assert_eq!(store.compact(&Compaction::default()).unwrap().days, []);
        // Who took a snapshot before reads on.
        let range = TimeRange::ALL;
        let scan = snapshot.scan(Table::Metrics, Some(&[]), range, &Instances::All);
        let rows: usize = scan.unwrap().map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, before.len());
    }

    #[test]
    fn a_cut_is_between_two_instances() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        drop(scattered(&store));
        let settings = Compaction {
            min_bytes: 2 << 10,
            target_bytes: 6 << 10,
            max_bytes: 1 << 20,
            ..Compaction::default()
        };
        let done = store.compact(&settings).unwrap();
        let snapshot = store.snapshot().unwrap();
        let segments = snapshot.segments(Table::Metrics);
        assert_eq!(segments.len(), done.days[0].after.unwrap().0);
        assert!(segments.len() > 1, "{} segments", segments.len());
        let instances: usize = segments.iter().map(|s| s.instances.len()).sum();
        assert_eq!(instances, 7, "each instance in one segment");
        assert!(rows(&store).len() == usize::try_from(COMMITS * ROWS).unwrap());
    }

    #[test]
    fn a_row_that_is_there_twice_stays_once() {
        // Nothing that this crate commits has one: two stores' segments under one manifest do.
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut segments = Vec::new();
        for (dir, heap) in [(&a, 1.0), (&b, 2.0)] {
            let store = Store::create(dir.path()).unwrap();
            let mut writer = store.writer().unwrap();
            for n in 0..3 {
                let of = Identity {
                    service: "s".into(),
                    instance: "i".into(),
                };
                let value = if n == 1 { heap } else { 0.0 };
                let at = Timestamp(n * 1_000_000);
                let row = MetricSample::new(at, "m".into(), "".into(), value, MetricKind::Gauge);
                writer.metric(&of, &row).unwrap();
            }
            writer.commit(&[]).unwrap();
            let segment = store.snapshot().unwrap().segments(Table::Metrics)[0].clone();
            segments.push((dir.path().join(segment.path.to_string()), segment));
        }
        let store = Store::open(a.path()).unwrap();
        let mut writer = store.writer().unwrap();
        let (file, segment) = &segments[1];
        let to = a.path().join(format!("{}.inprogress", segment.path));
        std::fs::copy(file, to).unwrap();
        writer.staging().pending.push(Arc::clone(segment));
        writer.publish(Vec::new()).unwrap();
        drop(writer);
        assert_eq!(rows(&store).len(), 6);
        let done = store.compact(&Compaction::default()).unwrap();
        assert_eq!(done.days[0].duplicates, 3);
        assert_eq!(rows(&store), [(0, 0.0), (1_000, 2.0), (2_000, 0.0)]);
    }
}
