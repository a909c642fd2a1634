//! Simulated floors, to measure how often a leak rule is wrong.

use super::Floors;

/// What happens to the floors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// They stay.
    Flat,
    /// They step up once, by this share of the level, somewhere in the middle four fifths.
    Step(f64),
    /// They rise evenly by this share of the level over the window.
    Leak(f64),
    /// A daily wave of this height (share of the level), with a leak of this size on top.
    Wave(f64, f64),
}

/// Floors with noise of 2 % of the level.
///
/// ```
/// # use memwatch_core::stats::leak::simulated::{Shape, Simulated};
/// let floors = Simulated { shape: Shape::Leak(0.1), ar: 0.6, ..Simulated::default() }.floors(7);
/// assert_eq!(floors.len(), 120);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// What happens.
    pub shape: Shape,
    /// How many floors.
    pub count: usize,
    /// Days that they cover.
    pub days: f64,
    /// Correlation of successive noise, AR(1).
    pub ar: f64,
    /// Share of floors that are inflated 1.3 times: a collection that came late.
    pub outliers: f64,
}

impl Default for Simulated {
    /// 120 flat floors over 6 hours with independent noise.
    fn default() -> Simulated {
        Simulated {
            shape: Shape::Flat,
            count: 120,
            days: 0.25,
            ar: 0.0,
            outliers: 0.0,
        }
    }
}

/// The level that floors begin at.
pub const LEVEL: f64 = 100e6;
/// Standard deviation of the noise, share of the level.
const NOISE: f64 = 0.02;
const DAY_NS: f64 = 86_400e9;

impl Simulated {
    /// The floors of one run; the same seed gives the same.
    #[must_use]
    pub fn floors(&self, seed: u64) -> Floors {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6d65_6d77_6174_6368);
        let count = self.count as f64;
        let step_at = count * (0.1 + 0.8 * random.uniform());
        let phase = random.uniform();
        let bucket_ns = self.days * DAY_NS / count;
        let mut noise = random.normal();
        let mut floors = Floors {
            bucket_ns,
            window_ns: bucket_ns * count,
            ..Floors::default()
        };
        for i in 0..self.count {
            let done = i as f64 / (count - 1.0).max(1.0);
            let wave = (std::f64::consts::TAU * (done * self.days + phase)).sin();
            let shape = match self.shape {
                Shape::Flat => 1.0,
                Shape::Step(height) => 1.0 + if i as f64 >= step_at { height } else { 0.0 },
                Shape::Leak(growth) => 1.0 + growth * done,
                Shape::Wave(height, growth) => 1.0 + height * wave + growth * done,
            };
            let inflated = if random.uniform() < self.outliers {
                1.3
            } else {
                1.0
            };
            #[allow(clippy::cast_possible_truncation)] // Some days of nanoseconds.
            floors.at_ns.push(((i as f64 + 0.5) * bucket_ns) as i64);
            floors
                .values
                .push(LEVEL * (shape + NOISE * noise) * inflated);
            noise = self.ar * noise + (1.0 - self.ar * self.ar).sqrt() * random.normal();
        }
        floors
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
