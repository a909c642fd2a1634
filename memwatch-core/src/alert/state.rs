//! The state of one alert: inactive, pending, firing, resolved.

use crate::{Nanos, Timestamp};

/// How long a resolved alert is remembered, so that it is still sent as resolved.
pub const RESOLVED_RETENTION: Nanos = Nanos(15 * Nanos::MINUTE.0);

/// For how long a condition must hold, and an alert is held after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hold {
    /// `for`: an alert fires at the first evaluation at least this long after it became pending.
    pub pending: Nanos,
    /// `keep_firing_for`: a firing alert resolves when the condition was missing for at least this long.
    pub keep_firing: Nanos,
}

/// The state of one alert, as Prometheus keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlertState {
    /// The condition does not hold.
    #[default]
    Inactive,
    /// The condition holds, but not yet for long enough.
    Pending {
        /// First evaluation at which it held.
        active_at: Timestamp,
    },
    /// The condition held for long enough, or is missing for not long enough.
    Firing {
        /// First evaluation at which it held.
        active_at: Timestamp,
        /// Evaluation at which the alert fired.
        fired_at: Timestamp,
        /// First evaluation at which it was missing since it last held.
        missing_since: Option<Timestamp>,
    },
    /// The condition no longer holds; kept for [`RESOLVED_RETENTION`].
    Resolved {
        /// First evaluation at which it held.
        active_at: Timestamp,
        /// Evaluation at which the alert fired.
        fired_at: Timestamp,
        /// Evaluation at which it resolved.
        resolved_at: Timestamp,
    },
}

impl AlertState {
    /// The state after the evaluation at `now`, at which the condition held or did not.
    ///
    /// Evaluations come in the order of time. The rules are Prometheus' (`rules/alerting.go`).
    ///
    /// ```
    /// # use memwatch_core::{Nanos, Timestamp, alert::{AlertState, Hold}};
    /// let hold = Hold { pending: Nanos::SECOND, ..Hold::default() };
    /// let first = AlertState::Inactive.step(Timestamp(0), true, &hold);
    /// assert_eq!(first, AlertState::Pending { active_at: Timestamp(0) });
    /// let second = first.step(Timestamp(1_000_000_000), true, &hold);
    /// assert!(matches!(second, AlertState::Firing { .. }));
    /// ```
    #[must_use]
    pub fn step(self, now: Timestamp, condition: bool, hold: &Hold) -> AlertState {
        match (self, condition) {
            (AlertState::Inactive | AlertState::Resolved { .. }, true) => {
                AlertState::Pending { active_at: now }.ripen(now, hold)
            }
            (AlertState::Pending { .. }, true) => self.ripen(now, hold),
            (
                AlertState::Firing {
                    active_at,
                    fired_at,
                    ..
                },
                true,
            ) => AlertState::Firing {
                active_at,
                fired_at,
                missing_since: None,
            },
            (AlertState::Inactive | AlertState::Pending { .. }, false) => AlertState::Inactive,
            (
                AlertState::Firing {
                    active_at,
                    fired_at,
                    missing_since,
                },
                false,
            ) => {
                let since = missing_since.unwrap_or(now);
                if now.since(since) < hold.keep_firing {
                    AlertState::Firing {
                        active_at,
                        fired_at,
                        missing_since: Some(since),
                    }
                } else {
                    AlertState::Resolved {
                        active_at,
                        fired_at,
                        resolved_at: now,
                    }
                }
            }
            (AlertState::Resolved { resolved_at, .. }, false) => {
                if now.since(resolved_at) > RESOLVED_RETENTION {
                    AlertState::Inactive
                } else {
                    self
                }
            }
        }
    }

    fn ripen(self, now: Timestamp, hold: &Hold) -> AlertState {
        match self {
            AlertState::Pending { active_at } if now.since(active_at) >= hold.pending => {
                AlertState::Firing {
                    active_at,
                    fired_at: now,
                    missing_since: None,
                }
            }
            other => other,
        }
    }

    /// The earliest instant at which time alone moves it on, as long as the condition stays as it was at the last evaluation; `None`: it
    /// stays as it is.
    #[must_use]
    pub fn moves_at(self, hold: &Hold) -> Option<Timestamp> {
        match self {
            AlertState::Inactive => None,
            AlertState::Pending { active_at } => Some(active_at.plus(hold.pending)),
            AlertState::Firing { missing_since, .. } => Some(missing_since?.plus(hold.keep_firing)),
            AlertState::Resolved { resolved_at, .. } => {
                Some(resolved_at.plus(RESOLVED_RETENTION).plus(Nanos(1)))
            }
        }
    }

