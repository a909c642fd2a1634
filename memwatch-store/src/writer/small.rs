//! A day never gathers many small segments: those of about one size are merged with the commit that makes them too many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Staging;
use crate::Result;
use crate::compaction::merge_into_one;
use crate::layout::Day;
use crate::manifest::Segment;
use crate::schema::Table;

/// A segment of so many rows, fewer than a full buffer has, is left to compaction: merging it costs more than opening it.
const SMALL_ROWS: u64 = 50_000;

/// So many small segments of about one size become one.
const TOO_MANY: usize = 8;

/// Most small segments that a table keeps of one day: in each of the three sizes one less than too many. Beside them there is at most one
/// segment for each [`SMALL_ROWS`] rows.
#[cfg(test)]
const SMALL_MAX: usize = 3 * (TOO_MANY - 1);

/// Sizes a factor of 8 apart, so that a row is merged at most three times.
fn size_class(rows: u64) -> u32 {
    match rows {
        0..1_000 => 0,
        1_000..8_000 => 1,
        _ => 2,
    }
}

impl Staging {
    /// Merges the small segments of the days that got rows, where they became too many.
    pub(super) fn merge_small(&mut self) -> Result<()> {
        let touched: BTreeSet<(Table, Day)> = self
            .pending
            .iter()
            .map(|s| (s.path.table, s.path.day))
            .collect();
        for (table, day) in touched {
            while let Some(inputs) = self.too_many(table, day) {
                let (one, _) = merge_into_one(&self.shared, (table, day), &inputs)?;
                for segment in &inputs {
                    self.discard(&segment.path)?;
                }
                self.pending.push(Arc::new(one));
            }
        }
        Ok(())
    }

    /// The small segments of one size of a day, when they are too many.
    fn too_many(&self, table: Table, day: Day) -> Option<Vec<Arc<Segment>>> {
        let mut sizes: BTreeMap<u32, Vec<Arc<Segment>>> = BTreeMap::new();
        for segment in self.live(table) {
            if segment.path.day == day && segment.rows < SMALL_ROWS {
                let size = sizes.entry(size_class(segment.rows)).or_default();
                size.push(Arc::clone(segment));
            }
        }
        let mut many = sizes.into_values().find(|s| s.len() >= TOO_MANY)?;
        many.truncate(TOO_MANY);
        Some(many)
    }
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink};

    use super::*;
    use crate::Store;

    #[test]
    fn the_segments_of_a_day_stay_few() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut writer = store.writer().unwrap();
        let of = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        let mut rows = 0;
        for commit in 0..200 {
            // Mostly tiny commits, now and then a larger one; also from behind.
            let size = if commit % 20 == 0 { 900 } else { 3 };
            for n in 0..size {
                let at = if commit % 2 == 0 {
                    rows + n
                } else {
                    80_000 - rows - n
                };
                let at = Timestamp(at * 1_000_000);
                let row = MetricSample::new(at, "m".into(), "".into(), 1.0, MetricKind::Gauge);
                writer.metric(&of, &row).unwrap();
            }
            rows += size;
            writer.commit(&[]).unwrap();
            let live = writer.staging().state.of(Table::Metrics).len();
            assert!(live <= SMALL_MAX, "{live} segments after {commit} commits");
        }
        let table = &store.snapshot().unwrap().info().tables[Table::Metrics.index()];
        assert_eq!(table.rows, u64::try_from(rows).unwrap());
        assert!(table.segments <= SMALL_MAX, "{}", table.segments);
    }
}
