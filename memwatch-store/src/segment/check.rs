//! Segments as they lie in their place, compared with the checksums that the manifest and their footers have.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checksums::byte_range;
use super::{Content, OnDisk, Remote};
use crate::cache::{Footer, Part};
use crate::layout::{IN_PROGRESS, REPLACED, with_suffix};
use crate::manifest::{Chunk, Segment};
use crate::{Error, Result, Shared};

/// Reads the whole of a segment, once per process, and compares checksums.
pub(crate) fn verify(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<()> {
    if segment.held.is_some() {
        return Ok(()); // It was never on a disk.
    }
    if shared.cache.is_whole(&segment.path) {
        return Ok(());
    }
    check_whole(shared, segment)?;
    for group in 0..segment.row_groups.len() {
        let part = Part::Group(group);
        shared.cache.keep_verified(&segment.path, part);
    }
    shared.cache.keep_verified(&segment.path, Part::Whole);
    Ok(())
}

/// Reads the whole of a segment and compares the checksums of its row groups, its footer and the file.
pub(crate) fn check_whole(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Result<()> {
    let check = || {
        let (path, mut file) = open_file(shared, segment)?;
        check_length(&path, &file, segment)?;
        let (mut at, mut whole) = (0, 0);
        for chunk in segment.row_groups.iter().chain([&segment.footer]) {
            if chunk.offset != at {
                let expected = format!("a row group or footer at byte {at}");
                return Err(Error::damaged(&path, expected, chunk.offset.to_string()));
            }
            match &mut file {
                Content::Remote(remote) => remote.check_anew(chunk)?,
                file => check_chunk(&path, file, chunk)?,
            }
            let len = usize::try_from(chunk.bytes).unwrap_or(usize::MAX);
            whole = crc32c::crc32c_combine(whole, chunk.crc32c, len);
            at += chunk.bytes;
        }
        if (at, whole) != (segment.bytes, segment.crc32c) {
            let expected = format!(
                "checksum {:08x} over {} bytes",
                segment.crc32c, segment.bytes
            );
            let found = format!("checksum {whole:08x} over {at} bytes");
            return Err(Error::damaged(&path, expected, found));
        }
        Ok(())
    };
    check().map_err(|error: Error| error.with_gap(segment))
}

/// Opens a segment where it lies: in its place, still unfinished (this writer's own), or replaced by a later commit.
pub(super) fn open_file(
    shared: &Arc<Shared>,
    segment: &Arc<Segment>,
) -> Result<(PathBuf, Content)> {
    let path = shared.layout.segment(&segment.path);
    if let Some(bytes) = &segment.held {
        return Ok((path, Content::Held(bytes.clone())));
    }
    if shared.storage.is_remote() {
        return Ok((path, Content::Remote(Remote::new(shared, segment))));
    }
    for suffix in ["", IN_PROGRESS, REPLACED] {
        let path = with_suffix(&path, suffix);
        match OnDisk::open(&path) {
            Ok(file) => return Ok((path, Content::File(file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(&path, "open")(e)),
        }
    }
    Err(Error::damaged(
        &path,
        format!("a segment of {} rows", segment.rows),
        "no file",
    ))
}

pub(super) fn check_length(path: &Path, file: &Content, segment: &Segment) -> Result<()> {
    let found = file.size().map_err(Error::io(path, "read"))?;
    if found == segment.bytes {
        Ok(())
    } else {
        Err(Error::damaged(
            path,
            format!("{} bytes", segment.bytes),
            format!("{found} bytes"),
        ))
    }
}

pub(super) fn check_chunk(path: &Path, file: &mut Content, chunk: &Chunk) -> Result<()> {
    let at_hand = match file {
        Content::Remote(remote) => return remote.check(chunk),
        Content::File(file) => file.at_hand(&(chunk.offset..chunk.offset + chunk.bytes)),
        Content::Held(_) => None,
    };
    let (mut left, mut crc) = (chunk.bytes, 0);
    if let Some(bytes) = at_hand {
        (left, crc) = (0, crc32c::crc32c(&bytes));
    } else {
        let mut buffer = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(128 * 1024)];
        let mut bytes = file.from(chunk.offset).map_err(Error::io(path, "read"))?;
        while left > 0 {
            let ask = usize::try_from(left).unwrap_or(usize::MAX);
            let ask = ask.min(buffer.len());
            let read = bytes.read(&mut buffer[..ask]);
            match read.map_err(Error::io(path, "read"))? {
                0 => break,
                read => {
                    crc = crc32c::crc32c_append(crc, &buffer[..read]);
                    left -= read as u64;
                }
            }
        }
    }
    if left == 0 && crc == chunk.crc32c {
        return Ok(());
    }
    let place = format!("bytes {}..{}", chunk.offset, chunk.offset + chunk.bytes);
    let expected = format!("checksum {:08x} over {place}", chunk.crc32c);
    let found = if left > 0 {
        format!("{left} bytes less")
    } else {
        format!("checksum {crc:08x}")
    };
    Err(Error::damaged(path, expected, found))
}

/// What is compared before a column of a row group is read: the column, or the row group of a file that has no checksums of columns.
pub(super) fn part(
    footer: &Footer,
    segment: &Segment,
    group: usize,
    column: usize,
) -> (Part, Chunk) {
    let whole = segment.row_groups[group];
    let known = footer.columns.as_ref();
    let Some(crc32c) = known.and_then(|known| known.get(group, column)) else {
        return (Part::Group(group), whole);
    };
    let all = whole.offset..whole.offset + whole.bytes;
    let bytes = byte_range(footer.metadata.row_group(group), column, all);
    let chunk = Chunk {
        offset: bytes.start,
        bytes: bytes.end - bytes.start,
        rows: 0,
        crc32c,
    };
    (Part::Column(group, column), chunk)
}
