//! Which segments are worth merging: pure, from what the manifest knows of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use memwatch_core::record::Identity;

use crate::layout::Day;
use crate::manifest::Segment;
use crate::schema::Table;

/// What compaction aims at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compaction {
    /// Only this table; `None` is all of them.
    pub table: Option<Table>,
    /// A segment below this is merged with its neighbors.
    pub min_bytes: u64,
    /// How large a segment is to become.
    pub target_bytes: u64,
    /// No segment grows beyond this.
    pub max_bytes: u64,
}

impl Default for Compaction {
    /// 64, 128 and 256 MiB.
    fn default() -> Self {
        Compaction {
            table: None,
            min_bytes: 64 << 20,
            target_bytes: 128 << 20,
            max_bytes: 256 << 20,
        }
    }
}

/// Segments of one table and day that become one or a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) table: Table,
    pub(crate) day: Day,
    /// In the order of their first rows.
    pub(crate) inputs: Vec<Arc<Segment>>,
    /// At about how many bytes an output ends.
    pub(crate) cut_bytes: u64,
}

/// Neighbors in the order of rows that are merged, or stay, together.
struct Group {
    segments: Vec<Arc<Segment>>,
    bytes: u64,
}

/// What to merge of one table. Nothing is merged that has its place and size already: once compacted, a day stays as it is until rows
/// come.
pub(crate) fn plan(table: Table, segments: &[Arc<Segment>], settings: &Compaction) -> Vec<Merge> {
    let mut days: BTreeMap<Day, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments {
        days.entry(segment.path.day)
            .or_default()
            .push(Arc::clone(segment));
    }
    let mut merges = Vec::new();
    for (day, segments) in days {
        for group in join_small(overlapping(table, segments, settings), settings) {
            if group.segments.len() > 1 {
                let parts = (group.bytes / settings.target_bytes.max(1)).max(1);
                merges.push(Merge {
                    table,
                    day,
                    inputs: group.segments,
                    cut_bytes: group.bytes.div_ceil(parts),
                });
            }
        }
    }
    merges
}

/// Segments whose rows lie between each other's stand in one group; groups are in the order of rows.
fn overlapping(table: Table, mut segments: Vec<Arc<Segment>>, settings: &Compaction) -> Vec<Group> {
    segments.sort_by(|a, b| (first(a), &a.path).cmp(&(first(b), &b.path)));
    let mut groups: Vec<Group> = Vec::new();
    for segment in segments {
        let bytes = segment.bytes;
        match groups.last_mut() {
            Some(group)
                if group
                    .segments
                    .iter()
                    .any(|other| overlap(table, other, &segment, settings)) =>
            {
                group.segments.push(segment);
                group.bytes += bytes;
            }
            _ => groups.push(Group {
                segments: vec![segment],
                bytes,
            }),
        }
    }
    groups
}

/// The first instance of a segment, and when its rows begin.
fn first(segment: &Segment) -> Option<(&Identity, i64)> {
    segment.instances.first().map(|i| (&i.identity, i.min_us))
}

/// Whether rows of `b`, which begins after `a`, lie before the end of `a`.
fn overlap(table: Table, a: &Segment, b: &Segment, settings: &Compaction) -> bool {
    let (Some(end), Some(begin)) = (a.instances.last(), b.instances.first()) else {
        return false;
    };
    if end.identity != begin.identity {
        return begin.identity < end.identity;
    }
    if table.def().sorted_by_time() {
        return begin.min_us <= end.max_us;
    }
    // Rows of one instance that are sorted by something else: two that are large enough were cut there.
    a.bytes.min(b.bytes) < settings.min_bytes
}

