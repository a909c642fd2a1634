//! All paths of a store. Values from outside (services, file names, metric names) never become paths.
//!
//! ```text
//! memwatch.json  memwatch.lock  manifest/00000000000000000042.json  wal/00000000000000000042.wal
//! samples/date=2026-11-23/<24 hex digits>.parquet   …and so for each table
//! artifacts/ab/ab12….pb.gz   quarantine/
//! ```

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, NaiveDate};

use crate::schema::Table;

/// Suffix of a segment.
const SEGMENT: &str = ".parquet";
/// Suffix of a file being written; never matches `*.parquet`.
pub(crate) const IN_PROGRESS: &str = ".inprogress";
/// Suffix of a segment that a commit replaced, kept for readers of older snapshots; never matches `*.parquet`.
pub(crate) const REPLACED: &str = ".replaced";

/// A calendar day, UTC: a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    const MICROS: i64 = 86_400_000_000;

    /// The day of an instant, given in microseconds since the epoch.
    #[must_use]
    pub fn of_micros(at_us: i64) -> Day {
        #[allow(clippy::cast_possible_truncation)] // |i64 micros / day| < 2^27.
        Day(at_us.div_euclid(Self::MICROS) as i32)
    }

    /// First microsecond of the day.
    #[must_use]
    pub fn start_micros(self) -> i64 {
        i64::from(self.0).saturating_mul(Self::MICROS)
    }

    /// First microsecond of the next day.
    #[must_use]
    pub fn end_micros(self) -> i64 {
        (i64::from(self.0) + 1).saturating_mul(Self::MICROS)
    }

    /// Reads `2026-11-23`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Day> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        let day = Day(date.num_days_from_ce() - 719_163);
        (day.to_string() == text).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp(i64::from(self.0) * 86_400, 0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%d")),
            None => f.write_str("out-of-range"),
        }
    }
}

/// The name of a segment: table, day and a time-ordered id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentPath {
    /// The table.
    pub table: Table,
    /// The day of all of its rows.
    pub day: Day,
    id: String,
}

impl SegmentPath {
    /// A new name: no other segment of any store has it.
    pub(crate) fn new(table: Table, day: Day) -> SegmentPath {
        SegmentPath {
            table,
            day,
            id: new_id(),
        }
    }

    /// Reads `samples/date=2026-11-23/<id>.parquet`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<SegmentPath> {
        let mut parts = text.split('/');
        let table = Table::from_name(parts.next()?)?;
        let day = Day::parse(parts.next()?.strip_prefix("date=")?)?;
        let id = parts.next()?.strip_suffix(SEGMENT)?;
        (parts.next().is_none() && is_id(id)).then(|| SegmentPath {
            table,
            day,
            id: id.to_owned(),
        })
    }
}

impl fmt::Display for SegmentPath {
    /// Relative to the store, with `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/date={}/{}{SEGMENT}",
            self.table.name(),
            self.day,
            self.id
        )
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 24
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// 24 hex digits: milliseconds since the epoch, a counter, and 32 random bits.
pub(crate) fn new_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let random = RandomState::new().build_hasher().finish();
    format!(
        "{:012x}{:04x}{:08x}",
        ms & 0xffff_ffff_ffff,
        count & 0xffff,
        random & 0xffff_ffff
    )
}

/// Whether a file name is one that only this crate makes: a segment, or one being written or replaced.
pub(crate) fn is_ours(name: &str) -> bool {
    let stem = name
        .strip_suffix(IN_PROGRESS)
        .or_else(|| name.strip_suffix(REPLACED))
        .unwrap_or(name);
    stem.strip_suffix(SEGMENT).is_some_and(is_id)
}

