//! An input's bytes: plain, gzip or zstd, recognized by their first bytes, decompressed within limits.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use memwatch_core::source::HEAD_BYTES;

/// Up to here any ratio is believed: a short log of one repeated line compresses very well.
const TRUSTED_BYTES: u64 = 64 << 20;
/// From there on, this many bytes may come out of one. Recordings of quiet processes reach 40.
const RATIO_MAX: u64 = 200;
/// Largest zstd window in powers of two: 128 MiB, what the `zstd` program itself accepts without being asked.
const WINDOW_LOG_MAX: u32 = 27;
const BUFFER_BYTES: usize = 256 * 1024;
/// Buffers that wait for the parser.
const BUFFERS_AHEAD: usize = 32;

/// How the bytes were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

/// Decompressed bytes, with a first look at them.
///
/// What follows the head is read, hashed and decompressed by a thread of its own, a few buffers ahead: parsing is the longer half of
/// the work, and this the other.
pub(crate) struct Content {
    head: Vec<u8>,
    head_at: usize,
    rest: Rest,
    compression: Compression,
    raw: RawState,
}

enum Rest {
    Waiting(Box<dyn Read + Send>),
    Ahead(ReadAhead),
    Failed(Option<io::Error>),
}

/// What went in so far.
#[derive(Clone, Default)]
pub(crate) struct RawState {
    bytes: Arc<AtomicU64>,
    hash: Arc<Mutex<blake3::Hasher>>,
}

impl RawState {
    /// Bytes read before decompression.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Hash of the bytes read before decompression.
    pub(crate) fn hash(&self) -> blake3::Hash {
        self.hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .finalize()
    }
}

impl Content {
    /// Looks at the first bytes of `raw` and sets up what decompresses it.
    pub(crate) fn new(raw: Box<dyn Read + Send>) -> io::Result<Content> {
        let state = RawState::default();
        let mut raw = Counted {
            inner: raw,
            state: state.clone(),
        };
        let mut magic = Vec::with_capacity(4);
        (&mut raw).take(4).read_to_end(&mut magic)?;
        let compression = match magic[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            // A skippable frame, which may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
            _ => Compression::None,
        };
        let raw = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(magic).chain(raw));
        let decoded: Box<dyn Read + Send> = match compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        let decoded: Box<dyn Read + Send> = match compression {
            Compression::None => decoded,
            _ => Box::new(Limited {
                inner: decoded,
                out: 0,
                state: state.clone(),
            }),
        };
        let mut decoded = decoded;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let looked = (&mut decoded)
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head);
        // What cannot be decompressed any more still shows what came before.
        let rest = match looked {
            Err(error) if head.is_empty() => return Err(error),
            Err(error) => Rest::Failed(Some(error)),
            Ok(_) => Rest::Waiting(decoded),
        };
        Ok(Content {
            head,
            head_at: 0,
            rest,
            compression,
            raw: state,
        })
    }

    /// The first bytes, up to [`HEAD_BYTES`].
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// What went in so far; stays valid while the content is read.
    pub(crate) fn raw(&self) -> RawState {
        self.raw.clone()
    }

    /// Reads what the source left unread, so that the hash is that of the whole input.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(|_| ())
    }
}

impl Read for Content {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(to)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head_at < self.head.len() {
            return Ok(&self.head[self.head_at..]);
        }
        // A head that is not full was all there is.
        if self.head.len() == HEAD_BYTES
            && let Rest::Waiting(decoded) = &mut self.rest
        {
            let decoded = std::mem::replace(decoded, Box::new(io::empty()));
            self.rest = Rest::Ahead(ReadAhead::start(decoded)?);
        }
        match &mut self.rest {
            Rest::Waiting(_) => Ok(&[]),
            Rest::Ahead(ahead) => ahead.fill(),
            Rest::Failed(error) => error.take().map_or(Ok(&[]), Err),
        }
    }

    fn consume(&mut self, n: usize) {
        if self.head_at < self.head.len() {
            self.head_at = (self.head_at + n).min(self.head.len());
        } else if let Rest::Ahead(ahead) = &mut self.rest {
            ahead.at = (ahead.at + n).min(ahead.buffer.len());
        }
    }
}

