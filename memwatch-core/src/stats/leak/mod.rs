//! Does memory grow and never come back? (`leak`, `time_to_limit`)
//!
//! Looked at are [`Floors`]: what is left after each collection. A leak is a trend that is not chance (Mann and Kendall's test,
//! corrected for floors that follow one another), not small (3 % over the window) and not one step up (a cache that filled): the line
//! must fit better than the best step. The trend is the median of all slopes (Theil and Sen), so single late collections do not matter.
//! A window over two days or more is first freed of its daily wave.

mod floors;
mod season;
pub mod simulated;

pub use floors::Floors;

/// The settings of the verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakOptions {
    /// With fewer floors there is no verdict.
    pub least_floors: usize,
    /// Nor if less of the window, as a share, lies between the first and the last of them: a process that has just started fills its
    /// heap, and does so in a line.
    pub least_span: f64,
    /// Growth over the window that counts, share of the median floor.
    pub least_growth: f64,
    /// Growth over the window that counts, in the unit of the floors.
    pub least_amount: f64,
    /// The period of a wave that is taken out of windows that hold it twice.
    pub period_ns: i64,
}

impl Default for LeakOptions {
    /// 60 floors over half of the window, 3 %, any amount, a day.
    fn default() -> LeakOptions {
        LeakOptions {
            least_floors: 60,
            least_span: 0.5,
            least_growth: 0.03,
            least_amount: 0.0,
            period_ns: 86_400_000_000_000,
        }
    }
}

/// One-sided 0.1 %: from here on a trend is not chance.
pub const Z_LEAK: f64 = 3.09;
/// One-sided 5 %: below it a leak that was found is over.
pub const Z_RESOLVED: f64 = 1.64;
/// Two-sided 90 %, for the interval of the slope.
const Z_INTERVAL: f64 = 1.644_853_626_951_472_2;
/// Floors that each side of a step has at least.
const STEP_SIDE: usize = 5;

/// The verdict and its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leak {
    /// Whether it is one: `z_eff` above [`Z_LEAK`], growth enough, and the line fits no worse than a step.
    pub leak: bool,
    /// Whether a leak found earlier is over: `z_eff` below [`Z_RESOLVED`], or the floors came back.
    pub resolved: bool,
    /// Growth a second: the median of all slopes.
    pub slope: f64,
    /// 90 % interval of the slope.
    pub slope_interval: (f64, f64),
    /// What the floor is now, by the line.
    pub level: f64,
    /// Growth over the window, share of the median floor.
    pub growth: f64,
    /// Growth over the window.
    pub amount: f64,
    /// Mann and Kendall's z.
    pub z: f64,
    /// Correlation of each floor with the next, about the line; not below 0.
    pub correlation: f64,
    /// `z·√((1 − r)/(1 + r))` with that correlation.
    pub z_eff: f64,
    /// Squared residuals of the least-squares line.
    pub line_residuals: f64,
    /// Squared residuals of the best step with five floors on each side.
    pub step_residuals: f64,
    /// Index of the first floor after that step.
    pub step_index: usize,
    /// How many floors were looked at.
    pub floors: usize,
    /// Whether a wave was taken out.
    pub deseasonalized: bool,
}

/// How long until the line reaches a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeToLimit {
    /// Seconds from the last floor; 0 when the limit is reached.
    pub seconds: f64,
    /// From the upper end of the slope's 90 % interval.
    pub earliest: f64,
    /// From its lower end; infinite when that does not rise.
    pub latest: f64,
}

/// Judges floors; `None` with too few of them, or when all are of one instant.
///
/// ```
/// # use memwatch_core::stats::leak::{leak, LeakOptions, simulated::{Shape, Simulated}};
/// let floors = Simulated { shape: Shape::Leak(0.2), ..Simulated::default() }.floors(1);
/// let verdict = leak(&floors, &LeakOptions::default()).unwrap();
/// assert!(verdict.leak);
/// // 100 MB grew by 20 % in 6 hours; at 160 MB in 12 more.
/// let left = verdict.time_to_limit(160e6).unwrap();
/// assert!((left.seconds / 43_200.0 - 1.0).abs() < 0.1);
/// ```
#[must_use]
pub fn leak(floors: &Floors, options: &LeakOptions) -> Option<Leak> {
    let n = floors.len();
    if n < options.least_floors.max(2 * STEP_SIDE) {
        return None;
    }
    // Seconds before the last floor, so that the level now is the line's height at 0.
    let now_ns = floors.at_ns[n - 1];
    let t: Vec<f64> = floors
        .at_ns
        .iter()
        .map(|at| (at - now_ns) as f64 / 1e9)
        .collect();
    let span_s = t[n - 1] - t[0];
    let whole_s = floors.window_ns / 1e9;
    if span_s <= 0.0 || span_s + floors.bucket_ns / 1e9 < options.least_span * whole_s {
        return None;
    }
    let deseasonalized = (span_s + floors.bucket_ns / 1e9) * 1e9 >= 2.0 * options.period_ns as f64;
    let y = if deseasonalized {
        let (phase, phases) = phases(floors, options.period_ns);
        season::without_wave(&t, &floors.values, &phase, phases)
    } else {
        floors.values.clone()
    };

    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    let mut rises = 0_i64;
    for i in 0..n {
        for j in i + 1..n {
            rises += sign(y[j] - y[i]);
            if t[j] > t[i] {
                slopes.push((y[j] - y[i]) / (t[j] - t[i]));
            }
        }
    }
    let slope = median(&mut slopes)?;
    let mut about: Vec<f64> = t.iter().zip(&y).map(|(t, y)| y - slope * t).collect();
    let correlation = lag_one(&about).clamp(0.0, 0.999);
    let level = median(&mut about)?;

    let variance = variance_of_s(&y);
    let s = rises as f64;
    let z = if variance > 0.0 {
        (s - s.signum() * f64::from(rises != 0)) / variance.sqrt()
    } else {
        0.0
    };
    let z_eff = z * ((1.0 - correlation) / (1.0 + correlation)).sqrt();
    let half = Z_INTERVAL * (variance * (1.0 + correlation) / (1.0 - correlation)).sqrt();
    let slope_interval = interval(&mut slopes, half);

    let middle = median(&mut y.clone())?;
    let amount = slope * span_s;
    let growth = if amount == 0.0 {
        0.0
    } else {
        amount / middle.abs()
    };
    let (line_residuals, step_residuals, step_index) = line_and_step(&t, &y);

    let returned = {
        let mut first_third = y[..n / 3].to_vec();
        let mut last_tenth = y[n - (n / 10).max(1)..].to_vec();
        median(&mut last_tenth)? < median(&mut first_third)?
    };
    Some(Leak {
        leak: z_eff > Z_LEAK
            && growth >= options.least_growth
            && amount >= options.least_amount
            && line_residuals <= step_residuals,
        resolved: z_eff < Z_RESOLVED || returned,
        slope,
        slope_interval,
        level,
        growth,
        amount,
        z,
        correlation,
        z_eff,
        line_residuals,
        step_residuals,
        step_index,
        floors: n,
        deseasonalized,
    })
}

