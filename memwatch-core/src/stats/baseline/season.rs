//! What is usual at this time of day.

use super::checkpoint::{Reader, Writer};
use crate::Result;

const DAY_NS: i64 = 86_400_000_000_000;
/// Quarters of an hour.
const BUCKETS: usize = 96;
const BUCKET_NS: i64 = DAY_NS / 96;
/// Days that are remembered.
const DAYS: usize = 14;
/// Days without which nothing is usual yet.
const DAYS_NEEDED: usize = 3;

/// The mean of each quarter of an hour of the last 14 days (UTC), so that any sampling rate takes the same room.
#[derive(Debug, Clone)]
pub(super) struct Season {
    /// `[day % 14][bucket]`; NaN where nothing was recorded.
    means: Vec<f64>,
    /// The day in each of the 14 places.
    days: [i64; DAYS],
    /// The running bucket: number since the epoch, sum and count of its values.
    running: i64,
    sum: f64,
    count: u64,
    /// What is usual in the bucket of this number.
    usual: Option<(i64, Option<f64>)>,
}

impl Season {
    pub(super) fn new() -> Season {
        Season {
            means: vec![f64::NAN; DAYS * BUCKETS],
            days: [i64::MIN; DAYS],
            running: i64::MIN,
            sum: 0.0,
            count: 0,
            usual: None,
        }
    }

    /// The median of the same time of day (this bucket and its neighbours) on earlier days; `None` before three of them.
    pub(super) fn usual(&mut self, at_ns: i64) -> Option<f64> {
        let number = at_ns.div_euclid(BUCKET_NS);
        match self.usual {
            Some((known, usual)) if known == number => usual,
            _ => {
                let usual = self.median_around(number);
                self.usual = Some((number, usual));
                usual
            }
        }
    }

    fn median_around(&self, number: i64) -> Option<f64> {
        let day = number.div_euclid(96);
        let mut around = Vec::with_capacity(DAYS * 3);
        let mut days = 0;
        for (place, then) in self.days.iter().enumerate() {
            if *then >= day || *then < day - DAYS as i64 {
                continue;
            }
            let before = around.len();
            for near in [95, 0, 1] {
                let bucket = usize::try_from((number + near).rem_euclid(96)).unwrap_or(0);
                let mean = self.means[place * BUCKETS + bucket];
                if !mean.is_nan() {
                    around.push(mean);
                }
            }
            days += usize::from(around.len() > before);
        }
        if days < DAYS_NEEDED {
            return None;
        }
        let middle = around.len() / 2;
        let (_, median, _) = around.select_nth_unstable_by(middle, f64::total_cmp);
        Some(*median)
    }

    /// Takes the next value; instants ascend.
    pub(super) fn push(&mut self, at_ns: i64, x: f64) {
        let number = at_ns.div_euclid(BUCKET_NS);
        if number != self.running {
            self.close();
            self.running = number;
        }
        self.sum += x;
        self.count += 1;
    }

    fn close(&mut self) {
        if self.count == 0 {
            return;
        }
        let day = self.running.div_euclid(96);
        let place = usize::try_from(day.rem_euclid(DAYS as i64)).unwrap_or(0);
        let means = &mut self.means[place * BUCKETS..][..BUCKETS];
        if self.days[place] != day {
            self.days[place] = day;
            means.fill(f64::NAN);
        }
        means[usize::try_from(self.running.rem_euclid(96)).unwrap_or(0)] =
            self.sum / self.count as f64;
        (self.sum, self.count) = (0.0, 0);
    }

    /// Bytes that this memory holds.
    pub(super) fn size_bytes(&self) -> usize {
        self.means.capacity() * size_of::<f64>() + size_of::<Season>()
    }

    pub(super) fn write(&self, to: &mut Writer) {
        self.means.iter().for_each(|mean| to.float(*mean));
        self.days.iter().for_each(|day| to.int(*day));
        to.int(self.running);
        to.float(self.sum);
        to.count(usize::try_from(self.count).unwrap_or(usize::MAX));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Season> {
        let mut season = Season::new();
        for mean in &mut season.means {
            *mean = from.float()?;
        }
        for day in &mut season.days {
            *day = from.int()?;
        }
        season.running = from.int()?;
        season.sum = from.float()?;
        season.count = from.count()? as u64;
        Ok(season)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_after_three_days() {
        let mut season = Season::new();
        let value = |day: i64, bucket: i64| (bucket * 10 + day) as f64;
        for day in 0..20 {
            let noon = (day * 96 + 48) * BUCKET_NS;
            let want = match day {
                0..3 => None,
                // The middle one of three buckets on the days before, at most 14 of them.
                _ => Some(480.0 + if day <= 14 { day / 2 } else { day - 7 } as f64),
            };
            assert_eq!(season.usual(noon), want, "day {day}");
            for bucket in 0..96 {
                season.push((day * 96 + bucket) * BUCKET_NS, value(day, bucket));
            }
        }
        assert_eq!(season.usual(40 * DAY_NS), None, "all of it is too old");
    }
}
