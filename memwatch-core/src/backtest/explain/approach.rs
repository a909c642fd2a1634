//! How near a condition came to being true, at each evaluation.

use crate::expr::{
    Binary, BinaryOp, EvalOptions, Expr, Grouping, Node, NodeKind, StepSeries, Value, ValueType,
    evaluate,
};
use crate::labels::METRIC_NAME;
use crate::series::SeriesReader;
use crate::{Labels, Result, Steps};

/// How near one part of a condition was at one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Near {
    /// 1 where it held, less the farther away; 0 where it had no value.
    pub(super) share: f64,
    /// The comparison, or what had no value.
    pub(super) part: String,
    /// Its left side.
    pub(super) value: Option<f64>,
    /// Its right side.
    pub(super) limit: Option<f64>,
}

/// Evaluates parts of an expression.
pub(super) struct Scene<'s> {
    pub(super) expr: &'s Expr,
    pub(super) steps: Steps,
    pub(super) reader: &'s dyn SeriesReader,
    pub(super) options: &'s EvalOptions,
    /// Which series are looked at.
    pub(super) whose: &'s dyn Fn(&Labels) -> bool,
}

impl Scene<'_> {
    /// The values of a part: scalars as one series without labels.
    pub(super) fn values(&self, node: &Node) -> Result<Vec<StepSeries>> {
        let value = evaluate(&self.expr.part(node), self.steps, self.reader, self.options)?.value;
        Ok(match value {
            Value::Vector(matrix) => {
                let whose = |s: &StepSeries| (self.whose)(&s.labels);
                matrix.series.into_iter().filter(whose).collect()
            }
            Value::Scalar(values) => vec![StepSeries {
                labels: Labels::default(),
                present: crate::expr::Bits::all(values.len()),
                values: values.into(),
            }],
            Value::Text(_) | Value::Range(_) => Vec::new(),
        })
    }

    /// How near the condition was at each evaluation. Elements are not told apart: each part is as near as its nearest one.
    pub(super) fn approach(&self, node: &Node) -> Result<Vec<Near>> {
        let node = node.without_parens();
        if let NodeKind::Binary(binary) = &node.kind {
            match binary.op {
                BinaryOp::And => return self.both(binary, |a, b| a.share <= b.share),
                BinaryOp::Or => return self.both(binary, |a, b| a.share >= b.share),
                BinaryOp::Unless => return self.unless(binary),
                op if op.is_comparison() && !binary.returns_bool => {
                    return self.comparison(node, binary);
                }
                _ => {}
            }
        }
        self.presence(node)
    }

    fn both(
        &self,
        binary: &Binary,
        takes_left: impl Fn(&Near, &Near) -> bool,
    ) -> Result<Vec<Near>> {
        let (left, right) = (self.approach(&binary.lhs)?, self.approach(&binary.rhs)?);
        let pick = |(a, b): (Near, Near)| if takes_left(&a, &b) { a } else { b };
        Ok(left.into_iter().zip(right).map(pick).collect())
    }

    fn unless(&self, binary: &Binary) -> Result<Vec<Near>> {
        let left = self.approach(&binary.lhs)?;
        let right = self.values(&binary.rhs)?;
        let part = format!("unless {}", binary.rhs);
        let shut = |(i, near): (usize, Near)| match right.iter().any(|s| s.get(i).is_some()) {
            true if near.share >= 1.0 => Near {
                share: 0.0,
                part: part.clone(),
                value: None,
                limit: None,
            },
            _ => near,
        };
        Ok(left.into_iter().enumerate().map(shut).collect())
    }

    fn presence(&self, node: &Node) -> Result<Vec<Near>> {
        let series = self.values(node)?;
        let part = node.to_string();
        // Where it has no value because a condition inside did not hold, that one says how near it was.
        let mut inside = Vec::new();
        for child in node.children().filter(|child| is_condition(child)) {
            inside.push(self.approach(child)?);
        }
        let near = |i: usize| {
            let value = series.iter().find_map(|s| s.get(i));
            let held_back = inside.iter().map(|all| &all[i]);
            let held_back = held_back.min_by(|a, b| a.share.total_cmp(&b.share));
            match (value, held_back) {
                (None, Some(held_back)) => held_back.clone(),
                _ => Near {
                    share: f64::from(u8::from(value.is_some())),
                    part: part.clone(),
                    value,
                    limit: None,
                },
            }
        };
        Ok((0..self.steps.count()).map(near).collect())
    }

    fn comparison(&self, node: &Node, binary: &Binary) -> Result<Vec<Near>> {
        let (left, right) = (self.values(&binary.lhs)?, self.values(&binary.rhs)?);
        let pairs: Vec<(&StepSeries, &StepSeries)> = left
            .iter()
            .flat_map(|l| right.iter().map(move |r| (l, r)))
            .filter(|(l, r)| belong_together(binary, &l.labels, &r.labels))
            .collect();
        // Where a side is a condition itself and did not hold, it says how near it was.
        let inner = |side: &Node| is_condition(side).then(|| self.approach(side)).transpose();
        let (inner_left, inner_right) = (inner(&binary.lhs)?, inner(&binary.rhs)?);
        let part = node.to_string();
        let near = |i: usize| {
            let mut best: Option<Near> = None;
            for (l, r) in &pairs {
                let (Some(value), Some(limit)) = (l.get(i), r.get(i)) else {
                    continue;
                };
                let share = share(binary.op, value, limit);
                if best.as_ref().is_none_or(|best| share > best.share) {
                    best = Some(Near {
                        share,
                        part: part.clone(),
                        value: Some(value),
                        limit: Some(limit),
                    });
                }
            }
            let of_inner = [&inner_left, &inner_right];
            let of_inner = of_inner.into_iter().flatten().map(|all| all[i].clone());
            let held_back = of_inner.filter(|near| near.share < 1.0);
            best.or_else(|| held_back.min_by(|a, b| a.share.total_cmp(&b.share)))
                .unwrap_or_else(|| Near {
                    share: 0.0,
                    part: part.clone(),
                    value: left.iter().find_map(|s| s.get(i)),
                    limit: right.iter().find_map(|s| s.get(i)),
                })
        };
        Ok((0..self.steps.count()).map(near).collect())
    }
}

