//! The search: every threshold on every signal in one pass over the recording, and the best of them.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::backtest::outcome::Alert;
use crate::backtest::reading::{Question, Reading};
use crate::backtest::recorded::Alive;
use crate::backtest::replay::within;
use crate::backtest::score::{AlertVerdict, Matching, Truth, Whereabouts, firings};
use crate::backtest::tune::{Figures, LEAST_INCIDENTS, Reach, Split, split};
use crate::expr::{EvalOptions, Expr, Matrix, Value, evaluate};
use crate::pace::next_length;
use crate::rule::RuleFile;
use crate::series::SeriesReader;
use crate::{Error, Labels, Nanos, Result, Steps, TimeRange};

use super::candidates::candidates;
use super::ladder;
use super::tally::{ABSENT, Hold, Part, Tally};
use super::{StaticThreshold, Threshold};

/// What is tried as `for`.
const HOLDS: [Nanos; 3] = [Nanos(0), Nanos(10 * Nanos::SECOND.0), Nanos::MINUTE];
/// How long the first stretch is.
const FIRST: Nanos = Nanos(5 * Nanos::MINUTE.0);
/// About how many values are held at once.
const VALUES: usize = 4_000_000;

/// What the search goes by.
pub(in crate::backtest) struct Search<'s> {
    pub(in crate::backtest) file: &'s RuleFile,
    pub(in crate::backtest) interval: Nanos,
    pub(in crate::backtest) phase: Nanos,
    pub(in crate::backtest) options: &'s EvalOptions,
    pub(in crate::backtest) truth: &'s Truth<'s>,
    /// What the rules did: their alerts, and what each was.
    pub(in crate::backtest) alerts: &'s [Alert],
    pub(in crate::backtest) verdicts: &'s [AlertVerdict],
}

/// Finds the best static threshold.
///
/// # Errors
/// When the data cannot be read.
pub(in crate::backtest) fn best(
    search: &Search<'_>,
    reader: &dyn SeriesReader,
) -> Result<Threshold> {
    let truth = search.truth;
    let signals = candidates(search.file);
    let Some(steps) = search.steps().filter(|_| !signals.is_empty()) else {
        return Ok(Threshold::NothingToTry);
    };
    let grace = truth.grace.unwrap_or(steps.step);
    let matching = Matching::new(truth);
    let reaches: Vec<Reach> = matching
        .incidents
        .iter()
        .map(|incident| Reach::of(incident, truth.lead, grace, true))
        .collect();
    let longest = HOLDS.into_iter().max().unwrap_or_default();
    // Windows only: for how long a sample is current is no window.
    let windows = EvalOptions {
        lookback: Nanos(0),
        stale_after: crate::expr::StaleAfter::Lookback,
        ..search.options.clone()
    };
    let window = signals.iter().map(|s| s.history(&windows).0).max();
    let purge = Nanos(window.unwrap_or(0).saturating_add(longest.0));
    let split = match split(&reaches, truth.range, purge) {
        Some(split) if split.training_incidents >= LEAST_INCIDENTS => split,
        _ => return Ok(Threshold::TooFew(reaches.len() as u64)),
    };
    let ground = Ground {
        grace,
        matching: &matching,
        reaches: &reaches,
        split: &split,
    };
    let mut trials: Vec<Trial> = signals
        .into_iter()
        .map(|signal| Trial::new(signal, steps, reaches.len()))
        .collect();
    pass(&mut trials, &ground, truth.range, search.options, reader)?;
    Ok(ground
        .choose(search, &trials, steps)
        .map_or(Threshold::NothingToTry, |found| {
            Threshold::Found(Box::new(found))
        }))
}

impl Search<'_> {
    /// The evaluations: as often as the alerting rule that is evaluated most often.
    fn steps(&self) -> Option<Steps> {
        let groups = self.file.groups.iter();
        let alerting = groups.filter(|g| g.rules.iter().any(|r| r.alerting().is_some()));
        let cadence = alerting.map(|group| {
            let interval = group.interval.unwrap_or(self.interval);
            (interval, group.phase.unwrap_or(self.phase))
        });
        let (interval, phase) = cadence.min()?;
        Steps::aligned(self.truth.range, interval, phase)
    }
}

