//! The file format of one commit: `{"crc32c":"…","commit":{…}}`, the checksum over the text of `commit`.

use std::path::Path;

use memwatch_core::record::Identity;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::segment::{Chunk, Identities, InstanceRows, Segment};
use super::{FORMAT, SourceHash, SourceIdentity};
use crate::layout::{SegmentPath, hex};
use crate::wal::SEQUENCE_MAX;
use crate::{Error, Result};

/// No commit has a greater version, so that the next one has a number.
pub(crate) const VERSION_MAX: u64 = u64::MAX >> 1;

/// One commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Commit {
    pub(crate) version: u64,
    /// When it was made, RFC 3339; for people only.
    pub(crate) at: String,
    /// Whether it holds all that is live, and not only what changes.
    pub(crate) checkpoint: bool,
    pub(crate) add: Vec<Segment>,
    pub(crate) remove: Vec<SegmentPath>,
    pub(crate) sources: Vec<SourceIdentity>,
    /// Rows of the WAL up to this sequence are in segments.
    pub(crate) wal: u64,
    /// Who made it, where a lock has a name: a writer whose answer got lost on the way knows its own commit by it.
    pub(crate) by: Option<String>,
}

#[derive(Serialize)]
struct EnvelopeOut<'a> {
    crc32c: String,
    commit: &'a RawValue,
}

#[derive(Deserialize)]
struct EnvelopeIn<'a> {
    crc32c: String,
    #[serde(borrow)]
    commit: &'a RawValue,
}

/// Read before all else, so that a newer format is named as such.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct CommitJson {
    format: u32,
    version: u64,
    at: String,
    kind: Kind,
    add: Vec<SegmentJson>,
    remove: Vec<String>,
    sources: Vec<SourceJson>,
    /// Format 1 has no WAL.
    #[serde(default)]
    wal: u64,
    /// Only on object storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Delta,
    Checkpoint,
}

#[derive(Serialize, Deserialize)]
struct SourceJson {
    blake3: String,
    name: String,
}

/// Table and day stand in the path and beside it: the path is what is read, the rest is for people.
#[derive(Serialize, Deserialize)]
struct SegmentJson {
    path: String,
    table: String,
    date: String,
    rows: u64,
    min_us: i64,
    max_us: i64,
    bytes: u64,
    crc32c: String,
    row_groups: Vec<ChunkJson>,
    footer: ChunkJson,
    instances: Vec<InstanceJson>,
}

#[derive(Serialize, Deserialize)]
struct ChunkJson {
    offset: u64,
    bytes: u64,
    rows: u64,
    crc32c: String,
}

#[derive(Serialize, Deserialize)]
struct InstanceJson {
    service: String,
    instance: String,
    min_us: i64,
    max_us: i64,
    rows: u64,
}

pub(crate) fn encode(commit: &Commit) -> Vec<u8> {
    let json = CommitJson {
        format: FORMAT,
        version: commit.version,
        at: commit.at.clone(),
        kind: if commit.checkpoint {
            Kind::Checkpoint
        } else {
            Kind::Delta
        },
        add: commit.add.iter().map(segment_to_json).collect(),
        remove: commit.remove.iter().map(ToString::to_string).collect(),
        sources: commit
            .sources
            .iter()
            .map(|s| SourceJson {
                blake3: hex(&s.hash),
                name: s.name.clone(),
            })
            .collect(),
        wal: commit.wal,
        by: commit.by.clone(),
    };
    let raw = serde_json::value::to_raw_value(&json).expect("strings and numbers");
    let crc32c = format!("{:08x}", crc32c::crc32c(raw.get().as_bytes()));
    let mut text = serde_json::to_vec(&EnvelopeOut {
        crc32c,
        commit: &raw,
    })
    .expect("strings and numbers");
    text.push(b'\n');
    text
}

pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Commit> {
    let bad = |expected: &str, found: String| Error::damaged(path, expected, found);
    // Nothing may stand behind: a parser would take any white space there for the line break that was written.
    let Some(bytes) = bytes.strip_suffix(b"\n").filter(|b| b.ends_with(b"}")) else {
        return Err(bad("a commit and a line break", "another end".to_owned()));
    };
    let envelope: EnvelopeIn<'_> = serde_json::from_slice(bytes)
        .map_err(|e| bad("a commit with its checksum", e.to_string()))?;
    let crc32c = format!("{:08x}", crc32c::crc32c(envelope.commit.get().as_bytes()));
    if crc32c != envelope.crc32c {
        return Err(bad(
            &format!("checksum {}", envelope.crc32c),
            format!("checksum {crc32c}"),
        ));
    }
    let text = envelope.commit.get();
    let FormatOnly { format } =
        serde_json::from_str(text).map_err(|e| bad("a format version", e.to_string()))?;
    if format > FORMAT {
        return Err(Error::NewerFormat {
            path: path.to_path_buf(),
            found: format,
            supported: FORMAT,
        });
    }
    let json: CommitJson =
        serde_json::from_str(text).map_err(|e| bad("a commit", e.to_string()))?;
    for (name, found, most) in [
        ("version", json.version, VERSION_MAX),
        ("position in the WAL", json.wal, SEQUENCE_MAX),
    ] {
        if found > most {
            return Err(bad(&format!("a {name} up to {most}"), found.to_string()));
        }
    }
    let mut names = Identities::default();
    let add = json
        .add
        .into_iter()
        .map(|s| segment_from_json(path, s, &mut names));
    let sources = json.sources.into_iter().map(|s| {
        let hash = unhex(&s.blake3).ok_or_else(|| bad("64 hex digits", s.blake3))?;
        Ok(SourceIdentity { hash, name: s.name })
    });
    Ok(Commit {
        version: json.version,
        at: json.at,
        checkpoint: json.kind == Kind::Checkpoint,
        add: add.collect::<Result<_>>()?,
        remove: json
            .remove
            .iter()
            .map(|p| segment_path(path, p))
            .collect::<Result<_>>()?,
        sources: sources.collect::<Result<_>>()?,
        wal: json.wal,
        by: json.by,
    })
}

fn segment_path(commit: &Path, text: &str) -> Result<SegmentPath> {
    SegmentPath::parse(text)
        .ok_or_else(|| Error::damaged(commit, "the path of a segment", text.to_owned()))
}

fn segment_to_json(segment: &Segment) -> SegmentJson {
    let chunk = |c: &Chunk| ChunkJson {
        offset: c.offset,
        bytes: c.bytes,
        rows: c.rows,
        crc32c: format!("{:08x}", c.crc32c),
    };
    SegmentJson {
        path: segment.path.to_string(),
        table: segment.path.table.name().to_owned(),
        date: segment.path.day.to_string(),
        rows: segment.rows,
        min_us: segment.min_us,
        max_us: segment.max_us,
        bytes: segment.bytes,
        crc32c: format!("{:08x}", segment.crc32c),
        row_groups: segment.row_groups.iter().map(chunk).collect(),
        footer: chunk(&segment.footer),
        instances: segment
            .instances
            .iter()
            .map(|i| InstanceJson {
                service: i.identity.service.to_string(),
                instance: i.identity.instance.to_string(),
                min_us: i.min_us,
                max_us: i.max_us,
                rows: i.rows,
            })
            .collect(),
    }
}

fn segment_from_json(commit: &Path, json: SegmentJson, names: &mut Identities) -> Result<Segment> {
    let crc = |text: &str| {
        u32::from_str_radix(text, 16)
            .map_err(|_| Error::damaged(commit, "a checksum of 8 hex digits", text.to_owned()))
    };
    let chunk = |c: ChunkJson| {
        Ok::<_, Error>(Chunk {
            offset: c.offset,
            bytes: c.bytes,
            rows: c.rows,
            crc32c: crc(&c.crc32c)?,
        })
    };
    let instances: Vec<InstanceRows> = json
        .instances
        .into_iter()
        .map(|i| InstanceRows {
            identity: Identity {
                service: names.share(&i.service),
                instance: names.share(&i.instance),
            },
            min_us: i.min_us,
            max_us: i.max_us,
            rows: i.rows,
        })
        .collect();
    let segment = Segment {
        path: segment_path(commit, &json.path)?,
        rows: json.rows,
        min_us: json.min_us,
        max_us: json.max_us,
        bytes: json.bytes,
        crc32c: crc(&json.crc32c)?,
        row_groups: json
            .row_groups
            .into_iter()
            .map(chunk)
            .collect::<Result<_>>()?,
        footer: chunk(json.footer)?,
        instances,
        held: None,
    };
    if let Err((expected, found)) = segment.check_numbers() {
        return Err(Error::damaged(commit, expected, found));
    }
    Ok(segment)
}

