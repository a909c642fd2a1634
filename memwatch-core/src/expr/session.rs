//! What the evaluations of several expressions share: the results of parts that occur more than once.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::ast::{AtModifier, Node, NodeKind, TimeShift};
use super::eval::prepare_part;
use super::folds::Folds;
use super::rows::Val;
use super::{Annotation, EvalOptions, Expr, remembers};
use crate::Steps;
use crate::series::SeriesReader;

/// What the evaluations of several expressions over one recording share; for [`super::evaluate_with`].
///
/// Time goes by in rounds. In each round every expression that was announced with [`Session::expect`] is evaluated once, at the
/// steps of its cadence that fall into the round. A part that occurs more than once among the expressions of a cadence is evaluated at
/// its first use, kept, and dropped after its last. Parts are the same when they say the same, whatever they look like and whichever
/// parameters gave them their numbers: of variants of a rule that differ in a threshold only the comparison is evaluated anew, of those
/// that differ in `for` nothing.
///
/// What is shared never changes a result. Within a round a reader must give the same samples for the same question.
#[derive(Debug, Default)]
pub struct Session {
    /// Every part that was announced, by what it says.
    numbers: HashMap<String, usize>,
    /// By its address the part of an announced expression; the expressions are held, so that no address is used again.
    by_address: HashMap<usize, usize>,
    expressions: Vec<Arc<Node>>,
    /// How often each part is needed in a round, by cadence.
    uses: HashMap<(usize, Steps), usize>,
    /// The most uses of a part in any cadence.
    most_uses: Vec<usize>,
    /// Where each part of a cadence occurs first, what is below a part before it.
    occurrences: Vec<Occurrence>,
    round: Mutex<Round>,
    /// What remembers more than a round.
    folds: Folds,
}

/// Where a part occurs.
#[derive(Debug)]
struct Occurrence {
    number: usize,
    cadence: Steps,
    expr: Expr,
    /// The place of `expr` among the expressions.
    expected: usize,
    address: usize,
    /// Nodes on the longest way down.
    height: usize,
    /// Whether it advances what is remembered from round to round.
    remembers: bool,
}

#[derive(Debug, Default)]
struct Round {
    kept: HashMap<(usize, Steps), Kept>,
    values: usize,
    computed: u64,
}

/// The result of a part.
#[derive(Debug)]
struct Kept {
    val: Val,
    annotations: Vec<Annotation>,
    /// As it was written where it was evaluated; annotations point into it.
    text: String,
    start: usize,
    left: usize,
}

impl Session {
    /// Nothing is announced, so nothing is shared.
    #[must_use]
    pub fn new() -> Session {
        Session::default()
    }

    /// Announces that an expression is evaluated in each round. `cadence`: all its evaluations, in whatever rounds; expressions of equal
    /// cadence are evaluated at the same steps.
    pub fn expect(&mut self, expr: &Expr, cadence: Steps) {
        self.expressions.push(Arc::clone(&expr.root));
        self.number_parts(&expr.root);
        self.use_part(expr, &expr.root, cadence);
    }

