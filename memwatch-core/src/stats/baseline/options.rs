//! What a baseline looks at, and how much it takes to surprise it.

use std::fmt;

use super::checkpoint::{Reader, Writer};
use crate::{Nanos, Result};

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// All values and gaps, in trees: for recorded history.
    Exact,
    /// At most 1024 values and a histogram of the gaps, 32 KiB a feature: for live use.
    #[default]
    Bounded,
}

/// What is compared with its own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The value itself.
    Value,
    /// The mean of the last so many samples (2 to 1000): sees a level that single noisy values hide.
    Mean(u16),
    /// The value less what is usual at this time of day (UTC): sees a familiar value at the wrong time. Needs three days.
    TimeOfDay,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Feature::Value => f.write_str("value"),
            Feature::Mean(samples) => write!(f, "mean of {samples}"),
            Feature::TimeOfDay => f.write_str("value against the time of day"),
        }
    }
}

/// Which way a surprise must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Above the median of the last 1000 samples: right for pauses, heap, goroutines.
    Up,
    /// Below it.
    Down,
    /// Either.
    #[default]
    Both,
}

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A level, taken as it is.
    #[default]
    Gauge,
    /// A running total, taken as increase per second from sample to sample; a fall is a reset.
    Counter,
}

/// The settings of a [`Baseline`](super::Baseline).
///
/// ```
/// # use memwatch_core::stats::baseline::{BaselineOptions, Direction};
/// let options = BaselineOptions::default().direction(Direction::Up).least_effect(1e6, 0.1);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineOptions {
    pub(super) form: Form,
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) features: Vec<Feature>,
    pub(super) quantile: f64,
    pub(super) warm_up_samples: u32,
    pub(super) warm_up_time: Nanos,
    pub(super) hold_samples: u32,
    pub(super) hold_time: Option<Nanos>,
    pub(super) least_absolute: f64,
    pub(super) least_relative: f64,
    pub(super) step: Option<Nanos>,
    pub(super) per_process: bool,
}

impl Default for BaselineOptions {
    /// A gauge in bounded memory, both directions, features value, mean of 3 and mean of 30 at quantile 0.98; warm after 150 samples
    /// and 5 minutes (two GC-forced periods); a record holds for 60 samples; at least 5 % away from the median.
    fn default() -> BaselineOptions {
        BaselineOptions {
            form: Form::Bounded,
            kind: Kind::Gauge,
            direction: Direction::Both,
            features: vec![Feature::Value, Feature::Mean(3), Feature::Mean(30)],
            quantile: 0.98,
            warm_up_samples: 150,
            warm_up_time: Nanos(5 * Nanos::MINUTE.0),
            hold_samples: 60,
            hold_time: None,
            least_absolute: 0.0,
            least_relative: 0.05,
            step: None,
            per_process: false,
        }
    }
}

impl BaselineOptions {
    /// Keeps all of the past, or a bounded image of it.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Whether the values are levels or running totals.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Which way a surprise must go.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// What is compared with its past, and from which quantile of the gaps their tail is fitted: 0.97 for one feature, 0.98 for several,
    /// since the highest of several is taken.
    ///
    /// # Panics
    /// When there is no feature, a mean is of fewer than 2 or more than 1000 samples, or the quantile is not inside of (0, 1).
    #[must_use]
    pub fn features(mut self, features: &[Feature], quantile: f64) -> Self {
        assert!(!features.is_empty(), "at least one feature");
        assert!(
            quantile > 0.0 && quantile < 1.0,
            "a quantile inside of (0, 1)"
        );
        assert!(features.iter().all(valid), "a mean of 2 to 1000 samples");
        self.features = features.to_vec();
        self.quantile = quantile;
        self
    }

    /// How much must be seen before anything is scored: so many samples and so much time.
    ///
    /// # Panics
    /// Below 50 samples: there is no tail then.
    #[must_use]
    pub fn warm_up(mut self, samples: u32, time: Nanos) -> Self {
        assert!(samples >= 50, "a warm-up of at least 50 samples");
        self.warm_up_samples = samples;
        self.warm_up_time = time;
        self
    }