/// Goes once through the recording.
fn pass(
    trials: &mut [Trial],
    ground: &Ground<'_>,
    range: TimeRange,
    options: &EvalOptions,
    reader: &dyn SeriesReader,
) -> Result<()> {
    let reading = Reading::new(reader);
    let reach = trials.iter().map(|t| t.signal.history(options)).max();
    let step = trials.first().map_or(Nanos::SECOND, |t| t.steps.step);
    let (mut start, mut length) = (range.start, FIRST.max(step));
    while start < range.end {
        let end = start.plus(length).min(range.end);
        let chunk = TimeRange { start, end };
        reading.advance(start, reach.unwrap_or_default());
        let asked = trials.iter().flat_map(|t| t.asks(chunk, options));
        drop(reading.prefetch(asked.collect())?);
        let cells: Result<Vec<usize>> = trials
            .par_iter_mut()
            .map(|trial| trial.advance(chunk, ground, options, &reading))
            .collect();
        let most = cells?.into_iter().max().unwrap_or(0);
        let held = reading.held() + most * rayon::current_num_threads();
        length = Nanos(next_length(length.0, held, VALUES)).max(step);
        start = end;
    }
    Ok(())
}

/// What the thresholds are judged by.
struct Ground<'g> {
    grace: Nanos,
    matching: &'g Matching<'g>,
    reaches: &'g [Reach],
    split: &'g Split,
}

/// All thresholds on one signal.
struct Trial {
    signal: Expr,
    steps: Steps,
    series: HashMap<Labels, Watched>,
    /// For `>` and `<`, each `for`.
    tallies: Vec<Tally>,
}

/// One series of a signal.
struct Watched {
    /// `None` when it is of no service that is scored.
    place: Option<Place>,
    holds: Vec<Hold>,
}

/// Where the alerts of a series would lie.
struct Place {
    whereabouts: Whereabouts,
    /// Ends of training, and the beginning of the untouched part.
    trained: (i64, i64),
    untouched: i64,
}

impl Place {
    fn part(&self, at: i64) -> Part {
        if self.trained.0 <= at && at < self.trained.1 {
            Part::Training
        } else if at >= self.untouched {
            Part::Untouched
        } else {
            Part::Between
        }
    }
}

/// Thresholds fire: when, those of which tally, and which.
struct Edge<'w> {
    at: i64,
    tally: usize,
    places: (i32, i32),
    of: &'w Place,
}

impl Trial {
    fn new(signal: Expr, steps: Steps, incidents: usize) -> Trial {
        Trial {
            signal,
            steps,
            series: HashMap::new(),
            tallies: vec![Tally::new(incidents); 2 * HOLDS.len()],
        }
    }

    fn asks(&self, chunk: TimeRange, options: &EvalOptions) -> Vec<Question> {
        let Some(steps) = within(Some(self.steps), chunk) else {
            return Vec::new();
        };
        let selectors = self.signal.selectors(steps, options).into_iter();
        let questions = selectors.flat_map(|selector| {
            let (window, fixed) = (selector.window, selector.fixed);
            let each = selector.alternatives.into_iter();
            each.map(move |matchers| Question {
                matchers,
                window,
                fixed,
            })
        });
        questions.collect()
    }

    /// Evaluates a stretch of time; gives how many values were held.
    fn advance(
        &mut self,
        chunk: TimeRange,
        ground: &Ground<'_>,
        options: &EvalOptions,
        reading: &Reading<'_>,
    ) -> Result<usize> {
        let Some(steps) = within(Some(self.steps), chunk) else {
            return Ok(0);
        };
        let matrix = match evaluate(&self.signal, steps, reading, options) {
            Ok(evaluated) => match evaluated.value {
                Value::Vector(matrix) => matrix,
                _ => return Ok(0),
            },
            // Series that cannot be told apart without their names; no rule would work on it either.
            Err(Error::Expr(_)) => return Ok(0),
            Err(other) => return Err(other),
        };
        self.take(&matrix, steps, ground);
        Ok(matrix.series.len() * steps.count())
    }

