//! Operators with two operands. Which elements belong together is settled once per series, not once per evaluation.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Binary, BinaryOp, Cardinality, Grouping, Matching};
use super::eval::Evaluator;
use super::rows::{Row, Val};
use super::{Bits, NameRemoval, Span};
use crate::labels::METRIC_NAME;
use crate::{Labels, Result, Steps};

/// What an operator makes of two numbers: a value, unless it is a comparison that does not hold.
///
/// A comparison gives the left value.
fn apply(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    let holds = match op {
        BinaryOp::Add => return Some(a + b),
        BinaryOp::Sub => return Some(a - b),
        BinaryOp::Mul => return Some(a * b),
        BinaryOp::Div => return Some(a / b),
        BinaryOp::Mod => return Some(a % b),
        BinaryOp::Pow => return Some(a.powf(b)),
        BinaryOp::Atan2 => return Some(a.atan2(b)),
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Gt => a > b,
        BinaryOp::Lt => a < b,
        BinaryOp::Ge => a >= b,
        BinaryOp::Le => a <= b,
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
            unreachable!("set operators do not look at values")
        }
    };
    holds.then_some(a)
}

fn truth(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

impl Evaluator<'_> {
    pub(super) fn binary(&self, span: Span, b: &Binary, steps: Steps) -> Result<Val> {
        let (lhs, rhs) = (self.eval(&b.lhs, steps)?, self.eval(&b.rhs, steps)?);
        Ok(match (lhs, rhs) {
            (Val::Scalar(a), Val::Scalar(c)) => Val::Scalar(scalars(b, a, &c)),
            (Val::Vector(rows), Val::Scalar(s)) => {
                Val::Vector(self.with_scalar(span, b, rows, &s, false)?)
            }
            (Val::Scalar(s), Val::Vector(rows)) => {
                Val::Vector(self.with_scalar(span, b, rows, &s, true)?)
            }
            (Val::Vector(l), Val::Vector(r)) => Val::Vector(if b.op.is_set() {
                self.joined(set(b, l, r), span)?
            } else {
                self.matched(span, b, l, r, steps)?
            }),
            _ => unreachable!("checked: scalars and vectors"),
        })
    }

    fn with_scalar(
        &self,
        span: Span,
        b: &Binary,
        mut rows: Vec<Row>,
        scalar: &[f64],
        scalar_left: bool,
    ) -> Result<Vec<Row>> {
        let keeps_name = b.op.is_comparison() && !b.returns_bool;
        for row in &mut rows {
            if keeps_name {
                // A filter: the vector's values stay as they are, shared or not.
                filter(b.op, row, scalar, scalar_left);
                continue;
            }
            for (value, s) in row.values.iter_mut().zip(scalar) {
                let (x, y) = if scalar_left {
                    (*s, *value)
                } else {
                    (*value, *s)
                };
                let result = apply(b.op, x, y);
                *value = if b.returns_bool {
                    truth(result.is_some())
                } else {
                    result.unwrap_or(f64::NAN)
                };
            }
        }
        if keeps_name {
            rows.retain(|row| row.present.any());
            return Ok(rows);
        }
        self.unnamed(rows, span)
    }

    /// Arithmetic and comparisons between two vectors.
    fn matched(
        &self,
        span: Span,
        b: &Binary,
        lhs: Vec<Row>,
        rhs: Vec<Row>,
        steps: Steps,
    ) -> Result<Vec<Row>> {
        let swapped = matches!(b.matching.cardinality, Cardinality::OneToMany(_));
        let (many, one) = if swapped { (&rhs, &lhs) } else { (&lhs, &rhs) };
        let (fill_many, fill_one) = if swapped {
            (b.matching.fill_right, b.matching.fill_left)
        } else {
            (b.matching.fill_left, b.matching.fill_right)
        };
        let pairing = Pairing {
            b,
            swapped,
            steps: steps.count(),
            delayed: self.options.name_removal == NameRemoval::Delayed,
        };
        let many_groups = pairing.groups(many);
        let one_groups = pairing.groups(one);
        // Evaluations at which the other side has nothing at all are skipped, as in Prometheus: no error there either.
        let anything = any_present(many, steps.count());
        let mut result = Vec::new();
        let mut signatures: Vec<&Labels> = one_groups.keys().chain(many_groups.keys()).collect();
        signatures.sort_unstable();
        signatures.dedup();
        for signature in signatures {
            let ones = one_groups.get(signature).map_or(&[][..], Vec::as_slice);
            let manys = many_groups.get(signature).map_or(&[][..], Vec::as_slice);
            if let Some((first, second)) = overlapping(ones, &anything) {
                let side = if swapped { "left" } else { "right" };
                return Err(self.fail(
                    span,
                    format!(
                        "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                        braces(signature),
                        braces(first),
                        braces(second)
                    ),
                ));
            }
            // What a comparison drops counts here too, as in Prometheus: a rule must not work by luck.
            if matches!(b.matching.cardinality, Cardinality::OneToOne)
                && overlapping(manys, &pairing.union(ones)).is_some()
            {
                return Err(self.fail(
                    span,
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
            let pairs = pairing.pairs(signature, manys, ones, fill_many, fill_one);
            let joined = super::rows::join(pairs).map_err(|_| {
                self.fail(
                    span,
                    "multiple matches for labels: grouping labels must ensure unique matches",
                )
            })?;
            result.extend(joined);
        }
        self.joined(result, span)
    }
}

/// Keeps a row where a comparison with a scalar holds. A loop for each operator, which needs no branch inside.
fn filter(op: BinaryOp, row: &mut Row, scalar: &[f64], scalar_left: bool) {
    let Row {
        values, present, ..
    } = row;
    let (values, present) = (&**values, present);
    let (x, y) = if scalar_left {
        (scalar, values)
    } else {
        (values, scalar)
    };
    match op {
        BinaryOp::Eq => present.keep(|i| x[i] == y[i]),
        BinaryOp::Ne => present.keep(|i| x[i] != y[i]),
        BinaryOp::Gt => present.keep(|i| x[i] > y[i]),
        BinaryOp::Lt => present.keep(|i| x[i] < y[i]),
        BinaryOp::Ge => present.keep(|i| x[i] >= y[i]),
        BinaryOp::Le => present.keep(|i| x[i] <= y[i]),
        _ => present.keep(|i| apply(op, x[i], y[i]).is_some()),
    }
}

fn scalars(b: &Binary, mut lhs: Vec<f64>, rhs: &[f64]) -> Vec<f64> {
    for (x, y) in lhs.iter_mut().zip(rhs) {
        let result = apply(b.op, *x, *y);
        *x = if b.returns_bool {
            truth(result.is_some())
        } else {
            result.unwrap_or(f64::NAN)
        };
    }
    lhs
}

fn any_present(rows: &[Row], steps: usize) -> Bits {
    let mut any = Bits::none(steps);
    rows.iter().for_each(|row| any.or(&row.present));
    any
}

/// Two rows that are present at the same evaluation, one of those in `where_`.
fn overlapping<'r>(rows: &[&'r Row], where_: &Bits) -> Option<(&'r Labels, &'r Labels)> {
    for (i, a) in rows.iter().enumerate() {
        for b in &rows[..i] {
            let mut both = a.present.clone();
            both.and(&b.present);
            if both.intersects(where_) {
                return Some((&b.labels, &a.labels));
            }
        }
    }
    None
}

/// Labels with the name among them, as Prometheus prints them in messages.
fn braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(n, v)| format!("{n}={}", super::print::quoted(v)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The labels by which elements belong together.
fn signature(matching: &Matching, labels: &Labels) -> Labels {
    match &matching.labels {
        Some(Grouping::Only(names)) => labels.filter(|n| names.iter().any(|o| &**o == n)),
        Some(Grouping::Except(names)) => {
            labels.filter(|n| n != METRIC_NAME && !names.iter().any(|o| &**o == n))
        }
        None => labels.filter(|n| n != METRIC_NAME),
    }
}

/// `and`, `or`, `unless`.
fn set(b: &Binary, mut lhs: Vec<Row>, rhs: Vec<Row>) -> Vec<Row> {
    let union = |rows: &[Row]| {
        let mut present: HashMap<Labels, Bits> = HashMap::new();
        for row in rows {
            present
                .entry(signature(&b.matching, &row.labels))
                .and_modify(|bits| bits.or(&row.present))
                .or_insert_with(|| row.present.clone());
        }
        present
    };
    if b.op == BinaryOp::Or {
        let left = union(&lhs);
        lhs.extend(rhs.into_iter().map(|mut row| {
            if let Some(bits) = left.get(&signature(&b.matching, &row.labels)) {
                row.present.and_not(bits);
            }
            row
        }));
    } else {
        let right = union(&rhs);
        for row in &mut lhs {
            match (right.get(&signature(&b.matching, &row.labels)), b.op) {
                (Some(bits), BinaryOp::And) => row.present.and(bits),
                (Some(bits), _) => row.present.and_not(bits),
                (None, BinaryOp::And) => row.present = Bits::none(row.present.len()),
                (None, _) => {}
            }
        }
    }
    lhs.retain(|row| row.present.any());
    lhs
}

/// How the elements of two vectors are paired.
struct Pairing<'a> {
    b: &'a Binary,
    /// The many are on the right.
    swapped: bool,
    steps: usize,
    delayed: bool,
}

impl Pairing<'_> {
    fn groups<'r>(&self, rows: &'r [Row]) -> HashMap<Labels, Vec<&'r Row>> {
        let mut groups: HashMap<Labels, Vec<&Row>> = HashMap::new();
        for row in rows {
            groups
                .entry(signature(&self.b.matching, &row.labels))
                .or_default()
                .push(row);
        }
        groups
    }

    /// The evaluations at which one of the rows is present.
    fn union(&self, rows: &[&Row]) -> Bits {
        let mut any = Bits::none(self.steps);
        rows.iter().for_each(|row| any.or(&row.present));
        any
    }

    /// The results of one group: a row for each pair, and for those that are filled.
    fn pairs(
        &self,
        signature: &Labels,
        manys: &[&Row],
        ones: &[&Row],
        fill_many: Option<f64>,
        fill_one: Option<f64>,
    ) -> Vec<Row> {
        let mut found = Vec::new();
        for many in manys {
            for one in ones {
                found.push(self.pair(many, one));
            }
            if let Some(fill) = fill_one {
                let filled = self.filled(signature, fill, ones, many);
                found.push(self.pair(many, &filled));
            }
        }
        if let Some(fill) = fill_many {
            for one in ones {
                let filled = self.filled(signature, fill, manys, one);
                found.push(self.pair(&filled, one));
            }
        }
        found
    }

    /// Stands in for the missing `side` of a group wherever `other` is present and none of that side is.
    fn filled(&self, signature: &Labels, value: f64, side: &[&Row], other: &Row) -> Row {
        let mut present = other.present.clone();
        side.iter().for_each(|row| present.and_not(&row.present));
        Row {
            labels: signature.clone(),
            drop_name: false,
            values: vec![value; self.steps].into(),
            present,
        }
    }

    fn pair(&self, many: &Row, one: &Row) -> Row {
        let mut present = many.present.clone();
        present.and(&one.present);
        let mut row = Row {
            labels: self.labels(&many.labels, &one.labels),
            drop_name: many.drop_name,
            values: vec![0.0; self.steps].into(),
            present,
        };
        if self.b.returns_bool {
            if self.delayed {
                row.drop_name = true;
            } else {
                row.labels = row.labels.without_name();
            }
        } else if self.b.op.is_arithmetic() {
            // The name went at once; one that `group_left (__name__)` brought is meant to stay.
            row.drop_name = false;
        }
        for step in 0..self.steps {
            if !row.present.get(step) {
                continue;
            }
            let (many, one) = (many.values[step], one.values[step]);
            let (left, right) = if self.swapped {
                (one, many)
            } else {
                (many, one)
            };
            match apply(self.b.op, left, right) {
                result if self.b.returns_bool => row.values[step] = truth(result.is_some()),
                Some(value) => row.values[step] = value,
                None => row.present.clear(step),
            }
        }
        row
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        // Even where the removal of names is delayed, arithmetic takes them away at once.
        let mut labels = if self.b.op.is_arithmetic() {
            many.without_name()
        } else {
            many.clone()
        };
        let include: &[Arc<str>] = match &self.b.matching.cardinality {
            Cardinality::OneToOne => {
                labels = match &self.b.matching.labels {
                    Some(Grouping::Only(names)) => {
                        labels.filter(|n| names.iter().any(|o| &**o == n))
                    }
                    Some(Grouping::Except(names)) => {
                        labels.filter(|n| !names.iter().any(|o| &**o == n))
                    }
                    None => labels,
                };
                &[]
            }
            Cardinality::ManyToOne(include) | Cardinality::OneToMany(include) => include,
            Cardinality::ManyToMany => &[],
        };
        for name in include {
            labels = labels.with(name, one.get(name));
        }
        labels
    }
}
