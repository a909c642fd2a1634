//! Cuts the smallest case that still shows what it is about: few series first, little history first, wide cells first.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backtest::{Alert, Backtest, Outcome, could_read};
use crate::expr::{EvalOptions, Expr, NodeKind, StaleAfter, Value, evaluate};
use crate::rule::{Group, Rule, RuleFile};
use crate::series::{MemorySeries, Series, SeriesReader, stale_nan};
use crate::{Labels, Matcher, Nanos, Result, Steps, TimeRange, Timestamp, Window};

use super::case::{Case, Check};
use super::grid::{Grid, Placed, place, widths};
use super::portable::{Portable, common_length, portable, subquery_steps};
use super::subject::Subject;
use super::{CutError, write};

/// promtool looks back this far and cannot be told otherwise.
const LOOKBACK: Nanos = Nanos(5 * Nanos::MINUTE.0);
/// More cells than this make a file that nobody reads.
const CELLS_MAX: usize = 200_000;
/// Evaluations before the first that matters, so that a case begins with silence.
const BEFORE: i64 = 2;
/// Evaluations of a missed incident that are looked at.
const LOOKS: i64 = 4;

/// Cuts a case out of a recording.
///
/// # Errors
/// When promtool cannot express a rule, when the alerts do not come out the same, or when the data cannot be read.
pub fn cut(
    file: &RuleFile,
    outcome: &Outcome,
    subject: &Subject,
    reader: &dyn SeriesReader,
) -> Result<Case, CutError> {
    let cutting = Cutting::new(file, outcome, subject)?;
    let (service, instance) = &subject.process;
    let mut filters: Vec<Vec<Matcher>> = Vec::new();
    if !service.is_empty() && !instance.is_empty() {
        filters.push(vec![
            Matcher::equal("service", service),
            Matcher::equal("instance", instance),
        ]);
    }
    if !service.is_empty() {
        filters.push(vec![Matcher::equal("service", service)]);
    }
    filters.push(Vec::new());
    let mut lost = None;
    for filter in filters {
        let only = Only { reader, filter };
        for history in cutting.histories() {
            match cutting.attempt(&only, history)? {
                Attempt::Shows(case) => return Ok(*case),
                Attempt::Lost(found) => lost = Some(found),
                Attempt::Nothing => {}
            }
        }
    }
    Err(CutError::Lost {
        expected: cutting.expected(),
        found: lost.unwrap_or_else(|| "no series".to_owned()),
    })
}

/// Series that satisfy some matchers more.
struct Only<'a> {
    reader: &'a dyn SeriesReader,
    filter: Vec<Matcher>,
}

impl SeriesReader for Only<'_> {
    fn select(&self, matchers: &[Matcher], window: Window) -> Result<Vec<Series>> {
        let all: Vec<Matcher> = matchers.iter().chain(&self.filter).cloned().collect();
        self.reader.select(&all, window)
    }

    fn metric_names(&self) -> Result<Vec<Arc<str>>> {
        self.reader.metric_names()
    }
}

enum Attempt {
    Shows(Box<Case>),
    /// What came out instead.
    Lost(String),
    /// There are no series.
    Nothing,
}

struct Cutting<'a> {
    outcome: &'a Outcome,
    subject: &'a Subject,
    /// The rules tested and what they read, as promtool reads them.
    group: Group,
    /// Their expressions as they were.
    originals: Vec<Expr>,
    parts: Vec<(Arc<str>, Expr)>,
    interval: Nanos,
    phase: Nanos,
    common: Nanos,
    /// Time zero is a multiple of it, seen from the phase.
    aligned: Nanos,
}

