//! How soon alerts came: after the start, and before the impact.

use crate::Nanos;

/// How long before the impact alerts came, over the incidents that say when their impact was. A missed one counts as infinitely late.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LeadTime {
    /// How many incidents say when their impact was.
    pub incidents: u64,
    /// Median; positive is before the impact. `None` when it falls to a missed one.
    pub median: Option<Nanos>,
    /// The least; `None` when one was missed.
    pub least: Option<Nanos>,
    /// Share of alerts that came before the impact.
    pub ahead_share: f64,
    /// Share of those that came at least as long before as the user needs; `None` when no need was given.
    pub enough_share: Option<f64>,
}

impl LeadTime {
    /// From the lead time of each incident; `None` for one that was missed.
    pub(super) fn of(mut leads: Vec<Option<Nanos>>, needed: Option<Nanos>) -> Option<LeadTime> {
        if leads.is_empty() {
            return None;
        }
        let count = leads.len();
        let share = |accepted: &dyn Fn(Nanos) -> bool| {
            leads.iter().flatten().filter(|l| accepted(**l)).count() as f64 / count as f64
        };
        let ahead_share = share(&|lead| lead.0 > 0);
        let enough_share = needed.map(|needed| share(&|lead| lead >= needed));
        // The longest first: missed ones are last, as for times to detect.
        leads.sort_by_key(|lead| lead.map_or(i64::MAX, |lead| lead.0.saturating_neg()));
        Some(LeadTime {
            incidents: count as u64,
            median: quantile(&leads, 50),
            least: leads.last().copied().flatten(),
            ahead_share,
            enough_share,
        })
    }
}

/// Median and 90 % quantile of times to detect, missed ones (`None`) being infinite.
pub(super) fn times_to_detect(mut delays: Vec<Option<Nanos>>) -> (Option<Nanos>, Option<Nanos>) {
    delays.sort_by_key(|d| d.unwrap_or(Nanos(i64::MAX)));
    (quantile(&delays, 50), quantile(&delays, 90))
}

/// By nearest rank; `None` when it falls to a missed one.
fn quantile(sorted: &[Option<Nanos>], percent: usize) -> Option<Nanos> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_incidents_take_forever() {
        let of = |delays: &[i64]| {
            let delays = delays.iter().map(|d| (*d >= 0).then_some(Nanos(*d)));
            let (median, p90) = times_to_detect(delays.collect());
            (median.map(|m| m.0), p90.map(|p| p.0))
        };
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[5]), (Some(5), Some(5)));
        assert_eq!(of(&[3, -1, 1]), (Some(3), None));
        assert_eq!(of(&[3, -1, -1]), (None, None));
        assert_eq!(of(&[9, 1, 2, 3, 4, 5, 6, 7, 8, -1]), (Some(5), Some(9)));
    }

    #[test]
    fn lead_time_is_positive_before_the_impact() {
        assert_eq!(LeadTime::of(Vec::new(), None), None);
        let leads = vec![Some(Nanos(60)), Some(Nanos(-5)), Some(Nanos(10)), None];
        let found = LeadTime::of(leads, Some(Nanos(30))).unwrap();
        assert_eq!((found.median, found.least), (Some(Nanos(10)), None));
        assert_eq!((found.ahead_share, found.enough_share), (0.5, Some(0.25)));
        let found = LeadTime::of(vec![Some(Nanos(60)), Some(Nanos(-5))], None).unwrap();
        assert_eq!(found.least, Some(Nanos(-5)));
    }
}
