//! The series of the table `metrics`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use memwatch_core::record::Identity;
use memwatch_core::series::Series;
use memwatch_core::{Labels, Matcher, Window};
use rayon::prelude::*;

use super::blocks::{Blocks, Stretch};
use super::frame::{Frame, Points, micros_of};
use super::label_set;
use super::names::{Part, Scale};
use crate::buffer::buffer_schema;
use crate::manifest::Segment;
use crate::schema::{SPARSE_HISTOGRAM, Table};
use crate::segment::{SegmentReader, TextColumn};
use crate::{Error, Result, Snapshot};

fn value_column() -> usize {
    Table::Metrics.def().index_of("value").unwrap_or_default()
}

/// Which series there are, and where their rows lie: built once, from the columns that hold names and labels.
pub(super) struct Catalog {
    pub(super) by_name: BTreeMap<Arc<str>, Vec<Recorded>>,
    readers: Vec<Arc<SegmentReader>>,
}

/// One series.
pub(super) struct Recorded {
    pub(super) identity: Identity,
    /// With name, job, service and instance.
    pub(super) labels: Labels,
    /// Whether edges of a histogram that a reading does not have are to be filled in.
    sparse: bool,
    /// Where its rows lie: number of the reader, rows.
    parts: Vec<Rows>,
}

/// Metric, whose, own labels.
type Key = (Arc<str>, Identity, Arc<str>);

/// Number of the reader, rows.
type Rows = (usize, Range<usize>);

impl Catalog {
    pub(super) fn read(snapshot: &Snapshot) -> Result<Catalog> {
        let mut readers = Vec::new();
        let mut series: BTreeMap<Key, (bool, Vec<Rows>)> = BTreeMap::new();
        let mut shared: HashMap<Box<str>, Arc<str>> = HashMap::new();
        for segment in snapshot.segments(Table::Metrics) {
            let reader = Arc::new(SegmentReader::open(&snapshot.shared, segment)?);
            for run in runs(&reader, segment, &mut shared)? {
                let entry = series
                    .entry(run.key)
                    .or_insert_with(|| (run.sparse, Vec::new()));
                entry.0 |= run.sparse;
                entry.1.push((readers.len(), run.rows));
            }
            readers.push(reader);
        }
        let mut by_name: BTreeMap<Arc<str>, Vec<Recorded>> = BTreeMap::new();
        for ((metric, identity, own), (sparse, parts)) in series {
            let own = Labels::parse(&own).map_err(Error::from)?;
            let labels = label_set(&metric, &identity, Some(&own));
            by_name.entry(metric).or_default().push(Recorded {
                identity,
                labels,
                sparse,
                parts,
            });
        }
        Ok(Catalog { by_name, readers })
    }

    pub(super) fn named(&self, metric: &str) -> &[Recorded] {
        self.by_name.get(metric).map_or(&[], Vec::as_slice)
    }

    /// Of each process the instants inside of a window at which its series with the most rows was read.
    pub(super) fn instants(&self, window: Window) -> Result<Vec<(Identity, Arc<[i64]>)>> {
        let rows = |s: &Recorded| s.parts.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        let mut most: BTreeMap<&Identity, (usize, &Recorded)> = BTreeMap::new();
        for series in self.by_name.values().flatten() {
            let count = rows(series);
            let entry = most.entry(&series.identity).or_insert((count, series));
            if count > entry.0 {
                *entry = (count, series);
            }
        }
        let series: Vec<&Recorded> = most.values().map(|(_, series)| *series).collect();
        let stretches: Vec<Vec<Stretch>> = series
            .iter()
            .map(|series| self.stretches(series, window))
            .collect();
        let blocks = Blocks::load(&stretches.concat(), &[0])?;
        let frames = stretches
            .into_iter()
            .map(|stretches| Frame::new(stretches, window, None, &blocks));
        let instants: Result<Vec<_>> = series
            .iter()
            .zip(frames)
            .map(|(series, frame)| Ok((series.identity.clone(), frame?.at_ns)))
            .collect();
        instants
    }

    /// Where the rows of a series lie that may be inside of a window.
    fn stretches(&self, series: &Recorded, window: Window) -> Vec<Stretch> {
        let (from_us, to_us) = micros_of(window);
        let parts = series.parts.iter().filter_map(|(reader, rows)| {
            let reader = &self.readers[*reader];
            let segment = &reader.segment;
            let touches = segment.min_us <= to_us && from_us <= segment.max_us;
            let rows = if touches {
                reader.rows_between(rows, from_us, to_us)
            } else {
                0..0
            };
            let reader = Arc::clone(reader);
            (!rows.is_empty()).then_some(Stretch { reader, rows })
        });
        parts.collect()
    }

