//! Tuning from beginning to end: variants, one replay, the search, and the stretch that it never saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::backtest::Backtest;
use crate::backtest::plan::{could_read, selectors};
use crate::backtest::recorded::{self, Alive};
use crate::backtest::replay;
use crate::backtest::score::{Matching, Truth};
use crate::expr::{EvalOptions, StaleAfter};
use crate::rule::{AlertingRule, Rule, RuleFile};
use crate::series::SeriesReader;
use crate::suggest::closest;
use crate::{Error, Nanos, Result, TimeRange, Timestamp};

use super::front::{HeatMap, Point, front};
use super::held_back::HeldBack;
use super::search::{Candidate, Figures, WalkForward, search, walk_forward};
use super::setting::{Grid, Knob, Setting};
use super::split::{Reach, Split, split};
use super::track::{Ground, Track};

/// With fewer incidents to train on there is nothing to choose by.
pub const LEAST_INCIDENTS: usize = 5;
/// More combinations than this of one rule are a slip in a range.
const MOST_SETTINGS: usize = 2_000;

/// Looks for better settings of the rules of a backtest.
#[derive(Debug, Clone)]
pub struct Tune<'r> {
    backtest: Backtest<'r>,
    only: Option<BTreeSet<Arc<str>>>,
    ranges: Vec<(Option<Arc<str>>, Knob, Vec<f64>)>,
}

/// What tuning gives.
#[derive(Debug, Clone)]
pub enum Tuning {
    /// There are too few incidents to choose by: the file's settings stay.
    Refused {
        /// Incidents that the rules are meant for, in all.
        incidents: usize,
    },
    /// Settings were tried.
    Done(Box<Tuned>),
}

/// What was tried, what was chosen, and what the choice is worth.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tuned {
    /// The rules that were tuned, in file order.
    pub rules: Vec<RuleTuned>,
    /// How many settings were tried.
    pub trials: usize,
    /// How many folds.
    pub folds: usize,
    /// What lies between training and test.
    pub purge: Nanos,
    /// Incidents that were trained on.
    pub training_incidents: usize,
    /// Incidents of the untouched stretch.
    pub untouched_incidents: usize,
    /// From when on, at the latest over all services, nothing was seen by the search.
    pub untouched_from: Timestamp,
    /// Mean objective over the folds, of the file's settings and of the chosen ones.
    pub objective: (f64, f64),
    /// Standard error of the chosen one.
    pub objective_error: f64,
    /// What choosing by training alone is worth here.
    pub walk_forward: WalkForward,
    /// In the training stretch: the file's settings, and the chosen ones.
    pub training: (Figures, Figures),
    /// In the stretch that the search never saw: the file's settings, and the chosen ones.
    pub untouched: (Figures, Figures),
    /// The settings that none beats, in the training stretch.
    pub front: Vec<Point>,
}

/// A rule that was tuned.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RuleTuned {
    /// Index of its group in the file.
    pub group: usize,
    /// Index of the rule in its group.
    pub rule: usize,
    /// Its name.
    pub name: Arc<str>,
    /// What was set.
    pub knobs: Vec<Knob>,
    /// Each setting that was tried; the file's own first.
    pub settings: Vec<Setting>,
    /// The mean objective of each over the folds, with the other rules as they stood.
    pub objectives: Vec<f64>,
    /// What all rules together did in the training stretch with each.
    pub figures: Vec<Figures>,
    /// Index of the chosen setting.
    pub chosen: usize,
    /// How the objective lies over the first two knobs.
    pub heat_map: Option<HeatMap>,
}

impl RuleTuned {
    /// What changes: knob, value in the file, value chosen.
    pub fn changes(&self) -> impl Iterator<Item = (&Knob, f64, f64)> {
        let (old, new) = (&self.settings[0].values, &self.settings[self.chosen].values);
        let both = old.iter().zip(new);
        self.knobs
            .iter()
            .zip(both)
            .filter(|(_, (old, new))| old != new)
            .map(|(knob, (old, new))| (knob, *old, *new))
    }
}

impl Tuned {
    /// Whether anything but the file's settings was chosen.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.rules.iter().any(|rule| rule.chosen != 0)
    }

    /// Whether the chosen settings are better than the file's where the search never looked.
    #[must_use]
    pub fn is_better(&self) -> bool {
        self.untouched.1.objective() > self.untouched.0.objective()
    }
}

/// A rule that is tuned.
struct Subject<'r> {
    group: usize,
    rule: usize,
    alerting: &'r AlertingRule,
    grace: Nanos,
    grid: Grid,
}

impl<'r> Tune<'r> {
    /// Tunes the rules of this backtest over its range, against its incidents, with its settings.
    #[must_use]
    pub fn new(backtest: Backtest<'r>) -> Self {
        Tune {
            backtest,
            only: None,
            ranges: Vec::new(),
        }
    }