    fn take(&mut self, matrix: &Matrix, steps: Steps, ground: &Ground<'_>) {
        for series in &matrix.series {
            if !self.series.contains_key(&series.labels) {
                let watched = Watched {
                    place: ground.place(&series.labels),
                    holds: holds(self.steps.step),
                };
                self.series.insert(series.labels.clone(), watched);
            }
        }
        let first = u64::try_from(steps.start.since(self.steps.start).0 / steps.step.0);
        let first = first.unwrap_or(0);
        let present: HashMap<&Labels, &crate::expr::StepSeries> =
            matrix.series.iter().map(|s| (&s.labels, s)).collect();
        let mut watched: Vec<(&Labels, &mut Watched)> = self.series.iter_mut().collect();
        watched.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let mut edges: Vec<Edge<'_>> = Vec::new();
        for (labels, watched) in watched {
            let Watched {
                place: Some(place),
                holds,
            } = watched
            else {
                continue;
            };
            let series = present.get(labels);
            let mut last = (f64::NAN, [ABSENT; 2]);
            for i in 0..steps.count() {
                let value = series.and_then(|s| s.get(i)).filter(|v| !v.is_nan());
                let places = match value {
                    Some(value) if value == last.0 => last.1,
                    Some(value) => [ladder::place(value), ladder::place(-value)],
                    None => [ABSENT; 2],
                };
                last = (value.unwrap_or(f64::NAN), places);
                for (tally, hold) in holds.iter_mut().enumerate() {
                    let at = first + i as u64;
                    if let Some(places) = hold.step(at, places[tally / HOLDS.len()]) {
                        edges.push(Edge {
                            at: steps.at(i).0,
                            tally,
                            places,
                            of: place,
                        });
                    }
                }
            }
        }
        // Of alerts that fire at once it does not matter who comes first, but for which incident of several they count.
        edges.sort_by_key(|edge| edge.at);
        for edge in edges {
            let tally = &mut self.tallies[edge.tally];
            if edge.of.whereabouts.is_in_incident(edge.at) {
                tally.hits(edge.places, edge.of.whereabouts.incidents(edge.at));
            } else if !edge.of.whereabouts.is_ignored(edge.at) {
                tally.is_wrong(edge.places, edge.of.part(edge.at));
            }
        }
    }
}

/// A state for each tally.
fn holds(step: Nanos) -> Vec<Hold> {
    let evaluations = |hold: Nanos| {
        let count = hold.0.saturating_add(step.0 - 1) / step.0;
        Hold::new(u64::try_from(count).unwrap_or(0))
    };
    [HOLDS, HOLDS]
        .into_iter()
        .flatten()
        .map(evaluations)
        .collect()
}

/// The best so far: its objective, how far apart the values are that it tells apart, and which it is.
struct Best {
    objective: f64,
    margin: f64,
    trial: usize,
    tally: usize,
    place: i32,
    training: Figures,
}

