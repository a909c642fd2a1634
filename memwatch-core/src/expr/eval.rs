//! Evaluates an expression at many times at once: each node becomes series × evaluations.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::ast::{Node, NodeKind};
use super::functions::{Body, Call};
use super::rows::{self, Row, Val};
use super::select::Pick;
use super::{
    Annotation, AnnotationLevel, EvalOptions, Evaluated, Expr, Matrix, NameRemoval, Session, Span,
    Value, ValueType,
};
use crate::series::{MemorySeries, Series, SeriesReader};
use crate::{Labels, Result, Steps, Timestamp};

/// Evaluates an expression at every step. An instant is one step ([`Steps::instant`]).
///
/// The result does not depend on how many steps are evaluated together, nor on the number of threads, to the last bit. All samples that are
/// read are held until the end; [`super::evaluate_range`] holds those of a stretch of time.
///
/// # Errors
/// When the data cannot be read, or the expression cannot be applied to it (for example many-to-many matching).
pub fn evaluate(
    expr: &Expr,
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
) -> Result<Evaluated> {
    let evaluator = Evaluator::alone(expr, steps, reader, options);
    evaluator.evaluated()
}

/// As [`evaluate`], sharing work with the other expressions that were announced to `session`. The result is the same.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_with(
    expr: &Expr,
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
    session: &Session,
) -> Result<Evaluated> {
    let evaluator = Evaluator::new(expr, steps, reader, options, session);
    evaluator.evaluated()
}

/// As [`evaluate_with`], of some evaluations of a range: one of them is no instant. Also gives how many values all parts had.
pub(super) fn evaluate_part(
    expr: &Expr,
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
    session: &Session,
) -> Result<(Evaluated, usize)> {
    let cells = Cell::new(0);
    let evaluator = Evaluator {
        instant: false,
        cells: Some(&cells),
        ..Evaluator::new(expr, steps, reader, options, session)
    };
    let evaluated = evaluator.evaluated()?;
    Ok((evaluated, cells.get()))
}

/// Refuses so many series at so many steps, if they are more values than are allowed.
pub(super) fn check_size(
    expr: &Expr,
    rows: usize,
    steps: Steps,
    options: &EvalOptions,
) -> Result<()> {
    let nothing = MemorySeries::default();
    let evaluator = Evaluator::alone(expr, steps, &nothing, options);
    evaluator.check_values(rows, steps, expr.root.span)
}

/// Each annotation once, in order.
pub(super) fn sorted(mut annotations: Vec<Annotation>) -> Vec<Annotation> {
    annotations.sort_by(|a, b| {
        (a.level, a.span.start, &a.message).cmp(&(b.level, b.span.start, &b.message))
    });
    annotations.dedup();
    annotations
}

/// Evaluates a part of an expression, with its number in the session, for those that need it later.
pub(super) fn prepare_part(
    expr: &Expr,
    (node, number): (&Node, usize),
    steps: Steps,
    reader: &dyn SeriesReader,
    options: &EvalOptions,
    session: &Session,
) {
    let evaluator = Evaluator {
        preparing: Some(number),
        ..Evaluator::new(expr, steps, reader, options, session)
    };
    if !session.holds(number, steps) {
        // Whoever needs it evaluates it again and says what is wrong.
        let _ = evaluator.eval(node, steps);
    }
}

pub(crate) struct Evaluator<'a> {
    pub(super) expr: &'a Expr,
    pub(super) reader: &'a dyn SeriesReader,
    pub(super) options: &'a EvalOptions,
    pub(super) session: Option<&'a Session>,
    /// The part that is evaluated for later uses only.
    preparing: Option<usize>,
    /// The steps of the whole evaluation.
    pub(super) steps: Steps,
    /// Whether that is one, of its own.
    pub(super) instant: bool,
    pub(super) query_range: (Timestamp, Timestamp),
    annotations: RefCell<Vec<Annotation>>,
    /// Counts the values of all parts.
    cells: Option<&'a Cell<usize>>,
}

