//! Rules over a recording: series → matrix → states → alerts, stretch of time by stretch of time.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::expr::{EvalOptions, Session};
use crate::pace::next_length;
use crate::rule::{Group, Rule, RuleFile};
use crate::series::SeriesReader;
use crate::{Nanos, Result, Steps, TimeRange, Timestamp};

use super::plan::{Part, Plan, RuleId};
use super::reading::{Question, Reading, Unseen};
use super::runner::{Context, RuleRun, Runner};
use super::sightings::Sightings;
use super::warm_up::Warmth;

/// How a replay runs; none of it changes a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunking {
    /// About how many samples are held at once; `None`: as many as suit the number of rules.
    pub(super) samples: Option<usize>,
    /// How long the first stretch is.
    pub(super) first: Nanos,
    /// Whether what several rules say is evaluated once.
    pub(super) shares: bool,
}

impl Default for Chunking {
    fn default() -> Self {
        Chunking {
            samples: None,
            first: Nanos(5 * Nanos::MINUTE.0),
            shares: true,
        }
    }
}

/// What a replay gives: for each group, each rule.
pub(super) struct Replayed {
    pub(super) rules: Vec<Vec<RuleRun>>,
    pub(super) sightings: Sightings,
    /// For each rule, in file order, what its baselines had to go by.
    pub(super) warmth: Vec<Warmth>,
}

/// The times at which a group is evaluated.
pub(super) fn group_steps(
    group: &Group,
    interval: Nanos,
    phase: Nanos,
    range: TimeRange,
) -> Option<Steps> {
    Steps::aligned(
        range,
        group.interval.unwrap_or(interval),
        group.phase.unwrap_or(phase),
    )
}

/// Evaluates all rules at all their times in `range`.
pub(super) fn replay(
    file: &RuleFile,
    range: TimeRange,
    interval: Nanos,
    phase: Nanos,
    options: &EvalOptions,
    chunking: Chunking,
    base: &dyn SeriesReader,
) -> Result<Replayed> {
    let plan = Plan::new(file);
    let reading = Reading::new(base);
    let mut runners: Vec<Vec<Runner<'_>>> = file
        .groups
        .iter()
        .enumerate()
        .map(|(g, group)| {
            let steps = group_steps(group, interval, phase, range);
            let rules = group.rules.iter().enumerate();
            rules
                .map(|(r, rule)| Runner::new(group, rule, r, steps, plan.is_read[g][r]))
                .collect()
        })
        .collect();
    let sharing = Sharing::new(&plan, &runners, chunking.shares);
    let rules = || runners.iter().flatten();
    let reach = rules().map(|runner| runner.reach(options)).max();
    let shortest = file.groups.iter().map(|g| g.interval.unwrap_or(interval));
    let shortest = shortest.min().unwrap_or(Nanos::SECOND);
    let reach = reach.unwrap_or_default();
    let first = chunking.first.max(shortest);
    let samples = chunking
        .samples
        .unwrap_or_else(|| usual_samples(rules().count()));
    let mut chunk = stretch(range.start, first, range.end);
    let mut length = first;
    let (mut sightings, mut unseen) = (Sightings::default(), Unseen::default());
    if let Some(chunk) = chunk {
        unseen = reading.prefetch(questions(&runners, chunk, options))?;
    }
    while let Some(now) = chunk {
        reading.advance(now.start, reach);
        sharing.session.next_round();
        let next = stretch(now.end, length, range.end);
        let asked = next.map(|next| questions(&runners, next, options));
        // The next stretch is read while this one is evaluated, and what is seen in it is noted.
        let (held, (ahead, ())) = rayon::join(
            || evaluate_chunk(&plan, &sharing, &mut runners, now, options, &reading),
            || {
                rayon::join(
                    || asked.map(|asked| reading.read_ahead(asked)).transpose(),
                    || std::mem::take(&mut unseen).note(&mut sightings),
                )
            },
        );
        let wished = next_length(now.end.since(now.start).0, held?, samples);
        length = Nanos(wished).max(shortest);
        if let Some(ahead) = ahead? {
            unseen = reading.turn_to(ahead);
        }
        chunk = next;
    }
    Ok(Replayed {
        rules: runners
            .into_iter()
            .map(|group| group.into_iter().map(Runner::finish).collect())
            .collect(),
        sightings,
        warmth: flat(file)
            .iter()
            .map(|(_, _, rule)| Warmth::of(rule, options, &sharing.session))
            .collect(),
    })
}

/// How many samples are held for so many rules. Fewer leave more pages of memory untouched, which is a third of the time of one rule; but each
/// rule has its fixed cost a stretch.
fn usual_samples(rules: usize) -> usize {
    (500_000 + 1_000 * rules).min(1_000_000)
}

/// A stretch of time from `start` on, not beyond `end`; `None` at the end.
fn stretch(start: Timestamp, length: Nanos, end: Timestamp) -> Option<TimeRange> {
    (start < end).then(|| TimeRange {
        start,
        end: start.plus(length).min(end),
    })
}

