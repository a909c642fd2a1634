//! How surprising is a value, given all that was seen before? (`baseline_deviation`)
//!
//! A fold over one series in the order of time. It remembers the values that each [`Feature`] has taken, and how far each new value was
//! from the nearest one before it: its *gap*. The surprise of a value is how rare such a gap is, as −log₁₀ of the probability read from
//! the tail of the gaps so far, so one threshold serves all series: 2 warns, 3.2 pages.
//!
//! With the past gaps in order, G₍₀₎ ≤ … ≤ G₍ₙ₋₁₎, a = ⌊q(n−1)⌋, u = G₍ₐ₎, N = n−1−a and m = max(mean(G₍ⱼ₎ − u, j > a), u/100, ε), the
//! surprise of a gap g > u is −log₁₀(N/n) + (g − u)/(m·ln 10), at most 16, else 0. It counts only if the value is clearly away from the
//! median of the last 1000; the highest of all features counts, and is shown as score only if it exceeds every one of the last 60
//! samples (*record-hold*): an episode gives one alert unless it gets clearly worse.
//!
//! The values are seen as they come, so the scores do not depend on where chunks begin, and a [checkpoint](Baseline::to_bytes) in
//! between changes nothing.

mod checkpoint;
mod hold;
mod memory;
mod options;
mod recent;
mod season;
mod tail;

pub use options::{BaselineOptions, Direction, Feature, Form, Kind};

use self::checkpoint::{MAGIC, Reader, Writer};
use self::hold::RecordHold;
use self::memory::GapMemory;
use self::recent::Recent;
use self::season::Season;
use self::tail::GapTail;
use crate::Result;
use crate::series::is_stale;

/// The highest surprise: one in 10¹⁶.
pub const HIGHEST: f64 = 16.0;
/// Samples whose median is the level that an effect is measured against.
const LEVEL_SAMPLES: usize = 1000;
/// Intervals whose median is taken for the sampling interval.
const INTERVALS: usize = 16;
/// Sampling intervals that a break must exceed.
const BREAK_STEPS: i64 = 3;

/// What a baseline says to one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Whether the sample was scored.
    pub state: State,
    /// The surprise if it exceeds that of all samples held, else 0.
    pub score: f64,
    /// The surprise before record-hold; 0 when nothing is unusual.
    pub surprise: f64,
    /// The numbers behind a surprise above 0.
    pub cause: Option<Cause>,
}

/// Whether a sample was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Scored,
    /// Not enough was seen yet, or (of a counter) there is nothing to take the increase from.
    Warming,
    /// The sample is no number or the stale marker, or older than one before: it changed nothing.
    Skipped,
}

/// Why a value is surprising: the feature that surprises most, and its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cause {
    /// Which feature.
    pub feature: Feature,
    /// Its value.
    pub value: f64,
    /// The nearest value it ever had before.
    pub nearest: f64,
    /// The distance of these two.
    pub gap: f64,
    /// Gaps up to this one are usual (`u`).
    pub usual_gap: f64,
    /// Mean excess of the gaps above it (`m`).
    pub mean_excess: f64,
    /// Gaps above it (`N`).
    pub above: u64,
    /// Gaps seen (`n`).
    pub seen: u64,
    /// Median of the last 1000 samples.
    pub level: f64,
}

/// What was set aside, and what was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Samples that changed the state.
    pub taken: u64,
    /// Of these, in the warm-up.
    pub warming: u64,
    /// NaN and ±Inf, staleness markers not counted.
    pub not_finite: u64,
    /// Staleness markers.
    pub stale: u64,
    /// Samples that replaced an earlier one of the same instant.
    pub replaced: u64,
    /// Samples older than one before.
    pub out_of_order: u64,
    /// Breaks of more than three sampling intervals.
    pub breaks: u64,
    /// Restarts of the process.
    pub restarts: u64,
}

/// The past of one feature.
#[derive(Debug, Clone)]
struct Past {
    memory: GapMemory,
    tail: GapTail,
    /// Value and gap of the pending sample, and its place in the memory.
    pending: Option<(f64, f64, usize)>,
}

/// The newest sample. It enters the past only when a later one comes, so that one of the same instant can replace it.
#[derive(Debug, Clone, Copy)]
struct Pending {
    at_ns: i64,
    raw: f64,
    /// What is looked at: `raw`, or the rate of a counter once there is one.
    x: Option<f64>,
    surprise: f64,
    warming: bool,
}

