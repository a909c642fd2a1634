//! Formats that are kept whole: profiles, goroutine dumps, execution traces.

use super::json_head::{JsonFormat, json_format};
use super::{Context, SOURCES};
use crate::record::{Artifact, ArtifactKind};
use crate::{Error, Place, Result, Timestamp};

/// A format of which the whole file is kept.
pub trait ArtifactSource: Sync {
    /// What users type after `--format`.
    fn name(&self) -> &'static str;
    /// What the format is, in one line.
    fn about(&self) -> &'static str;
    /// Whether these first bytes (up to [`super::HEAD_BYTES`], decompressed) look like this format.
    fn recognizes(&self, head: &[u8]) -> bool;
    /// What a file is, from all of its content (decompressed): the kind and the moment of a profile stand near its end.
    ///
    /// `name` is the file's name as it was found. The moment is the file's own where it has one, else the context's.
    ///
    /// # Errors
    /// When `content` is not this format, or was cut.
    fn describe(&self, content: &[u8], name: &str, context: &Context) -> Result<Artifact>;
}

/// Every format that is kept whole, in the order in which they are asked.
pub const ARTIFACT_SOURCES: &[&dyn ArtifactSource] = &[&Trace, &Profile, &GoroutineDump];

/// Says of known formats that memwatch does not read what to do instead; from the first bytes.
#[must_use]
pub fn unreadable(head: &[u8]) -> Option<&'static str> {
    const BLOCK: &str =
        "part of a Prometheus TSDB block: print it with `promtool tsdb dump` and ingest that";
    let magic = |bytes: [u8; 4]| head.starts_with(&bytes);
    // The magic numbers of index, chunk and tombstone files, from Prometheus' tsdb/docs/format.
    if magic([0xba, 0xaa, 0xd7, 0x00])
        || magic([0x85, 0xbd, 0x40, 0xdd])
        || magic([0x01, 0x30, 0xba, 0x30])
        || json_format(head) == Some(JsonFormat::TsdbMeta)
    {
        return Some(BLOCK);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(
            "a tar archive: unpack it and ingest the folder (a Prometheus TSDB inside: `promtool tsdb dump`)",
        );
    }
    if head.starts_with(b"PAR1") {
        return Some("a Parquet file: query it where it is");
    }
    None
}

fn wrong(context: &Context, name: &str, expected: &str, found: &str) -> Error {
    let input = if context.input.is_empty() {
        name.into()
    } else {
        context.input.clone()
    };
    Error::Input {
        place: Place { input, line: 0 },
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// An execution trace of `runtime/trace`.
struct Trace;

impl ArtifactSource for Trace {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn about(&self) -> &'static str {
        "execution traces of runtime/trace, kept whole"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        // `go 1.26 trace\0\0\0`
        let Some(rest) = head.strip_prefix(b"go 1.") else {
            return false;
        };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        (1..=3).contains(&digits) && rest[digits..].starts_with(b" trace\0")
    }

    fn describe(&self, content: &[u8], name: &str, context: &Context) -> Result<Artifact> {
        if !self.recognizes(content) || content.len() < 16 {
            let expected = "a trace that begins with `go 1.NN trace`";
            return Err(wrong(context, name, expected, "another beginning"));
        }
        Ok(Artifact::new(context.at, ArtifactKind::Trace, name.into()))
    }
}

/// A goroutine dump in text: of `/debug/pprof/goroutine?debug=2`, of SIGQUIT or of a panic.
struct GoroutineDump;

impl ArtifactSource for GoroutineDump {
    fn name(&self) -> &'static str {
        "goroutine-dump"
    }

    fn about(&self) -> &'static str {
        "goroutine dumps in text (debug=2, SIGQUIT, panic), kept whole"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        let mut lines = head
            .split_inclusive(|b| *b == b'\n')
            .skip_while(|line| !is_goroutine_header(line));
        let Some(header) = lines.next() else {
            return false;
        };
        // A stack follows, unless the dump was cut right there.
        let cut = !header.ends_with(b"\n");
        let stack = lines.next().is_none_or(|line| {
            line.contains(&b'(') || line.contains(&b'\t') || !line.ends_with(b"\n")
        });
        (cut || stack) && !SOURCES.iter().any(|source| source.recognizes(head))
    }

    fn describe(&self, content: &[u8], name: &str, context: &Context) -> Result<Artifact> {
        if !content.split(|b| *b == b'\n').any(is_goroutine_header) {
            let expected = "a line like `goroutine 1 [running]:`";
            return Err(wrong(context, name, expected, "none"));
        }
        let kind = ArtifactKind::GoroutineDump;
        Ok(Artifact::new(context.at, kind, name.into()))
    }
}