/// Whether a path below the store is that of an artifact, as [`Layout::artifact`] makes them.
pub(crate) fn is_artifact(path: &str) -> bool {
    let hex = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts = path
        .strip_prefix("artifacts/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(folder, name)| Some((folder, name.split_once('.')?)));
    parts.is_some_and(|(folder, (hash, extension))| {
        folder.len() == 2
            && hash.len() == 64
            && hex(hash)
            && hash.starts_with(folder)
            && extension
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
    })
}

/// Where everything of one store lies.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout {
            root: root.to_path_buf(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The file that makes a folder a store.
    pub(crate) fn marker(&self) -> PathBuf {
        self.root.join("memwatch.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("memwatch.lock")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join("manifest")
    }

    pub(crate) fn commit(&self, version: u64) -> PathBuf {
        self.manifest().join(format!("{version:020}.json"))
    }

    /// The version of a commit file's name.
    pub(crate) fn commit_version(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".json")?;
        (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    /// The file of the WAL whose first frame has this sequence.
    pub(crate) fn wal_file(&self, first: u64) -> PathBuf {
        self.wal().join(format!("{first:020}.wal"))
    }

    /// The sequence of the first frame, from the name of a WAL file.
    pub(crate) fn wal_first(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".wal")?;
        (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(crate) fn table(&self, table: Table) -> PathBuf {
        self.root.join(table.name())
    }

    pub(crate) fn segment(&self, path: &SegmentPath) -> PathBuf {
        self.table(path.table)
            .join(format!("date={}", path.day))
            .join(format!("{}{SEGMENT}", path.id))
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// Where an artifact's content lies, relative to the store. `extension` is one of this crate's own.
    pub(crate) fn artifact(sha256: &[u8; 32], extension: &'static str) -> String {
        let hex = hex(sha256);
        format!("artifacts/{}/{hex}.{extension}", &hex[..2])
    }
}

/// The same path with a suffix of this crate behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_segments_parse_as_they_print() {
        let path = SegmentPath::new(Table::Samples, Day::of_micros(1_795_410_189_570_570));
        assert!(path.to_string().starts_with("samples/date=2026-11-23/"));
        assert_eq!(SegmentPath::parse(&path.to_string()), Some(path.clone()));
        let ok = path.to_string();
        for bad in [
            ok.replace("samples", "../samples"),
            ok.replace("samples", "nothing"),
            ok.replace("2026-11-23", "2026-11-99"),
            ok.replace("2026-11-23", "2026-1-23"),
            ok.replace(".parquet", ".parquet.inprogress"),
            ok.replace(".parquet", "/../x.parquet"),
            ok.replace("date=", ""),
            format!("{ok}/x"),
        ] {
            assert_eq!(SegmentPath::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn days_begin_at_midnight_also_before_the_epoch() {
        for (us, day) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (86_400_000_000 - 1, "1970-01-01"),
            (86_400_000_000, "1970-01-02"),
            (i64::MIN / 1000, "1677-09-21"),
            (i64::MAX / 1000, "2262-04-11"),
        ] {
            assert_eq!(Day::of_micros(us).to_string(), day);
            assert_eq!(Day::parse(day), Some(Day::of_micros(us)));
        }
        assert_eq!(Day::parse("2026-02-30"), None);
    }

    #[test]
    fn paths_of_artifacts_are_known_from_others() {
        let path = Layout::artifact(&[0xab; 32], "pb.gz");
        assert!(is_artifact(&path), "{path}");
        for bad in [
            path.replace("artifacts/ab/", "artifacts/../"),
            path.replace("artifacts/ab/", "artifacts/ac/"),
            path.replace(".pb.gz", "/../../x"),
            path.replace(".pb.gz", ""),
            path.replace(".pb.gz", "."),
            path.replace(".pb.gz", "..pb.gz"),
            path.replace(".pb.gz", ".pb..gz"),
            format!("/{path}"),
        ] {
            assert!(!is_artifact(&bad), "{bad}");
        }
    }

    #[test]
    fn ids_grow_and_are_ours() {
        let (a, b) = (new_id(), new_id());
        assert_ne!(a, b);
        assert!(is_ours(&format!("{a}.parquet")) && is_ours(&format!("{a}.parquet.inprogress")));
        assert!(!is_ours("mine.parquet") && !is_ours(&a));
    }
}
