//! Days that are old enough go: a plan, which is pure, then one commit.
//!
//! Whole days (UTC) go, never a part of one: a little more stays than was asked for, never less. Of one service its rows go, and the
//! segments that also hold rows of others are written anew without them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use memwatch_core::{TimeRange, Timestamp};

use crate::buffer::buffer_schema;
use crate::layout::{Day, is_artifact};
use crate::manifest::Segment;
use crate::scan::widen;
use crate::schema::Table;
use crate::segment::{Effort, SegmentReader, SegmentWriter, TextColumn};
use crate::writer::{Staging, Writer};
use crate::{Instances, Result, Snapshot, Store};

/// What is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Days that ended at or before this instant.
    pub before: Timestamp,
    /// Only of this table; `None` is all of them.
    pub table: Option<Table>,
    /// Only of this service; `None` is all of them.
    pub service: Option<Arc<str>>,
}

impl Retention {
    /// All rows of days that ended at or before this instant.
    #[must_use]
    pub fn before(before: Timestamp) -> Retention {
        Retention {
            before,
            table: None,
            service: None,
        }
    }
}

/// What went, or would go, of one table and day.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedDay {
    /// The table.
    pub table: Table,
    /// The day.
    pub day: Day,
    /// Rows that went.
    pub rows: u64,
    /// Segments that went whole, and their bytes.
    pub dropped: (usize, u64),
    /// Segments that were written anew without some of their rows.
    pub rewritten: usize,
}

/// What a retention did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// The number of the last commit.
    pub version: u64,
    /// What went, by table and day.
    pub days: Vec<DroppedDay>,
    /// Files kept whole to which no row refers any more.
    pub artifacts: usize,
}

/// A segment that loses rows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loss {
    segment: Arc<Segment>,
    /// The rows that stay.
    stay: Vec<Range<usize>>,
    /// How many go.
    rows: u64,
}

/// What goes of one table.
fn plan(table: Table, segments: &[Arc<Segment>], wanted: &Retention) -> Vec<Loss> {
    if wanted.table.is_some_and(|only| only != table) {
        return Vec::new();
    }
    let kept_from = Day::of_micros(wanted.before.micros());
    let old = |s: &&Arc<Segment>| s.path.day < kept_from;
    // A file of which nobody knows when it was made is not old.
    let dated = |s: &&Arc<Segment>| table != Table::Artifacts || s.path.day != Day::of_micros(0);
    let mut losses = Vec::new();
    for segment in segments.iter().filter(old).filter(dated) {
        let mut stay = Vec::new();
        let mut rows = 0;
        for (first, instance) in segment.instance_offsets() {
            let goes = wanted
                .service
                .as_ref()
                .is_none_or(|service| *service == instance.identity.service);
            if goes {
                rows += instance.rows;
            } else {
                stay.push(first..first + usize::try_from(instance.rows).unwrap_or(0));
            }
        }
        if rows > 0 {
            losses.push(Loss {
                segment: Arc::clone(segment),
                stay: joined(stay),
                rows,
            });
        }
    }
    losses
}

/// Stretches that touch become one.
fn joined(stretches: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for next in stretches {
        match found.last_mut() {
            Some(last) if last.end == next.start => last.end = next.end,
            _ => found.push(next),
        }
    }
    found
}

fn by_day(losses: &[Loss]) -> Vec<DroppedDay> {
    let mut days: BTreeMap<(Table, Day), DroppedDay> = BTreeMap::new();
    for loss in losses {
        let path = &loss.segment.path;
        let day = days
            .entry((path.table, path.day))
            .or_insert_with(|| DroppedDay {
                table: path.table,
                day: path.day,
                rows: 0,
                dropped: (0, 0),
                rewritten: 0,
            });
        day.rows += loss.rows;
        if loss.stay.is_empty() {
            day.dropped.0 += 1;
            day.dropped.1 += loss.segment.bytes;
        } else {
            day.rewritten += 1;
        }
    }
    days.into_values().collect()
}

impl Store {
    /// Removes rows of days that are old enough, as one commit. Readers of older snapshots find the files for the time of grace.
    ///
    /// What was ingested before and went is not taken again: its input counts as taken.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] when there is another writer; when a segment that is written anew is damaged, or something cannot be
    /// written. Then nothing went.
    pub fn retain(&self, wanted: &Retention) -> Result<Retained> {
        let mut writer = self.writer()?;
        let losses: Vec<Loss> = Table::all()
            .flat_map(|table| plan(table, writer.staging().state.of(table), wanted))
            .collect();
        writer.guarded(|writer| apply(self, writer, &losses))
    }

    /// What [`Store::retain`] would remove now. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn plan_retention(&self, wanted: &Retention) -> Result<Retained> {
        let snapshot = self.snapshot()?;
        let losses: Vec<Loss> = Table::all()
            .flat_map(|table| plan(table, snapshot.segments(table), wanted))
            .collect();
        Ok(Retained {
            version: snapshot.version(),
            days: by_day(&losses),
            artifacts: 0,
        })
    }
}

