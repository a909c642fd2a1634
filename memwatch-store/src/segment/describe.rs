//! What the manifest has to know of a segment, from the file alone: for a manifest that is lost.

use std::io::Read as _;
use std::sync::Arc;

use super::footer::{self, byte_range};
use super::{Content, OnDisk, SegmentReader, count_instances};
use crate::buffer::buffer_schema;
use crate::layout::SegmentPath;
use crate::manifest::{Chunk, Segment};
use crate::{Error, Result, Shared};

/// Reads a segment of which nothing is known. What it says is taken as it is: checksums tell only what happens to it from now on.
pub(crate) fn describe(shared: &Arc<Shared>, path: &SegmentPath) -> Result<Segment> {
    let place = shared.layout.segment(path);
    let mut content = if shared.storage.is_remote() {
        let read = shared.storage.read(&place)?;
        Content::Held(read.unwrap_or_default().into())
    } else {
        Content::File(OnDisk::open(&place).map_err(Error::io(&place, "open"))?)
    };
    let metadata = footer::read(&place, &content, 0)?;
    let bytes = content.size().map_err(Error::io(&place, "read"))?;
    let mut chunks = Vec::new();
    let mut at = 0;
    for group in metadata.row_groups() {
        let ends = group
            .columns()
            .iter()
            .map(|column| byte_range(column).map_or(0, |range| range.end));
        let end = ends.max().unwrap_or(at);
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        chunks.push((at, end, rows));
        at = end;
    }
    chunks.push((at, bytes, 0));
    let mut summed = Vec::new();
    let mut whole = 0;
    for (from, to, rows) in chunks {
        let length = to.checked_sub(from).filter(|_| to <= bytes);
        let length = length.ok_or_else(|| {
            Error::damaged(
                &place,
                format!("row groups within {bytes} bytes"),
                to.to_string(),
            )
        })?;
        let mut part = content
            .from(from)
            .map_err(Error::io(&place, "read"))?
            .take(length);
        let mut crc32c = 0;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match part.read(&mut buffer).map_err(Error::io(&place, "read"))? {
                0 => break,
                read => crc32c = crc32c::crc32c_append(crc32c, &buffer[..read]),
            }
        }
        whole = crc32c::crc32c_combine(whole, crc32c, usize::try_from(length).unwrap_or(0));
        summed.push(Chunk {
            offset: from,
            bytes: length,
            rows,
            crc32c,
        });
    }
    let footer = summed.pop().unwrap_or_default();
    let mut segment = Segment {
        path: path.clone(),
        rows: summed.iter().fold(0, |rows, c| c.rows.saturating_add(rows)),
        min_us: 0,
        max_us: 0,
        bytes,
        crc32c: whole,
        row_groups: summed,
        footer,
        instances: Vec::new(),
        held: None,
    };
    let reader = SegmentReader::open(shared, &Arc::new(segment.clone()))?;
    let rows = 0..usize::try_from(segment.rows).unwrap_or(0);
    let schema = buffer_schema(path.table);
    for batch in reader.read(&schema, &[0, 1, 2], std::slice::from_ref(&rows))? {
        count_instances(&mut segment.instances, &batch?)?;
    }
    segment.min_us = segment
        .instances
        .iter()
        .map(|i| i.min_us)
        .min()
        .unwrap_or(0);
    segment.max_us = segment
        .instances
        .iter()
        .map(|i| i.max_us)
        .max()
        .unwrap_or(0);
    match segment.check_numbers() {
        Ok(()) => Ok(segment),
        Err((expected, found)) => Err(Error::damaged(&place, expected, found)),
    }
}