/// `goroutine 41 [sleep, 2 minutes] {route: /v1/search}:`
fn is_goroutine_header(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"goroutine ") else {
        return false;
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let after = &rest[digits..];
    // Since Go 1.23 a crash prints `gp=0x… m=0 mp=0x…` before the state.
    let state = memchr::memmem::find(after, b" [");
    let end = line.trim_ascii_end();
    digits > 0 && state.is_some() && (end.ends_with(b"]:") || end.ends_with(b"}:"))
}

/// A profile of `runtime/pprof` (profile.proto).
struct Profile;

impl ArtifactSource for Profile {
    fn name(&self) -> &'static str {
        "pprof"
    }

    fn about(&self) -> &'static str {
        "pprof profiles (heap, goroutine and others), kept whole"
    }

    fn recognizes(&self, head: &[u8]) -> bool {
        let mut shape = Shape::default();
        match shape.scan(head) {
            Scanned::Whole => shape.is_profile(),
            // The head of a larger file.
            Scanned::Cut => shape.is_profile() && head.len() >= super::HEAD_BYTES,
            Scanned::Invalid => false,
        }
    }

    fn describe(&self, content: &[u8], name: &str, context: &Context) -> Result<Artifact> {
        let mut shape = Shape::default();
        let expected = "a whole profile.proto message";
        match shape.scan(content) {
            Scanned::Whole if shape.is_profile() => {}
            Scanned::Cut => return Err(wrong(context, name, expected, "one that was cut")),
            _ => return Err(wrong(context, name, expected, "something else")),
        }
        let types: Vec<&[u8]> = shape
            .sample_types
            .iter()
            .filter_map(|index| shape.strings.get(*index).copied())
            .collect();
        let kind = if types.contains(&&b"inuse_space"[..]) {
            ArtifactKind::HeapProfile
        } else if types.contains(&&b"goroutine"[..]) || types.contains(&&b"goroutines"[..]) {
            ArtifactKind::GoroutineProfile
        } else {
            ArtifactKind::Profile
        };
        let at = shape.time_ns.filter(|ns| *ns > 0).map(Timestamp);
        Ok(Artifact::new(at.or(context.at), kind, name.into()))
    }
}

/// What the top level of a profile.proto message holds.
#[derive(Default)]
struct Shape<'a> {
    /// Indices of the types of the sample values in `strings`.
    sample_types: Vec<usize>,
    strings: Vec<&'a [u8]>,
    time_ns: Option<i64>,
    /// Samples, mappings, locations and functions.
    parts: usize,
    bad_type: bool,
}

enum Scanned {
    Whole,
    /// Valid up to the end of the bytes, which lies inside of a field.
    Cut,
    Invalid,
}

impl<'a> Shape<'a> {
    fn scan(&mut self, message: &'a [u8]) -> Scanned {
        let mut rest = message;
        while !rest.is_empty() {
            let Some(key) = varint(&mut rest) else {
                return if rest.len() < 10 {
                    Scanned::Cut
                } else {
                    Scanned::Invalid
                };
            };
            // Field numbers 1 to 14 of profile.proto, 15 of newer ones; only varints and lengths occur.
            let (field, wire) = (key >> 3, key & 7);
            let fits = match field {
                1..=6 | 11 => wire == 2,
                7..=10 | 12 | 14 | 15 => wire == 0,
                13 => wire == 0 || wire == 2,
                _ => false,
            };
            if !fits {
                return Scanned::Invalid;
            }
            let Some(number) = varint(&mut rest) else {
                return if rest.len() < 10 {
                    Scanned::Cut
                } else {
                    Scanned::Invalid
                };
            };
            if wire == 0 {
                if field == 9 {
                    self.time_ns = i64::try_from(number).ok();
                }
                continue;
            }
            let Some(length) = usize::try_from(number).ok().filter(|n| *n <= 1 << 30) else {
                return Scanned::Invalid;
            };
            let Some(value) = rest.get(..length) else {
                return Scanned::Cut;
            };
            rest = &rest[length..];
            match field {
                1 => match value_type(value) {
                    Some(index) => self.sample_types.push(index),
                    None => self.bad_type = true,
                },
                2..=5 => self.parts += 1,
                6 => self.strings.push(value),
                _ => {}
            }
        }
        Scanned::Whole
    }