impl<'a> Cutting<'a> {
    fn new(
        file: &'a RuleFile,
        outcome: &'a Outcome,
        subject: &'a Subject,
    ) -> Result<Cutting<'a>, CutError> {
        let flat: Vec<(&Group, &Rule)> = file
            .groups
            .iter()
            .flat_map(|g| g.rules.iter().map(move |r| (g, r)))
            .collect();
        let needed = closure(&flat, &subject.rules);
        let first = subject.rules.first().copied().unwrap_or_default();
        let (interval, phase) = (outcome.rules[first].interval, outcome.rules[first].phase);
        let mut group = Group::new(flat[first].0.name.clone());
        group.interval = Some(interval);
        group.limit = flat[first].0.limit;
        let mut cutting = Cutting {
            outcome,
            subject,
            group,
            originals: Vec::new(),
            parts: Vec::new(),
            interval,
            phase,
            common: interval,
            aligned: interval,
        };
        for index in needed {
            let (group, rule) = flat[index];
            let refuse = |what: &str| CutError::Inexpressible {
                rule: rule.name().to_string(),
                what: what.to_owned(),
            };
            let settings = &outcome.rules[index];
            if (settings.interval, settings.phase) != (interval, phase) {
                return Err(refuse("groups with different intervals"));
            }
            if group.query_offset.0 != 0 {
                return Err(refuse("`query_offset`"));
            }
            if outcome.settings.lookback != LOOKBACK {
                return Err(refuse("a lookback other than 5m"));
            }
            if interval.0 % 1_000_000 != 0 {
                return Err(refuse("an interval below a millisecond"));
            }
            cutting.add(rule)?;
        }
        Ok(cutting)
    }

    fn add(&mut self, rule: &Rule) -> Result<(), CutError> {
        let expr = rule.expr();
        let name = rule.name();
        let alerts = crate::backtest::reads_alerts(expr);
        if alerts {
            return Err(CutError::Inexpressible {
                rule: name.to_string(),
                what: "a rule that reads `ALERTS`".to_owned(),
            });
        }
        let Portable { expr: new, parts } =
            portable(name, expr, self.interval, self.parts.len() + 1)?;
        self.common = Nanos(super::grid::gcd(
            self.common.0,
            common_length(expr, self.interval).0,
        ));
        for step in subquery_steps(expr, self.interval) {
            // The least common multiple: a step of minutes at an interval of seconds.
            let gcd = super::grid::gcd(self.aligned.0, step.0).max(1);
            self.aligned = Nanos(self.aligned.0 / gcd * step.0);
        }
        self.originals.push(expr.clone());
        self.parts.extend(parts);
        let mut rule = rule.clone();
        match &mut rule {
            Rule::Alerting(rule) => rule.expr = new,
            Rule::Recording(rule) => rule.expr = new,
        }
        self.group.rules.push(rule);
        Ok(())
    }

    /// How much history to try: what windows need, then the lookback and staleness too.
    fn histories(&self) -> [Nanos; 2] {
        let sum = |options: &EvalOptions| {
            let each = self.originals.iter().map(|e| e.history(options).0);
            // Rules that read rules reach further.
            let recorded = self.group.rules.iter().any(|r| r.alerting().is_none());
            Nanos(if recorded {
                each.sum()
            } else {
                each.max().unwrap_or(0)
            })
        };
        let short = EvalOptions {
            lookback: self.interval,
            stale_after: StaleAfter::Lookback,
            subquery_step: self.interval,
            ..EvalOptions::default()
        };
        [sum(&short), sum(&self.options())]
    }

    fn options(&self) -> EvalOptions {
        EvalOptions {
            lookback: LOOKBACK,
            stale_after: self.outcome.settings.stale_after,
            subquery_step: self.interval,
            ..EvalOptions::default()
        }
    }

    /// Tries with so much history: reads, puts on grids, and runs until the alerts come out.
    fn attempt(&self, reader: &Only<'_>, history: Nanos) -> Result<Attempt, CutError> {
        let origin = self.origin(history);
        let end = self.subject.to.plus(self.interval);
        // Time zero must be a multiple of what subqueries step by, as the recording's evaluations were.
        let length = end.since(origin);
        let recorded = self.recorded(reader, origin, end)?;
        if recorded.is_empty() && self.parts.is_empty() {
            return Ok(Attempt::Nothing);
        }
        let apart = recorded.iter().filter_map(|s| median_gap(&s.at_ns)).min();
        let apart = apart.unwrap_or(self.interval.0);
        let mut lost = Attempt::Nothing;
        let mut best: Option<(u64, Nanos)> = None;
        let widths = widths(self.common.0, apart);
        if widths.is_empty() {
            return Ok(Attempt::Lost(
                "windows that are no whole milliseconds".to_owned(),
            ));
        }
        // Without a sample lost if that is possible, else with as few as possible.
        for width in widths {
            let grid = self.grid(origin, width, length);
            if grid.cells > CELLS_MAX {
                break;
            }
            let policy = self.outcome.settings.stale_after;
            let dropped = recorded
                .iter()
                .map(|s| place(s, &grid, LOOKBACK, policy).dropped)
                .sum();
            if best.is_none_or(|(least, _)| dropped < least) {
                best = Some((dropped, width));
            }
            if dropped == 0 {
                break;
            }
        }
        let Some((_, width)) = best else {
            return Ok(Attempt::Lost(format!(
                "more than {CELLS_MAX} samples a series"
            )));
        };
        let grid = self.grid(origin, width, length);
        let mut placed: Vec<Placed> = recorded
            .iter()
            .map(|s| place(s, &grid, LOOKBACK, self.outcome.settings.stale_after))
            .filter(|p| p.kept > 0)
            .collect();
        placed.extend(self.part_series(reader, &grid)?);
        placed.sort_by(|a, b| a.labels.cmp(&b.labels));
        let memory = MemorySeries {
            series: placed.iter().map(|p| p.series(&grid)).collect(),
        };
        let mut mini = RuleFile::from_toml("case", "").map_err(|e| crate::Error::Value {
            expected: "an empty rule file",
            found: e.to_string(),
        })?;
        mini.groups = vec![self.group.clone()];
        let run = Backtest::new(&mini)
            .range(TimeRange {
                start: Timestamp(0),
                end: Timestamp(length.0 + 1),
            })
            .interval(self.interval)
            .phase(Nanos(0))
            .stale_after(StaleAfter::Lookback)
            .run(&memory)?;
        match self.differs(&run, origin) {
            Some(found) => lost = Attempt::Lost(found),
            None => {
                let checks = self.checks(&run, origin);
                if !checks.is_empty() {
                    return Ok(Attempt::Shows(Box::new(self.case(placed, checks, grid))));
                }
            }
        }
        Ok(lost)
    }

    /// Time zero of a case with so much history: an evaluation.
    fn origin(&self, history: Nanos) -> Timestamp {
        let from = self
            .subject
            .from
            .minus(Nanos(self.interval.0 * BEFORE))
            .minus(history);
        let into = (from.0 - self.phase.0).rem_euclid(self.aligned.0);
        Timestamp(from.0 - into)
    }

    fn grid(&self, origin: Timestamp, width: Nanos, length: Nanos) -> Grid {
        Grid {
            origin,
            width,
            cells: usize::try_from(length.0 / width.0).unwrap_or(usize::MAX),
        }
    }

    /// What the rules read of the recording, each series once.
    fn recorded(
        &self,
        reader: &Only<'_>,
        origin: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Series>> {
        let window = Window {
            // Where a series ended is known from what came before.
            after: origin.minus(LOOKBACK).minus(LOOKBACK),
            until: end,
        };
        let mut found: Vec<Series> = Vec::new();
        let mut seen = BTreeSet::new();
        for rule in &self.group.rules {
            let mut lists: Vec<Vec<Matcher>> = Vec::new();
            rule.expr().root().walk(&mut |node| {
                if let NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } = &node.kind {
                    let ours = self.group.rules.iter().any(|r| could_read(s, r));
                    let part = s
                        .name
                        .as_ref()
                        .is_some_and(|n| self.parts.iter().any(|(p, _)| p == n));
                    if !ours && !part {
                        lists.extend(s.alternatives.iter().cloned());
                    }
                }
            });
            for matchers in lists {
                for series in reader.select(&matchers, window)? {
                    if seen.insert(series.labels.clone()) {
                        found.push(series);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The values of what only memwatch can compute, at each evaluation.
    fn part_series(&self, reader: &Only<'_>, grid: &Grid) -> Result<Vec<Placed>> {
        let per_step = usize::try_from(self.interval.0 / grid.width.0)
            .unwrap_or(1)
            .max(1);
        let steps = Steps {
            start: grid.origin.plus(self.interval),
            end: grid.origin.plus(Nanos(
                grid.width
                    .0
                    .saturating_mul(i64::try_from(grid.cells).unwrap_or(i64::MAX)),
            )),
            step: self.interval,
        };
        let mut found = Vec::new();
        for (name, expr) in &self.parts {
            let Value::Vector(matrix) = evaluate(expr, steps, reader, &self.options())?.value
            else {
                continue;
            };
            for row in &matrix.series {
                let labels: Labels = row.labels.with(crate::labels::METRIC_NAME, name);
                let mut cells = vec![None; grid.cells];
                let mut alive = false;
                let mut kept = 0;
                for step in 0..steps.count() {
                    // The last cell before the evaluation.
                    let Some(cell) = cells.get_mut((step + 1) * per_step - 1) else {
                        break;
                    };
                    match row.get(step) {
                        Some(value) => {
                            *cell = Some(value);
                            alive = true;
                            kept += 1;
                        }
                        None if alive => {
                            *cell = Some(stale_nan());
                            alive = false;
                        }
                        None => {}
                    }
                }
                found.push(Placed {
                    labels,
                    cells,
                    dropped: 0,
                    kept,
                    moved_most: Nanos(0),
                });
            }
        }
        Ok(found)
    }

    /// Alerts of the rules tested that are active where it matters.
    fn seen<'r>(&self, run: &'r Outcome, origin: Timestamp) -> Vec<&'r Alert> {
        let from = Timestamp(self.subject.from.since(origin).0);
        let to = Timestamp(self.subject.to.since(origin).0);
        run.alerts
            .iter()
            .filter(|a| a.fired_at <= to && a.ended.at().is_none_or(|end| end > from))
            .collect()
    }

    /// What came out, when it is not what the recording shows.
    fn differs(&self, run: &Outcome, origin: Timestamp) -> Option<String> {
        let seen = self.seen(run, origin);
        let same = |wanted: &Alert| {
            seen.iter().any(|a| {
                let end = |at: Timestamp| Timestamp(at.since(origin).0);
                let to = end(self.subject.to);
                let ends = |at: Option<Timestamp>| at.filter(|at| *at <= to);
                a.labels == wanted.labels
                    && a.fired_at == end(wanted.fired_at)
                    && ends(a.ended.at()) == ends(wanted.ended.at().map(end))
            })
        };
        let wanted: Vec<&Alert> = self
            .subject
            .alerts
            .iter()
            .map(|a| &self.outcome.alerts[*a])
            .collect();
        let all = wanted.iter().all(|w| same(w));
        let too_many = wanted.is_empty() && !seen.is_empty();
        (!all || too_many).then(|| {
            let shown: Vec<String> = seen
                .iter()
                .map(|a| {
                    describe(
                        a,
                        Timestamp(a.fired_at.0 + origin.0),
                        a.ended.at().map(|e| Timestamp(e.0 + origin.0)),
                    )
                })
                .collect();
            list(&shown)
        })
    }

    fn expected(&self) -> String {
        let shown: Vec<String> = self
            .subject
            .alerts
            .iter()
            .map(|a| &self.outcome.alerts[*a])
            .map(|a| describe(a, a.fired_at, a.ended.at()))
            .collect();
        list(&shown)
    }

    /// Where to look: before each alert fires, when it fires, when it is resolved; of a missed incident some times inside of it.
    fn checks(&self, run: &Outcome, origin: Timestamp) -> Vec<Check> {
        let mut found: BTreeSet<(Timestamp, Arc<str>)> = BTreeSet::new();
        let to = Timestamp(self.subject.to.since(origin).0);
        for wanted in self.subject.alerts.iter().map(|a| &self.outcome.alerts[*a]) {
            let name = self.outcome.rules[wanted.rule].name.clone();
            let fired = Timestamp(wanted.fired_at.since(origin).0);
            let resolved = wanted
                .ended
                .resolved_at()
                .map(|at| Timestamp(at.since(origin).0));
            found.insert((fired.minus(self.interval), name.clone()));
            found.insert((fired, name.clone()));
            found.extend(resolved.filter(|at| *at <= to).map(|at| (at, name.clone())));
        }
        if self.subject.alerts.is_empty() {
            let from = Timestamp(self.subject.from.since(origin).0);
            for rule in &self.subject.rules {
                for look in 0..=LOOKS {
                    let at = from.0 + (to.0 - from.0) / LOOKS * look;
                    let at = at - at.rem_euclid(self.interval.0);
                    found.insert((Timestamp(at), self.outcome.rules[*rule].name.clone()));
                }
            }
        }
        found
            .into_iter()
            .filter(|(at, _)| at.0 >= 0)
            .filter_map(|(at, name)| {
                let firing: Vec<Alert> = run
                    .alerts
                    .iter()
                    .filter(|a| run.rules[a.rule].name == name)
                    .filter(|a| a.fired_at <= at && a.ended.at().is_none_or(|end| at < end))
                    .cloned()
                    .collect();
                // The texts of an alert are known as they were when it fired.
                let known = firing
                    .iter()
                    .all(|a| a.fired_at == at || a.annotations.is_empty());
                known.then_some(Check {
                    at: Nanos(at.0),
                    alert: name,
                    expected: firing,
                })
            })
            .collect()
    }

    fn case(&self, placed: Vec<Placed>, checks: Vec<Check>, grid: Grid) -> Case {
        let samples = placed.iter().map(|p| p.kept).sum();
        let dropped: u64 = placed.iter().map(|p| p.dropped).sum();
        let moved_most = placed
            .iter()
            .map(|p| p.moved_most)
            .max()
            .unwrap_or_default();
        let mut head = vec![
            format!("memwatch: {}", self.subject.title),
            format!(
                "Time zero is {}. Real samples, each in the middle of a cell of {}: windows and evaluations see what they saw",
                grid.origin, grid.width
            ),
            format!(
                "in the recording; no sample was moved by more than {:.1} ms, {dropped} of {} left out for a newer one in their cell.",
                moved_most.as_seconds() * 1e3,
                samples + dropped
            ),
        ];
        if self.subject.alerts.is_empty() {
            head.push(
                "No alert fired: the case holds as long as the incident is missed.".to_owned(),
            );
        }
        for (name, expr) in &self.parts {
            head.push(format!(
                "{name} holds the values of {expr}, which Prometheus cannot compute."
            ));
        }
        let rules_head = [head[0].clone(), "Parameters are filled in.".to_owned()];
        Case {
            title: self.subject.title.clone(),
            rules: write::rules(&self.group, self.interval, &rules_head),
            head,
            moved_most,
            samples,
            dropped,
            placed,
            checks,
            grid,
            interval: self.interval,
        }
    }
}

fn describe(alert: &Alert, fired: Timestamp, ended: Option<Timestamp>) -> String {
    let end = ended.map_or("open".to_owned(), |at| at.to_string());
    format!("{} from {fired} to {end}", alert.labels.get("alertname"))
}

fn list(shown: &[String]) -> String {
    match shown {
        [] => "no alert".to_owned(),
        all => all.join(", "),
    }
}

/// The rules and all recording rules that they read, in file order.
fn closure(flat: &[(&Group, &Rule)], wanted: &[usize]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<usize> = wanted.to_vec();
    while let Some(index) = todo.pop() {
        if !found.insert(index) {
            continue;
        }
        flat[index].1.expr().root().walk(&mut |node| {
            if let NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } = &node.kind {
                let read = flat
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, other))| other.alerting().is_none() && could_read(s, other));
                todo.extend(read.map(|(i, _)| i));
            }
        });
    }
    found
}

fn median_gap(at_ns: &[i64]) -> Option<i64> {
    let mut gaps: Vec<i64> = at_ns
        .windows(2)
        .map(|w| w[1] - w[0])
        .filter(|g| *g > 0)
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}