    /// Whether it is pending or firing.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, AlertState::Pending { .. } | AlertState::Firing { .. })
    }

    /// Whether it is firing.
    #[must_use]
    pub fn is_firing(self) -> bool {
        matches!(self, AlertState::Firing { .. })
    }

    /// When the condition began to hold, of an alert that is not inactive.
    #[must_use]
    pub fn active_at(self) -> Option<Timestamp> {
        match self {
            AlertState::Inactive => None,
            AlertState::Pending { active_at }
            | AlertState::Firing { active_at, .. }
            | AlertState::Resolved { active_at, .. } => Some(active_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs a condition per evaluation (`T` holds, `.` does not) and gives the state after each: `p`ending, `F`iring, `k`ept firing,
    /// `r`esolved, `.` inactive. The clock of pending alerts starts anew where a `p` follows something else.
    fn states(interval_s: i64, pending_s: i64, keep_s: i64, conditions: &str) -> String {
        let hold = Hold {
            pending: Nanos(pending_s * Nanos::SECOND.0),
            keep_firing: Nanos(keep_s * Nanos::SECOND.0),
        };
        let mut state = AlertState::Inactive;
        conditions
            .bytes()
            .enumerate()
            .map(|(i, condition)| {
                let now = Timestamp(i64::try_from(i).unwrap() * interval_s * Nanos::SECOND.0);
                state = state.step(now, condition == b'T', &hold);
                match state {
                    AlertState::Inactive => '.',
                    AlertState::Pending { .. } => 'p',
                    AlertState::Firing {
                        missing_since: None,
                        ..
                    } => 'F',
                    AlertState::Firing { .. } => 'k',
                    AlertState::Resolved { .. } => 'r',
                }
            })
            .collect()
    }

    #[track_caller]
    fn check(interval_s: i64, pending_s: i64, keep_s: i64, conditions: &str, expected: &str) {
        assert_eq!(
            states(interval_s, pending_s, keep_s, conditions),
            expected,
            "interval {interval_s} s, for {pending_s} s, keep {keep_s} s, {conditions}"
        );
    }

    #[test]
    fn p5_fires_at_the_first_evaluation_at_least_for_after_the_first_match() {
        check(15, 0, 0, "TT", "FF"); // `for: 0` fires at once.
        check(15, 1, 0, "TTT", "pFF"); // 0 < for ≤ interval: the second evaluation.
        check(15, 15, 0, "TTT", "pFF");
        check(15, 16, 0, "TTT", "ppF");
        check(15, 30, 0, "TTTT", "ppFF"); // The third.
        check(15, 31, 0, "TTTT", "pppF");
    }

    #[test]
    fn p6_one_missing_evaluation_drops_pending_and_resolves_firing() {
        check(1, 2, 0, "TT.TTT", "pp.ppF");
        check(1, 1, 0, "TT.T", "pFrp");
        check(1, 0, 0, "T.T.", "FrFr");
    }

    #[test]
    fn p7_keep_firing_counts_from_the_first_missing_evaluation() {
        check(1, 0, 2, "T....", "Fkkrr"); // Missing at 1 s; resolves when 3 s − 1 s ≥ 2 s.
        check(1, 0, 2, "T..T...", "FkkFkkr"); // A return clears the count.
        check(1, 2, 3, "TTT.T", "ppFkF"); // Without passing `for` again.
        check(1, 2, 9, "TT.", "pp."); // Pending alerts are not kept.
        check(1, 0, 1, "T..", "Fkr");
        check(5, 0, 1, "T..", "Fkr"); // The first missing evaluation has since = 0 < keep.
    }

    #[test]
    fn p9_a_resolved_alert_is_retained_for_15_minutes_and_a_match_is_a_new_alert() {
        // A minute each: resolved at minute 1, remembered while minutes − 1 ≤ 15.
        check(60, 0, 0, "T..................", "Frrrrrrrrrrrrrrrr..");
        let hold = Hold::default();
        let at = |s: i64| Timestamp(s * Nanos::SECOND.0);
        let resolved = AlertState::Inactive
            .step(at(0), true, &hold)
            .step(at(1), false, &hold);
        let again = resolved.step(at(2), true, &hold);
        assert_eq!(again.active_at(), Some(at(2)));
    }

    proptest::proptest! {
        /// Against the definition, looking back over the whole history at each evaluation.
        #[test]
        fn agrees_with_looking_back(
            conditions in proptest::collection::vec(proptest::bool::weighted(0.7), 1..60),
            interval in 1i64..4,
            pending in 0i64..9,
            keep in 0i64..9,
        ) {
            let text: String = conditions.iter().map(|c| if *c { 'T' } else { '.' }).collect();
            let got = states(interval, pending, keep, &text);
            let mut firing = false;
            for i in 0..conditions.len() {
                let run_start = |value: bool| (0..=i).rev().take_while(|j| conditions[*j] == value).last();
                let span = |from: usize| (i - from) as i64 * interval;
                let shown = got.as_bytes()[i];
                if conditions[i] {
                    // Unless it fired before and was never let go, it must have held long enough.
                    firing = firing || span(run_start(true).unwrap()) >= pending;
                    proptest::prop_assert_eq!(shown, if firing { b'F' } else { b'p' });
                } else {
                    firing = firing && span(run_start(false).unwrap()) < keep;
                    proptest::prop_assert_eq!(shown == b'k', firing);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_moves_before_it_is_time(
            pending in 0i64..40, keep in 0i64..40, runs in prop::collection::vec((any::<bool>(), 1i64..1_300), 1..12), interval in 1i64..7,
        ) {
            let second = |s: i64| Nanos(s * Nanos::SECOND.0);
            let hold = Hold { pending: second(pending), keep_firing: second(keep) };
            let (mut state, mut now) = (AlertState::Inactive, Timestamp(0));
            for (condition, length) in runs {
                let mut expected = None;
                for _ in 0..length {
                    let moved = state.step(now, condition, &hold);
                    if let Some(moves_at) = expected {
                        let time = matches!(moves_at, Some(at) if now >= at);
                        prop_assert_eq!(moved != state, time, "{:?} at {:?}", state, now);
                    }
                    expected = Some(moved.moves_at(&hold));
                    (state, now) = (moved, now.plus(second(interval)));
                }
            }
        }
    }
}