/// The fold: push samples in the order of time, read a [`Deviation`] for each.
///
/// ```
/// # use memwatch_core::stats::baseline::{Baseline, BaselineOptions};
/// let mut baseline = Baseline::new(BaselineOptions::default());
/// for i in 0..1000 {
///     baseline.push(i * 1_000_000_000, 100.0 + (i % 7) as f64);
/// }
/// assert!(baseline.push(1_000_000_000_000, 140.0).score > 3.2);
/// assert_eq!(baseline.push(1_001_000_000_000, 103.0).score, 0.0);
/// ```
#[derive(Debug, Clone)]
pub struct Baseline {
    options: BaselineOptions,
    pasts: Vec<Past>,
    /// For the means; emptied by breaks and restarts.
    recent: Recent,
    level: Recent,
    season: Option<Season>,
    hold: RecordHold,
    intervals_s: Recent,
    /// Median of these; kept for 16 samples once there are 16.
    step_ns: Option<i64>,
    /// Smallest difference of successive values in the warm-up.
    resolution: Option<f64>,
    pending: Option<Pending>,
    /// The last sample of the past: instant, raw value, what was looked at. Values are gone after a restart.
    last_at_ns: Option<i64>,
    last_raw: Option<f64>,
    last_x: Option<f64>,
    first_at_ns: Option<i64>,
    counts: Counts,
}

impl Baseline {
    /// A baseline that has seen nothing.
    #[must_use]
    pub fn new(options: BaselineOptions) -> Baseline {
        let longest = options.features.iter().map(|f| match f {
            Feature::Mean(samples) => usize::from(*samples) - 1,
            Feature::Value | Feature::TimeOfDay => 0,
        });
        let pasts = options.features.iter().map(|_| Past {
            memory: GapMemory::new(options.form),
            tail: GapTail::new(options.form),
            pending: None,
        });
        Baseline {
            pasts: pasts.collect(),
            recent: Recent::new(longest.max().unwrap_or(0)),
            level: Recent::new(LEVEL_SAMPLES),
            season: options
                .features
                .contains(&Feature::TimeOfDay)
                .then(Season::new),
            hold: RecordHold::default(),
            intervals_s: Recent::new(INTERVALS),
            step_ns: None,
            resolution: None,
            pending: None,
            last_at_ns: None,
            last_raw: None,
            last_x: None,
            first_at_ns: None,
            counts: Counts::default(),
            options,
        }
    }

    /// The settings.
    #[must_use]
    pub fn options(&self) -> &BaselineOptions {
        &self.options
    }

    /// What was set aside, and what was noticed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The first and the last instant taken: how much history there is.
    #[must_use]
    pub fn span_ns(&self) -> Option<(i64, i64)> {
        let last = self.pending.map(|p| p.at_ns).or(self.last_at_ns)?;
        Some((self.first_at_ns.unwrap_or(last), last))
    }

    /// Takes the next sample. One of the same instant replaces the one before; an older one is skipped.
    pub fn push(&mut self, at_ns: i64, value: f64) -> Deviation {
        if !value.is_finite() {
            if is_stale(value) {
                self.counts.stale += 1;
            } else {
                self.counts.not_finite += 1;
            }
            return Deviation::none(State::Skipped);
        }
        let newest = self.pending.map(|p| p.at_ns).or(self.last_at_ns);
        if newest.is_some_and(|newest| at_ns < newest) {
            self.counts.out_of_order += 1;
            return Deviation::none(State::Skipped);
        }
        if self.pending.is_some_and(|p| p.at_ns == at_ns) {
            self.counts.replaced += 1;
            self.pending = None;
        } else {
            self.settle();
            self.first_at_ns.get_or_insert(at_ns);
            if let (Some(last), Some(step)) = (self.last_at_ns, self.step())
                && at_ns.saturating_sub(last) > step.saturating_mul(BREAK_STEPS)
            {
                self.counts.breaks += 1;
                self.recent.clear();
            }
        }
        self.score(at_ns, value)
    }

    /// Says that the process restarted after the last sample: counters begin anew, means too, and with the option `per_process` all.
    pub fn restart(&mut self) {
        self.settle();
        self.counts.restarts += 1;
        self.recent.clear();
        (self.last_raw, self.last_x) = (None, None);
        if self.options.per_process {
            let counts = self.counts;
            let last_at_ns = self.last_at_ns;
            *self = Baseline::new(self.options.clone());
            (self.counts, self.last_at_ns) = (counts, last_at_ns);
        }
    }