fn unhex(text: &str) -> Option<SourceHash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Day;
    use crate::schema::Table;

    fn example() -> Commit {
        let path = SegmentPath::new(Table::Metrics, Day::of_micros(0));
        Commit {
            version: 7,
            at: "2026-11-23T05:03:09.570570Z".into(),
            checkpoint: false,
            add: vec![Segment {
                path: path.clone(),
                rows: 3,
                min_us: -1,
                max_us: 5,
                bytes: 99,
                crc32c: 0xdead_beef,
                row_groups: vec![Chunk {
                    offset: 0,
                    bytes: 54,
                    rows: 3,
                    crc32c: 1,
                }],
                footer: Chunk {
                    offset: 54,
                    bytes: 45,
                    rows: 0,
                    crc32c: 2,
                },
                instances: vec![InstanceRows {
                    identity: Identity {
                        service: "a\"\n".into(),
                        instance: "b".into(),
                    },
                    min_us: -1,
                    max_us: 5,
                    rows: 3,
                }],
                held: None,
            }],
            remove: vec![path],
            sources: vec![SourceIdentity {
                hash: [9; 32],
                name: "in/é.log".into(),
            }],
            wal: 11,
            by: Some("6550".to_owned()),
        }
    }

    #[test]
    fn a_commit_reads_as_it_was_written() {
        let commit = example();
        assert_eq!(decode(Path::new("c"), &encode(&commit)).unwrap(), commit);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = encode(&example());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // What is left may only differ in the spaces between, of which there are none, or in the case of hex digits.
                assert!(
                    decode(Path::new("c"), &flipped).is_err(),
                    "byte {at} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let whole = example();
        let with = |change: &dyn Fn(&mut Commit)| {
            let mut commit = whole.clone();
            change(&mut commit);
            match decode(Path::new("c"), &encode(&commit)) {
                Err(Error::Damaged {
                    expected, found, ..
                }) => format!("expected {expected}, found {found}"),
                other => panic!("{other:?}"),
            }
        };
        let bytes = |at: usize, offset: u64, bytes: u64| {
            with(&|commit| {
                let segment = &mut commit.add[0];
                let mut chunks = segment.row_groups.iter_mut().chain([&mut segment.footer]);
                let chunk = chunks.nth(at).unwrap();
                (chunk.offset, chunk.bytes) = (offset, bytes);
            })
        };
        for (told, part) in [
            (
                bytes(0, 0, u64::MAX),
                "within 99 bytes, found 18446744073709551615 bytes from byte 0 on",
            ),
            (
                bytes(1, 54, u64::MAX - 3),
                "from byte 54 on, within 99 bytes",
            ),
            (
                bytes(0, u64::MAX, 54),
                "found 54 bytes from byte 18446744073709551615 on",
            ),
            (bytes(0, 4, 50), "from byte 0 on"),
            (bytes(1, 54, 44), "98 bytes in metrics/"),
            (with(&|c| c.wal = u64::MAX), "a position in the WAL up to"),
            (with(&|c| c.version = u64::MAX), "a version up to"),
            (
                with(&|c| {
                    c.add[0].rows = u64::MAX;
                    c.add[0].row_groups[0].rows = u64::MAX;
                    c.add[0].instances[0].rows = u64::MAX;
                }),
                "found 99 bytes and 18446744073709551615 rows",
            ),
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_as_such() {
        let body = r#"{"format":3,"surprise":1}"#;
        let crc = crc32c::crc32c(body.as_bytes());
        let text = format!("{{\"crc32c\":\"{crc:08x}\",\"commit\":{body}}}\n");
        let error = decode(Path::new("c"), text.as_bytes()).unwrap_err();
        assert!(
            matches!(error, Error::NewerFormat { found: 3, .. }),
            "{error}"
        );
    }
}
