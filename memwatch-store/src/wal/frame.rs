//! Frames: how bytes of the WAL are told apart from others.

/// Before the first frame of a file.
pub(super) const FILE_HEADER: usize = 16;
/// Before each payload.
pub(super) const FRAME_HEADER: usize = 24;
/// The version of the format of a WAL file.
pub(super) const VERSION: u32 = 1;
/// No payload is larger: what claims to be is not one of ours.
pub(super) const PAYLOAD_MAX: usize = 64 << 20;

/// No frame has a greater sequence, so that the numbers after it fit, too.
pub(crate) const SEQUENCE_MAX: u64 = u64::MAX >> 1;

const MAGIC: &[u8; 8] = b"memwatch";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows of one table.
    Rows,
    /// Nothing: everything up to its sequence was acknowledged.
    Mark,
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) crc32c: u32,
    pub(super) sequence: u64,
    pub(super) kind: Kind,
}

pub(super) fn file_header() -> [u8; FILE_HEADER] {
    let mut bytes = [0; FILE_HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version that a file header says; `None` when it is none.
pub(super) fn file_version(bytes: &[u8; FILE_HEADER]) -> Option<u32> {
    let whole = bytes.starts_with(MAGIC) && word(bytes, 12) == crc32c::crc32c(&bytes[..12]);
    whole.then(|| word(bytes, 8))
}

/// A frame: header and payload.
pub(super) fn frame(kind: Kind, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_HEADER + payload.len());
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    let kind = match kind {
        Kind::Rows => 1,
        Kind::Mark => 2,
    };
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

impl Header {
    /// Reads a header; `None` when these bytes are none.
    pub(super) fn parse(bytes: &[u8; FRAME_HEADER]) -> Option<Header> {
        let kind = match bytes[16..20] {
            [1, 0, 0, 0] => Kind::Rows,
            [2, 0, 0, 0] => Kind::Mark,
            _ => return None,
        };
        let length = usize::try_from(word(bytes, 0)).ok()?;
        let sequence = u64::from(word(bytes, 8)) | u64::from(word(bytes, 12)) << 32;
        let whole = word(bytes, 20) == crc32c::crc32c(&bytes[..20]);
        (whole && length <= PAYLOAD_MAX && sequence <= SEQUENCE_MAX).then(|| Header {
            length,
            crc32c: word(bytes, 4),
            sequence,
            kind,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_as_written_and_no_flipped_bit_passes() {
        let bytes = frame(Kind::Rows, SEQUENCE_MAX - 7, b"payload");
        let header: [u8; FRAME_HEADER] = bytes[..FRAME_HEADER].try_into().unwrap();
        let expected = Header {
            length: 7,
            crc32c: crc32c::crc32c(b"payload"),
            sequence: SEQUENCE_MAX - 7,
            kind: Kind::Rows,
        };
        assert_eq!(Header::parse(&header), Some(expected));
        for bit in 0..FRAME_HEADER * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&flipped), None, "bit {bit}");
        }
        assert_eq!(file_version(&file_header()), Some(VERSION));
        for bit in 0..FILE_HEADER * 8 {
            let mut flipped = file_header();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(file_version(&flipped), None, "bit {bit}");
        }
        assert_eq!(Header::parse(&[0; FRAME_HEADER]), None);
        for sequence in [SEQUENCE_MAX + 1, u64::MAX] {
            let header: [u8; FRAME_HEADER] = frame(Kind::Mark, sequence, &[]).try_into().unwrap();
            assert_eq!(Header::parse(&header), None, "{sequence}");
        }
    }
}