/// Buffers that a thread reads ahead of who consumes them.
struct ReadAhead {
    buffers: Receiver<io::Result<Vec<u8>>>,
    /// Those that were consumed, to be filled again.
    spent: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

impl ReadAhead {
    fn start(mut from: Box<dyn Read + Send>) -> io::Result<ReadAhead> {
        let (full, buffers) = mpsc::sync_channel(BUFFERS_AHEAD);
        let (spent, empty) = mpsc::channel::<Vec<u8>>();
        std::thread::Builder::new()
            .name("memwatch-read".to_owned())
            .spawn(move || {
                loop {
                    let mut buffer = empty.try_recv().unwrap_or_default();
                    buffer.resize(BUFFER_BYTES, 0);
                    // One read a buffer: what a slow pipe gives is not held back.
                    let read = match from.read(&mut buffer) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        read => read,
                    };
                    let last = !matches!(read, Ok(n) if n > 0);
                    let next = read.map(|n| {
                        buffer.truncate(n);
                        buffer
                    });
                    // Who consumes them may have gone.
                    if full.send(next).is_err() || last {
                        return;
                    }
                }
            })?;
        Ok(ReadAhead {
            buffers,
            spent,
            buffer: Vec::new(),
            at: 0,
        })
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.at = 0;
            // When the thread has ended, nobody fills it again.
            let _ = self.spent.send(std::mem::take(&mut self.buffer));
            // When the thread has ended, so has the input.
            if let Ok(next) = self.buffers.recv() {
                self.buffer = next?;
            }
        }
        Ok(&self.buffer[self.at..])
    }
}

/// Counts and hashes what passes.
struct Counted {
    inner: Box<dyn Read + Send>,
    state: RawState,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(to)?;
        self.state.bytes.fetch_add(n as u64, Ordering::Relaxed);
        self.state
            .hash
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .update(&to[..n]);
        Ok(n)
    }
}

/// Stops at what looks like a decompression bomb.
struct Limited {
    inner: Box<dyn Read + Send>,
    out: u64,
    state: RawState,
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(to)?;
        self.out += n as u64;
        let raw = self.state.bytes();
        if self.out > TRUSTED_BYTES && self.out / RATIO_MAX > raw {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "expected at most {RATIO_MAX} bytes from each compressed byte, found {} from {raw}: decompress it yourself if you trust it",
                    self.out
                ),
            ));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(raw: Vec<u8>) -> io::Result<(Vec<u8>, Compression)> {
        let mut content = Content::new(Box::new(io::Cursor::new(raw)))?;
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok((bytes, content.compression()))
    }

    #[test]
    fn each_compression_gives_the_same_bytes() {
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|i| format!("{i}\n").into_bytes())
            .collect();
        let (first, second) = text.split_at(1_000);
        let mut members = gzip(first);
        members.extend(gzip(second));
        let mut frames = zstd::encode_all(first, 1).unwrap();
        frames.extend(zstd::encode_all(second, 1).unwrap());
        assert_eq!(
            read(text.clone()).unwrap(),
            (text.clone(), Compression::None)
        );
        assert_eq!(read(members).unwrap(), (text.clone(), Compression::Gzip));
        assert_eq!(read(frames).unwrap(), (text, Compression::Zstd));
        for short in [&b""[..], b"a", b"abc"] {
            assert_eq!(
                read(short.to_vec()).unwrap(),
                (short.to_vec(), Compression::None)
            );
        }
    }

    #[test]
    fn what_was_cut_off_gives_its_beginning_and_an_error() {
        let text = vec![b'x'; 1_000];
        for whole in [gzip(&text), zstd::encode_all(&text[..], 1).unwrap()] {
            for cut in 4..whole.len() {
                assert!(
                    read(whole[..cut].to_vec()).is_err(),
                    "{cut} of {}",
                    whole.len()
                );
            }
        }
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = zstd::encode_all(io::repeat(0).take(TRUSTED_BYTES + (8 << 20)), 1).unwrap();
        let mut content = Content::new(Box::new(io::Cursor::new(bomb))).unwrap();
        let error = content.drain().unwrap_err();
        assert!(error.to_string().contains("compressed byte"), "{error}");
    }

    #[test]
    fn the_hash_is_that_of_the_input_as_it_was_found() {
        let raw = gzip(b"hello");
        let mut content = Content::new(Box::new(io::Cursor::new(raw.clone()))).unwrap();
        content.drain().unwrap();
        assert_eq!(content.raw().hash(), blake3::hash(&raw));
        assert_eq!(content.raw().bytes(), raw.len() as u64);
    }
}