    /// How many expressions were announced.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.expressions.len()
    }

    /// Evaluates in this round the parts that occur more than once and first in these expressions (by the order in which they were
    /// announced): each once, those that do not hold each other on as many threads as there are. `steps` says which steps of a cadence
    /// fall into the round. Without this a part is evaluated at its first use, and by two threads when they need it at the same time.
    ///
    /// A part that cannot be evaluated is left to the expressions that need it, which say why.
    pub fn prepare(
        &self,
        expected: Range<usize>,
        steps: &(dyn Fn(Steps) -> Option<Steps> + Sync),
        reader: &dyn SeriesReader,
        options: &EvalOptions,
    ) {
        let shared = |o: &&Occurrence| {
            let uses = self.uses.get(&(o.number, o.cadence));
            expected.contains(&o.expected) && uses.is_some_and(|uses| *uses > 1)
        };
        let mut by_height: BTreeMap<usize, Vec<&Occurrence>> = BTreeMap::new();
        for occurrence in self.occurrences.iter().filter(shared) {
            let level = by_height.entry(occurrence.height).or_default();
            level.push(occurrence);
        }
        for level in by_height.values() {
            let evaluate = |occurrence: &&Occurrence| {
                let mut node = None;
                occurrence.expr.root.walk(&mut |below| {
                    if address(below) == occurrence.address {
                        node = Some(below);
                    }
                });
                if let (Some(node), Some(steps)) = (node, steps(occurrence.cadence)) {
                    let part = (node, occurrence.number);
                    prepare_part(&occurrence.expr, part, steps, reader, options, self);
                }
            };
            let (alone, together): (Vec<&Occurrence>, Vec<&Occurrence>) =
                level.iter().partition(|occurrence| occurrence.remembers);
            alone.iter().for_each(evaluate);
            together.par_iter().for_each(evaluate);
        }
    }

    /// What remembers all of the recording, from round to round.
    pub(super) fn folds(&self) -> &Folds {
        &self.folds
    }

    /// The next round begins: what is kept of the last is dropped.
    pub fn next_round(&self) {
        let mut round = self.round();
        round.kept.clear();
        round.values = 0;
        drop(round);
        self.folds.next_round();
    }

    /// How many values are kept.
    #[must_use]
    pub fn held(&self) -> usize {
        self.round().values
    }

    /// How many parts worth keeping were evaluated, in all rounds: for tests of what is shared.
    #[doc(hidden)]
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.round().computed
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a part and all below it by what they say.
    fn number_parts(&mut self, node: &Node) -> Shape {
        if let NodeKind::Paren(inner) = &node.kind {
            return self.number_parts(inner);
        }
        let mut shape = Shape::default();
        for child in node.children() {
            let of_child = self.number_parts(child);
            shape.reads |= of_child.reads;
            shape.at_ends |= of_child.at_ends;
            shape.children.push(of_child.number);
        }
        shape.look_at(node);
        let count = self.numbers.len();
        let text = describe(node, &shape.children);
        shape.number = *self.numbers.entry(text).or_insert(count);
        if shape.number == self.most_uses.len() {
            self.most_uses.push(0);
        }
        if shape.worth_keeping(node) {
            self.by_address.insert(address(node), shape.number);
        }
        shape
    }

    /// Counts a part as used, and what is below it if it is new: it is evaluated once. What a subquery evaluates at steps of its own
    /// does not count.
    fn use_part(&mut self, expr: &Expr, node: &Node, cadence: Steps) {
        let node = node.without_parens();
        let mut first_use = None;
        if let Some(&number) = self.by_address.get(&address(node)) {
            let uses = self.uses.entry((number, cadence)).or_default();
            *uses += 1;
            self.most_uses[number] = self.most_uses[number].max(*uses);
            if *uses > 1 {
                return;
            }
            first_use = Some(number);
        }
        if !matches!(node.kind, NodeKind::Subquery(_)) {
            for child in node.children() {
                self.use_part(expr, child, cadence);
            }
        }
        if let Some(number) = first_use {
            self.occurrences.push(Occurrence {
                number,
                cadence,
                expr: expr.clone(),
                expected: self.expressions.len() - 1,
                address: address(node),
                height: node.depth,
                remembers: remembers(node),
            });
        }
    }

    /// The number of a part of an announced expression that is worth keeping.
    pub(super) fn number(&self, node: &Node) -> Option<usize> {
        let number = *self.by_address.get(&address(node))?;
        (self.most_uses[number] > 1).then_some(number)
    }

    /// What is known of a part of `expr` at these steps, with the annotations that evaluating it would give.
    pub(super) fn get(
        &self,
        number: usize,
        steps: Steps,
        expr: &Expr,
        node: &Node,
    ) -> Option<(Val, Vec<Annotation>)> {
        let mut guard = self.round();
        let round = &mut *guard;
        let kept = round.kept.get_mut(&(number, steps))?;
        if !kept.annotations.is_empty() && kept.text != text_of(expr, node) {
            // The same said in other words: its annotations point elsewhere.
            return None;
        }
        let annotations = kept.annotations.iter().map(|annotation| {
            let mut here = annotation.clone();
            here.span.start = annotation.span.start - kept.start + node.span.start;
            here.span.end = annotation.span.end - kept.start + node.span.start;
            here.expression = expr.text.clone();
            here
        });
        let annotations = annotations.collect();
        kept.left = kept.left.saturating_sub(1);
        if kept.left == 0 {
            let kept = round.kept.remove(&(number, steps))?;
            round.values -= kept.val.cells();
            return Some((kept.val, annotations));
        }
        Some((kept.val.clone(), annotations))
    }

    /// Whether a part is kept.
    pub(super) fn holds(&self, number: usize, steps: Steps) -> bool {
        self.round().kept.contains_key(&(number, steps))
    }

    /// Keeps the result of a part for its other uses; `used`: whether this was one of them.
    pub(super) fn put(
        &self,
        part: (usize, Steps),
        expr: &Expr,
        node: &Node,
        val: &mut Val,
        annotations: &[Annotation],
        used: bool,
    ) {
        let inside =
            |a: &Annotation| node.span.start <= a.span.start && a.span.end <= node.span.end;
        if !annotations.iter().all(inside) {
            return;
        }
        val.share();
        let kept = Kept {
            val: val.clone(),
            annotations: annotations.to_vec(),
            text: text_of(expr, node).to_owned(),
            start: node.span.start,
            left: self.most_uses[part.0] - usize::from(used),
        };
        let mut round = self.round();
        round.computed += 1;
        round.values += kept.val.cells();
        if let Some(old) = round.kept.insert(part, kept) {
            round.values -= old.val.cells();
        }
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

fn text_of<'e>(expr: &'e Expr, node: &Node) -> &'e str {
    expr.text.get(node.span.start..node.span.end).unwrap_or("")
}