    /// The rows of some series, with their values decoded: each block once, whichever series share it.
    fn frames(&self, series: &[&Recorded], window: Window) -> Result<(Vec<Frame>, Blocks)> {
        let stretches: Vec<Vec<Stretch>> = series
            .iter()
            .map(|series| self.stretches(series, window))
            .collect();
        let blocks = Blocks::load(&stretches.concat(), &[0, value_column()])?;
        let frames: Result<Vec<Frame>> = stretches
            .into_par_iter()
            .map(|stretches| Frame::new(stretches, window, None, &blocks))
            .collect();
        Ok((frames?, blocks))
    }

    fn points(&self, series: &[&Recorded], window: Window, factor: f64) -> Result<Vec<Points>> {
        let (frames, blocks) = self.frames(series, window)?;
        let points = frames
            .par_iter()
            .map(|frame| frame.points(&[value_column()], Scale::AsIs, factor, &blocks));
        Ok(points.collect())
    }

    /// The samples of the series of one recorded name that `wanted` lets through, under the name `as_name`, times `factor`.
    pub(super) fn select(
        &self,
        metric: &str,
        as_name: &str,
        factor: f64,
        matchers: &[Matcher],
        window: Window,
        mut wanted: impl FnMut(&Recorded) -> bool,
    ) -> Result<Vec<Series>> {
        let mut found: Vec<Series> = Vec::new();
        let mut plain: Vec<(Labels, &Recorded)> = Vec::new();
        let mut histograms: BTreeMap<(Identity, Labels), Vec<&Recorded>> = BTreeMap::new();
        for series in self.named(metric) {
            if series.sparse && metric.ends_with(Part::Bucket.suffix()) {
                let group = series.labels.filter(|name| name != "le");
                histograms
                    .entry((series.identity.clone(), group))
                    .or_default()
                    .push(series);
                continue;
            }
            let labels = renamed(&series.labels, metric, as_name);
            if matchers.iter().all(|m| m.matches(&labels)) && wanted(series) {
                plain.push((labels, series));
            }
        }
        let series: Vec<&Recorded> = plain.iter().map(|(_, series)| *series).collect();
        let points = self.points(&series, window, factor)?;
        for ((labels, _), (at_ns, values)) in plain.into_iter().zip(points) {
            push(
                &mut found,
                Series {
                    labels,
                    at_ns,
                    values,
                },
            );
        }
        for edges in histograms.values_mut() {
            let labels = |s: &Recorded| renamed(&s.labels, metric, as_name);
            let asked: Vec<bool> = edges
                .iter()
                .map(|s| matchers.iter().all(|m| m.matches(&labels(s))) && wanted(s))
                .collect();
            if !asked.contains(&true) {
                continue;
            }
            let asked: BTreeSet<Labels> = edges
                .iter()
                .zip(asked)
                .filter(|(_, a)| *a)
                .map(|(s, _)| s.labels.clone())
                .collect();
            for (series, (at_ns, values)) in self.fill(metric, edges, window)? {
                if asked.contains(&series.labels) {
                    push(
                        &mut found,
                        Series {
                            labels: labels(series),
                            at_ns,
                            values,
                        },
                    );
                }
            }
        }
        Ok(found)
    }

