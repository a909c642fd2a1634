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

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// One field of an interval in Alertmanager's spelling, read into an interval. Each says what would be right when it is not.
impl TimeInterval {
    /// Adds `[start, end)` of the day, each `HH:MM` up to `24:00`.
    ///
    /// # Errors
    /// What would be right.
    pub fn add_times(&mut self, start: &str, end: &str) -> Result<(), &'static str> {
        const EXPECTED: &str = "times of day from 00:00 to 24:00, the first before the second";
        let minute = |text: &str| -> Option<u32> {
            let (hours, minutes) = text.split_once(':')?;
            let two_digits = |t: &str| {
                (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| t.parse::<u32>().ok())
                    .flatten()
            };
            let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
            (minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
        };
        let (start, end) = minute(start.trim())
            .zip(minute(end.trim()))
            .ok_or(EXPECTED)?;
        if start >= end {
            return Err(EXPECTED);
        }
        self.times.push((start, end));
        Ok(())
    }

    /// Adds days of the week: `monday` or `monday:friday`.
    ///
    /// # Errors
    /// What would be right.
    pub fn add_weekdays(&mut self, text: &str) -> Result<(), &'static str> {
        let day = |t: &str| {
            WEEKDAYS
                .iter()
                .position(|d| d.eq_ignore_ascii_case(t))
                .and_then(|i| u32::try_from(i).ok())
        };
        self.weekdays.push(ends(text, day).ok_or(
            "days of the week like `monday:friday`, in the order of the week from sunday",
        )?);
        Ok(())
    }

    /// Adds days of the month: `1:5`, or `-3:-1` from the end.
    ///
    /// # Errors
    /// What would be right.
    pub fn add_days_of_month(&mut self, text: &str) -> Result<(), &'static str> {
        const EXPECTED: &str =
            "days of the month from 1 to 31 or from -31 to -1, like `1:5` or `-3:-1`";
        let day = |t: &str| {
            t.parse::<i32>()
                .ok()
                .filter(|d| *d != 0 && (-31..=31).contains(d))
        };
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let (from, to) = day(from.trim()).zip(day(to.trim())).ok_or(EXPECTED)?;
        // A range from the end of the month cannot end counted from its beginning.
        if (from < 0 && to > 0) || (from.signum() == to.signum() && from > to) {
            return Err(EXPECTED);
        }
        self.days_of_month.push((from, to));
        Ok(())
    }

    /// Adds months: `january:march` or `1:3`.
    ///
    /// # Errors
    /// What would be right.
    pub fn add_months(&mut self, text: &str) -> Result<(), &'static str> {
        let month = |t: &str| {
            let named = MONTHS
                .iter()
                .position(|m| m.eq_ignore_ascii_case(t))
                .and_then(|i| u32::try_from(i + 1).ok());
            named.or_else(|| t.parse().ok().filter(|m| (1..=12).contains(m)))
        };
        self.months
            .push(ends(text, month).ok_or("months like `january:march` or `1:3`")?);
        Ok(())
    }

    /// Adds years: `2026` or `2026:2028`.
    ///
    /// # Errors
    /// What would be right.
    pub fn add_years(&mut self, text: &str) -> Result<(), &'static str> {
        let year = |t: &str| t.parse::<i32>().ok().filter(|y| (1970..=9999).contains(y));
        self.years
            .push(ends(text, year).ok_or("years like `2026:2028`")?);
        Ok(())
    }

    /// Sets whose clock it is: a name of the time zone database.
    ///
    /// # Errors
    /// What would be right.
    pub fn set_location(&mut self, name: &str) -> Result<(), &'static str> {
        self.location = Some(
            name.parse()
                .map_err(|_| "a time zone like `Europe/Berlin`")?,
        );
        Ok(())
    }
}

/// Both ends of `a:b`, or of `a`, in order.
fn ends<T: Copy + PartialOrd>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let (from, to) = (read(from.trim())?, read(to.trim())?);
    (from <= to).then_some((from, to))
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
        let days = i32::from(at.num_days_in_month());
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
    fn fields_are_read_in_alertmanagers_spelling() {
        let mut i = TimeInterval::default();
        i.add_times("22:00", "24:00").unwrap();
        i.add_weekdays("Monday:friday").unwrap();
        i.add_days_of_month("-3:-1").unwrap();
        i.add_days_of_month("1").unwrap();
        i.add_months("january:3").unwrap();
        i.add_years("2026").unwrap();
        i.set_location("Europe/Berlin").unwrap();
        assert_eq!(
            (&i.times[..], &i.weekdays[..]),
            (&[(1320, 1440)][..], &[(1, 5)][..])
        );
        assert_eq!(
            (&i.days_of_month[..], &i.months[..], &i.years[..]),
            (&[(-3, -1), (1, 1)][..], &[(1, 3)][..], &[(2026, 2026)][..])
        );
        let mut bad = TimeInterval::default();
        for (start, end) in [
            ("24:01", "24:02"),
            ("9:00", "10:00"),
            ("10:00", "10:00"),
            ("10:60", "11:00"),
            ("", "10:00"),
        ] {
            assert!(bad.add_times(start, end).is_err(), "{start}-{end}");
        }
        for text in ["saturday:sunday", "mon", ""] {
            assert!(bad.add_weekdays(text).is_err(), "{text}");
        }
        for text in ["0", "32", "-1:5", "5:1", "-1:-3", "a"] {
            assert!(bad.add_days_of_month(text).is_err(), "{text}");
        }
        assert!(
            bad.add_months("13").is_err()
                && bad.add_years("26").is_err()
                && bad.set_location("Berlin").is_err()
        );
        assert_eq!(bad, TimeInterval::default());
    }

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
