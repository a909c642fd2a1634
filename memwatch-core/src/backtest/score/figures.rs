//! The score of some alerts: counts, and what follows from them.

use crate::Nanos;
use crate::backtest::intervals::wilson;

use super::timing::LeadTime;

/// The score of some alerts: of a rule, of a severity, or of all. How alerts are matched is defined in `backtest`'s documentation of
/// scores; each measure here.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// Incidents that could be hit: for a rule that says what it detects, those of its kinds.
    pub incidents: u64,
    /// Of these, those hit.
    pub hit: u64,
    /// First hits, also of incidents of other kinds.
    pub true_alerts: u64,
    /// Of the first hits, those in incidents of kinds that no rule of these alerts names.
    pub other_kind: u64,
    /// Later hits of the same incident.
    pub duplicates: u64,
    /// Alerts in no incident, those in benign stretches among them.
    pub false_alerts: u64,
    /// Of the false ones, those in benign stretches.
    pub benign: u64,
    /// Alerts in unlabelled stretches.
    pub ignored: u64,
    /// Alerts of services without labels.
    pub unscored: u64,
    /// `hit / incidents`
    pub recall: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub recall_interval: Option<(f64, f64)>,
    /// `true / (true + false)`
    pub precision: Option<f64>,
    /// Its 95 % interval (Wilson).
    pub precision_interval: Option<(f64, f64)>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// As F1, precision weighing twice as much.
    pub f05: Option<f64>,
    /// Share of the time that lies in incidents: the precision of random alerts.
    pub chance: f64,
    /// `(precision − chance) / (1 − chance)`
    pub skill: Option<f64>,
    /// Median of the time to detect over all incidents; `None` when it falls to a missed one, which took forever.
    pub detect_median: Option<Nanos>,
    /// 90 % quantile of the time to detect over all incidents; `None` when it falls to a missed one.
    pub detect_p90: Option<Nanos>,
    /// How long before the impact the alerts came; `None` when no incident says when its impact was.
    pub lead: Option<LeadTime>,
    /// For how long the processes were watched, summed, in days: recorded, and after warm-up.
    pub series_days: f64,
    /// Share of the processes' recorded time in which no rule of these alerts could say anything yet, because what it looks back at was
    /// not recorded: neither watched nor counted.
    pub warm_up_share: f64,
    /// False alerts per day and process.
    pub false_per_series_day: Option<f64>,
    /// Its 95 % interval (exact Poisson).
    pub false_interval: Option<(f64, f64)>,
    /// Alerts per day of the range.
    pub alerts_per_day: f64,
    /// Share of the processes' time in which an alert of their service fires.
    pub firing_share: f64,
    /// Alerts that fired again within 15 minutes of being resolved.
    pub flaps: u64,
    /// Most alerts that fired within an hour.
    pub storm: u64,
}

impl Score {
    /// Fills in what follows from the counts.
    pub(super) fn follow(&mut self) {
        self.recall = share(self.hit, self.incidents);
        self.recall_interval = wilson(self.hit, self.incidents);
        let judged = self.true_alerts + self.false_alerts;
        self.precision = share(self.true_alerts, judged);
        self.precision_interval = wilson(self.true_alerts, judged);
        if let (Some(p), Some(r)) = (self.precision, self.recall) {
            self.f1 = Some(f_measure(p, r, 1.0));
            self.f05 = Some(f_measure(p, r, 0.5));
        }
        self.skill = self
            .precision
            .filter(|_| self.chance < 1.0)
            .map(|p| (p - self.chance) / (1.0 - self.chance));
    }
}

/// `part / of`; nothing for nothing.
pub(in crate::backtest) fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// The F measure in which precision weighs `1 / beta` times as much as recall; 0 when both are 0.
///
/// Formula: (1 + β²)·P·R / (β²·P + R), van Rijsbergen 1979.
pub(in crate::backtest) fn f_measure(precision: f64, recall: f64, beta: f64) -> f64 {
    let b2 = beta * beta;
    let below = b2 * precision + recall;
    if below > 0.0 {
        (1.0 + b2) * precision * recall / below
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_measures_as_in_textbooks() {
        for (p, r, beta, f) in [
            (0.5, 0.5, 1.0, 0.5),
            (1.0, 0.5, 1.0, 2.0 / 3.0),
            (1.0, 0.5, 0.5, 5.0 / 6.0),
            (0.5, 1.0, 0.5, 5.0 / 9.0),
            (0.0, 0.0, 0.5, 0.0),
        ] {
            assert!((f_measure(p, r, beta) - f).abs() < 1e-12, "{p} {r} {beta}");
        }
    }
}