impl<'a> Evaluator<'a> {
    fn alone(
        expr: &'a Expr,
        steps: Steps,
        reader: &'a dyn SeriesReader,
        options: &'a EvalOptions,
    ) -> Evaluator<'a> {
        Evaluator {
            expr,
            reader,
            options,
            session: None,
            preparing: None,
            steps,
            instant: steps.count() == 1,
            query_range: options.query_range.unwrap_or((steps.start, steps.end)),
            annotations: RefCell::default(),
            cells: None,
        }
    }

    /// For parts of an expression that are looked at one by one.
    pub(super) fn new(
        expr: &'a Expr,
        steps: Steps,
        reader: &'a dyn SeriesReader,
        options: &'a EvalOptions,
        session: &'a Session,
    ) -> Evaluator<'a> {
        Evaluator {
            session: Some(session),
            ..Evaluator::alone(expr, steps, reader, options)
        }
    }

    /// Evaluates parts of the same expression at other times from another reader, sharing nothing.
    pub(super) fn aside(&'a self, reader: &'a dyn SeriesReader, steps: Steps) -> Evaluator<'a> {
        Evaluator {
            query_range: self.query_range,
            ..Evaluator::alone(self.expr, steps, reader, self.options)
        }
    }
}

impl Evaluator<'_> {
    fn evaluated(self) -> Result<Evaluated> {
        self.check_values(1, self.steps, self.expr.root.span)?;
        let value = self.top()?;
        let annotations = sorted(self.annotations.into_inner());
        Ok(Evaluated { value, annotations })
    }

    fn top(&self) -> Result<Value> {
        let root = self.expr.root.without_parens();
        let kind = root.value_type();
        let instant = self.instant;
        if matches!(kind, ValueType::Text | ValueType::Range) && !instant {
            return Err(self.fail(
                root.span,
                format!("invalid expression type {kind:?} for range query, must be Scalar or instant Vector", kind = kind.to_string()),
            ));
        }
        if kind == ValueType::Range {
            return self.top_range(root);
        }
        Ok(match self.eval(root, self.steps)? {
            Val::Scalar(values) => Value::Scalar(values),
            Val::Text(text) => Value::Text(text.to_string()),
            Val::Vector(rows) => {
                let rows = rows
                    .into_iter()
                    .map(|row| Row {
                        labels: self.final_labels(&row.labels, row.drop_name),
                        drop_name: false,
                        ..row
                    })
                    .collect();
                let mut rows = self.joined(rows, root.span)?;
                if !(instant && orders_its_result(root)) {
                    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                Value::Vector(Matrix {
                    steps: self.steps,
                    series: rows.into_iter().map(Row::finish).collect(),
                })
            }
        })
    }

    fn top_range(&self, root: &Node) -> Result<Value> {
        let ranges = self.ranges(root, self.steps, 1)?;
        let until = ranges.until_ns[0];
        let after = until.saturating_sub(ranges.width_ns);
        let mut found: Vec<Series> = ranges
            .series
            .into_iter()
            .map(|s| {
                let from = s.at_ns().partition_point(|at| *at <= after);
                let to = s.at_ns().partition_point(|at| *at <= until).max(from);
                Series {
                    labels: self.final_labels(&s.labels, s.drop_name),
                    at_ns: s.at_ns()[from..to].into(),
                    values: s.values()[from..to].into(),
                }
            })
            .filter(|s| !s.at_ns.is_empty())
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Value::Range(found))
    }

    fn final_labels(&self, labels: &Labels, drop_name: bool) -> Labels {
        if drop_name {
            labels.without_name()
        } else {
            labels.clone()
        }
    }

    pub(super) fn fail(&self, span: Span, message: impl Into<String>) -> crate::Error {
        self.expr.error(span, message).into()
    }

    pub(super) fn annotate(&self, level: AnnotationLevel, span: Span, message: String) {
        self.annotations.borrow_mut().push(Annotation {
            level,
            message,
            span,
            expression: self.expr.text.clone(),
        });
    }

    /// Refuses to make so many values that a slip in a subquery's step is the likely reason.
    pub(super) fn check_values(&self, rows: usize, steps: Steps, span: Span) -> Result<()> {
        let most = self.options.values_max;
        if rows.saturating_mul(steps.count()) <= most {
            return Ok(());
        }
        let of = if rows == 1 {
            String::new()
        } else {
            format!(" of {rows} series")
        };
        Err(self.fail(
            span,
            format!(
                "{} evaluations{of} at once; at most {most} values",
                steps.count()
            ),
        ))
    }

    /// Labels of a result whose name has lost its meaning: now, or marked to go at the end.
    pub(super) fn without_name(&self, labels: &Labels) -> (Labels, bool) {
        match self.options.name_removal {
            NameRemoval::AtOnce => (labels.without_name(), false),
            NameRemoval::Delayed => (labels.clone(), true),
        }
    }

    /// Takes the names away from rows whose values are no longer those of the metric.
    pub(super) fn unnamed(&self, mut rows: Vec<Row>, span: Span) -> Result<Vec<Row>> {
        for row in &mut rows {
            let (labels, drop_name) = self.without_name(&row.labels);
            row.labels = labels;
            row.drop_name |= drop_name;
        }
        self.joined(rows, span)
    }

    pub(super) fn joined(&self, rows: Vec<Row>, span: Span) -> Result<Vec<Row>> {
        rows::join(rows)
            .map_err(|_| self.fail(span, "vector cannot contain metrics with the same labelset"))
    }

    pub(super) fn eval(&self, node: &Node, steps: Steps) -> Result<Val> {
        if steps.count() > 1
            && !matches!(node.kind, NodeKind::Number(_) | NodeKind::Text(_))
            && is_step_invariant(node)
        {
            let once = self.eval_shared(node, Steps::instant(steps.start))?;
            return Ok(repeated(once, steps.count()));
        }
        self.eval_shared(node, steps)
    }

    /// Evaluates a node, unless the session has its result from elsewhere.
    fn eval_shared(&self, node: &Node, steps: Steps) -> Result<Val> {
        let shared = self
            .session
            .and_then(|session| Some((session, session.number(node)?)));
        let Some((session, number)) = shared else {
            return self.counted(node, steps);
        };
        if let Some((val, annotations)) = session.get(number, steps, self.expr, node) {
            self.annotations.borrow_mut().extend(annotations);
            return Ok(val);
        }
        let before = self.annotations.borrow().len();
        let mut val = self.counted(node, steps)?;
        let annotations = self.annotations.borrow();
        session.put(
            (number, steps),
            self.expr,
            node,
            &mut val,
            &annotations[before..],
            self.preparing != Some(number),
        );
        Ok(val)
    }

    fn counted(&self, node: &Node, steps: Steps) -> Result<Val> {
        let val = self.eval_node(node, steps)?;
        if let Some(cells) = self.cells {
            cells.set(cells.get() + val.cells());
        }
        Ok(val)
    }

    fn eval_node(&self, node: &Node, steps: Steps) -> Result<Val> {
        match &node.kind {
            NodeKind::Number(number) => Ok(Val::Scalar(vec![number.value; steps.count()])),
            NodeKind::Text(text) => Ok(Val::Text(Arc::from(text.as_str()))),
            NodeKind::Selector(selector) => {
                Ok(Val::Vector(self.instant(selector, steps, Pick::Value)?))
            }
            NodeKind::Paren(inner) => self.eval(inner, steps),
            NodeKind::Negate(inner) => self.negate(inner, steps),
            NodeKind::Binary(binary) => self.binary(node.span, binary, steps),
            NodeKind::Aggregate(aggregate) => self.aggregate(node.span, aggregate, steps),
            NodeKind::Call { function, args } => self.call(&Call {
                function,
                args,
                span: node.span,
                steps,
            }),
            NodeKind::Range { .. } | NodeKind::Subquery(_) => {
                unreachable!("checked: range vectors are arguments of functions")
            }
        }
    }

    fn negate(&self, inner: &Node, steps: Steps) -> Result<Val> {
        Ok(match self.eval(inner, steps)? {
            Val::Scalar(mut values) => {
                values.iter_mut().for_each(|v| *v = -*v);
                Val::Scalar(values)
            }
            Val::Vector(mut rows) => {
                for row in &mut rows {
                    row.values.iter_mut().for_each(|v| *v = -*v);
                }
                Val::Vector(self.unnamed(rows, inner.span)?)
            }
            text @ Val::Text(_) => text,
        })
    }

    fn call(&self, call: &Call<'_>) -> Result<Val> {
        match call.function.body {
            Body::Window(kernel) => self.windows(call, kernel),
            Body::Element(f) => {
                let mut rows = self.vector(&call.args[0], call.steps)?;
                for row in &mut rows {
                    row.values.iter_mut().for_each(|v| *v = f(*v));
                }
                Ok(Val::Vector(self.unnamed(rows, call.span)?))
            }
            Body::Rows(f) => f(self, call),
            Body::Unsupported(feature) => {
                Err(self.fail(call.span, format!("unsupported feature: {feature}")))
            }
        }
    }

    /// Evaluates what is known to be a vector.
    pub(super) fn vector(&self, node: &Node, steps: Steps) -> Result<Vec<Row>> {
        match self.eval(node, steps)? {
            Val::Vector(rows) => Ok(rows),
            _ => unreachable!("checked: a vector"),
        }
    }

    /// Evaluates what is known to be a scalar.
    pub(super) fn scalar(&self, node: &Node, steps: Steps) -> Result<Vec<f64>> {
        match self.eval(node, steps)? {
            Val::Scalar(values) => Ok(values),
            _ => unreachable!("checked: a scalar"),
        }
    }

    /// Evaluates what is known to be a text.
    pub(super) fn text(&self, node: &Node, steps: Steps) -> Result<Arc<str>> {
        match self.eval(node, steps)? {
            Val::Text(text) => Ok(text),
            _ => unreachable!("checked: a text"),
        }
    }
}

