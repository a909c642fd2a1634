//! Stretches of a recording that follow each other in time, with whole incidents in each.
//!
//! Incidents are ordered by their start over all services, and cut into runs of equal length. A cut is a moment of its own for every
//! service: between the last incident of the service before it and the first after it, so that no incident is split although services
//! fail at the same time. Between a training stretch and the one after it lies a purge, in each service: as long as rules look back, so
//! that nothing that was trained on is seen through a window of the test. Services share no windows, so there is none between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backtest::score::Matching;
use crate::backtest::sightings::{Spans, Who};
use crate::incident::Incident;
use crate::{Nanos, TimeRange};

/// A moment in time, moved for each service so that it splits no incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backtest) struct Cut {
    at: i64,
    of_service: BTreeMap<Arc<str>, i64>,
}

impl Cut {
    /// The same moment for every service.
    pub(in crate::backtest) fn everywhere(at: i64) -> Cut {
        Cut {
            at,
            of_service: BTreeMap::new(),
        }
    }

    /// When it is for a service.
    pub(in crate::backtest) fn of(&self, service: &str) -> i64 {
        self.of_service.get(service).copied().unwrap_or(self.at)
    }

    /// The latest over all services.
    pub(in crate::backtest) fn latest(&self) -> i64 {
        self.of_service.values().copied().fold(self.at, i64::max)
    }

    /// Keeps what is trained on and what is tested a purge apart: where the test begins, or training ends, so that no incident of the test
    /// is lost. A service without incidents in the test gives up the beginning of the test, any other the end of training.
    fn purged(&self, tested: &[Cluster], purge: Nanos) -> (Cut, Cut) {
        let (mut trained, mut test) = (self.clone(), self.clone());
        test.at = test.at.saturating_add(purge.0);
        for (service, at) in &self.of_service {
            let (cut, moved) = if tested.iter().any(|c| c.service == *service) {
                (&mut trained, at.saturating_sub(purge.0))
            } else {
                (&mut test, at.saturating_add(purge.0))
            };
            cut.of_service.insert(service.clone(), moved);
        }
        (trained, test)
    }
}

/// What lies between two cuts: `[from, to)` of each service.
#[derive(Debug, Clone)]
pub(in crate::backtest) struct Stretch {
    from: Cut,
    to: Cut,
}

impl Stretch {
    /// Whether something at this moment lies in it.
    pub(in crate::backtest) fn holds(&self, service: &str, at: i64) -> bool {
        self.from.of(service) <= at && at < self.to.of(service)
    }

    /// Its beginning and end for a service.
    pub(in crate::backtest) fn of(&self, service: &str) -> (i64, i64) {
        (self.from.of(service), self.to.of(service))
    }

    /// How long the scored processes were recorded in it, in nanoseconds.
    pub(in crate::backtest) fn recorded(
        &self,
        alive: &BTreeMap<Who, Spans>,
        matching: &Matching<'_>,
    ) -> i64 {
        alive
            .iter()
            .filter(|(who, _)| matching.services.contains(&who.0))
            .map(|(who, spans)| {
                let (from, to) = self.of(&who.0);
                if from < to {
                    spans.length_within(from, to)
                } else {
                    0
                }
            })
            .sum()
    }
}

/// An incident with the time before and after it in which an alert counts for it.
#[derive(Debug, Clone)]
pub(in crate::backtest) struct Reach {
    pub(in crate::backtest) service: Arc<str>,
    pub(in crate::backtest) from: i64,
    pub(in crate::backtest) to: i64,
    /// Whether some tuned rule is meant for it.
    pub(in crate::backtest) meant: bool,
}

impl Reach {
    pub(in crate::backtest) fn of(
        incident: &Incident,
        lead: Nanos,
        grace: Nanos,
        meant: bool,
    ) -> Reach {
        Reach {
            service: incident.service.clone(),
            from: incident.range.start.minus(lead).0,
            // An alert at the very end still counts.
            to: incident.range.end.plus(grace).0.saturating_add(1),
            meant,
        }
    }
}

impl Reach {
    /// Whether it lies in a stretch from beginning to end.
    pub(in crate::backtest) fn lies_in(&self, stretch: &Stretch) -> bool {
        let inside = |at: i64| stretch.holds(&self.service, at);
        inside(self.from) && inside(self.to - 1)
    }
}

