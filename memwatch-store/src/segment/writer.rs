//! Writes one segment under its unfinished name, and says what the manifest has to know of it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, SchemaRef};
use bytes::Bytes;
use memwatch_core::record::Identity;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use super::encoding::properties;
use super::{ColumnChecksums, Effort, ROWS_PER_GROUP, count_instances};
use crate::layout::{Day, IN_PROGRESS, SegmentPath, with_suffix};
use crate::manifest::{Chunk, InstanceRows, Segment};
use crate::schema::Table;
use crate::storage::NewFile;
use crate::{Error, Result, Shared};

/// Where a segment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In its folder, under an unfinished name.
    Disk,
    /// In memory, for the readers of one snapshot.
    Memory,
}

/// A segment being written.
pub(crate) struct SegmentWriter {
    path: SegmentPath,
    file: PathBuf,
    effort: Effort,
    writer: SerializedFileWriter<Checksummed>,
    schema: SchemaRef,
    encoders: ArrowRowGroupWriterFactory,
    /// One for each column of the row group that is being written; none before its first row.
    group: Vec<ArrowColumnWriter>,
    rows_in_group: usize,
    row_groups: Vec<Chunk>,
    columns: ColumnChecksums,
    instances: Vec<InstanceRows>,
}

impl SegmentWriter {
    /// Begins a segment; its folder is made when it is missing.
    pub(crate) fn create(
        shared: &Shared,
        place: Place,
        effort: Effort,
        (table, day): (Table, Day),
        schema: SchemaRef,
    ) -> Result<SegmentWriter> {
        let path = SegmentPath::new(table, day);
        let file = unfinished(shared, &path);
        let sink = match place {
            Place::Memory => Sink::Memory(Vec::new()),
            Place::Disk => {
                if let Some(folder) = file.parent() {
                    shared.storage.create_dir(folder)?;
                }
                Sink::File(shared.storage.create(&file, false)?)
            }
        };
        let sink = Checksummed::new(sink);
        // Without the embedded Arrow schema: other readers then see plain strings, and half of the panics that damaged files cause
        // in Arrow readers come from decoding it.
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table, effort))
            .with_skip_arrow_metadata(true);
        let (writer, encoders) =
            ArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(Error::parquet(&file))?;
        Ok(SegmentWriter {
            path,
            file,
            effort,
            writer,
            schema,
            encoders,
            group: Vec::new(),
            rows_in_group: 0,
            row_groups: Vec::new(),
            columns: ColumnChecksums::default(),
            instances: Vec::new(),
        })
    }

    /// About how many bytes it has so far.
    pub(crate) fn bytes(&self) -> u64 {
        let sink = self.writer.inner();
        let encoded = self.group.iter().map(|c| c.get_estimated_total_bytes());
        sink.whole_bytes + sink.chunk_bytes + encoded.sum::<usize>() as u64
    }

    /// The instance of its last row.
    pub(crate) fn last_instance(&self) -> Option<&Identity> {
        self.instances.last().map(|i| &i.identity)
    }

    /// Adds rows, all columns of them, that follow those before in the order of the table's key.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        count_instances(&mut self.instances, batch)?;
        let mut from = 0;
        while from < batch.num_rows() {
            let take = (batch.num_rows() - from).min(ROWS_PER_GROUP - self.rows_in_group);
            self.encode(&batch.slice(from, take))
                .map_err(Error::parquet(&self.file))?;
            self.rows_in_group += take;
            from += take;
            if self.rows_in_group == ROWS_PER_GROUP {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Adds rows to the row group. Compaction has each column encoded by any thread that has time; a flush runs beside what fills the
    /// next buffer, and waking other threads would take more of their time than it gives.
    fn encode(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if self.group.is_empty() {
            self.group = self.encoders.create_column_writers(self.row_groups.len())?;
        }
        let fields = self.schema.fields();
        let encode =
            |((writer, column), field): ((&mut ArrowColumnWriter, &ArrayRef), &FieldRef)| {
                let leaves = compute_leaves(field, column)?;
                leaves.iter().try_for_each(|leaf| writer.write(leaf))
            };
        let (group, columns) = (&mut self.group, batch.columns());
        match self.effort {
            Effort::Flush => {
                let columns = group.iter_mut().zip(columns).zip(fields);
                columns.into_iter().try_for_each(encode)
            }
            Effort::Compacted => {
                let columns = group.par_iter_mut().zip(columns).zip(&fields[..]);
                columns.try_for_each(encode)
            }
        }
    }

    fn end_group(&mut self) -> Result<()> {
        self.put_group().map_err(Error::parquet(&self.file))?;
        self.writer
            .flush()
            .map_err(Error::io(&self.file, "write"))?;
        if let Some(group) = self.writer.flushed_row_groups().last() {
            let sink = self.writer.inner();
            self.columns.add(group, &sink.chunk_held, sink.whole_bytes);
        }
        let chunk = self.writer.inner_mut().end_chunk();
        self.row_groups.push(Chunk {
            rows: self.rows_in_group as u64,
            ..chunk
        });
        self.rows_in_group = 0;
        Ok(())
    }

    fn put_group(&mut self) -> Result<(), ParquetError> {
        let columns = std::mem::take(&mut self.group);
        let encoded: Result<Vec<ArrowColumnChunk>, ParquetError> = match self.effort {
            Effort::Flush => columns.into_iter().map(ArrowColumnWriter::close).collect(),
            Effort::Compacted => columns
                .into_par_iter()
                .map(ArrowColumnWriter::close)
                .collect(),
        };
        let mut group = self.writer.next_row_group()?;
        for column in encoded? {
            column.append_to_row_group(&mut group)?;
        }
        group.close().map(|_| ())
    }

    /// Ends the segment: durable, but still under its unfinished name.
    pub(crate) fn finish(mut self) -> Result<Segment> {
        if self.rows_in_group > 0 {
            self.end_group()?;
        }
        let of_columns = self.columns.to_metadata();
        self.writer.append_key_value_metadata(of_columns);
        self.writer.finish().map_err(Error::parquet(&self.file))?;
        self.writer
            .flush()
            .map_err(Error::io(&self.file, "write"))?;
        let sink = self.writer.inner_mut();
        let footer = sink.end_chunk();
        let whole = sink.whole;
        let held = match &mut sink.out {
            Sink::Memory(bytes) => Some(Bytes::from(std::mem::take(bytes))),
            Sink::File(file) => {
                file.sync()?;
                None
            }
        };
        let instances = self.instances;
        Ok(Segment {
            path: self.path,
            rows: instances.iter().map(|i| i.rows).sum(),
            min_us: instances.iter().map(|i| i.min_us).min().unwrap_or(0),
            max_us: instances.iter().map(|i| i.max_us).max().unwrap_or(0),
            bytes: footer.offset + footer.bytes,
            crc32c: whole,
            row_groups: self.row_groups,
            footer,
            instances,
            held,
        })
    }
}

/// Where a segment lies until it is committed.
pub(crate) fn unfinished(shared: &Shared, path: &SegmentPath) -> PathBuf {
    with_suffix(&shared.layout.segment(path), IN_PROGRESS)
}

/// Where the bytes go.
enum Sink {
    File(Box<dyn NewFile>),
    Memory(Vec<u8>),
}

/// Counts and sums what goes into it.
struct Checksummed {
    out: Sink,
    /// Of the bytes since the last chunk ended.
    chunk: u32,
    chunk_bytes: u64,
    /// These bytes themselves: which of them are a column's is known at the chunk's end.
    chunk_held: Vec<u8>,
    /// Of all chunks that ended.
    whole: u32,
    whole_bytes: u64,
}

impl Checksummed {
    fn new(out: Sink) -> Checksummed {
        Checksummed {
            out,
            chunk: 0,
            chunk_bytes: 0,
            chunk_held: Vec::new(),
            whole: 0,
            whole_bytes: 0,
        }
    }

    /// The bytes since the last call.
    fn end_chunk(&mut self) -> Chunk {
        let chunk = Chunk {
            offset: self.whole_bytes,
            bytes: self.chunk_bytes,
            rows: 0,
            crc32c: self.chunk,
        };
        let len = usize::try_from(self.chunk_bytes).expect("a file that fits memory");
        self.whole = crc32c::crc32c_combine(self.whole, self.chunk, len);
        self.whole_bytes += self.chunk_bytes;
        (self.chunk, self.chunk_bytes) = (0, 0);
        self.chunk_held.clear();
        chunk
    }
}

impl Write for Checksummed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.out {
            Sink::File(file) => file.write(bytes)?,
            Sink::Memory(held) => held.write(bytes)?,
        };
        self.chunk = crc32c::crc32c_append(self.chunk, &bytes[..written]);
        self.chunk_bytes += written as u64;
        self.chunk_held.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Sink::File(file) => file.flush(),
            Sink::Memory(_) => Ok(()),
        }
    }
}
