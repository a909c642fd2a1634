//! The same question asked in other ways, as Prometheus' own runner does: what holds at an instant holds at that evaluation of a range,
//! and holds whenever it is asked once everything is pinned to that instant with `@`.

use crate::expr::ast::{AtModifier, Node, NodeKind};
use crate::expr::{Bits, Expr, Matrix, StepSeries, Value};
use crate::{Nanos, Steps, Timestamp};

/// Three evaluations, a minute apart, the given one in the middle.
pub(super) fn around(at: Timestamp) -> Steps {
    Steps {
        start: at.minus(Nanos::MINUTE),
        end: at.minus(Nanos(-Nanos::MINUTE.0)),
        step: Nanos::MINUTE,
    }
}

/// The middle evaluation of three as if it had been asked for alone.
pub(super) fn middle(value: Value) -> Value {
    match value {
        Value::Scalar(values) => Value::Scalar(values.get(1).copied().into_iter().collect()),
        Value::Vector(matrix) => {
            let series = matrix.series.iter().filter_map(|s| {
                Some(StepSeries {
                    labels: s.labels.clone(),
                    values: vec![s.get(1)?].into(),
                    present: Bits::all(1),
                })
            });
            Value::Vector(Matrix {
                steps: Steps::instant(matrix.steps.at(1)),
                series: series.collect(),
            })
        }
        other => other,
    }
}

/// Whether its value depends on which evaluations it is asked together with.
pub(super) fn sees_query(expr: &Expr) -> bool {
    let mut sees = false;
    expr.root.walk(&mut |node| match &node.kind {
        NodeKind::Call { function, .. } => {
            sees |= ["start", "end", "step", "range"].contains(&function.name);
        }
        NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => sees |= moves(s.when.at),
        NodeKind::Subquery(s) => sees |= moves(s.when.at),
        _ => {}
    });
    sees
}

fn moves(at: Option<AtModifier>) -> bool {
    matches!(at, Some(AtModifier::Start | AtModifier::End))
}

/// The expression with everything that it reads pinned to one time; `None` when its value depends on the evaluation's time none the less.
pub(super) fn pinned(expr: &Expr, at: Timestamp) -> Option<Expr> {
    let mut sees_time = sees_query(expr);
    expr.root.walk(&mut |node| {
        if let NodeKind::Call { function, .. } = &node.kind {
            sees_time |= function.sees_time;
        }
    });
    if sees_time {
        return None;
    }
    let mut root = (*expr.root).clone();
    pin(&mut root, AtModifier::Time(at));
    Some(expr.part(&root))
}

fn pin(node: &mut Node, at: AtModifier) {
    let when = match &mut node.kind {
        NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => &mut s.when,
        // What is inside looks at the times of the subquery.
        NodeKind::Subquery(s) => &mut s.when,
        _ => {
            for child in node.children_mut() {
                pin(child, at);
            }
            return;
        }
    };
    when.at.get_or_insert(at);
}

/// Other times at which a pinned expression has the same value.
pub(super) fn other_times(at: Timestamp) -> Vec<Timestamp> {
    let ms = at.0 / 1_000_000;
    let others = if ms == 0 {
        vec![-1_000, 1_000]
    } else {
        vec![-10 * ms, 0, ms / 5, 10 * ms]
    };
    others
        .into_iter()
        .map(|ms| Timestamp(ms * 1_000_000))
        .collect()
}