/// Neighbors of which one is small come together as long as they fit.
fn join_small(groups: Vec<Group>, settings: &Compaction) -> Vec<Group> {
    let mut joined: Vec<Group> = Vec::new();
    for group in groups {
        match joined.last_mut() {
            Some(last)
                if last.bytes.min(group.bytes) < settings.min_bytes
                    && last.bytes + group.bytes <= settings.max_bytes =>
            {
                last.bytes += group.bytes;
                last.segments.extend(group.segments);
            }
            _ => joined.push(group),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SegmentPath;
    use crate::manifest::{Chunk, InstanceRows};

    const MIB: u64 = 1 << 20;

    /// A segment of so many MiB with these instances, each with its first and last microsecond.
    fn segment(table: Table, mib: u64, instances: &[(&str, i64, i64)]) -> Arc<Segment> {
        Arc::new(Segment {
            path: SegmentPath::new(table, Day::of_micros(0)),
            rows: instances.len() as u64,
            min_us: 0,
            max_us: 0,
            bytes: mib * MIB,
            crc32c: 0,
            row_groups: Vec::new(),
            footer: Chunk::default(),
            instances: instances
                .iter()
                .map(|(name, min_us, max_us)| InstanceRows {
                    identity: Identity {
                        service: "s".into(),
                        instance: (*name).into(),
                    },
                    min_us: *min_us,
                    max_us: *max_us,
                    rows: 1,
                })
                .collect(),
            held: None,
        })
    }

    /// Checks which segments, by number, are merged with each other, and into how many.
    #[track_caller]
    fn check(table: Table, segments: &[Arc<Segment>], expected: &[(&[usize], u64)]) {
        let merges = plan(table, segments, &Compaction::default());
        let found: Vec<(Vec<usize>, u64)> = merges
            .iter()
            .map(|m| {
                let number = |s: &Arc<Segment>| segments.iter().position(|o| Arc::ptr_eq(o, s));
                let bytes: u64 = m.inputs.iter().map(|s| s.bytes).sum();
                (
                    m.inputs.iter().filter_map(number).collect(),
                    bytes.div_ceil(m.cut_bytes),
                )
            })
            .collect();
        let expected: Vec<(Vec<usize>, u64)> =
            expected.iter().map(|(s, n)| (s.to_vec(), *n)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn small_ones_come_together_and_large_ones_stay() {
        let t = Table::Samples;
        let seg = |mib, instances: &[_]| segment(t, mib, instances);
        check(t, &[], &[]);
        check(t, &[seg(1, &[("a", 0, 9)])], &[]);
        // In order, small.
        check(
            t,
            &[seg(1, &[("a", 0, 9)]), seg(1, &[("a", 10, 19)])],
            &[(&[0, 1], 1)],
        );
        // Told in another order: by first row.
        check(
            t,
            &[seg(1, &[("b", 0, 9)]), seg(1, &[("a", 0, 9)])],
            &[(&[1, 0], 1)],
        );
        // Large and in order.
        check(
            t,
            &[seg(130, &[("a", 0, 9)]), seg(130, &[("a", 10, 19)])],
            &[],
        );
        // Large, one between the rows of the other.
        check(
            t,
            &[
                seg(130, &[("a", 0, 9), ("c", 0, 9)]),
                seg(130, &[("b", 5, 6)]),
            ],
            &[(&[0, 1], 2)],
        );
        // One microsecond in both is no order that the manifest could know.
        check(
            t,
            &[seg(130, &[("a", 0, 9)]), seg(130, &[("a", 9, 19)])],
            &[(&[0, 1], 2)],
        );
        // What is left over stays when its neighbor is full.
        check(t, &[seg(250, &[("a", 0, 9)]), seg(10, &[("b", 0, 9)])], &[]);
        check(
            t,
            &[
                seg(200, &[("a", 0, 9)]),
                seg(10, &[("b", 0, 9)]),
                seg(200, &[("c", 0, 9)]),
            ],
            &[(&[0, 1], 1)],
        );
    }

    #[test]
    fn a_series_cut_in_two_is_not_merged_again() {
        let t = Table::Metrics;
        let cut = [
            segment(t, 130, &[("a", 0, 9)]),
            segment(t, 130, &[("a", 0, 9)]),
        ];
        check(t, &cut, &[]);
        let small = [
            segment(t, 13, &[("a", 0, 9)]),
            segment(t, 130, &[("a", 0, 9)]),
        ];
        check(t, &small, &[(&[0, 1], 1)]);
    }
}