impl Ground<'_> {
    /// Where the alerts of a series lie.
    fn place(&self, labels: &Labels) -> Option<Place> {
        let (service, instance) = self.matching.whose(labels)?;
        let (training, untouched) = (&self.split.training, &self.split.untouched);
        Some(Place {
            whereabouts: (self.matching).whereabouts(&service, &instance, self.grace),
            trained: training.of(&service),
            untouched: untouched.of(&service).0,
        })
    }

    fn figures(&self, counts: (u64, u64, u64), days: f64) -> Figures {
        let (incidents, hit, false_alerts) = counts;
        Figures {
            incidents,
            hit,
            true_alerts: hit,
            false_alerts,
            days,
        }
    }

    fn days(&self, stretch: &crate::backtest::tune::Stretch, alive: &Alive) -> f64 {
        stretch.recorded(alive, self.matching) as f64 / 86_400e9
    }

    fn choose(
        &self,
        search: &Search<'_>,
        trials: &[Trial],
        steps: Steps,
    ) -> Option<StaticThreshold> {
        let alive = search.truth.alive;
        let split = self.split;
        let trained: Vec<bool> = self
            .reaches
            .iter()
            .map(|r| r.lies_in(&split.training))
            .collect();
        let held_back: Vec<bool> = self
            .reaches
            .iter()
            .map(|r| r.lies_in(&split.untouched))
            .collect();
        let count = |of: &[bool]| of.iter().filter(|of| **of).count() as u64;
        let days = self.days(&split.training, alive);
        let mut best: Option<Best> = None;
        let (mut tried, mut metrics) = (0, 0);
        for (trial, candidate) in trials.iter().enumerate() {
            let before = tried;
            for (tally, of) in candidate.tallies.iter().enumerate() {
                for ((from, to), hit, wrong) in of.runs(&trained) {
                    tried += u64::from(from.abs_diff(to));
                    let training = self.figures((count(&trained), hit, wrong), days);
                    let ends = (ladder::number(from), ladder::number(to));
                    let margin = (ends.1 - ends.0) / ends.0.abs().max(ends.1.abs());
                    let objective = training.objective();
                    let better = best.as_ref().is_none_or(|best| {
                        objective
                            .total_cmp(&best.objective)
                            .then(margin.total_cmp(&best.margin))
                            .is_gt()
                    });
                    if better {
                        let middle = ladder::place(f64::midpoint(ends.0, ends.1));
                        best = Some(Best {
                            objective,
                            margin,
                            trial,
                            tally,
                            place: middle.clamp(from, to - 1),
                            training,
                        });
                    }
                }
            }
            metrics += u64::from(tried > before);
        }
        let best = best?;
        let tally = &trials[best.trial].tallies[best.tally];
        let hits = |i: usize| {
            tally.hit[i]
                .0
                .iter()
                .any(|(a, b)| *a <= best.place && best.place < *b)
        };
        let hit = |of: &[bool]| (0..of.len()).filter(|i| of[*i] && hits(*i)).count() as u64;
        let wrong = |part: Part| tally.wrong_at(best.place, part);
        let everywhere = vec![true; self.reaches.len()];
        let all_wrong = [Part::Training, Part::Between, Part::Untouched].map(wrong);
        let recorded = alive
            .iter()
            .filter(|(who, _)| self.matching.services.contains(&who.0))
            .map(|(_, spans)| {
                let range = search.truth.range;
                spans.length_within(range.start.0, range.end.0)
            });
        let whole_days = recorded.sum::<i64>() as f64 / 86_400e9;
        let untouched_days = self.days(&split.untouched, alive);
        let whole = (count(&everywhere), hit(&everywhere), all_wrong.iter().sum());
        let untouched = (count(&held_back), hit(&held_back), wrong(Part::Untouched));
        let below = best.tally >= HOLDS.len();
        let limit = ladder::number(best.place);
        Some(StaticThreshold {
            signal: trials[best.trial].signal.to_string().into(),
            op: if below { "<" } else { ">" },
            limit: if below { -limit } else { limit },
            hold: HOLDS[best.tally % HOLDS.len()],
            interval: steps.step,
            metrics,
            tried,
            trained_until: crate::Timestamp(split.cut.latest()),
            whole: self.figures(whole, whole_days),
            training: best.training,
            untouched: self.figures(untouched, untouched_days),
            rules_untouched: self.rules(search, &held_back, untouched_days),
        })
    }

    /// What the rules did in the untouched part.
    fn rules(&self, search: &Search<'_>, held_back: &[bool], days: f64) -> Figures {
        let mut hit = vec![false; held_back.len()];
        let mut wrong = 0;
        for firing in firings(search.alerts, &self.matching.services) {
            match search.verdicts[firing.index] {
                AlertVerdict::True(i) | AlertVerdict::Duplicate(i) => hit[i] |= held_back[i],
                verdict if verdict.is_false() => {
                    let service = firing.service.as_deref().unwrap_or_default();
                    wrong += u64::from(self.split.untouched.holds(service, firing.fired_at.0));
                }
                _ => {}
            }
        }
        let hit = hit.iter().filter(|hit| **hit).count() as u64;
        let incidents = held_back.iter().filter(|of| **of).count() as u64;
        self.figures((incidents, hit, wrong), days)
    }
}