    /// The edges of one sparse histogram with a value in each reading. An edge that a reading does not have has the value of the nearest
    /// lower edge that is present in it, or 0. Edges are all that were ever recorded, so that the answer does not depend on the window.
    fn fill<'a>(
        &self,
        metric: &str,
        edges: &mut [&'a Recorded],
        window: Window,
    ) -> Result<Vec<(&'a Recorded, Points)>> {
        let edge = |s: &Recorded| s.labels.get("le").parse::<f64>().unwrap_or(f64::INFINITY);
        edges.sort_by(|a, b| edge(a).total_cmp(&edge(b)));
        let own = self.points(edges, window, 1.0)?;
        // A reading without any observation has no bucket, only a count.
        let base = metric.strip_suffix(Part::Bucket.suffix()).unwrap_or(metric);
        let count = format!("{base}{}", Part::Count.suffix());
        let group = edges
            .first()
            .map(|s| renamed(&s.labels.filter(|n| n != "le"), metric, &count));
        let mut at: BTreeSet<i64> = own.iter().flat_map(|(at, _)| at.iter().copied()).collect();
        let counts = self.named(&count).iter();
        let counts: Vec<&Recorded> = counts
            .filter(|s| Some(&s.labels) == group.as_ref())
            .collect();
        let (frames, _) = self.frames(&counts, window)?;
        at.extend(frames.iter().flat_map(|frame| frame.at_ns.iter()));
        let at_ns: Arc<[i64]> = at.into_iter().collect();
        let mut below = vec![0.0; at_ns.len()];
        let mut filled = Vec::with_capacity(edges.len());
        for (series, (own_at, own_values)) in edges.iter().zip(own) {
            let mut own = own_at.iter().zip(own_values.iter()).peekable();
            for (at, value) in at_ns.iter().zip(&mut below) {
                if let Some((_, present)) = own.next_if(|(own_at, _)| *own_at == at) {
                    *value = *present;
                }
            }
            filled.push((*series, (Arc::clone(&at_ns), below.as_slice().into())));
        }
        Ok(filled)
    }
}

/// Adds a series; shares the instants of the one before when they are the same, as those of one scrape are.
fn push(found: &mut Vec<Series>, mut series: Series) {
    if series.at_ns.is_empty() {
        return;
    }
    if let Some(last) = found.last().filter(|last| last.at_ns == series.at_ns) {
        series.at_ns = Arc::clone(&last.at_ns);
    }
    found.push(series);
}

fn renamed(labels: &Labels, metric: &str, as_name: &str) -> Labels {
    if metric == as_name {
        labels.clone()
    } else {
        labels.with(memwatch_core::labels::METRIC_NAME, as_name)
    }
}

/// Consecutive rows of one series.
struct Run {
    key: Key,
    sparse: bool,
    rows: Range<usize>,
}

/// The series of a segment, in the order of its rows.
fn runs(
    reader: &SegmentReader,
    segment: &Segment,
    shared: &mut HashMap<Box<str>, Arc<str>>,
) -> Result<Vec<Run>> {
    let def = Table::Metrics.def();
    let columns: Vec<usize> = ["metric", "labels", "kind"]
        .iter()
        .filter_map(|c| def.index_of(c))
        .collect();
    let mut share = |text: &str| match shared.get(text) {
        Some(known) => Arc::clone(known),
        None => {
            let text: Arc<str> = text.into();
            shared.insert(text.as_ref().into(), Arc::clone(&text));
            text
        }
    };
    let mut found: Vec<Run> = Vec::new();
    let mut instances = segment.instance_offsets().peekable();
    let mut identity: Option<Identity> = None;
    let mut first = 0;
    let all = 0..usize::try_from(segment.rows).unwrap_or(0);
    for batch in reader.read(
        &buffer_schema(Table::Metrics),
        &columns,
        std::slice::from_ref(&all),
    )? {
        let batch = batch?;
        let text = |column: usize| TextColumn::new(batch.column(column).as_ref());
        let (Some(metric), Some(labels), Some(kind)) = (text(0), text(1), text(2)) else {
            return Err(Error::damaged(reader.path(), "text columns", "others"));
        };
        for row in 0..batch.num_rows() {
            let at = first + row;
            let next = instances
                .next_if(|(start, _)| *start == at)
                .map(|(_, i)| i.identity.clone());
            let same = next.is_none()
                && match (row, found.last()) {
                    (0, Some(last)) => {
                        *last.key.0 == *metric.value(0) && *last.key.2 == *labels.value(0)
                    }
                    (0, None) => false,
                    _ => metric.same(row - 1, row) && labels.same(row - 1, row),
                };
            if let Some(next) = next {
                identity = Some(next);
            }
            match (found.last_mut(), &identity) {
                (Some(last), _) if same => last.rows.end = at + 1,
                (_, Some(identity)) => found.push(Run {
                    key: (
                        share(metric.value(row)),
                        identity.clone(),
                        share(labels.value(row)),
                    ),
                    sparse: kind.value(row) == SPARSE_HISTOGRAM,
                    rows: at..at + 1,
                }),
                (_, None) => {
                    return Err(Error::damaged(
                        reader.path(),
                        "rows of an instance",
                        "rows of none",
                    ));
                }
            }
        }
        first += batch.num_rows();
    }
    Ok(found)
}