/// A recording in stretches.
#[derive(Debug, Clone)]
pub(in crate::backtest) struct Split {
    /// Each fold: what is trained on, and what it is tested on afterwards.
    pub(in crate::backtest) folds: Vec<(Stretch, Stretch)>,
    /// Everything that a search may see.
    pub(in crate::backtest) training: Stretch,
    /// What no search ever sees.
    pub(in crate::backtest) untouched: Stretch,
    /// Where the untouched stretch begins.
    pub(in crate::backtest) cut: Cut,
    /// Incidents before the cut.
    pub(in crate::backtest) training_incidents: usize,
    /// Incidents after it.
    pub(in crate::backtest) untouched_incidents: usize,
}

/// Fewer folds when there are few incidents.
fn folds(incidents: usize) -> usize {
    if incidents < 15 { 3 } else { 5 }
}

/// Splits a recording: the last fifth of the incidents is untouched, the rest makes the folds. `None` when there are too few of them for
/// that.
pub(in crate::backtest) fn split(
    reaches: &[Reach],
    range: TimeRange,
    purge: Nanos,
) -> Option<Split> {
    let order = clusters(reaches);
    let meant: Vec<usize> = (0..order.len()).filter(|i| order[*i].meant > 0).collect();
    let before = meant.len() - meant.len().div_ceil(5);
    let count = |clusters: &[usize]| clusters.iter().map(|i| order[*i].meant).sum::<usize>();
    let (training_incidents, untouched_incidents) =
        (count(&meant[..before]), count(&meant[before..]));
    let folds = folds(training_incidents);
    if before <= folds {
        return None;
    }
    // Which cluster is the first after so many of those that count.
    let position = |before: usize| meant.get(before).copied().unwrap_or(order.len());
    let cut = |before: usize| match meant.get(before) {
        Some(next) => cut(&order, *next, range),
        None => Cut::everywhere(range.end.0),
    };
    let begin = Cut::everywhere(range.start.0);
    let stretch = |from: &Cut, to: Cut| Stretch {
        from: from.clone(),
        to,
    };
    let both = |from: usize, to: usize| {
        let tested = &order[position(from)..position(to)];
        let (trained, test) = cut(from).purged(tested, purge);
        (stretch(&begin, trained), stretch(&test, cut(to)))
    };
    // The first run is only ever trained on.
    let edge = |fold: usize| before * fold / (folds + 1);
    let (training, untouched) = both(before, meant.len());
    Some(Split {
        folds: (1..=folds)
            .map(|fold| both(edge(fold), edge(fold + 1)))
            .collect(),
        training,
        untouched,
        cut: cut(before),
        training_incidents,
        untouched_incidents,
    })
}

/// Incidents of one service that overlap: they stay together.
#[derive(Debug)]
struct Cluster {
    service: Arc<str>,
    from: i64,
    to: i64,
    /// How many of its incidents some tuned rule is meant for.
    meant: usize,
}

/// By their beginning, over all services.
fn clusters(reaches: &[Reach]) -> Vec<Cluster> {
    let mut sorted: Vec<&Reach> = reaches.iter().collect();
    sorted.sort_by(|a, b| (&a.service, a.from, a.to).cmp(&(&b.service, b.from, b.to)));
    let mut clusters: Vec<Cluster> = Vec::new();
    for reach in sorted {
        match clusters.last_mut() {
            Some(last) if last.service == reach.service && reach.from < last.to => {
                last.to = last.to.max(reach.to);
                last.meant += usize::from(reach.meant);
            }
            _ => clusters.push(Cluster {
                service: reach.service.clone(),
                from: reach.from,
                to: reach.to,
                meant: usize::from(reach.meant),
            }),
        }
    }
    clusters.sort_by(|a, b| (a.from, &a.service).cmp(&(b.from, &b.service)));
    clusters
}