    fn is_profile(&self) -> bool {
        // The string table begins with an empty string; in a head it may not have been reached.
        let strings = self.strings.first().is_none_or(|first| first.is_empty());
        !self.sample_types.is_empty()
            && !self.bad_type
            && strings
            && (self.parts > 0 || !self.strings.is_empty())
    }
}

/// The index of the type in a ValueType message: two varints, type and unit.
fn value_type(mut message: &[u8]) -> Option<usize> {
    let mut kind = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let number = varint(&mut message)?;
        match key {
            0x08 => kind = usize::try_from(number).ok()?,
            0x10 => {}
            _ => return None,
        }
    }
    Some(kind)
}

/// Reads an unsigned LEB128 number; `None` when it does not end, and then nothing is consumed.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for (i, byte) in rest.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *rest = &rest[i + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend_from_slice(content);
        bytes
    }

    /// A profile as Go writes it: types, samples, the time, the strings.
    pub(super) fn profile(types: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (i, _) in (1u8..).zip(types) {
            bytes.extend(field(1, &[0x08, i, 0x10, 0]));
        }
        bytes.extend(field(2, &[0x0a, 1, 1, 0x12, 1, 5]));
        bytes.push(9 << 3);
        let mut time = 1_795_410_189_570_570_934u64;
        while time > 0x7f {
            bytes.push(u8::try_from(time & 0x7f).unwrap() | 0x80);
            time >>= 7;
        }
        bytes.push(u8::try_from(time).unwrap());
        bytes.extend(field(6, b""));
        for name in types {
            bytes.extend(field(6, name.as_bytes()));
        }
        bytes
    }

    #[test]
    fn profiles_say_their_kind_and_moment() {
        let at = Some(Timestamp(1_795_410_189_570_570_934));
        for (types, kind) in [
            (
                &["alloc_space", "inuse_space"][..],
                ArtifactKind::HeapProfile,
            ),
            (&["goroutine"], ArtifactKind::GoroutineProfile),
            (&["samples", "cpu"], ArtifactKind::Profile),
        ] {
            let bytes = profile(types);
            assert!(Profile.recognizes(&bytes));
            let artifact = Profile
                .describe(&bytes, "x.pb.gz", &Context::default())
                .unwrap();
            assert_eq!((artifact.at, artifact.kind), (at, kind));
            for cut in 0..bytes.len() {
                let _ = Profile.recognizes(&bytes[..cut]);
                let _ = Profile.describe(&bytes[..cut], "x", &Context::default());
            }
        }
        for no in [
            &b""[..],
            b"\n\n\n\n",
            b"hello world",
            &[0; 64],
            b"\x0a\x04\x08\x01\x10\x02",
        ] {
            assert!(!Profile.recognizes(no), "{no:?}");
        }
    }

    #[test]
    fn dumps_and_traces_are_recognized() {
        let dump = |header: &str| format!("{header}\nmain.main()\n\t/x/main.go:3 +0x1d\n");
        for header in [
            "goroutine 1 [running]:",
            "goroutine 41 [sleep] {route: /v1/search}:",
            "goroutine 12384 [chan receive (nil chan), 1 minutes, locked to thread]:",
            "panic: oh\n\ngoroutine 7 [running]:",
            "SIGQUIT: quit\nPC=0x1\n\ngoroutine 0 gp=0x5 m=0 mp=0x6 [idle]:",
        ] {
            assert!(
                GoroutineDump.recognizes(dump(header).as_bytes()),
                "{header}"
            );
        }
        for no in [
            "",
            "goroutine 1",
            "goroutine x [running]:\n",
            "the goroutine 1 [x]:\n",
        ] {
            assert!(!GoroutineDump.recognizes(no.as_bytes()), "{no}");
        }
        assert!(Trace.recognizes(b"go 1.26 trace\0\0\0"));
        assert!(!Trace.recognizes(b"go 1.26 tra"));
        assert!(!Trace.recognizes(b"go 1. trace\0"));
        assert!(unreadable(b"\x85\xbd\x40\xdd\x01").is_some());
        assert!(unreadable(b"{\n\t\"ulid\": \"x\",\n\t\"minTime\": 1").is_some());
        assert!(unreadable(b"anything").is_none());
    }
}