impl Leak {
    /// How long until the floor reaches `limit` (GOMEMLIMIT, the limit of the cgroup, or the user's); `None` when it does not rise.
    #[must_use]
    pub fn time_to_limit(&self, limit: f64) -> Option<TimeToLimit> {
        let left = (limit - self.level).max(0.0);
        let at = |slope: f64| match slope > 0.0 {
            _ if left == 0.0 => 0.0,
            true => left / slope,
            false => f64::INFINITY,
        };
        (self.slope > 0.0).then(|| TimeToLimit {
            seconds: at(self.slope),
            earliest: at(self.slope_interval.1),
            latest: at(self.slope_interval.0),
        })
    }
}

/// The phase of each floor within the period, in steps of its bucket, and how many phases there are.
fn phases(floors: &Floors, period_ns: i64) -> (Vec<usize>, usize) {
    let count = (period_ns as f64 / floors.bucket_ns).round().max(1.0);
    let phase = floors.at_ns.iter().map(|at| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Below the number of phases.
        let phase = (at.rem_euclid(period_ns) as f64 / period_ns as f64 * count) as usize;
        phase
    });
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // No more than half of the floors and a few.
    let count = count as usize;
    (phase.map(|phase| phase.min(count - 1)).collect(), count)
}

fn sign(difference: f64) -> i64 {
    i64::from(difference > 0.0) - i64::from(difference < 0.0)
}

/// Variance of Mann and Kendall's S without a trend, corrected for ties.
fn variance_of_s(y: &[f64]) -> f64 {
    let term = |count: usize| {
        let n = count as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let mut sorted = y.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a == b)
        .map(|tied| term(tied.len()))
        .sum();
    (term(y.len()) - ties) / 18.0
}

/// Correlation of each value with the next.
fn lag_one(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let products: f64 = values
        .windows(2)
        .map(|w| (w[0] - mean) * (w[1] - mean))
        .sum();
    if squares > 0.0 {
        products / squares
    } else {
        0.0
    }
}

/// The slopes of rank `(M ± half)/2`.
fn interval(slopes: &mut [f64], half: f64) -> (f64, f64) {
    let last = slopes.len() - 1;
    let rank = |at: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped.
        let rank = at.clamp(0.0, last as f64) as usize;
        rank
    };
    let count = slopes.len() as f64;
    let low = rank(((count - half) / 2.0).floor());
    let high = rank(((count + half) / 2.0).ceil());
    let (_, low, _) = slopes.select_nth_unstable_by(low, f64::total_cmp);
    let low = *low;
    let (_, high, _) = slopes.select_nth_unstable_by(high, f64::total_cmp);
    (low, *high)
}

/// Squared residuals of the least-squares line and of the best step, and where that step is.
fn line_and_step(t: &[f64], y: &[f64]) -> (f64, f64, usize) {
    let n = y.len();
    let count = n as f64;
    let (mean_t, mean_y) = (t.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let (mut tt, mut ty, mut yy) = (0.0, 0.0, 0.0);
    for (t, y) in t.iter().zip(y) {
        let (dt, dy) = (t - mean_t, y - mean_y);
        tt += dt * dt;
        ty += dt * dy;
        yy += dy * dy;
    }
    let line = (yy - ty * ty / tt).max(0.0);
    // A split takes Σ²/n of either side off the squares about the mean; as the sums are opposite, (Σ²)(1/n₁ + 1/n₂).
    let (mut best, mut at, mut sum) = (0.0, STEP_SIDE, 0.0);
    for (i, y) in y.iter().enumerate() {
        if i >= STEP_SIDE && i + STEP_SIDE <= n {
            let gain = sum * sum * (1.0 / i as f64 + 1.0 / (n - i) as f64);
            if gain > best {
                (best, at) = (gain, i);
            }
        }
        sum += y - mean_y;
    }
    (line, (yy - best).max(0.0), at)
}

/// The median, by selection; `None` of nothing.
fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    values.select_nth_unstable_by(middle, f64::total_cmp);
    if values.len().is_multiple_of(2) {
        let upper = values[middle];
        let lower = values[..middle]
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        return Some(lower + (upper - lower) / 2.0);
    }
    Some(values[middle])
}

#[cfg(test)]
mod tests;