/// Whether it gives elements only where a comparison in it keeps them.
fn is_condition(node: &Node) -> bool {
    let mut found = false;
    node.walk(&mut |node| {
        if let NodeKind::Binary(binary) = &node.kind {
            found |= binary.op.is_comparison() && !binary.returns_bool;
        }
    });
    found && node.value_type() == ValueType::Vector
}

/// Whether two elements are compared with each other.
fn belong_together(binary: &Binary, left: &Labels, right: &Labels) -> bool {
    let counts = |name: &str| match &binary.matching.labels {
        Some(Grouping::Only(names)) => names.iter().any(|n| **n == *name),
        Some(Grouping::Except(names)) => names.iter().all(|n| **n != *name),
        None => true,
    };
    // What only one side has does not tell them apart: a scalar has no labels at all.
    left.iter()
        .filter(|(name, _)| *name != METRIC_NAME && counts(name))
        .all(|(name, value)| matches!(right.get(name), "") || right.get(name) == value)
}

/// How near `value op limit` is: 1 when it holds, else the ratio of both when they are positive, else by their distance.
pub(super) fn share(op: BinaryOp, value: f64, limit: f64) -> f64 {
    let holds = match op {
        BinaryOp::Gt => value > limit,
        BinaryOp::Ge => value >= limit,
        BinaryOp::Lt => value < limit,
        BinaryOp::Le => value <= limit,
        BinaryOp::Eq => value == limit,
        BinaryOp::Ne => value != limit,
        _ => return 0.0,
    };
    if holds {
        return 1.0;
    }
    let (less, more) = match op {
        BinaryOp::Lt | BinaryOp::Le => (limit, value),
        _ => (value, limit),
    };
    let share = if less >= 0.0 && more > 0.0 {
        less / more
    } else {
        1.0 - (more - less).abs() / (more.abs() + less.abs())
    };
    // At the limit is not over it.
    if share.is_nan() {
        0.0
    } else {
        share.clamp(0.0, 1.0 - 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::parse;
    use crate::series::{MemorySeries, Series};
    use crate::{Nanos, Timestamp};

    #[test]
    fn nearness_is_a_share_of_the_limit() {
        for (op, value, limit, expected) in [
            (BinaryOp::Gt, 4.0, 5.0, 0.8),
            (BinaryOp::Gt, 6.0, 5.0, 1.0),
            (BinaryOp::Gt, 5.0, 5.0, 1.0 - 1e-9),
            (BinaryOp::Ge, 5.0, 5.0, 1.0),
            (BinaryOp::Lt, 10.0, 5.0, 0.5),
            (BinaryOp::Lt, 4.0, 5.0, 1.0),
            (BinaryOp::Gt, -5.0, 5.0, 0.0),
            (BinaryOp::Gt, f64::NAN, 5.0, 0.0),
        ] {
            let found = share(op, value, limit);
            assert!(
                (found - expected).abs() < 1e-12,
                "{op:?} {value} {limit}: {found}"
            );
        }
    }

    /// The nearest moment of a condition over `a` = 1, 2, 3, 4, 5 and `b` = 9, 7, 5, 3, 1, one a second.
    fn nearest(text: &str) -> (i64, f64, String) {
        let series = |name: &str, values: [f64; 5]| Series {
            labels: [("__name__", name), ("service", "s")].into_iter().collect(),
            at_ns: (0..5).map(|i| i * 1_000_000_000).collect(),
            values: values.into(),
        };
        let reader = MemorySeries {
            series: vec![
                series("a", [1.0, 2.0, 3.0, 4.0, 5.0]),
                series("b", [9.0, 7.0, 5.0, 3.0, 1.0]),
            ],
        };
        let expr = parse(text).unwrap();
        let options = EvalOptions::default();
        let scene = Scene {
            expr: &expr,
            steps: Steps {
                start: Timestamp(0),
                end: Timestamp(4_000_000_000),
                step: Nanos::SECOND,
            },
            reader: &reader,
            options: &options,
            whose: &|_| true,
        };
        let all = scene.approach(expr.root()).unwrap();
        let mut best = 0;
        for (i, near) in all.iter().enumerate() {
            if near.share > all[best].share {
                best = i;
            }
        }
        (
            i64::try_from(best).unwrap(),
            all[best].share,
            all[best].part.clone(),
        )
    }

    #[test]
    fn the_nearest_moment_follows_the_operators() {
        assert_eq!(nearest("a > 10"), (4, 0.5, "a > 10".to_owned()));
        // One rises, the other falls: both are nearest in the middle.
        assert_eq!(nearest("a > 6 and b > 6"), (2, 0.5, "a > 6".to_owned()));
        assert_eq!(nearest("a > 10 or b > 10"), (0, 0.9, "b > 10".to_owned()));
        assert_eq!(
            nearest("a > 4 unless b"),
            (3, 1.0 - 1e-9, "a > 4".to_owned())
        );
        assert_eq!(nearest("(a > 8) + 1 > 3"), (4, 0.625, "a > 8".to_owned()));
        assert_eq!(nearest("a > on (service) b * 2").0, 4);
        assert_eq!(nearest("a > 4 and nothing"), (0, 0.0, "nothing".to_owned()));
    }
}
