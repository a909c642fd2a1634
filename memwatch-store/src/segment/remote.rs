//! The bytes of a segment behind a network: whole columns of row groups, each compared with its checksum before anything looks at it.
//!
//! Pages are small, a request is slow, and a checksum needs the whole column anyway: some hundred kilobytes. The manifest knows where the
//! footer begins, and the footer where columns do, so nothing is asked but for them; what lies close together comes with one request.

use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;

use super::SegmentReader;
use super::check::part;
use crate::cache::{Footer, Part, locked};
use crate::layout::{IN_PROGRESS, REPLACED, with_suffix};
use crate::manifest::{Chunk, Segment};
use crate::{Error, Result, Shared};

/// A larger column is not held in memory: its bytes are fetched as they are asked for. No more is fetched with one request.
const WHOLE_BYTES: u64 = 16 << 20;

/// What is fetched at once where not the whole is.
const PIECE_BYTES: u64 = 4 << 20;

/// Bytes that nobody asked for, between two columns, cost less than another request.
const GAP_BYTES: u64 = 1 << 20;

/// A segment that is read over a network. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct Remote {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    footer: Arc<OnceLock<Footer>>,
    recent: Arc<Mutex<Vec<Held>>>,
    /// What went wrong last.
    failed: Arc<Mutex<Option<Error>>>,
}

/// A column of a row group, a row group, or the footer, that is at hand.
#[derive(Clone)]
struct Held {
    group: usize,
    start: u64,
    bytes: Bytes,
}

impl Remote {
    pub(crate) fn new(shared: &Arc<Shared>, segment: &Arc<Segment>) -> Remote {
        Remote {
            shared: Arc::clone(shared),
            segment: Arc::clone(segment),
            footer: Arc::default(),
            recent: Arc::default(),
            failed: Arc::default(),
        }
    }

    /// The address of the segment, for messages.
    fn path(&self) -> PathBuf {
        self.shared.layout.segment(&self.segment.path)
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        self.segment.bytes
    }

    /// Some bytes, of columns that are as they were written.
    pub(crate) fn bytes(&self, range: Range<u64>) -> Result<Bytes> {
        let Some((group, part, chunk)) = self.around(&range)? else {
            return self.across(range);
        };
        if chunk.bytes > WHOLE_BYTES {
            self.check_once(part, &chunk)?;
            return self.fetch(range);
        }
        let held = match self.at_hand(group, chunk.offset) {
            Some(bytes) => bytes,
            None => {
                self.fetch_ahead(group, &[(part, chunk)])?;
                self.at_hand(group, chunk.offset).unwrap_or_default()
            }
        };
        let place = |at: u64| usize::try_from(at - chunk.offset).expect("within some megabytes");
        Ok(held.slice(place(range.start)..place(range.end)))
    }

    /// The same for several, most of them of one row group.
    #[cfg(feature = "sql")]
    pub(crate) fn each(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut parts: Vec<(usize, Part, Chunk)> = Vec::new();
        for range in ranges {
            parts.extend(self.around(range)?);
        }
        parts.sort_by_key(|(_, _, chunk)| chunk.offset);
        parts.dedup_by_key(|(_, _, chunk)| chunk.offset);
        for of_group in parts.chunk_by(|a, b| a.0 == b.0) {
            let parts: Vec<_> = of_group
                .iter()
                .map(|(_, part, chunk)| (*part, *chunk))
                .collect();
            self.fetch_ahead(of_group[0].0, &parts)?;
        }
        ranges
            .iter()
            .map(|range| self.bytes(range.clone()))
            .collect()
    }

    /// [`Remote::bytes`] for a library that keeps only the words of an error: [`Remote::take_error`] has the rest.
    pub(crate) fn bytes_through(&self, range: Range<u64>) -> std::result::Result<Bytes, String> {
        self.bytes(range).map_err(|error| {
            let words = error.to_string();
            *locked(&self.failed) = Some(error.with_gap(&self.segment));
            words
        })
    }

    /// What went wrong last in [`Remote::bytes_through`].
    pub(crate) fn take_error(&self) -> Option<Error> {
        locked(&self.failed).take()
    }

    /// Fetches and compares what will be asked for of a row group, with few requests.
    pub(crate) fn fetch_ahead(&self, group: usize, parts: &[(Part, Chunk)]) -> Result<()> {
        let mut missing: Vec<(Part, Chunk)> = Vec::new();
        for (part, chunk) in parts {
            if chunk.bytes > WHOLE_BYTES {
                self.check_once(*part, chunk)?;
            } else if self.at_hand(group, chunk.offset).is_none() {
                missing.push((*part, *chunk));
            }
        }
        missing.sort_by_key(|(_, chunk)| chunk.offset);
        missing.dedup_by_key(|(_, chunk)| chunk.offset);
        let mut rest = missing.as_slice();
        while let Some((_, first)) = rest.first() {
            let (start, mut end) = (first.offset, first.offset + first.bytes);
            let near = rest.iter().take_while(|(_, chunk)| {
                let next = chunk.offset + chunk.bytes;
                let near = chunk.offset <= end + GAP_BYTES && next - start <= WHOLE_BYTES;
                end = if near { next } else { end };
                near
            });
            let (run, others) = rest.split_at(near.count());
            rest = others;
            let fetched = self.fetch(start..end)?;
            for (part, chunk) in run {
                let from = usize::try_from(chunk.offset - start).unwrap_or(usize::MAX);
                let to = from + usize::try_from(chunk.bytes).unwrap_or(0);
                let bytes = self.compared(chunk, fetched.slice(from..to))?;
                self.shared
                    .cache
                    .keep_piece(&self.segment.path, chunk.offset, &bytes);
                self.shared.cache.keep_verified(&self.segment.path, *part);
                self.hold(group, chunk.offset, bytes);
            }
        }
        Ok(())
    }