/// What rules are going to ask in a stretch.
fn questions(
    runners: &[Vec<Runner<'_>>],
    chunk: TimeRange,
    options: &EvalOptions,
) -> Vec<Question> {
    let all = runners.iter().flatten();
    all.flat_map(|runner| runner.questions(chunk, options))
        .collect()
}

/// Evaluates all rules in a stretch that was read; about how many values were held.
fn evaluate_chunk(
    plan: &Plan,
    sharing: &Sharing,
    runners: &mut [Vec<Runner<'_>>],
    chunk: TimeRange,
    options: &EvalOptions,
    reading: &Reading<'_>,
) -> Result<usize> {
    let (mut shared, mut cells) = (0, 0);
    for wave in 0..plan.wave_count() {
        sharing.prepare(wave, runners, chunk, options, reading);
        shared = shared.max(sharing.session.held());
        let context = Context {
            options,
            reading,
            session: Some(&sharing.session),
        };
        cells = cells.max(run_wave(plan, wave, runners, chunk, &context)?);
    }
    // A thread holds the result of a rule and what it was made of.
    Ok(reading.held() + shared + 3 * cells * rayon::current_num_threads())
}

/// What the rules of a replay share, announced wave by wave.
struct Sharing {
    session: Session,
    /// For each wave how many expressions were announced up to its end.
    announced: Vec<usize>,
}

impl Sharing {
    fn new(plan: &Plan, runners: &[Vec<Runner<'_>>], shares: bool) -> Sharing {
        let mut session = Session::new();
        let mut announced = Vec::new();
        for wave in 0..plan.wave_count() {
            for RuleId { group, rule } in plan.in_step_with(wave).filter(|_| shares) {
                let runner = &runners[group][rule];
                if let Some(cadence) = runner.cadence() {
                    session.expect(runner.expr(), cadence);
                }
            }
            announced.push(session.expected());
        }
        Sharing { session, announced }
    }

    /// Evaluates what several rules of a wave, or of later ones, share: each part once, on as many threads as there are.
    fn prepare(
        &self,
        wave: usize,
        runners: &[Vec<Runner<'_>>],
        chunk: TimeRange,
        options: &EvalOptions,
        reading: &Reading<'_>,
    ) {
        let first = wave
            .checked_sub(1)
            .map_or(0, |before| self.announced[before]);
        let steps: HashMap<Steps, Steps> = runners
            .iter()
            .flatten()
            .filter_map(|r| Some((r.cadence()?, r.looks_at(within(r.steps(), chunk)?))))
            .collect();
        let in_chunk = |cadence: Steps| steps.get(&cadence).copied();
        let expected = first..self.announced[wave];
        self.session.prepare(expected, &in_chunk, reading, options);
    }
}

/// Evaluates the rules of a wave; gives how many values the largest result had.
fn run_wave(
    plan: &Plan,
    wave: usize,
    runners: &mut [Vec<Runner<'_>>],
    chunk: TimeRange,
    context: &Context<'_>,
) -> Result<usize> {
    let mut in_step: Vec<&mut Runner<'_>> = Vec::new();
    for (g, group) in runners.iter_mut().enumerate() {
        if plan.is_stepwise(g) {
            continue;
        }
        let of_wave = group.iter_mut().zip(&plan.waves[g]);
        in_step.extend(
            of_wave
                .filter(|(_, w)| **w == wave)
                .map(|(runner, _)| runner),
        );
    }
    let run = |runner: &mut &mut Runner<'_>| {
        let steps = within(runner.steps(), chunk);
        runner.run(steps, context)
    };
    // Those that remember wait for each other, so they must not be taken up by a thread that waits.
    let alone = in_step.iter_mut().filter(|runner| runner.remembers());
    let alone: Result<Vec<usize>> = alone.map(run).collect();
    let together = in_step.par_iter_mut().filter(|runner| !runner.remembers());
    let cells: Result<Vec<usize>> = together.map(run).collect();
    let alone = alone?.into_iter().max();
    // In the order of the file, whichever was done first.
    for runner in in_step {
        runner.give(context.reading);
    }
    for part in plan.parts.iter().filter(|part| part.stepwise) {
        if plan.waves[part.groups[0]].first() == Some(&wave) {
            run_stepwise(part, runners, chunk, context)?;
        }
    }
    Ok(cells?.into_iter().max().max(alone).unwrap_or(0))
}

/// Evaluates groups that look back at themselves or each other: one evaluation after the other, in the order of time, then of the file.
fn run_stepwise(
    part: &Part,
    runners: &mut [Vec<Runner<'_>>],
    chunk: TimeRange,
    context: &Context<'_>,
) -> Result<()> {
    let mut times: Vec<(Timestamp, usize)> = Vec::new();
    for &group in &part.groups {
        let first = runners[group].first();
        if let Some(steps) = first.and_then(|first| within(first.steps(), chunk)) {
            times.extend(steps.iter().map(|at| (at, group)));
        }
    }
    times.sort_unstable();
    for (at, group) in times {
        for runner in &mut runners[group] {
            runner.run(Some(Steps::instant(at)), context)?;
            runner.give(context.reading);
        }
    }
    Ok(())
}

/// The steps that fall into a stretch.
pub(super) fn within(steps: Option<Steps>, chunk: TimeRange) -> Option<Steps> {
    let steps = steps?;
    let step = steps.step.0;
    let after = (chunk.start.0 - steps.start.0).max(0);
    let first = (after + step - 1) / step;
    let start = steps.start.0 + first * step;
    let end = steps.end.0.min(chunk.end.0 - 1);
    (start <= end).then(|| Steps {
        start: Timestamp(start),
        end: Timestamp(start + (end - start) / step * step),
        step: steps.step,
    })
}

/// The rules that a file has, one after the other.
pub(super) fn flat(file: &RuleFile) -> Vec<(RuleId, &Group, &Rule)> {
    let mut all = Vec::new();
    for (group, g) in file.groups.iter().enumerate() {
        for (rule, r) in g.rules.iter().enumerate() {
            all.push((RuleId { group, rule }, g, r));
        }
    }
    all
}