    /// How long a surprise keeps equal or lesser ones silent: so many samples, but no longer than `time`.
    #[must_use]
    pub fn hold(mut self, samples: u32, time: Option<Nanos>) -> Self {
        self.hold_samples = samples;
        self.hold_time = time;
        self
    }

    /// How far a value must be from the median of the last 1000 to count at all: absolute, and as a share of the median.
    #[must_use]
    pub fn least_effect(mut self, absolute: f64, relative: f64) -> Self {
        self.least_absolute = absolute;
        self.least_relative = relative;
        self
    }

    /// The sampling interval. By default the median of the last 16 intervals.
    #[must_use]
    pub fn step(mut self, step: Option<Nanos>) -> Self {
        self.step = step;
        self
    }

    /// Whether a restarted process forgets everything. By default it keeps what was learned: the memory belongs to the service.
    #[must_use]
    pub fn per_process(mut self, per_process: bool) -> Self {
        self.per_process = per_process;
        self
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.int(match self.form {
            Form::Exact => 0,
            Form::Bounded => 1,
        });
        to.int(match self.kind {
            Kind::Gauge => 0,
            Kind::Counter => 1,
        });
        to.int(match self.direction {
            Direction::Up => 0,
            Direction::Down => 1,
            Direction::Both => 2,
        });
        to.count(self.features.len());
        for feature in &self.features {
            to.int(match feature {
                Feature::Value => 1,
                Feature::Mean(samples) => i64::from(*samples),
                Feature::TimeOfDay => 0,
            });
        }
        to.float(self.quantile);
        to.int(i64::from(self.warm_up_samples));
        to.int(self.warm_up_time.0);
        to.int(i64::from(self.hold_samples));
        to.optional_int(self.hold_time.map(|time| time.0));
        to.float(self.least_absolute);
        to.float(self.least_relative);
        to.optional_int(self.step.map(|step| step.0));
        to.int(i64::from(self.per_process));
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<BaselineOptions> {
        let mut options = BaselineOptions {
            form: match from.int()? {
                0 => Form::Exact,
                1 => Form::Bounded,
                _ => return Err(from.wrong("a form")),
            },
            kind: match from.int()? {
                0 => Kind::Gauge,
                1 => Kind::Counter,
                _ => return Err(from.wrong("a kind")),
            },
            direction: match from.int()? {
                0 => Direction::Up,
                1 => Direction::Down,
                2 => Direction::Both,
                _ => return Err(from.wrong("a direction")),
            },
            features: Vec::new(),
            ..BaselineOptions::default()
        };
        for _ in 0..from.count()? {
            let feature = match from.int()? {
                0 => Feature::TimeOfDay,
                1 => Feature::Value,
                samples => Feature::Mean(u16::try_from(samples).unwrap_or(0)),
            };
            if !valid(&feature) {
                return Err(from.wrong("a feature"));
            }
            options.features.push(feature);
        }
        options.quantile = from.float()?;
        if options.features.is_empty() || !(options.quantile > 0.0 && options.quantile < 1.0) {
            return Err(from.wrong("features and a quantile inside of (0, 1)"));
        }
        options.warm_up_samples = samples(from)?;
        options.warm_up_time = Nanos(from.int()?);
        options.hold_samples = samples(from)?;
        options.hold_time = from.optional_int()?.map(Nanos);
        options.least_absolute = from.float()?;
        options.least_relative = from.float()?;
        options.step = from.optional_int()?.map(Nanos);
        options.per_process = from.int()? == 1;
        Ok(options)
    }
}

fn samples(from: &mut Reader<'_>) -> Result<u32> {
    u32::try_from(from.int()?).map_err(|_| from.wrong("a number of samples"))
}

fn valid(feature: &Feature) -> bool {
    match feature {
        Feature::Mean(samples) => (2..=1000).contains(samples),
        Feature::Value | Feature::TimeOfDay => true,
    }
}