    /// The surprise of a sample against the past, which does not change; the sample is pending then.
    fn score(&mut self, at_ns: i64, raw: f64) -> Deviation {
        let x = match (self.options.kind, self.last_raw, self.last_at_ns) {
            (Kind::Gauge, ..) => Some(raw),
            (Kind::Counter, Some(before), Some(then)) if at_ns > then => {
                let increase = if raw < before { raw } else { raw - before };
                let covered_s = at_ns.saturating_sub(then) as f64 / 1e9;
                Some(increase / covered_s).filter(|rate| rate.is_finite())
            }
            (Kind::Counter, ..) => None,
        };
        let mut pending = Pending {
            at_ns,
            raw,
            x,
            surprise: 0.0,
            warming: true,
        };
        let mut level = None;
        let mut cause = None;
        let first = self.first_at_ns.unwrap_or(at_ns);
        let seen_long = at_ns.saturating_sub(first) >= self.options.warm_up_time.0;
        for (i, feature) in self.options.features.iter().enumerate() {
            let past = &mut self.pasts[i];
            past.pending = None;
            let y = x.and_then(|x| match feature {
                Feature::Value => Some(x),
                Feature::Mean(samples) => self.recent.mean_with(x, usize::from(*samples)),
                Feature::TimeOfDay => {
                    let usual = self.season.as_mut().and_then(|s| s.usual(at_ns))?;
                    Some(x - usual)
                }
            });
            let Some(y) = y.filter(|y| y.is_finite()) else {
                continue;
            };
            let (nearest, place) = past.memory.nearest(y);
            let nearest = nearest.unwrap_or(y);
            let gap = (y - nearest).abs().min(f64::MAX);
            past.pending = Some((y, gap, place));
            let seen = past.tail.count();
            if !seen_long || seen < u64::from(self.options.warm_up_samples) {
                continue;
            }
            pending.warming = false;
            let Some(shape) = past.tail.shape().filter(|shape| gap > shape.start) else {
                continue;
            };
            let level = *level.get_or_insert_with(|| self.level.median().unwrap_or(0.0));
            // Zero only where all was zero: then the least there is, as one value away is already a wonder.
            let finest = self
                .resolution
                .unwrap_or(0.0)
                .max(1e-9 * level.abs())
                .max(1e-12);
            let mean_excess = shape.mean_excess.max(0.01 * shape.start).max(finest);
            let beyond = (gap - shape.start) / (mean_excess * std::f64::consts::LN_10);
            let surprise = (beyond - (shape.above as f64 / seen as f64).log10()).min(HIGHEST);
            if surprise > pending.surprise && self.options.lets_pass(x.unwrap_or(level), level) {
                pending.surprise = surprise;
                cause = Some(Cause {
                    feature: *feature,
                    value: y,
                    nearest,
                    gap,
                    usual_gap: shape.start,
                    mean_excess,
                    above: shape.above,
                    seen,
                    level,
                });
            }
        }
        let record = self.hold.record(
            at_ns,
            u64::from(self.options.hold_samples),
            self.options.hold_time.map(|time| time.0),
        );
        self.pending = Some(pending);
        Deviation {
            state: if pending.warming {
                State::Warming
            } else {
                State::Scored
            },
            score: if pending.surprise > record {
                pending.surprise
            } else {
                0.0
            },
            surprise: pending.surprise,
            cause,
        }
    }

    /// Makes the pending sample part of the past.
    fn settle(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.counts.taken += 1;
        self.counts.warming += u64::from(pending.warming);
        for past in &mut self.pasts {
            if let Some((y, gap, place)) = past.pending.take() {
                past.tail.insert(gap, self.options.quantile);
                past.memory.insert(y, place);
            }
        }
        if let Some(x) = pending.x {
            self.recent.push(x);
            self.level.push(x);
            if let Some(season) = &mut self.season {
                season.push(pending.at_ns, x);
            }
            if pending.warming {
                let difference = self
                    .last_x
                    .map(|last| (x - last).abs())
                    .filter(|d| *d > 0.0 && d.is_finite());
                self.resolution = match (self.resolution, difference) {
                    (Some(least), Some(difference)) => Some(least.min(difference)),
                    (least, difference) => least.or(difference),
                };
            }
            self.last_x = Some(x);
        }
        self.hold.push(
            pending.at_ns,
            pending.surprise,
            u64::from(self.options.hold_samples),
        );
        if let (Some(last), None) = (self.last_at_ns, self.options.step) {
            self.intervals_s
                .push(pending.at_ns.saturating_sub(last) as f64);
            if self.counts.taken <= INTERVALS as u64
                || self.counts.taken.is_multiple_of(INTERVALS as u64)
            {
                #[allow(clippy::cast_possible_truncation)] // It was an i64.
                let step = self.intervals_s.median().map(|step| step as i64);
                self.step_ns = step;
            }
        }
        self.last_at_ns = Some(pending.at_ns);
        self.last_raw = Some(pending.raw);
    }

    fn step(&self) -> Option<i64> {
        self.options.step.map(|step| step.0).or(self.step_ns)
    }

