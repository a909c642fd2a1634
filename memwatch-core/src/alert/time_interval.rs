//! Recurring stretches of time in which routes are mute or active, as Alertmanager's `time_intervals`.

use std::sync::Arc;

use chrono::{DateTime, Datelike, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use crate::Timestamp;

/// A named list of intervals; an instant is inside when it is inside of any.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NamedInterval {
    /// Name, each once.
    pub name: Arc<str>,
    /// Any of these.
    pub intervals: Vec<TimeInterval>,
}

impl NamedInterval {
    /// An interval of that name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, intervals: Vec<TimeInterval>) -> NamedInterval {
        NamedInterval {
            name: name.into(),
            intervals,
        }
    }

    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.intervals.iter().any(|interval| interval.contains(at))
    }
}

/// All fields must hold; a field with entries holds when any entry does, one without entries always holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TimeInterval {
    /// Minutes of the day, `[start, end)`, 0 to 1440.
    pub times: Vec<(u32, u32)>,
    /// Days of the week, both ends included; Sunday is 0.
    pub weekdays: Vec<(u32, u32)>,
    /// Days of the month, both ends included, from 1; negative ones count from the end, -1 being the last.
    pub days_of_month: Vec<(i32, i32)>,
    /// Months, both ends included, from 1.
    pub months: Vec<(u32, u32)>,
    /// Years, both ends included.
    pub years: Vec<(i32, i32)>,
    /// Whose clock; UTC when absent.
    pub location: Option<Tz>,
}

impl TimeInterval {
    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        let utc = DateTime::<Utc>::from_timestamp_nanos(at.0).naive_utc();
        match self.location {
            Some(zone) => self.holds(&zone.from_utc_datetime(&utc)),
            None => self.holds(&Utc.from_utc_datetime(&utc)),
        }
    }

    fn holds<Z: TimeZone>(&self, at: &DateTime<Z>) -> bool {
        fn any<T: Copy>(entries: &[T], inside: impl Fn(T) -> bool) -> bool {
            entries.is_empty() || entries.iter().any(|entry| inside(*entry))
        }
        let minute = at.hour() * 60 + at.minute();
        let day = i32::try_from(at.day()).expect("at most 31");
        let days = i32::try_from(at.num_days_in_month()).expect("at most 31");
        any(&self.times, |(start, end)| start <= minute && minute < end)
            && any(&self.days_of_month, |(from, to)| {
                // As Alertmanager does: ends beyond the month are moved into it.
                let resolve = |d: i32| if d < 0 { days + d + 1 } else { d };
                let (from, to) = (resolve(from), resolve(to));
                from <= days && from.max(1) <= day && day <= to.min(days)
            })
            && any(&self.weekdays, |(from, to)| {
                (from..=to).contains(&at.weekday().num_days_from_sunday())
            })
            && any(&self.months, |(from, to)| (from..=to).contains(&at.month()))
            && any(&self.years, |(from, to)| (from..=to).contains(&at.year()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a13_fields_are_anded_and_entries_ored() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let base = TimeInterval::default();
        let nights = TimeInterval {
            times: vec![(0, 360), (1320, 1440)],
            ..base.clone()
        };
        let weekend = TimeInterval {
            weekdays: vec![(0, 0), (6, 6)],
            ..base.clone()
        };
        let last_days = TimeInterval {
            days_of_month: vec![(-2, -1)],
            ..base.clone()
        };
        let month_end = TimeInterval {
            days_of_month: vec![(31, 31)],
            ..base.clone()
        };
        let winter_nights = TimeInterval {
            months: vec![(12, 12), (1, 2)],
            ..nights.clone()
        };
        let year = TimeInterval {
            years: vec![(2026, 2027)],
            ..base.clone()
        };
        let berlin = TimeInterval {
            location: Some(chrono_tz::Europe::Berlin),
            ..nights.clone()
        };
        let cases = [
            (&base, "2026-11-23T05:00:00Z", true),
            (&nights, "2026-11-23T05:59:59Z", true),
            (&nights, "2026-11-23T06:00:00Z", false),
            (&nights, "2026-11-23T22:00:00Z", true),
            (&weekend, "2026-11-22T12:00:00Z", true), // A Sunday.
            (&weekend, "2026-11-23T12:00:00Z", false),
            (&last_days, "2026-11-29T12:00:00Z", true),
            (&last_days, "2026-11-28T12:00:00Z", false),
            (&last_days, "2026-02-27T12:00:00Z", true),
            (&month_end, "2026-11-30T12:00:00Z", false),
            (&month_end, "2026-12-31T12:00:00Z", true),
            (&winter_nights, "2026-12-23T05:00:00Z", true),
            (&winter_nights, "2026-11-23T05:00:00Z", false),
            (&year, "2027-01-01T00:00:00Z", true),
            (&year, "2028-01-01T00:00:00Z", false),
            (&berlin, "2026-11-23T21:30:00Z", true), // 22:30 in Berlin.
            (&berlin, "2026-11-23T05:30:00Z", false), // 06:30 in Berlin.
        ];
        for (interval, text, inside) in cases {
            assert_eq!(
                interval.contains(at(text)),
                inside,
                "{interval:?} at {text}"
            );
        }
    }
}
