//! Reads one segment: footer once, only the pages that are asked for, each row group compared with its checksum before the first use.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::statistics::Statistics;

use super::check::{check_chunk, check_length, open_file, part};
use super::footer::{self, guarded};
use super::{ColumnChecksums, Content, ROWS_PER_PAGE, Remote, pages};
use crate::cache::{Footer, Part};
use crate::manifest::{Chunk, InstanceRows, Segment};
use crate::{Error, Result, Shared};

/// Of so many columns what is read of a file is held.
const FEW_COLUMNS: usize = 4;

/// A segment that is open for reading.
pub(crate) struct SegmentReader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) segment: Arc<Segment>,
    path: PathBuf,
    footer: Footer,
}

impl SegmentReader {
    pub(crate) fn open(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<SegmentReader> {
        SegmentReader::try_open(shared, segment).map_err(|error| error.with_gap(segment))
    }

    fn try_open(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<SegmentReader> {
        let (path, mut file) = open_file(shared, segment)?;
        let footer = match shared.cache.footer(&segment.path) {
            Some(footer) => footer,
            None => {
                check_length(&path, &file, segment)?;
                check_chunk(&path, &mut file, &segment.footer)?;
                let metadata = footer::read(&path, &file, segment.footer.offset)?;
                let footer = Footer {
                    columns: ColumnChecksums::of(&metadata).map(Arc::new),
                    metadata: Arc::new(metadata),
                };
                shared.cache.keep_footer(&segment.path, &footer);
                footer
            }
        };
        let metadata = &footer.metadata;
        let groups = metadata.row_groups().iter().map(|group| group.num_rows());
        let rows = groups.map(|rows| u64::try_from(rows).unwrap_or(u64::MAX));
        if !rows.eq(segment.row_groups.iter().map(|chunk| chunk.rows)) {
            let groups = segment.row_groups.len();
            let expected = format!("{} rows in {groups} row groups", segment.rows);
            let (rows, groups) = (
                metadata.file_metadata().num_rows(),
                metadata.num_row_groups(),
            );
            let found = format!("{rows} in {groups}, or others in one of them");
            return Err(Error::damaged(&path, expected, found));
        }
        let (shared, segment) = (Arc::clone(shared), Arc::clone(segment));
        Ok(SegmentReader {
            shared,
            segment,
            path,
            footer,
        })
    }

    /// Where the file lay when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The footer, with the checksums that it has.
    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Whether each column of a row group has a checksum of its own.
    pub(crate) fn has_column_checksums(&self) -> bool {
        self.footer.columns.is_some()
    }

    /// What the file says of itself.
    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        &self.footer.metadata
    }

    /// The names of its columns, in order.
    pub(crate) fn column_names(&self) -> impl Iterator<Item = &str> {
        let schema = self.footer.metadata.file_metadata().schema_descr();
        schema.columns().iter().map(|column| column.name())
    }

    /// How many columns the file has: later versions of a table add some at the end.
    pub(crate) fn num_columns(&self) -> usize {
        self.footer
            .metadata
            .file_metadata()
            .schema_descr()
            .num_columns()
    }

    /// Whether the file has this column.
    pub(crate) fn has_column(&self, column: usize) -> bool {
        column < self.num_columns()
    }

    /// The stretches of rows that may be what is wanted of the instances of which something is; ascending, apart.
    pub(crate) fn rows_in(
        &self,
        mut wanted: impl FnMut(&InstanceRows) -> Option<Wanted>,
    ) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut push = |range: Range<usize>| match found.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => found.push(range),
        };
        for (first, instance) in self.segment.instance_offsets() {
            let Some(wanted) = wanted(instance) else {
                continue;
            };
            if instance.max_us < wanted.from_us || wanted.to_us < instance.min_us {
                continue;
            }
            let rows = first..first + usize::try_from(instance.rows).unwrap_or(0);
            let mut kept = vec![rows.clone()];
            if wanted.from_us > instance.min_us || instance.max_us > wanted.to_us {
                kept = self.pages_of(&rows, 0, |bounds, page| {
                    may_touch(bounds, page, wanted.from_us, wanted.to_us)
                });
            }
            if let Some((column, from, to)) = &wanted.texts {
                let pages = self.pages_of(&rows, *column, |bounds, page| match bounds {
                    ColumnIndexMetaData::BYTE_ARRAY(bounds) => {
                        bounds
                            .min_value(page)
                            .is_none_or(|min| min <= to.as_bytes())
                            && bounds
                                .max_value(page)
                                .is_none_or(|max| max >= from.as_bytes())
                    }
                    _ => true,
                });
                kept = intersection(&kept, &pages);
            }
            kept.into_iter().for_each(&mut push);
        }
        found
    }

    /// The value that an integer column has in all of some rows, where the statistics of their row groups say so.
    pub(crate) fn constant(&self, column: usize, rows: &Range<usize>) -> Option<i64> {
        if !self.has_column(column) {
            return None;
        }
        let mut group_start = 0;
        let mut constant = None;
        for (group, chunk) in self.segment.row_groups.iter().enumerate() {
            let group_end = group_start + usize::try_from(chunk.rows).unwrap_or(0);
            if group_start < rows.end && rows.start < group_end {
                let of_group = match self
                    .footer
                    .metadata
                    .row_group(group)
                    .column(column)
                    .statistics()?
                {
                    Statistics::Int64(s) if s.null_count_opt() == Some(0) => {
                        let (least, greatest) = (s.min_opt()?, s.max_opt()?);
                        (least == greatest).then_some(*least)?
                    }
                    _ => return None,
                };
                if constant.is_some_and(|constant| constant != of_group) {
                    return None;
                }
                constant = Some(of_group);
            }
            group_start = group_end;
        }
        constant
    }

    /// Of rows that ascend in time those in pages that may hold one between two microseconds, both included.
    pub(crate) fn rows_between(
        &self,
        rows: &Range<usize>,
        from_us: i64,
        to_us: i64,
    ) -> Range<usize> {
        let pages = self.pages_of(rows, 0, |bounds, page| {
            may_touch(bounds, page, from_us, to_us)
        });
        match (pages.first(), pages.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => rows.start..rows.start,
        }
    }

    /// The parts of `rows` in pages of a column whose bounds may hold what is wanted.
    fn pages_of(
        &self,
        rows: &Range<usize>,
        column: usize,
        may_hold: impl Fn(&ColumnIndexMetaData, usize) -> bool,
    ) -> Vec<Range<usize>> {
        let mut pages = Vec::new();
        let mut group_start = 0usize;
        for (group, chunk) in self.segment.row_groups.iter().enumerate() {
            let group_rows = usize::try_from(chunk.rows).unwrap_or(0);
            let group_range = group_start..group_start + group_rows;
            group_start = group_range.end;
            if group_range.end <= rows.start || rows.end <= group_range.start {
                continue;
            }
            let mut push = |page: Range<usize>| {
                let part = page.start.max(rows.start)..page.end.min(rows.end);
                if !part.is_empty() {
                    pages.push(part);
                }
            };
            let offsets = self.footer.metadata.offset_index();
            let offsets = offsets.and_then(|index| index.get(group)?.get(column));
            let bounds = self.footer.metadata.column_index();
            let bounds = bounds.and_then(|index| index.get(group)?.get(column));
            let (Some(offsets), Some(bounds)) = (offsets, bounds) else {
                push(group_range);
                continue;
            };
            let starts: Vec<usize> = offsets
                .page_locations()
                .iter()
                .map(|page| usize::try_from(page.first_row_index).unwrap_or(0))
                .chain([group_rows])
                .collect();
            for (page, ends) in starts.windows(2).enumerate() {
                if may_hold(bounds, page) {
                    push(group_range.start + ends[0]..group_range.start + ends[1]);
                }
            }
        }
        pages
    }

    /// Reads some columns (by their place in the table) of some stretches of rows (ascending, apart), in batches of at most
    /// `ROWS_PER_PAGE` rows. Columns come in the order of the table. `schema` gives the types.
    pub(crate) fn read(
        &self,
        schema: &SchemaRef,
        columns: &[usize],
        rows: &[Range<usize>],
    ) -> Result<SegmentBatches> {
        let mut groups = Vec::new();
        let mut selected: Vec<Range<usize>> = Vec::new();
        let (mut group_start, mut kept_start) = (0usize, 0usize);
        // Opened anew: a commit may have moved it aside since.
        let (_, mut file) = open_file(&self.shared, &self.segment)?;
        if let (Content::File(file), true) = (&mut file, columns.len() <= FEW_COLUMNS) {
            file.reads_little();
        }
        for (group, chunk) in self.segment.row_groups.iter().enumerate() {
            let group_rows = usize::try_from(chunk.rows).unwrap_or(0);
            let from = rows.partition_point(|r| r.end <= group_start);
            let touching = rows[from..]
                .iter()
                .take_while(|r| r.start < group_start + group_rows);
            let mut inside: Option<Range<usize>> = None;
            for range in touching {
                let start = range.start.max(group_start) - group_start;
                let end = range.end.min(group_start + group_rows) - group_start;
                selected.push(start + kept_start..end + kept_start);
                inside = Some(inside.map_or(start, |inside| inside.start)..end);
            }
            if let Some(rows) = inside {
                self.verify_columns(&mut file, group, columns)?;
                if let Content::File(file) = &mut file {
                    file.has_passed();
                }
                for column in columns.iter().filter(|c| self.has_column(**c)) {
                    file.hold(&self.bytes_of(group, *column, &rows))
                        .map_err(Error::io(&self.path, "read"))?;
                }
                groups.push(group);
                kept_start += group_rows;
            }
            group_start += group_rows;
        }
        let fields = schema.fields().iter().take(self.num_columns()).cloned();
        let types = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new()
            .with_schema(types)
            .with_skip_arrow_metadata(true);
        let remote = match &file {
            Content::Remote(remote) => Some(remote.clone()),
            _ => None,
        };
        let inner = guarded(&self.path, || {
            let metadata = Arc::clone(&self.footer.metadata);
            let metadata = ArrowReaderMetadata::try_new(metadata, options)
                .map_err(Error::parquet(&self.path))?;
            let mask = ProjectionMask::roots(
                metadata.parquet_schema(),
                columns.iter().copied().filter(|c| self.has_column(*c)),
            );
            let selection = RowSelection::from_consecutive_ranges(selected.into_iter(), kept_start);
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_row_groups(groups)
                .with_projection(mask)
                .with_row_selection(selection)
                .with_batch_size(ROWS_PER_PAGE)
                .build()
                .map_err(Error::parquet(&self.path))
        })?;
        Ok(SegmentBatches {
            path: self.path.clone(),
            inner,
            remote,
        })
    }

    /// The bytes of the pages of a column that hold some rows of a row group.
    fn bytes_of(&self, group: usize, column: usize, rows: &Range<usize>) -> Range<u64> {
        let metadata = self.metadata();
        let offsets = metadata.offset_index();
        let offsets = offsets.and_then(|index| index.get(group)?.get(column));
        let pages = offsets.map_or(&[][..], |offsets| offsets.page_locations());
        let first_row = |page: &PageLocation| usize::try_from(page.first_row_index).unwrap_or(0);
        let from = pages.partition_point(|page| first_row(page) <= rows.start);
        let to = pages.partition_point(|page| first_row(page) < rows.end);
        let Some(pages) = pages.get(from.saturating_sub(1)..to) else {
            return 0..0;
        };
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else {
            return 0..0;
        };
        let byte = |at: i64| u64::try_from(at).unwrap_or(0);
        let end = byte(last.offset).saturating_add(byte(last.compressed_page_size.into()));
        byte(first.offset)..end
    }

    /// Compares columns of a row group with their checksums, those that were not before, and looks at their pages: of a file that has no
    /// checksums of columns all of the group is compared.
    fn verify_columns(&self, file: &mut Content, group: usize, columns: &[usize]) -> Result<()> {
        if self.segment.held.is_some() {
            return Ok(()); // It was never on a disk.
        }
        let columns = columns.iter().copied().filter(|c| self.has_column(*c));
        let check = || {
            let (cache, path) = (&self.shared.cache, &self.segment.path);
            let parts = columns
                .clone()
                .map(|column| part(&self.footer, &self.segment, group, column));
            let parts: Vec<(Part, Chunk)> = parts.collect();
            if let Content::Remote(remote) = file {
                remote.fetch_ahead(group, &parts)?;
            }
            for (column, (part, chunk)) in columns.zip(parts) {
                let hold = |file: &mut Content, range: &Range<u64>| {
                    file.hold_passing(range)
                        .map_err(Error::io(&self.path, "read"))
                };
                if !matches!(file, Content::Remote(_)) && !cache.is_verified(path, part) {
                    hold(file, &(chunk.offset..chunk.offset + chunk.bytes))?;
                    check_chunk(&self.path, file, &chunk)?;
                    cache.keep_verified(path, part);
                }
                let pages = Part::Pages(group, column);
                if !cache.is_verified(path, pages) {
                    let metadata = self.metadata();
                    let bytes = footer::byte_range(metadata.row_group(group).column(column));
                    hold(file, &bytes.unwrap_or_default())?;
                    pages::check(&self.path, file, metadata, (group, column))?;
                    cache.keep_verified(path, pages);
                }
            }
            Ok(())
        };
        check().map_err(|error: Error| error.with_gap(&self.segment))
    }
}

