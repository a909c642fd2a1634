//! The timestamp that a logger or log collector put on a line.

use chrono::{NaiveDate, TimeDelta};

use super::decimal::scaled;
use crate::{Nanos, Timestamp};

/// A timestamp on a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogTime {
    /// Read as UTC where it has no zone.
    pub(crate) at: Timestamp,
    /// Whether it says its zone.
    pub(crate) zoned: bool,
    /// The unit of its last digit: the real time lies in `[at, at + unit)`.
    pub(crate) unit: Nanos,
    /// Where it stands in the line.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Loggers write their time near the beginning of a line.
const BEGINNING: usize = 128;
/// JSON loggers and collectors may write it later, under a key.
const KEYED: usize = 8 * 1024;

/// The time on a line: at its beginning in the forms of RFC 3339 (also with a space, without a zone, or with slashes as Go's `log`
/// writes), or anywhere under the JSON keys `ts` and `time`.
pub(crate) fn log_time(line: &[u8]) -> Option<LogTime> {
    for start in 0..line.len().min(BEGINNING) {
        let begins = line[start].is_ascii_digit()
            && start
                .checked_sub(1)
                .is_none_or(|i| !line[i].is_ascii_digit());
        if let Some(time) = begins.then(|| calendar(line, start)).flatten() {
            return Some(time);
        }
    }
    let head = &line[..line.len().min(KEYED)];
    for key in [&b"\"ts\":"[..], b"\"time\":"] {
        if let Some(at) = memchr::memmem::find(head, key) {
            let start = at + key.len();
            let start = start + head[start..].iter().take_while(|b| **b == b' ').count();
            return match head.get(start) {
                Some(b'"') => calendar(line, start + 1),
                _ => epoch(line, start),
            };
        }
    }
    None
}

/// Seconds since the epoch, with a fraction: zap's default.
fn epoch(line: &[u8], start: usize) -> Option<LogTime> {
    let length = line[start..]
        .iter()
        .take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+'))
        .count();
    let text = &line[start..start + length];
    let at = scaled(text, 9).filter(|ns| *ns > 0)?;
    let fraction = text.iter().rev().position(|b| *b == b'.').unwrap_or(0);
    Some(LogTime {
        at: Timestamp(at),
        zoned: true,
        unit: unit(fraction),
        start,
        end: start + length,
    })
}

fn unit(fraction_digits: usize) -> Nanos {
    let digits = u32::try_from(fraction_digits.min(9)).unwrap_or(9);
    Nanos(10i64.pow(9 - digits))
}

/// `2026-11-23T05:03:09.570570934Z`, `2026/11/23 05:03:09.570978`, …
fn calendar(line: &[u8], start: usize) -> Option<LogTime> {
    let text = &line[start..];
    let digits = |from: usize, count: usize| {
        let part = text.get(from..from + count)?;
        part.iter()
            .all(u8::is_ascii_digit)
            .then(|| part.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0')))
    };
    let byte = |at: usize, allowed: &[u8]| text.get(at).filter(|b| allowed.contains(b));
    let year = i32::try_from(digits(0, 4)?).ok()?;
    let separator = *byte(4, b"-/")?;
    let month = digits(5, 2)?;
    byte(7, &[separator])?;
    let day = digits(8, 2)?;
    byte(10, b"T ")?;
    let hour = digits(11, 2)?;
    byte(13, b":")?;
    let minute = digits(14, 2)?;
    byte(16, b":")?;
    let second = digits(17, 2)?;
    let mut end = 19;
    let mut fraction = 0;
    let mut nanos = 0;
    if byte(end, b".,").is_some() {
        fraction = text[end + 1..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let kept = fraction.min(9);
        nanos = digits(end + 1, kept)? * 10u32.pow(9 - u32::try_from(kept).ok()?);
        end += if fraction == 0 { 0 } else { 1 + fraction };
    }
    let mut offset_minutes = 0;
    let mut zoned = false;
    if byte(end, b"Zz").is_some() {
        zoned = true;
        end += 1;
    } else if let Some(sign) = byte(end, b"+-") {
        let colon = usize::from(byte(end + 3, b":").is_some());
        if let (Some(hours), Some(minutes)) = (digits(end + 1, 2), digits(end + 3 + colon, 2)) {
            let minutes = i64::from(hours * 60 + minutes);
            offset_minutes = if *sign == b'-' { -minutes } else { minutes };
            zoned = true;
            end += 5 + colon;
        }
    }
    let at = NaiveDate::from_ymd_opt(year, month, day)?
        .and_hms_nano_opt(hour, minute, second, nanos)?
        .checked_sub_signed(TimeDelta::minutes(offset_minutes))?
        .and_utc()
        .timestamp_nanos_opt()?;
    Some(LogTime {
        at: Timestamp(at),
        zoned,
        unit: unit(fraction),
        start,
        end: start + end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_loggers_are_found() {
        for (line, at, zoned, unit) in [
            (
                "pricing 2026/11/23 05:03:09.563026 level=info",
                "2026-11-23T05:03:09.563026Z",
                false,
                1_000,
            ),
            (
                "ts=2026-11-23T05:03:55.851Z caller=main.go:513",
                "2026-11-23T05:03:55.851Z",
                true,
                1_000_000,
            ),
            (
                "2026-11-23 05:03:55.757829 I | etcdmain: x",
                "2026-11-23T05:03:55.757829Z",
                false,
                1_000,
            ),
            (
                r#"{"level":"info","ts":1795410235.8311126,"msg":"x"}"#,
                "2026-11-23T05:03:55.8311126Z",
                true,
                100,
            ),
            (
                "2026-11-23T06:03:55.5+0100 host app[1]: x",
                "2026-11-23T05:03:55.5Z",
                true,
                100_000_000,
            ),
            (
                "[2026-11-23 05:03:55] x",
                "2026-11-23T05:03:55Z",
                false,
                1_000_000_000,
            ),
        ] {
            let found = log_time(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            let at = Timestamp::parse_rfc3339(at).unwrap();
            assert_eq!(
                (found.at, found.zoned, found.unit),
                (at, zoned, Nanos(unit))
            );
        }
        let docker = format!(
            r#"{{"log":"{}","stream":"stderr","time":"2026-11-23T05:03:55.123456789Z"}}"#,
            "x".repeat(200)
        );
        let found = log_time(docker.as_bytes()).unwrap();
        assert_eq!(found.at.0 % 1_000_000_000, 123_456_789);
        for none in [
            "",
            "2026",
            "2026-13-01 00:00:00",
            "12026-11-23 05:03:55",
            "level=info",
        ] {
            assert_eq!(log_time(none.as_bytes()), None, "{none}");
        }
    }
}