/// What is known of a part before it is evaluated.
#[derive(Default)]
struct Shape {
    number: usize,
    children: Vec<usize>,
    /// Whether it reads series: the rest is not worth keeping.
    reads: bool,
    /// Whether it looks at the ends of the whole query (`@ start()`), which are another in each round.
    at_ends: bool,
}

impl Shape {
    fn look_at(&mut self, node: &Node) {
        let mut shifted = |when: &TimeShift| {
            self.at_ends |= matches!(when.at, Some(AtModifier::Start | AtModifier::End));
        };
        match &node.kind {
            NodeKind::Selector(selector) | NodeKind::Range { selector, .. } => {
                shifted(&selector.when);
                self.reads = true;
            }
            NodeKind::Subquery(subquery) => shifted(&subquery.when),
            _ => {}
        }
    }

    fn worth_keeping(&self, node: &Node) -> bool {
        let range = matches!(node.kind, NodeKind::Range { .. } | NodeKind::Subquery(_));
        self.reads && !self.at_ends && !range
    }
}

/// What a node says, its children by their numbers.
fn describe(node: &Node, children: &[usize]) -> String {
    let mut text = match &node.kind {
        NodeKind::Number(number) => format!("number {:016x}", number.value.to_bits()),
        NodeKind::Text(_) | NodeKind::Selector(_) | NodeKind::Range { .. } => node.to_string(),
        NodeKind::Subquery(s) => {
            let step = s.step.map_or(0, |step| step.0);
            format!("subquery {} {step} {:?}", s.range.0, s.when)
        }
        NodeKind::Paren(_) => "()".to_owned(),
        NodeKind::Negate(_) => "-".to_owned(),
        NodeKind::Binary(b) => format!("{} {} {:?}", b.op, b.returns_bool, b.matching),
        NodeKind::Aggregate(a) => format!("{} {:?}", a.op, a.grouping),
        NodeKind::Call { function, .. } => format!("{}()", function.name),
    };
    for child in children {
        let _ = write!(text, " #{child}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{EvalOptions, evaluate, evaluate_with, parse_with};
    use crate::series::{MemorySeries, Series};
    use crate::{Labels, Nanos, Timestamp};

    const SECOND: i64 = 1_000_000_000;

    fn steps() -> Steps {
        Steps {
            start: Timestamp(20 * SECOND),
            end: Timestamp(60 * SECOND),
            step: Nanos::SECOND,
        }
    }

    fn recording() -> MemorySeries {
        let series = |name: &str, i: i64| Series {
            labels: [("__name__", name.to_owned()), ("i", i.to_string())]
                .into_iter()
                .collect::<Labels>(),
            at_ns: (0..70).map(|t| t * SECOND).collect(),
            values: (0..70).map(|t| (t * t % (7 + i)) as f64).collect(),
        };
        let all = ["x", "y", "n_total"].into_iter();
        let series = all.flat_map(|name| (0..3).map(move |i| series(name, i)));
        MemorySeries {
            series: series.collect(),
        }
    }

    /// Evaluates expressions with `$t` = 1, 2, 3 … in turn: with and without a session they must give the same. How many parts were
    /// evaluated and kept.
    #[track_caller]
    fn check(texts: &[&str], kept: u64) {
        let (reader, options) = (recording(), EvalOptions::default());
        let expressions: Vec<Expr> = texts
            .iter()
            .zip(1u8..)
            .map(|(text, t)| parse_with(text, &[("t".to_owned(), f64::from(t))].into()).unwrap())
            .collect();
        let mut session = Session::new();
        for expr in &expressions {
            session.expect(expr, steps());
        }
        for expr in &expressions {
            let alone = evaluate(expr, steps(), &reader, &options).unwrap();
            let shared = evaluate_with(expr, steps(), &reader, &options, &session).unwrap();
            // All values are numbers, and texts of numbers are exact.
            assert_eq!(format!("{alone:?}"), format!("{shared:?}"), "{expr}");
        }
        assert_eq!(session.computed(), kept, "{texts:?}");
        assert_eq!(session.held(), 0, "everything was used up: {texts:?}");
        session.next_round();
        for expr in &expressions {
            evaluate_with(expr, steps(), &reader, &options, &session).unwrap();
        }
        assert_eq!(session.computed(), 2 * kept, "each round anew");
    }

    #[test]
    fn what_occurs_twice_is_evaluated_once() {
        check(&["rate(x[5s]) > 1"], 0);
        check(
            &["rate(x[5s]) > 1", "rate(x[5s]) > 2", "rate(y[5s]) > 1"],
            1,
        );
        // Also within one expression, and whatever it looks like.
        check(&["rate(n_total[5s]) / (rate( n_total [5000ms]))"], 1);
        // Of what is evaluated once as a part of something kept, nothing is kept.
        check(&["sum(rate(x[5s])) > 1", "sum(rate(x[5s])) > 2"], 1);
        check(&["sum(rate(x[5s]))", "sum(rate(x[5s]))", "rate(x[5s])"], 2);
        // A whole expression, as in rules that differ in `for`.
        check(&["x > 3 and y > 1", "x > 3 and y > 1", "x > 3"], 2);
        // Other windows, other labels, other operators are something else.
        check(&["rate(x[5s])", "rate(x[6s])", "rate(x{i=\"0\"}[5s])"], 0);
        check(
            &["x + on (i) y", "x + ignoring (i) group_left () sum(y)"],
            2,
        );
        check(
            &["sum by (i) (x)", "sum without (i) (x)", "avg by (i) (x)"],
            1,
        );
        // Numbers alone are not worth it.
        check(&["vector(1) + 2", "vector(1) + 2", "time() + 3 * 4"], 0);
    }

    #[test]
    fn parameters_are_what_they_stand_for() {
        check(&["x > $t", "x > $t", "x > $t"], 1);
        check(&["x > $t", "x > 1"], 1); // The comparison itself.
        check(&["x > $t", "x > 1", "x + 1"], 2);
    }

    #[test]
    fn pinned_parts_and_subqueries_are_shared_whole() {
        check(&["x - x @ 30", "x @ 30 > 2"], 1);
        check(&["x - x @ start()", "x @ start() > 2"], 0);
        check(
            &[
                "max_over_time(rate(x[5s])[10s:2s])",
                "max_over_time(rate(x[5s])[10s:2s]) > 1",
                "rate(x[5s])",
            ],
            1,
        );
    }

    #[test]
    fn annotations_point_into_the_expression_that_is_evaluated() {
        check(&["rate(x[5s]) > 1", "y * on (i) rate(x[5s])"], 1);
        // Written otherwise, the places inside are others: evaluated again.
        let session = |texts: [&str; 2]| {
            let (reader, options) = (recording(), EvalOptions::default());
            let mut session = Session::new();
            let expressions = texts.map(|text| crate::expr::parse(text).unwrap());
            for expr in &expressions {
                session.expect(expr, steps());
            }
            for expr in &expressions {
                let alone = evaluate(expr, steps(), &reader, &options).unwrap();
                let shared = evaluate_with(expr, steps(), &reader, &options, &session).unwrap();
                assert_eq!(alone.annotations, shared.annotations);
                assert_eq!(alone.annotations.len(), 1);
            }
        };
        session(["rate(x[5s]) > 1", "y / on (i) rate( x[5s])"]);
    }
}
