//! Reads frames back, and tells what was never whole from what is damaged.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::frame::{FILE_HEADER, FRAME_HEADER, Header, Kind, VERSION, file_version};
use crate::layout::Layout;
use crate::{Error, Result, Shared};

/// What a frame that does not read does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDamage {
    /// It is an error, except where no frame after it was acknowledged and the file is about to be recovered.
    Recover,
    /// It is an error also at the end: who only reads cannot set it aside.
    Fail,
    /// What can be read is read.
    Skip,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The sequence of the last frame, or the position from which on was asked when there is none.
    pub(crate) last: u64,
    /// Frames after the position.
    pub(crate) frames: u64,
    /// Bytes at the end that never were a whole frame.
    pub(crate) torn_bytes: u64,
    /// What could not be read and was skipped, each with its file.
    pub(crate) skipped: Vec<(PathBuf, String)>,
}

/// The files of the WAL with the sequence of their first frame, in order.
pub(crate) fn files(shared: &Shared) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = shared
        .storage
        .list(&shared.layout.wal())?
        .into_iter()
        .filter_map(|file| {
            let first = Layout::wal_first(file.path.file_name()?.to_str()?)?;
            Some((first, file.path))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Gives the payloads of all frames after `position` to `take`, in order. `None` when a file vanished meanwhile: a writer has committed
/// its rows, and the manifest has to be read anew.
pub(crate) fn replay(
    shared: &Shared,
    position: u64,
    on_damage: OnDamage,
    mut take: impl FnMut(&Path, &[u8]) -> Result<()>,
) -> Result<Option<Replayed>> {
    let files = files(shared)?;
    let mut found = Replayed {
        last: position,
        ..Replayed::default()
    };
    for (at, (first, path)) in files.iter().enumerate() {
        // Up to where frames of this file matter: those of the next one follow without a gap.
        let next = files.get(at + 1).map(|(first, _)| *first);
        if next.is_some_and(|next| next <= position + 1) {
            continue;
        }
        if *first > found.last + 1 {
            let problem = format!("frames {} to {}", found.last + 1, first - 1);
            damage(&mut found, path, on_damage, problem, "none")?;
        }
        let Some(from) = shared.storage.reader(path)? else {
            return Ok(None);
        };
        let mut frames = Frames { path, from, at: 0 };
        one_file(
            &mut frames,
            (*first, next),
            position,
            on_damage,
            &mut found,
            &mut take,
        )?;
    }
    Ok(Some(found))
}

fn damage(
    found: &mut Replayed,
    path: &Path,
    on_damage: OnDamage,
    expected: String,
    instead: &str,
) -> Result<()> {
    if on_damage != OnDamage::Skip {
        return Err(Error::damaged(path, expected, instead));
    }
    let problem = format!("expected {expected}, found {instead}");
    found.skipped.push((path.to_path_buf(), problem));
    Ok(())
}

fn one_file(
    frames: &mut Frames<'_>,
    (first, next): (u64, Option<u64>),
    position: u64,
    on_damage: OnDamage,
    found: &mut Replayed,
    take: &mut impl FnMut(&Path, &[u8]) -> Result<()>,
) -> Result<()> {
    // The sequence that the next frame of this file has.
    let mut expected = first;
    let path = frames.path;
    if let Some(end) = frames.file_header()? {
        return ended(frames, end, (expected, next), position, on_damage, found);
    }
    loop {
        match frames.next()? {
            Step::Frame(header, payload) => match header.kind {
                Kind::Mark if header.sequence < expected => {}
                Kind::Rows if header.sequence == expected => {
                    expected += 1;
                    if header.sequence > position {
                        if header.sequence > found.last {
                            found.last = header.sequence;
                        }
                        found.frames += 1;
                        take(path, &payload)?;
                    }
                }
                // Frames were skipped before it, or it is out of its place.
                _ if on_damage == OnDamage::Skip => {
                    if header.kind == Kind::Rows && header.sequence > expected {
                        expected = header.sequence + 1;
                        found.last = found.last.max(header.sequence);
                        if header.sequence > position {
                            found.frames += 1;
                            take(path, &payload)?;
                        }
                    }
                }
                _ => {
                    let wanted = format!("frame {expected}");
                    let instead = format!("frame {}", header.sequence);
                    return Err(Error::damaged(path, wanted, instead));
                }
            },
            Step::End(End::Clean) => {
                return match next {
                    Some(next) if next > expected && next > position + 1 => {
                        let wanted = format!("frames {expected} to {}", next - 1);
                        damage(found, path, on_damage, wanted, "the end of the file")
                    }
                    _ => Ok(()),
                };
            }
            Step::End(End::Bad { what, rest }) if on_damage == OnDamage::Skip => {
                let problem = format!("expected frame {expected}, found {what}");
                found.skipped.push((path.to_path_buf(), problem));
                found.last = found.last.max(expected);
                expected += 1;
                // Whatever still is a frame behind it.
                let Some(offset) = next_header(&rest, expected - 1) else {
                    return Ok(());
                };
                frames.resume(rest[offset..].to_vec());
            }
            Step::End(end) => {
                return ended(frames, end, (expected, next), position, on_damage, found);
            }
        }
    }
}

/// What the end of a file means, when it is not clean.
fn ended(
    frames: &Frames<'_>,
    end: End,
    (expected, next): (u64, Option<u64>),
    position: u64,
    on_damage: OnDamage,
    found: &mut Replayed,
) -> Result<()> {
    // Nothing is missing: the next file goes on from here, or the rows are in segments.
    if next == Some(expected) || next.is_none() && expected <= position {
        return Ok(());
    }
    let path = frames.path;
    match end {
        End::Clean => Ok(()),
        End::Short { bytes } if next.is_none() => {
            found.torn_bytes += bytes;
            Ok(())
        }
        End::Short { bytes } => {
            let wanted = format!("frame {expected}");
            damage(
                found,
                path,
                on_damage,
                wanted,
                &format!("{bytes} bytes of it"),
            )
        }
        End::Bad { what, rest } => {
            let acknowledged = next.is_some() || next_header(&rest, expected).is_some();
            if on_damage == OnDamage::Recover && !acknowledged {
                found.torn_bytes += rest.len() as u64;
                found.skipped.push((path.to_path_buf(), what));
                return Ok(());
            }
            damage(found, path, on_damage, format!("frame {expected}"), &what)
        }
    }
}

/// Where in these bytes a frame begins that proves that the one of that sequence was written whole: a later one, or the mark after it.
fn next_header(bytes: &[u8], sequence: u64) -> Option<usize> {
    let proves = |window: &[u8]| {
        let header = Header::parse(window.try_into().ok()?)?;
        match header.kind {
            Kind::Mark => (header.sequence >= sequence).then_some(()),
            Kind::Rows => (header.sequence > sequence).then_some(()),
        }
    };
    bytes
        .windows(FRAME_HEADER)
        .position(|window| proves(window).is_some())
}

/// Where reading a file ends.
enum End {
    /// After a frame.
    Clean,
    /// Inside of one: the file is shorter than it says, or holds only zeros from here on, as a crash leaves it.
    Short { bytes: u64 },
    /// At bytes that are there and are not what was written.
    Bad { what: String, rest: Vec<u8> },
}

enum Step {
    Frame(Header, Vec<u8>),
    End(End),
}

/// The frames of one file.
struct Frames<'a> {
    path: &'a Path,
    from: Box<dyn Read>,
    at: u64,
}

impl Frames<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
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
    fn resume(&mut self, rest: Vec<u8>) {
        self.at -= rest.len() as u64;
        self.from = Box::new(io::Cursor::new(rest));
    }

    /// Reads the header of the file; how the file ends when it has none.
    fn file_header(&mut self) -> Result<Option<End>> {
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
                .bad("a file header of another checksum", &header)
                .map(Some),
        }
    }

    fn next(&mut self) -> Result<Step> {
        let mut bytes = [0; FRAME_HEADER];
        let read = self.read(&mut bytes)?;
        if read == 0 {
            return Ok(Step::End(End::Clean));
        }
        if read < FRAME_HEADER {
            return Ok(Step::End(End::Short { bytes: read as u64 }));
        }
        let Some(header) = Header::parse(&bytes) else {
            return Ok(Step::End(self.bad("a header of another checksum", &bytes)?));
        };
        let mut payload = vec![0; header.length];
        let read = self.read(&mut payload)?;
        if read < header.length {
            let bytes = (FRAME_HEADER + read) as u64;
            return Ok(Step::End(End::Short { bytes }));
        }
        if crc32c::crc32c(&payload) != header.crc32c {
            let whole = [bytes.as_slice(), &payload].concat();
            return Ok(Step::End(
                self.bad("a payload of another checksum", &whole)?,
            ));
        }
        Ok(Step::Frame(header, payload))
    }

    /// The end of a file at bytes that are not what they should be.
    fn bad(&mut self, what: &str, bytes: &[u8]) -> Result<End> {
        let at = self.at - bytes.len() as u64;
        let mut rest = bytes.to_vec();
        let more = self.from.read_to_end(&mut rest);
        self.at += more.map_err(Error::io(self.path, "read"))? as u64;
        if rest.iter().all(|byte| *byte == 0) {
            // A file that grew before its bytes were written.
            let bytes = rest.len() as u64;
            return Ok(End::Short { bytes });
        }
        let what = format!("{what} at byte {at}");
        Ok(End::Bad { what, rest })
    }
}