    /// Bytes of memory that this state holds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let pasts = self
            .pasts
            .iter()
            .map(|p| p.memory.size_bytes() + p.tail.size_bytes());
        size_of::<Baseline>()
            + pasts.sum::<usize>()
            + self.recent.size_bytes()
            + self.level.size_bytes()
            + self.season.as_ref().map_or(0, Season::size_bytes)
    }

    /// The whole state as bytes: the same samples after [`from_bytes`](Baseline::from_bytes) give the same scores.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.bytes.extend_from_slice(MAGIC);
        self.options.write(&mut to);
        for past in &self.pasts {
            past.memory.write(&mut to);
            past.tail.write(&mut to);
            to.int(i64::from(past.pending.is_some()));
            let (y, gap, _) = past.pending.unwrap_or_default();
            to.float(y);
            to.float(gap);
        }
        self.recent.write(&mut to);
        self.level.write(&mut to);
        if let Some(season) = &self.season {
            season.write(&mut to);
        }
        self.hold.write(&mut to);
        self.intervals_s.write(&mut to);
        to.optional_int(self.step_ns);
        to.optional_float(self.resolution);
        to.int(i64::from(self.pending.is_some()));
        if let Some(pending) = self.pending {
            to.int(pending.at_ns);
            to.float(pending.raw);
            to.optional_float(pending.x);
            to.float(pending.surprise);
            to.int(i64::from(pending.warming));
        }
        to.optional_int(self.last_at_ns);
        to.optional_float(self.last_raw);
        to.optional_float(self.last_x);
        to.optional_int(self.first_at_ns);
        for count in self.counts.as_array() {
            to.count(usize::try_from(*count).unwrap_or(usize::MAX));
        }
        to.bytes
    }

    /// The state that [`to_bytes`](Baseline::to_bytes) gave.
    ///
    /// # Errors
    /// When the bytes are not a whole checkpoint of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Baseline> {
        let mut from = Reader::new(bytes)?;
        let mut baseline = Baseline::new(BaselineOptions::read(&mut from)?);
        let (form, quantile) = (baseline.options.form, baseline.options.quantile);
        for past in &mut baseline.pasts {
            past.memory = GapMemory::read(form, &mut from)?;
            past.tail = GapTail::read(form, quantile, &mut from)?;
            let is_some = from.int()? == 1;
            let (y, gap) = (from.float()?, from.float()?);
            if !y.is_finite() || !gap.is_finite() || gap < 0.0 {
                return Err(from.wrong("value and gap of the newest sample"));
            }
            past.pending = is_some.then(|| (y, gap, past.memory.nearest(y).1));
        }
        let longest = baseline.recent.length();
        baseline.recent = Recent::read(longest, &mut from)?;
        baseline.level = Recent::read(LEVEL_SAMPLES, &mut from)?;
        if let Some(season) = &mut baseline.season {
            *season = Season::read(&mut from)?;
        }
        baseline.hold = RecordHold::read(&mut from)?;
        baseline.intervals_s = Recent::read(INTERVALS, &mut from)?;
        baseline.step_ns = from.optional_int()?;
        baseline.resolution = from.optional_float()?;
        if from.int()? == 1 {
            baseline.pending = Some(Pending {
                at_ns: from.int()?,
                raw: from.float()?,
                x: from.optional_float()?,
                surprise: from.float()?,
                warming: from.int()? == 1,
            });
        }
        baseline.last_at_ns = from.optional_int()?;
        baseline.last_raw = from.optional_float()?;
        baseline.last_x = from.optional_float()?;
        baseline.first_at_ns = from.optional_int()?;
        for count in baseline.counts.as_array_mut() {
            *count = from.count()? as u64;
        }
        from.end()?;
        Ok(baseline)
    }
}

impl Deviation {
    fn none(state: State) -> Deviation {
        Deviation {
            state,
            score: 0.0,
            surprise: 0.0,
            cause: None,
        }
    }
}

impl Counts {
    fn as_array(&self) -> [&u64; 8] {
        let Counts {
            taken,
            warming,
            not_finite,
            stale,
            replaced,
            out_of_order,
            breaks,
            restarts,
        } = self;
        [
            taken,
            warming,
            not_finite,
            stale,
            replaced,
            out_of_order,
            breaks,
            restarts,
        ]
    }

    fn as_array_mut(&mut self) -> [&mut u64; 8] {
        let Counts {
            taken,
            warming,
            not_finite,
            stale,
            replaced,
            out_of_order,
            breaks,
            restarts,
        } = self;
        [
            taken,
            warming,
            not_finite,
            stale,
            replaced,
            out_of_order,
            breaks,
            restarts,
        ]
    }
}

impl BaselineOptions {
    /// The effect guard and the direction.
    fn lets_pass(&self, x: f64, level: f64) -> bool {
        let right_way = match self.direction {
            Direction::Up => x > level,
            Direction::Down => x < level,
            Direction::Both => true,
        };
        right_way && (x - level).abs() >= self.least_absolute.max(self.least_relative * level.abs())
    }
}

#[cfg(test)]
mod tests;
