//! One file of the WAL, frame by frame, and where that ends.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use super::frame::{FILE_HEADER, FRAME_HEADER, Header, Kind, VERSION, file_version};
use crate::{Error, Result};

/// Where reading a file ends.
pub(super) enum End {
    /// After a frame.
    Clean,
    /// Inside of one: the file is shorter than it says, or holds only zeros from here on, as a crash leaves it.
    Short { bytes: u64 },
    /// At bytes that are there and are not what was written.
    Bad { what: String, rest: Bytes },
}

pub(super) enum Step {
    Frame(Header, Vec<u8>),
    End(End),
}

/// The frames of one file.
pub(super) struct Frames<'a> {
    pub(super) path: &'a Path,
    from: Box<dyn Read>,
    /// The rest of the file, once something in it did not read: held once, however often that happens.
    held: Option<Bytes>,
    at: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(path: &'a Path, from: Box<dyn Read>) -> Frames<'a> {
        Frames {
            path,
            from,
            held: None,
            at: 0,
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if let Some(held) = &mut self.held {
            let filled = bytes.len().min(held.len());
            bytes[..filled].copy_from_slice(&held.split_to(filled));
            self.at += filled as u64;
            return Ok(filled);
        }
        let mut filled = 0;
        while filled < bytes.len() {
            match self.from.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(self.path, "read")(e)),
            }
        }
        self.at += filled as u64;
        Ok(filled)
    }

    /// Goes on at these bytes, the rest of the file.
    pub(super) fn resume(&mut self, rest: Bytes) {
        self.at -= rest.len() as u64;
        self.held = Some(rest);
    }

    /// Reads the header of the file; how the file ends when it has none.
    pub(super) fn file_header(&mut self) -> Result<Option<End>> {
        let mut header = [0; FILE_HEADER];
        let read = self.read(&mut header)?;
        if read < FILE_HEADER {
            return Ok(Some(End::Short { bytes: read as u64 }));
        }
        match file_version(&header) {
            Some(VERSION) => Ok(None),
            Some(found) => Err(Error::NewerFormat {
                path: self.path.to_path_buf(),
                found,
                supported: VERSION,
            }),
            None => self
                .bad("a file header of another checksum", &header, None)
                .map(Some),
        }
    }

    pub(super) fn next(&mut self) -> Result<Step> {
        let from_here = self.held.clone();
        let mut bytes = [0; FRAME_HEADER];
        let read = self.read(&mut bytes)?;
        if read == 0 {
            return Ok(Step::End(End::Clean));
        }
        if read < FRAME_HEADER {
            return Ok(Step::End(End::Short { bytes: read as u64 }));
        }
        let Some(header) = Header::parse(&bytes) else {
            let end = self.bad("no header of a frame", &bytes, from_here)?;
            return Ok(Step::End(end));
        };
        let mut payload = vec![0; header.length];
        let read = self.read(&mut payload)?;
        if read < header.length {
            let bytes = (FRAME_HEADER + read) as u64;
            return Ok(Step::End(End::Short { bytes }));
        }
        if crc32c::crc32c(&payload) != header.crc32c {
            let whole = [bytes.as_slice(), &payload].concat();
            let end = self.bad("a payload of another checksum", &whole, from_here)?;
            return Ok(Step::End(end));
        }
        Ok(Step::Frame(header, payload))
    }

    /// The end of a file at bytes that are not what they should be.
    fn bad(&mut self, what: &str, bytes: &[u8], from_here: Option<Bytes>) -> Result<End> {
        let at = self.at - bytes.len() as u64;
        let rest = match from_here {
            Some(rest) => rest,
            None => {
                let mut rest = bytes.to_vec();
                let more = self.from.read_to_end(&mut rest);
                more.map_err(Error::io(self.path, "read"))?;
                rest.into()
            }
        };
        self.at = at + rest.len() as u64;
        if rest.iter().all(|byte| *byte == 0) {
            // A file that grew before its bytes were written.
            let bytes = rest.len() as u64;
            return Ok(End::Short { bytes });
        }
        let what = format!("{what} at byte {at}");
        Ok(End::Bad { what, rest })
    }
}

/// Where in these bytes a frame begins that proves that the one of that sequence was written whole: a later one, or the mark after it.
pub(super) fn next_header(bytes: &[u8], sequence: u64) -> Option<usize> {
    find_header(bytes, |header| match header.kind {
        Kind::Mark => header.sequence >= sequence,
        Kind::Rows => header.sequence > sequence,
    })
}

/// Where in these bytes the first such header begins.
pub(super) fn find_header(bytes: &[u8], wanted: impl Fn(Header) -> bool) -> Option<usize> {
    let header = |window: &[u8]| Header::parse(window.try_into().ok()?);
    bytes
        .windows(FRAME_HEADER)
        .position(|window| header(window).is_some_and(&wanted))
}
