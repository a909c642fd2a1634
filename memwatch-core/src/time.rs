//! Instants and stretches of time. Nothing here reads a clock: `now` is always an argument.

use std::fmt;

use chrono::{DateTime, SecondsFormat};

use crate::{Error, Nanos, Result};

/// An instant: nanoseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole milliseconds since the epoch; `None` when it does not fit.
    #[must_use]
    pub fn from_millis(ms: i64) -> Option<Timestamp> {
        ms.checked_mul(1_000_000).map(Timestamp)
    }

    /// Microseconds since the epoch, rounded down: the precision of the store.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the epoch, as PromQL counts.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The instant `duration` later; stops at the ends of the range instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Nanos) -> Timestamp {
        Timestamp(self.0.saturating_add(duration.0))
    }

    /// The instant `duration` earlier; stops at the ends of the range instead of wrapping.
    #[must_use]
    pub fn minus(self, duration: Nanos) -> Timestamp {
        Timestamp(self.0.saturating_sub(duration.0))
    }

    /// How much later this is than `earlier`.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// Reads RFC 3339 (`2026-11-23T05:03:09.570Z`).
    ///
    /// # Errors
    /// When it is not RFC 3339, or lies outside of the years 1678 to 2262.
    pub fn parse_rfc3339(text: &str) -> Result<Timestamp> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|at| at.timestamp_nanos_opt())
            .map(Timestamp)
            .ok_or_else(|| Error::Value {
                expected: "a time like 2026-11-23T05:03:09Z",
                found: text.to_owned(),
            })
    }

    /// Reads what users type for a time: RFC 3339, `now`, or relative to `now` (`-24h`).
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse_user(text: &str, now: Timestamp) -> Result<Timestamp> {
        if text == "now" {
            return Ok(now);
        }
        if let Some(back) = text.strip_prefix('-').and_then(Nanos::parse) {
            return Ok(now.minus(back));
        }
        Self::parse_rfc3339(text).map_err(|_| Error::Value {
            expected: "a time like 2026-11-23T05:03:09Z, `now`, or `-24h`",
            found: text.to_owned(),
        })
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with microseconds, UTC: `2026-11-23T05:03:09.570570Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &DateTime::from_timestamp_nanos(self.0).to_rfc3339_opts(SecondsFormat::Micros, true),
        )
    }
}

/// A stretch of time, half-open: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange {
        start: Timestamp(i64::MIN),
        end: Timestamp(i64::MAX),
    };

    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether nothing lies inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Length; zero when empty.
    #[must_use]
    pub fn duration(&self) -> Nanos {
        Nanos(self.end.since(self.start).0.max(0))
    }
}

/// A PromQL window, open on the left: `(after, until]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Last instant before the window.
    pub after: Timestamp,
    /// Last instant inside.
    pub until: Timestamp,
}

/// Evaluation times: `start`, `start + step` … up to and including `end`. An instant is one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Steps {
    /// The first evaluation.
    pub start: Timestamp,
    /// No evaluation is later than this.
    pub end: Timestamp,
    /// Distance of two evaluations; positive.
    pub step: Nanos,
}

impl Steps {
    /// A single evaluation.
    #[must_use]
    pub fn instant(at: Timestamp) -> Steps {
        Steps {
            start: at,
            end: at,
            step: Nanos::SECOND,
        }
    }

    /// The evaluations `k·interval + phase` inside `range`; `None` when there is none.
    #[must_use]
    pub fn aligned(range: TimeRange, interval: Nanos, phase: Nanos) -> Option<Steps> {
        assert!(interval.0 > 0, "a positive interval");
        let phase = phase.0.rem_euclid(interval.0);
        let into = (range.start.0 - phase).rem_euclid(interval.0);
        let start = if into == 0 {
            range.start.0
        } else {
            range.start.0.checked_add(interval.0 - into)?
        };
        if start >= range.end.0 {
            return None;
        }
        let end = start + (range.end.0 - 1 - start) / interval.0 * interval.0;
        Some(Steps {
            start: Timestamp(start),
            end: Timestamp(end),
            step: interval,
        })
    }

    /// How many evaluations; 0 when `end` is before `start`.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.end < self.start {
            0
        } else {
            // The distance of two times may be more than a time can hold.
            let distance = i128::from(self.end.0) - i128::from(self.start.0);
            usize::try_from(distance / i128::from(self.step.0) + 1).unwrap_or(usize::MAX)
        }
    }

    /// The evaluation of index `i`.
    #[must_use]
    pub fn at(&self, i: usize) -> Timestamp {
        #[allow(clippy::cast_possible_wrap)] // An index below `count`, which fits.
        Timestamp(self.start.0 + i as i64 * self.step.0)
    }

    /// All evaluations in order.
    pub fn iter(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let steps = *self;
        (0..steps.count()).map(move |i| steps.at(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_aligned_to_the_epoch() {
        let range = |a: i64, b: i64| TimeRange {
            start: Timestamp(a),
            end: Timestamp(b),
        };
        let at = |r, i, p| {
            Steps::aligned(r, Nanos(i), Nanos(p)).map(|s| s.iter().map(|t| t.0).collect::<Vec<_>>())
        };
        assert_eq!(at(range(3, 12), 5, 0), Some(vec![5, 10]));
        assert_eq!(at(range(5, 10), 5, 0), Some(vec![5]));
        assert_eq!(at(range(3, 12), 5, 2), Some(vec![7]));
        assert_eq!(at(range(-7, 1), 5, 0), Some(vec![-5, 0]));
        assert_eq!(at(range(6, 10), 5, 0), None);
    }

    #[test]
    fn users_type_times() {
        let now = Timestamp(1_795_410_189_570_570_934);
        assert_eq!(Timestamp::parse_user("now", now).unwrap(), now);
        assert_eq!(
            Timestamp::parse_user("-24h", now).unwrap(),
            now.minus(Nanos(24 * Nanos::HOUR.0))
        );
        assert_eq!(
            Timestamp::parse_user("2026-11-23T05:03:09.570570934Z", now).unwrap(),
            now
        );
        assert_eq!(now.to_string(), "2026-11-23T05:03:09.570570Z");
        assert!(Timestamp::parse_user("yesterday", now).is_err());
    }
}