/// Whether a page may hold an instant between two microseconds, both included.
fn may_touch(bounds: &ColumnIndexMetaData, page: usize, from_us: i64, to_us: i64) -> bool {
    match bounds {
        ColumnIndexMetaData::INT64(bounds) => {
            bounds.min_value(page).is_none_or(|min| *min <= to_us)
                && bounds.max_value(page).is_none_or(|max| *max >= from_us)
        }
        _ => true,
    }
}

/// What is wanted of an instance.
pub(crate) struct Wanted {
    /// First and last microsecond.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    /// Only rows with a text in this column between these two, both included.
    pub(crate) texts: Option<(usize, String, String)>,
}

impl Wanted {
    /// All rows between two microseconds, both included.
    pub(crate) fn times(from_us: i64, to_us: i64) -> Wanted {
        Wanted {
            from_us,
            to_us,
            texts: None,
        }
    }
}

/// What lies in both of two lists of stretches, each ascending and apart.
fn intersection(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let part = x.start.max(y.start)..x.end.min(y.end);
        if !part.is_empty() {
            both.push(part);
        }
        if x.end <= y.end {
            a.next()
        } else {
            b.next()
        };
    }
    both
}

/// Batches of one segment.
pub(crate) struct SegmentBatches {
    path: PathBuf,
    inner: ParquetRecordBatchReader,
    remote: Option<Remote>,
}

impl Iterator for SegmentBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = guarded(&self.path, || {
            let batch = self.inner.next().transpose();
            batch.map_err(|error| {
                // What this crate said while the library read through it: on its way back only words are left.
                let ours = self.remote.as_ref().and_then(Remote::take_error);
                ours.unwrap_or_else(|| {
                    Error::parquet(&self.path)(ParquetError::External(Box::new(error)))
                })
            })
        });
        next.transpose()
    }
}