    /// Compares a row group or the footer with its checksum; it is at hand after that, unless it is large.
    pub(crate) fn check(&self, chunk: &Chunk) -> Result<()> {
        if chunk.offset >= self.segment.footer.offset {
            return self.fetch_ahead(self.segment.row_groups.len(), &[(Part::Footer, *chunk)]);
        }
        self.check_anew(chunk)
    }

    /// Compares some bytes with their checksum as they lie there now, whatever is at hand.
    pub(crate) fn check_anew(&self, chunk: &Chunk) -> Result<()> {
        let mut crc = 0;
        let end = chunk.offset + chunk.bytes;
        let mut at = chunk.offset;
        while at < end {
            let piece = self.fetch(at..end.min(at + PIECE_BYTES))?;
            crc = crc32c::crc32c_append(crc, &piece);
            at += piece.len() as u64;
        }
        self.compare(chunk, crc)
    }

    /// The bytes from `offset` on.
    pub(crate) fn from(&self, offset: u64) -> Pieces {
        Pieces {
            remote: self.clone(),
            at: offset,
            piece: Bytes::new(),
        }
    }

    /// What says where columns begin.
    fn footer(&self) -> Result<&Footer> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer);
        }
        let reader = SegmentReader::open(&self.shared, &self.segment)?;
        Ok(self.footer.get_or_init(|| reader.footer().clone()))
    }

    /// What has a checksum of its own and holds all of these bytes, and its row group.
    fn around(&self, range: &Range<u64>) -> Result<Option<(usize, Part, Chunk)>> {
        let groups = &self.segment.row_groups;
        let group = groups.partition_point(|c| c.offset + c.bytes <= range.start);
        let holds =
            |chunk: &Chunk| chunk.offset <= range.start && range.end <= chunk.offset + chunk.bytes;
        if group == groups.len() {
            let footer = self.segment.footer;
            return Ok(holds(&footer).then_some((group, Part::Footer, footer)));
        }
        let footer = self.footer()?;
        let mut columns = 0..footer.metadata.row_group(group).num_columns();
        Ok(columns.find_map(|column| {
            let (part, chunk) = part(footer, &self.segment, group, column);
            holds(&chunk).then_some((group, part, chunk))
        }))
    }

    /// Bytes of several parts, put together.
    fn across(&self, range: Range<u64>) -> Result<Bytes> {
        let mut all = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let Some((_, _, chunk)) = self.around(&(at..at + 1))? else {
                let expected = format!("byte {at} in a row group or the footer");
                return Err(Error::damaged(&self.path(), expected, "it in none"));
            };
            let end = range.end.min(chunk.offset + chunk.bytes);
            all.extend_from_slice(&self.bytes(at..end)?);
            at = end;
        }
        Ok(all.into())
    }

    fn at_hand(&self, group: usize, start: u64) -> Option<Bytes> {
        let held = locked(&self.recent)
            .iter()
            .find(|held| held.start == start)
            .cloned();
        if let Some(held) = held {
            return Some(held.bytes);
        }
        let bytes = self.shared.cache.piece(&self.segment.path, start)?;
        self.hold(group, start, bytes.clone());
        Some(bytes)
    }

    /// Holds on to what is being read. The columns of a batch may be on both sides of the border of two row groups.
    fn hold(&self, group: usize, start: u64, bytes: Bytes) {
        let mut recent = locked(&self.recent);
        recent
            .retain(|held| held.start != start && (held.group + 1 == group || held.group == group));
        recent.push(Held {
            group,
            start,
            bytes,
        });
    }

    fn check_once(&self, part: Part, chunk: &Chunk) -> Result<()> {
        let cache = &self.shared.cache;
        if !cache.is_verified(&self.segment.path, part) {
            self.check_anew(chunk)?;
            cache.keep_verified(&self.segment.path, part);
        }
        Ok(())
    }

    /// The bytes, as they were written.
    fn compared(&self, chunk: &Chunk, bytes: Bytes) -> Result<Bytes> {
        if crc32c::crc32c(&bytes) == chunk.crc32c {
            return Ok(bytes);
        }
        // Once more: what was damaged on the way is not damaged there.
        let bytes = self.fetch(chunk.offset..chunk.offset + chunk.bytes)?;
        self.compare(chunk, crc32c::crc32c(&bytes))?;
        Ok(bytes)
    }

    fn compare(&self, chunk: &Chunk, found: u32) -> Result<()> {
        if found == chunk.crc32c {
            return Ok(());
        }
        let place = format!("bytes {}..{}", chunk.offset, chunk.offset + chunk.bytes);
        let expected = format!("checksum {:08x} over {place}", chunk.crc32c);
        Err(Error::damaged(
            &self.path(),
            expected,
            format!("checksum {found:08x}"),
        ))
    }

    /// Bytes as they lie there: under the segment's name, still unfinished (this writer's own), or replaced by a later commit.
    fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let path = self.path();
        let wanted = range.end - range.start;
        for suffix in ["", IN_PROGRESS, REPLACED] {
            let place = with_suffix(&path, suffix);
            let read = self.shared.storage.read_range(&place, range.clone())?;
            let Some((bytes, size)) = read else {
                continue;
            };
            if size != self.segment.bytes || bytes.len() as u64 != wanted {
                let expected = format!("{} bytes", self.segment.bytes);
                return Err(Error::damaged(&place, expected, format!("{size} bytes")));
            }
            return Ok(bytes);
        }
        let expected = format!("a segment of {} rows", self.segment.rows);
        Err(Error::damaged(&path, expected, "no file"))
    }
}

