//! What an evaluator hands to Alertmanager, and when.

use crate::{Nanos, Timestamp};

use super::AlertState;

/// How long after a firing alert was sent it is sent again (`--rules.alert.resend-delay`).
pub const RESEND_DELAY: Nanos = Nanos::MINUTE;

/// Whether an alert is handed over at `now`, having been handed over last at `sent_at`.
///
/// As the code of Prometheus has it: strictly more than the delay later, so that with 15 s between evaluations and a delay of a minute
/// an alert is sent each 75 s. (The compliance text says "at least".)
#[must_use]
pub fn needs_sending(
    state: AlertState,
    sent_at: Option<Timestamp>,
    now: Timestamp,
    resend_delay: Nanos,
) -> bool {
    let again = sent_at.is_none_or(|at| at.plus(resend_delay) < now);
    match state {
        AlertState::Inactive | AlertState::Pending { .. } => false,
        AlertState::Firing { .. } => again,
        AlertState::Resolved { resolved_at, .. } => {
            again || sent_at.is_none_or(|at| resolved_at > at)
        }
    }
}

/// The end that is sent with an alert: when it resolved, or for a firing one how long it lives if nothing more is heard of it.
#[must_use]
pub fn ends_at(
    state: AlertState,
    now: Timestamp,
    interval: Nanos,
    resend_delay: Nanos,
) -> Timestamp {
    match state {
        AlertState::Resolved { resolved_at, .. } => resolved_at,
        _ => now.plus(Nanos(interval.max(resend_delay).0.saturating_mul(4))),
    }
}

/// What `for` counts from after the evaluator was down: Prometheus' restoration from `ALERTS_FOR_STATE`.
///
/// `active_at` is the recorded start of the pending alert, `down_at` its last sample, `now` the first evaluation that finds it again.
/// `None`: nothing is restored, because the outage was longer than an hour or `pending` (`for`) shorter than the grace of 10 minutes. A
/// backtest does not restore: its evaluator is never down.
#[must_use]
pub fn restored_active_at(
    active_at: Timestamp,
    down_at: Timestamp,
    now: Timestamp,
    pending: Nanos,
) -> Option<Timestamp> {
    const OUTAGE_TOLERANCE: Nanos = Nanos::HOUR;
    const GRACE: Nanos = Nanos(10 * Nanos::MINUTE.0);
    if pending < GRACE || now.since(down_at) > OUTAGE_TOLERANCE {
        return None;
    }
    let remaining = Nanos(pending.0 - down_at.since(active_at).0);
    Some(if remaining.0 <= 0 {
        active_at // It was firing; it fires again at once.
    } else if remaining < GRACE {
        now.plus(GRACE).minus(pending)
    } else {
        active_at.plus(now.since(down_at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Hold;

    fn at(s: i64) -> Timestamp {
        Timestamp(s * Nanos::SECOND.0)
    }

    #[test]
    fn p10_sent_again_strictly_after_the_delay() {
        let hold = Hold::default();
        let interval = 15;
        let (mut state, mut sent, mut times) = (AlertState::Inactive, None, Vec::new());
        for i in 0..21 {
            let now = at(i * interval);
            state = state.step(now, i < 12, &hold);
            if needs_sending(state, sent, now, RESEND_DELAY) {
                sent = Some(now);
                times.push(i * interval);
            }
        }
        // Each 75 s, then at once as resolved (12 · 15 s), and the resolved one again.
        assert_eq!(times, [0, 75, 150, 180, 255]);
        assert!(!needs_sending(
            AlertState::Pending { active_at: at(0) },
            None,
            at(9),
            RESEND_DELAY
        ));
    }

    #[test]
    fn p11_ends_four_delays_later_or_when_resolved() {
        let hold = Hold::default();
        let firing = AlertState::Inactive.step(at(0), true, &hold);
        assert_eq!(ends_at(firing, at(0), Nanos::SECOND, RESEND_DELAY), at(240));
        assert_eq!(
            ends_at(firing, at(0), Nanos(2 * Nanos::MINUTE.0), RESEND_DELAY),
            at(480)
        );
        let resolved = firing.step(at(7), false, &hold);
        assert_eq!(
            ends_at(resolved, at(30), Nanos::SECOND, RESEND_DELAY),
            at(7)
        );
    }

    #[test]
    fn p13_for_is_restored_after_short_outages() {
        let minutes = |m: i64| Nanos(m * Nanos::MINUTE.0);
        let m = |m: i64| at(m * 60);
        let restored = |active, down, now, pending| {
            restored_active_at(m(active), m(down), m(now), minutes(pending))
        };
        assert_eq!(restored(0, 5, 10, 30), Some(m(5))); // 25 min were left; the outage does not count.
        assert_eq!(restored(0, 25, 30, 30), Some(m(10))); // 5 min were left: at least 10 remain.
        assert_eq!(restored(0, 40, 45, 30), Some(m(0))); // It was firing.
        assert_eq!(restored(0, 5, 66, 30), None); // Down for more than an hour.
        assert_eq!(restored(0, 5, 10, 9), None); // Short `for` is not restored.
    }
}