/// The cut right before one of the clusters.
fn cut(order: &[Cluster], next: usize, range: TimeRange) -> Cut {
    let (earlier, later) = order.split_at(next);
    // Halfway between what is over and what begins, where there is such a time.
    let over = earlier.iter().map(|c| c.to).max().unwrap_or(range.start.0);
    let begins = order[next].from;
    let at = if over < begins {
        i64::midpoint(over, begins)
    } else {
        begins
    };
    let mut cut = Cut::everywhere(at);
    // Of one service clusters do not overlap: what is earlier ends before what is later begins.
    for cluster in later {
        let of = cut.of_service.entry(cluster.service.clone()).or_insert(at);
        *of = (*of).min(cluster.from);
    }
    for cluster in earlier {
        let of = cut.of_service.entry(cluster.service.clone()).or_insert(at);
        *of = (*of).max(cluster.to);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use proptest::prelude::*;

    fn reach(service: &str, from: i64, to: i64) -> Reach {
        Reach {
            service: service.into(),
            from,
            to,
            meant: true,
        }
    }

    fn range() -> TimeRange {
        TimeRange {
            start: Timestamp(0),
            end: Timestamp(1000),
        }
    }

    #[test]
    fn one_service_is_cut_between_its_incidents() {
        let reaches: Vec<Reach> = (0..10)
            .map(|i| reach("a", 100 * i + 20, 100 * i + 40))
            .collect();
        let split = split(&reaches, range(), Nanos(10)).unwrap();
        assert_eq!(
            (split.training_incidents, split.untouched_incidents),
            (8, 2)
        );
        assert_eq!(split.cut.of("a"), 780);
        assert_eq!(split.folds.len(), 3);
        let edges: Vec<(i64, i64, i64)> = split
            .folds
            .iter()
            .map(|(trained, tested)| (trained.to.of("a"), tested.from.of("a"), tested.to.of("a")))
            .collect();
        assert_eq!(edges, [(170, 180, 380), (370, 380, 580), (570, 580, 780)]);
        assert_eq!(split.training.to.of("a"), 770);
        // A service without incidents gives up the beginning of the test instead.
        assert_eq!(
            (split.training.to.of("b"), split.untouched.from.of("b")),
            (780, 790)
        );
    }

    #[test]
    fn services_that_fail_at_once_are_cut_each_for_itself() {
        let reaches: Vec<Reach> = (0..8)
            .map(|i| reach(&format!("s{i}"), 100 + i, 500))
            .collect();
        let split = split(&reaches, range(), Nanos(0)).unwrap();
        // The first six are trained on to their end, the last two not at all; nothing is known of others.
        assert_eq!(split.cut.of("s5"), 500);
        assert_eq!(split.cut.of("s6"), 106);
        assert_eq!(split.cut.of("other"), 106);
        assert!(split.untouched.holds("s6", 106) && !split.untouched.holds("s5", 499));
    }

    #[test]
    fn few_incidents_cannot_be_split() {
        let of = |n: i64| {
            let reaches: Vec<Reach> = (0..n).map(|i| reach("a", 100 * i, 100 * i + 40)).collect();
            split(&reaches, range(), Nanos(0)).is_some()
        };
        assert_eq!([0, 1, 4, 5, 6].map(of), [false, false, false, true, true]);
    }

    proptest! {
        /// No incident is split, stretches follow each other, and each incident that counts lies in one of them.
        #[test]
        fn incidents_are_whole(
            stretches in prop::collection::vec((0usize..4, 0i64..900, 1i64..60, prop::bool::ANY), 7..40),
        ) {
            let mut reaches: Vec<Reach> = stretches
                .into_iter()
                .map(|(service, from, length, meant)| Reach {
                    meant,
                    ..reach(&format!("s{service}"), from, from + length)
                })
                .collect();
            let meant = reaches.iter().filter(|r| r.meant).count();
            if meant < 7 {
                return Ok(());
            }
            reaches.sort_by_key(|r| r.from);
            let Some(split) = split(&reaches, range(), Nanos(0)) else {
                return Ok(()); // They overlap, and make too few clusters.
            };
            let tests = split.folds.iter().map(|f| &f.1);
            let stretches: Vec<&Stretch> = tests.chain([&split.untouched]).collect();
            for pair in stretches.windows(2) {
                for service in ["s0", "s1", "s2", "s3", "s9"] {
                    prop_assert_eq!(pair[0].to.of(service), pair[1].from.of(service));
                }
            }
            let mut counts = vec![0; stretches.len() + 1];
            for reach in &reaches {
                let at = |at: i64| stretches.iter().position(|s| s.holds(&reach.service, at));
                let (from, to) = (at(reach.from), at(reach.to - 1));
                if reach.meant {
                    counts[from.map_or(0, |i| i + 1)] += 1;
                }
                prop_assert_eq!(from, to, "{:?}", reach);
            }
            prop_assert_eq!(counts.iter().sum::<usize>(), meant);
        }
    }
}