/// The bytes from some place on.
pub(crate) struct Pieces {
    remote: Remote,
    at: u64,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let end = self.remote.size();
            if self.at >= end {
                return Ok(0);
            }
            // Up to the end of the column, so that it is one that is at hand.
            let around = self.remote.around(&(self.at..self.at + 1));
            let around = around.map_err(io::Error::other)?;
            let end = around.map_or(end, |(_, _, chunk)| chunk.offset + chunk.bytes);
            let range = self.at..end.min(self.at + PIECE_BYTES);
            self.piece = self.remote.bytes_through(range).map_err(io::Error::other)?;
        }
        let read = into.len().min(self.piece.len());
        into[..read].copy_from_slice(&self.piece.split_to(read));
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use memwatch_core::Timestamp;
    use memwatch_core::record::{Identity, MetricKind, MetricSample, RecordSink};

    use super::*;
    use crate::{Store, Table};

    /// A folder is read as a bucket is: which of the two a file lies in does not matter here.
    #[test]
    fn every_range_is_that_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path()).unwrap();
        let mut writer = store.writer().unwrap();
        let of = Identity {
            service: "s".into(),
            instance: "i".into(),
        };
        for n in 0..150_000 {
            let at = Timestamp(n * 1_000_000);
            let row = MetricSample::new(at, "m".into(), "".into(), n as f64, MetricKind::Gauge);
            writer.metric(&of, &row).unwrap();
        }
        writer.commit(&[]).unwrap();
        let snapshot = store.snapshot().unwrap();
        let segment = snapshot
            .segments(Table::Metrics)
            .iter()
            .max_by_key(|s| s.row_groups.len());
        let segment = segment.unwrap();
        let file = std::fs::read(snapshot.path(segment)).unwrap();
        let remote = Remote::new(&snapshot.shared, segment);
        let ends = segment.row_groups.iter().map(|c| c.offset + c.bytes);
        let mut places: Vec<u64> = ends.flat_map(|end| [end - 3, end, end + 3]).collect();
        places.extend([0, 4, segment.bytes]);
        places.sort_unstable();
        for (n, from) in places.iter().enumerate() {
            for to in &places[n..] {
                let range = usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap();
                assert_eq!(remote.bytes(*from..*to).unwrap(), file[range.clone()]);
                let mut read = Vec::new();
                let length = *to - *from;
                remote
                    .from(*from)
                    .take(length)
                    .read_to_end(&mut read)
                    .unwrap();
                assert_eq!(read, file[range]);
            }
        }
        for chunk in segment.row_groups.iter().chain([&segment.footer]) {
            remote.check(chunk).unwrap();
            remote.check_anew(chunk).unwrap();
        }

        // A flipped bit: what is at hand is as it was written, what lies there is not.
        let mut flipped = file.clone();
        flipped[100] ^= 1;
        std::fs::write(snapshot.path(segment), &flipped).unwrap();
        remote.bytes(100..101).unwrap();
        let error = remote.check_anew(&segment.row_groups[0]).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        let store = Store::open(dir.path()).unwrap().snapshot().unwrap();
        let fresh = Remote::new(&store.shared, segment);
        assert!(
            fresh
                .bytes(0..4)
                .unwrap_err()
                .to_string()
                .contains("checksum")
        );
        fresh.bytes(segment.footer.offset..segment.bytes).unwrap();
        std::fs::write(snapshot.path(segment), &file[1..]).unwrap();
        let error = fresh.bytes(0..4).unwrap_err().to_string();
        assert!(error.contains("bytes, found"), "{error}");
    }
}
