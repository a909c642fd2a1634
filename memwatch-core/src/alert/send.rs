//! What an evaluator hands to Alertmanager, and when.

use crate::{Nanos, Timestamp};

use super::{AlertState, HandOver, RESOLVED_RETENTION};

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

/// When a rule was evaluated: what decides when its alerts are handed over.
#[derive(Debug, Clone, Copy)]
pub struct Evaluations<'a> {
    /// Between two of them.
    pub interval: Nanos,
    /// Runs of evaluations that failed, first and last, ascending: nothing is handed over at these.
    pub failed: &'a [(Timestamp, Timestamp)],
    /// None is after this.
    pub end: Timestamp,
}

impl Evaluations<'_> {
    /// The first evaluation that does not fail, from an evaluation at `at` on.
    fn working(&self, at: Timestamp) -> Timestamp {
        let begun = self.failed.partition_point(|(first, _)| *first <= at);
        match begun.checked_sub(1).map(|i| self.failed[i].1) {
            Some(last) if at <= last => self.working(last.plus(self.interval)),
            _ => at,
        }
    }

    /// When an alert that was handed over at `sent_at` is handed over next: strictly more than the delay later.
    fn next(&self, sent_at: Timestamp) -> Timestamp {
        let interval = self.interval.0.max(1);
        let evaluations = RESEND_DELAY.0 / interval + 1;
        self.working(sent_at.plus(Nanos(interval.saturating_mul(evaluations))))
    }
}

/// How an alert ended for its evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It fires still.
    Open,
    /// It was resolved at the first; the same labels became pending again at the second, which ends the repetitions.
    Resolved(Timestamp, Option<Timestamp>),
    /// It was forgotten: nobody is told, so it lapses once what was said last has run out.
    Cleared(Timestamp),
}

/// What an evaluator says of an alert that fired at `fired_at`, as far as it changes something: P10 and P11 of the rules of Prometheus.
///
/// A firing alert is handed over again after [`RESEND_DELAY`] and ends by itself four delays (or evaluation intervals, when longer) later, so it
/// lapses when evaluations fail for so long, and when it was cleared. That it is resolved is repeated for 15 minutes, so that a
/// receiver that was kept from hearing of it may hear of it later.
#[must_use]
pub fn hand_overs(fired_at: Timestamp, end: End, evaluations: &Evaluations<'_>) -> Vec<HandOver> {
    let lease = Nanos(evaluations.interval.max(RESEND_DELAY).0.saturating_mul(4));
    let mut handed = vec![HandOver {
        at: fired_at,
        ends_at: None,
    }];
    let until = match end {
        End::Open => evaluations.end,
        End::Resolved(at, _) | End::Cleared(at) => at,
    };
    // Without failures what was said lasts until it is said again.
    if !evaluations.failed.is_empty() || matches!(end, End::Cleared(_)) {
        let mut sent_at = fired_at;
        loop {
            let next = evaluations.next(sent_at);
            let lapses = sent_at.plus(lease);
            let last = next >= until;
            let cleared = last && matches!(end, End::Cleared(_));
            if (lapses < next.min(until) || cleared)
                && let Some(before) = handed.last_mut()
            {
                before.ends_at = Some(lapses);
                if !last {
                    handed.push(HandOver {
                        at: next,
                        ends_at: None,
                    });
                }
            }
            if last {
                break;
            }
            sent_at = next;
        }
    }
    if let End::Resolved(resolved_at, again) = end {
        let mut at = resolved_at;
        let kept_until = resolved_at.plus(RESOLVED_RETENTION).min(evaluations.end);
        while at <= kept_until && again.is_none_or(|again| at < again) {
            handed.push(HandOver {
                at,
                ends_at: Some(resolved_at),
            });
            at = evaluations.next(at);
        }
    }
    handed
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

    /// What is said, like `10 20-40 60`: a time, and until when that holds.
    fn said(fired: i64, end: End, interval: i64, failed: &[(i64, i64)]) -> String {
        let failed: Vec<_> = failed.iter().map(|(a, b)| (at(*a), at(*b))).collect();
        let evaluations = Evaluations {
            interval: Nanos(interval * Nanos::SECOND.0),
            failed: &failed,
            end: at(2000),
        };
        let show = |t: Timestamp| t.0 / Nanos::SECOND.0;
        hand_overs(at(fired), end, &evaluations)
            .iter()
            .map(|handed| match handed.ends_at {
                Some(ends_at) => format!("{}-{}", show(handed.at), show(ends_at)),
                None => show(handed.at).to_string(),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn p10_that_it_is_resolved_is_repeated_for_15_minutes_or_until_it_is_pending_again() {
        assert_eq!(said(0, End::Open, 15, &[]), "0");
        let resolved = said(0, End::Resolved(at(100), None), 15, &[]);
        // 75 s apart, the last at 100 + 15 · 60 s.
        assert!(
            resolved.starts_with("0 100-100 175-100 250-100"),
            "{resolved}"
        );
        assert!(resolved.ends_with(" 1000-100"), "{resolved}");
        let again = said(0, End::Resolved(at(100), Some(at(250))), 15, &[]);
        assert_eq!(again, "0 100-100 175-100");
        // Strictly more than a minute: 61 s at an interval of 1 s. An evaluation that fails is made up for at the next.
        let again = End::Resolved(at(100), Some(at(230)));
        assert_eq!(said(0, again, 1, &[]), "0 100-100 161-100 222-100");
        assert_eq!(said(0, again, 1, &[(150, 170)]), "0 100-100 171-100");
    }

    #[test]
    fn p11_what_is_not_said_again_lapses() {
        // Said at 0 and 61; the evaluations from 90 to 400 fail: it ends at 61 + 240 and is heard of again at 401.
        assert_eq!(said(0, End::Open, 1, &[(90, 400)]), "0-301 401");
        // Too short to matter.
        assert_eq!(said(0, End::Open, 1, &[(90, 290)]), "0");
        // Cleared at 200: said last at 183.
        assert_eq!(said(0, End::Cleared(at(200)), 1, &[]), "0-423");
        assert_eq!(said(0, End::Cleared(at(1)), 1, &[]), "0-240");
        // Found resolved by the first evaluation that works again.
        let resolved = End::Resolved(at(401), Some(at(402)));
        assert_eq!(said(0, resolved, 1, &[(90, 400)]), "0-301 401-401");
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