fn apply(store: &Store, writer: &mut Writer, losses: &[Loss]) -> Result<Retained> {
    let before = artifacts(&store.snapshot()?)?;
    for loss in losses {
        rewrite(writer.staging(), loss)?;
    }
    writer.publish(Vec::new())?;
    // Only what went: a file of which a crashed writer had not committed the row yet is for `verify` to name.
    let after = artifacts(&store.snapshot()?)?;
    let gone: Vec<&String> = before.difference(&after).collect();
    if !gone.is_empty() {
        writer.confirm()?; // Another writer may have taken such a file anew.
    }
    let staging = writer.staging();
    for path in &gone {
        let path = staging.shared.layout.root().join(path);
        staging.shared.storage.remove(&path)?;
    }
    Ok(Retained {
        version: staging.state.version,
        days: by_day(losses),
        artifacts: gone.len(),
    })
}

/// Takes a segment away, or the rows of it that go.
fn rewrite(staging: &mut Staging, loss: &Loss) -> Result<()> {
    let path = &loss.segment.path;
    if !loss.stay.is_empty() {
        let shared = Arc::clone(&staging.shared);
        let schema = buffer_schema(path.table);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let reader = SegmentReader::open(&shared, &loss.segment)?;
        let mut writer = SegmentWriter::create(
            &shared,
            staging.place,
            Effort::Compacted,
            (path.table, path.day),
            Arc::clone(&schema),
        )?;
        for batch in reader.read(&schema, &all, &loss.stay)? {
            writer.write(&widen(&batch?, &schema)?)?;
        }
        staging.pending.push(Arc::new(writer.finish()?));
    }
    staging.discard(path)
}

/// The files that rows of the table refer to, as paths below the store.
fn artifacts(snapshot: &Snapshot) -> Result<BTreeSet<String>> {
    let mut paths = BTreeSet::new();
    let scan = snapshot.scan(
        Table::Artifacts,
        Some(&["path"]),
        TimeRange::ALL,
        &Instances::All,
    )?;
    for batch in scan {
        let batch = batch?;
        let Some(text) = TextColumn::new(batch.column(0).as_ref()) else {
            continue;
        };
        let named = (0..batch.num_rows()).map(|row| text.value(row));
        paths.extend(named.filter(|path| is_artifact(path)).map(str::to_owned));
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use memwatch_core::record::Identity;

    use super::*;
    use crate::layout::SegmentPath;
    use crate::manifest::{Chunk, InstanceRows};

    const DAY_US: i64 = 86_400_000_000;

    fn segment(table: Table, day: i64, services: &[(&str, u64)]) -> Arc<Segment> {
        Arc::new(Segment {
            path: SegmentPath::new(table, Day::of_micros(day * DAY_US)),
            rows: services.iter().map(|(_, rows)| rows).sum(),
            min_us: day * DAY_US,
            max_us: (day + 1) * DAY_US - 1,
            bytes: 10,
            crc32c: 0,
            row_groups: Vec::new(),
            footer: Chunk::default(),
            instances: services
                .iter()
                .map(|(service, rows)| InstanceRows {
                    identity: Identity {
                        service: (*service).into(),
                        instance: "i".into(),
                    },
                    min_us: 0,
                    max_us: 0,
                    rows: *rows,
                })
                .collect(),
            held: None,
        })
    }

    /// Checks for each segment what stays of it; `None` when it is not touched.
    #[track_caller]
    fn check(
        table: Table,
        segments: &[Arc<Segment>],
        wanted: &Retention,
        expected: &[Option<&[Range<usize>]>],
    ) {
        let losses = plan(table, segments, wanted);
        let found: Vec<Option<&[Range<usize>]>> = segments
            .iter()
            .map(|s| {
                let loss = losses.iter().find(|l| Arc::ptr_eq(&l.segment, s));
                loss.map(|l| l.stay.as_slice())
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn whole_days_go() {
        let t = Table::Samples;
        let segments: Vec<_> = (1..4).map(|day| segment(t, day, &[("a", 5)])).collect();
        let at = |us: i64| Retention::before(Timestamp(us * 1_000));
        check(t, &segments, &at(DAY_US), &[None, None, None]);
        check(t, &segments, &at(2 * DAY_US - 1), &[None, None, None]);
        check(t, &segments, &at(2 * DAY_US), &[Some(&[]), None, None]);
        check(
            t,
            &segments,
            &at(3 * DAY_US + 5),
            &[Some(&[]), Some(&[]), None],
        );
        let mut other = at(9 * DAY_US);
        other.table = Some(Table::Spans);
        check(t, &segments, &other, &[None, None, None]);
    }

    #[test]
    fn of_one_service_its_rows_go() {
        let t = Table::Samples;
        let segments = [
            segment(t, 1, &[("a", 2), ("b", 3), ("c", 4), ("d", 1)]),
            segment(t, 1, &[("b", 7)]),
            segment(t, 1, &[("a", 7)]),
        ];
        let mut wanted = Retention::before(Timestamp(2 * DAY_US * 1_000));
        wanted.service = Some("b".into());
        check(
            t,
            &segments,
            &wanted,
            &[Some(&[0..2, 5..10]), Some(&[]), None],
        );
    }

    #[test]
    fn what_has_no_date_is_not_old() {
        let wanted = Retention::before(Timestamp(9 * DAY_US * 1_000));
        let undated = [segment(Table::Artifacts, 0, &[("a", 1)])];
        check(Table::Artifacts, &undated, &wanted, &[None]);
        let spans = [segment(Table::Spans, 0, &[("a", 1)])];
        check(Table::Spans, &spans, &wanted, &[Some(&[])]);
    }
}