/// The value of one evaluation at each of many.
fn repeated(once: Val, steps: usize) -> Val {
    match once {
        Val::Scalar(values) => Val::Scalar(vec![values[0]; steps]),
        Val::Vector(rows) => Val::Vector(
            rows.into_iter()
                .filter(|row| row.present.get(0))
                .map(|row| Row {
                    values: vec![row.values[0]; steps].into(),
                    present: super::Bits::all(steps),
                    ..row
                })
                .collect(),
        ),
        text @ Val::Text(_) => text,
    }
}

/// Whether a node has the same value at every evaluation because all it reads is pinned with `@`.
fn is_step_invariant(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Number(_) | NodeKind::Text(_) => true,
        NodeKind::Selector(selector) | NodeKind::Range { selector, .. } => {
            selector.when.at.is_some()
        }
        NodeKind::Subquery(subquery) => subquery.when.at.is_some(),
        NodeKind::Call { function, args } => {
            !function.sees_time && args.iter().all(is_step_invariant)
        }
        _ => node.children().all(is_step_invariant),
    }
}

/// Whether an instant query keeps the order in which the node gives its elements.
fn orders_its_result(node: &Node) -> bool {
    use super::ast::AggregateOp::{Bottomk, Topk};
    match &node.kind {
        NodeKind::Paren(inner) => orders_its_result(inner),
        NodeKind::Aggregate(a) => matches!(a.op, Topk | Bottomk),
        NodeKind::Call { function, .. } => function.orders,
        _ => false,
    }
}