    /// Only rules of these names, instead of all that have ranges.
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.only = Some(names.into_iter().collect());
        self
    }

    /// Tries these values of a knob too, of the rules of this name or of every rule; instead of what the file says for it.
    #[must_use]
    pub fn range(mut self, rule: Option<Arc<str>>, knob: Knob, values: Vec<f64>) -> Self {
        self.ranges.push((rule, knob, values));
        self
    }

    /// Tries, chooses, and tests the choice.
    ///
    /// # Errors
    /// When the backtest has no range or no incidents, no rule has anything to try, a name is unknown, a rule has too many combinations,
    /// or the data cannot be read.
    pub fn run(&self, reader: &dyn SeriesReader) -> Result<Tuning> {
        let range = self.backtest.whole_range()?;
        let Some(incidents) = self.backtest.incidents.as_deref() else {
            return Err(Error::Value {
                expected: "incidents to tune against",
                found: "none".to_owned(),
            });
        };
        let subjects = self.subjects()?;
        let recorded = recorded::with_others(Alive::new(), &self.backtest.recorded);
        let truth = Truth {
            incidents,
            labelled: self.backtest.labelled.as_ref(),
            range,
            grace: self.backtest.grace,
            lead: self.backtest.lead,
            lead_needed: None,
            alive: &recorded,
        };
        let reaches = reaches(&Matching::new(&truth), &truth, &subjects);
        let meant = reaches.iter().filter(|r| r.meant).count();
        let purge = self.purge(&subjects);
        let split = match split(&reaches, range, purge) {
            Some(split) if split.training_incidents >= LEAST_INCIDENTS => split,
            _ => return Ok(Tuning::Refused { incidents: meant }),
        };
        let all: Vec<Vec<usize>> = subjects
            .iter()
            .map(|s| (0..s.grid.settings.len()).collect())
            .collect();
        let seen = TimeRange {
            start: range.start,
            end: Timestamp(split.cut.latest()).min(range.end),
        };
        let hidden = HeldBack {
            base: reader,
            cut: &split.cut,
        };
        let (tracks, alive) = self.tracks(&subjects, &all, seen, &hidden, &truth)?;
        let candidates: Vec<Candidate<'_>> = subjects
            .iter()
            .zip(&tracks)
            .map(|(subject, tracks)| Candidate {
                grid: &subject.grid,
                tracks,
            })
            .collect();
        let trained = Truth {
            alive: &alive,
            ..truth
        };
        let matching = Matching::new(&trained);
        let ground = Ground {
            matching: &matching,
            reaches: &reaches,
            alive: &alive,
        };
        let tried = search(&candidates, &ground, &split);
        let walk = walk_forward(&candidates, &ground, &split);
        let chosen: Vec<usize> = tried.iter().map(|t| t.chosen).collect();
        let untouched =
            self.untouched(&subjects, &chosen, range, reader, &truth, &reaches, &split)?;
        let pick = |setting: &dyn Fn(usize) -> usize| -> Vec<&Track> {
            let of = |(i, tracks): (usize, &'_ Vec<Track>)| (i, tracks.len());
            let settings: Vec<(usize, usize)> = tracks.iter().enumerate().map(of).collect();
            settings
                .iter()
                .map(|(i, _)| &tracks[*i][setting(*i)])
                .collect()
        };
        let training = (
            ground.judge(&pick(&|_| 0), &split.training),
            ground.judge(&pick(&|i| chosen[i]), &split.training),
        );
        let points: Vec<Point> = tried
            .iter()
            .flat_map(|t| {
                let figures = t.figures.iter().enumerate();
                figures.map(|(setting, figures)| Point {
                    rule: t.rule,
                    setting,
                    figures: *figures,
                })
            })
            .collect();
        // The first rule's first setting is the file as it is, the last rule's choice the whole of the choice.
        let objective = (
            tried.first().map_or(0.0, |t| t.values[0].mean),
            tried.last().map_or(0.0, |t| t.values[t.chosen].mean),
        );
        Ok(Tuning::Done(Box::new(Tuned {
            trials: points.len(),
            folds: split.folds.len(),
            purge,
            training_incidents: split.training_incidents,
            untouched_incidents: split.untouched_incidents,
            untouched_from: Timestamp(split.cut.latest()),
            objective,
            objective_error: tried.last().map_or(0.0, |t| t.values[t.chosen].error),
            walk_forward: walk,
            training,
            untouched,
            front: front(&points),
            rules: subjects
                .into_iter()
                .zip(tried)
                .map(|(subject, tried)| {
                    let objectives: Vec<f64> = tried.values.iter().map(|v| v.mean).collect();
                    let values: Vec<Vec<f64>> = subject
                        .grid
                        .settings
                        .iter()
                        .map(|s| s.values.clone())
                        .collect();
                    RuleTuned {
                        group: subject.group,
                        rule: subject.rule,
                        name: subject.alerting.name.clone(),
                        heat_map: HeatMap::of(&subject.grid.knobs, &values, &objectives),
                        knobs: subject.grid.knobs,
                        settings: subject.grid.settings,
                        objectives,
                        figures: tried.figures,
                        chosen: tried.chosen,
                    }
                })
                .collect(),
        })))
    }

    /// The rules that have something to try.
    fn subjects(&self) -> Result<Vec<Subject<'r>>> {
        let file = self.backtest.rules;
        let flat = replay::flat(file);
        let names: BTreeSet<&str> = flat
            .iter()
            .filter_map(|(_, _, rule)| rule.alerting().map(|rule| &*rule.name))
            .collect();
        let asked = self.ranges.iter().filter_map(|(rule, _, _)| rule.as_ref());
        for name in asked.chain(self.only.iter().flatten()) {
            if !names.contains(&**name) {
                let near = closest(name, names.iter().copied())
                    .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
                return Err(Error::Value {
                    expected: "the name of an alerting rule",
                    found: format!("{name}{near}"),
                });
            }
        }
        let mut subjects = Vec::new();
        for (id, group, rule) in &flat {
            let Rule::Alerting(alerting) = rule else {
                continue;
            };
            if self
                .only
                .as_ref()
                .is_some_and(|only| !only.contains(&alerting.name))
            {
                continue;
            }
            let mut ranges: BTreeMap<Knob, Vec<f64>> = alerting
                .tune
                .iter()
                .map(|(name, range)| (Knob::parse(name), range.values()))
                .collect();
            for (of, knob, values) in &self.ranges {
                let named = of.as_ref().is_some_and(|of| *of == alerting.name);
                if named && knob.of(alerting).is_none() {
                    return Err(Error::Value {
                        expected: "a parameter of the rule, `for` or `keep_firing_for`",
                        found: format!("{}.{knob}", alerting.name),
                    });
                }
                if named || of.is_none() && !ranges.is_empty() {
                    ranges.insert(knob.clone(), values.clone());
                }
            }
            if ranges.is_empty() {
                continue;
            }
            let grid = Grid::new(alerting, &ranges, MOST_SETTINGS).ok_or_else(|| Error::Value {
                expected: "at most 2000 combinations of settings for one rule",
                found: format!("more for {}", alerting.name),
            })?;
            subjects.push(Subject {
                group: id.group,
                rule: id.rule,
                alerting,
                grace: self
                    .backtest
                    .grace
                    .unwrap_or(group.interval.unwrap_or(self.backtest.interval)),
                grid,
            });
        }
        if subjects.is_empty() {
            return Err(Error::Value {
                expected: "an alerting rule with something to try: `tune` in the file, or a range given for it",
                found: "none".to_owned(),
            });
        }
        // Variants of a rule would all give the same `ALERTS` series.
        for subject in &subjects {
            let tuned = Rule::Alerting(subject.alerting.clone());
            for (_, _, reader) in &flat {
                if selectors(reader.expr())
                    .iter()
                    .any(|s| could_read(s, &tuned))
                {
                    return Err(Error::Value {
                        expected: "rules that do not read the ALERTS series of a rule that is tuned",
                        found: format!("{} reads {}", reader.name(), subject.alerting.name),
                    });
                }
            }
        }
        Ok(subjects)
    }

    /// The longest that any setting looks back, and holds.
    fn purge(&self, subjects: &[Subject<'_>]) -> Nanos {
        // Windows and offsets only: for how long a sample is current is no window.
        let windows = EvalOptions {
            lookback: Nanos(0),
            stale_after: StaleAfter::Lookback,
            subquery_step: self.backtest.interval,
            ..EvalOptions::default()
        };
        let history = |rule: &Rule| rule.expr().history(&windows).0;
        let recorded = replay::flat(self.backtest.rules)
            .into_iter()
            .filter(|(_, _, rule)| rule.alerting().is_none())
            .map(|(_, _, rule)| history(rule))
            .max()
            .unwrap_or(0);
        let own = subjects
            .iter()
            .flat_map(|subject| {
                let settings = subject.grid.settings.iter();
                settings.map(|setting| {
                    let rule = subject.grid.set(subject.alerting, setting);
                    let hold = rule.hold.pending.0.saturating_add(rule.hold.keep_firing.0);
                    history(&Rule::Alerting(rule)).saturating_add(hold)
                })
            })
            .max()
            .unwrap_or(0);
        Nanos(own.saturating_add(recorded))
    }

    /// One replay of these settings of each rule; gives what each did, and when processes were recorded.
    fn tracks(
        &self,
        subjects: &[Subject<'_>],
        settings: &[Vec<usize>],
        range: TimeRange,
        reader: &dyn SeriesReader,
        truth: &Truth<'_>,
    ) -> Result<(Vec<Vec<Track>>, Alive)> {
        let file = with_variants(self.backtest.rules, subjects, settings);
        let replayed = replay::replay(
            &file,
            range,
            self.backtest.interval,
            self.backtest.phase,
            &self.backtest.options(),
            self.backtest.chunking,
            reader,
        )?;
        let alive = self.backtest.alive(reader, range, &replayed.sightings)?;
        let trained = Truth {
            alive: &alive,
            ..*truth
        };
        let matching = Matching::new(&trained);
        let mut runs = replayed
            .rules
            .into_iter()
            .map(Vec::into_iter)
            .collect::<Vec<_>>();
        let mut tracks: Vec<Vec<Track>> = subjects.iter().map(|_| Vec::new()).collect();
        // Variants stand in the order of groups, rules and settings; what is not alerting has no alerts.
        for (of, (subject, settings)) in tracks.iter_mut().zip(subjects.iter().zip(settings)) {
            let group = &file.groups[subject.group];
            for _ in settings {
                let position = group.rules.len() - runs[subject.group].len();
                let skipped = group.rules[position..]
                    .iter()
                    .take_while(|rule| rule.alerting().is_none())
                    .count();
                if let Some(run) = runs[subject.group].nth(skipped) {
                    let mut alerts = run.alerts;
                    alerts.sort_by(|a, b| (a.fired_at, &a.labels).cmp(&(b.fired_at, &b.labels)));
                    of.push(Track::of(&alerts, &matching, subject.grace));
                }
            }
        }
        drop(matching);
        Ok((tracks, alive))
    }

    /// What the file's settings and the chosen ones do where the search never looked.
    #[allow(clippy::too_many_arguments)] // One call; each is a different thing.
    fn untouched(
        &self,
        subjects: &[Subject<'_>],
        chosen: &[usize],
        range: TimeRange,
        reader: &dyn SeriesReader,
        truth: &Truth<'_>,
        reaches: &[Reach],
        split: &Split,
    ) -> Result<(Figures, Figures)> {
        let both: Vec<Vec<usize>> = chosen.iter().map(|chosen| vec![0, *chosen]).collect();
        let (tracks, alive) = self.tracks(subjects, &both, range, reader, truth)?;
        let trained = Truth {
            alive: &alive,
            ..*truth
        };
        let matching = Matching::new(&trained);
        let ground = Ground {
            matching: &matching,
            reaches,
            alive: &alive,
        };
        let judge = |which: usize| {
            let tracks: Vec<&Track> = tracks.iter().filter_map(|t| t.get(which)).collect();
            ground.judge(&tracks, &split.untouched)
        };
        Ok((judge(0), judge(1)))
    }
}

/// When alerts count for each incident, and whether some rule that is tuned is meant for it.
fn reaches(matching: &Matching<'_>, truth: &Truth<'_>, subjects: &[Subject<'_>]) -> Vec<Reach> {
    let grace = subjects.iter().map(|s| s.grace).max().unwrap_or_default();
    matching
        .incidents
        .iter()
        .map(|incident| {
            let meant = subjects.iter().any(|subject| {
                let kinds = &subject.alerting.detects;
                kinds.is_empty() || kinds.contains(&incident.kind)
            });
            Reach::of(incident, truth.lead, grace, meant)
        })
        .collect()
}

/// The file with its recording rules, and of each rule that is tuned the settings asked for.
fn with_variants(file: &RuleFile, subjects: &[Subject<'_>], settings: &[Vec<usize>]) -> RuleFile {
    let mut expanded = file.clone();
    for (index, group) in expanded.groups.iter_mut().enumerate() {
        let mut rules = Vec::new();
        for (position, rule) in std::mem::take(&mut group.rules).into_iter().enumerate() {
            let subject = subjects
                .iter()
                .position(|s| (s.group, s.rule) == (index, position));
            match (subject, rule) {
                (_, rule @ Rule::Recording(_)) => rules.push(rule),
                (Some(subject), Rule::Alerting(_)) => {
                    let Subject { alerting, grid, .. } = &subjects[subject];
                    rules.extend(settings[subject].iter().map(|setting| {
                        Rule::Alerting(grid.set(alerting, &grid.settings[*setting]))
                    }));
                }
                (None, Rule::Alerting(_)) => {}
            }
        }
        group.rules = rules;
    }
    expanded
}
