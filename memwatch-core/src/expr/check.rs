//! Types of the nodes of an expression, checked as they are made; worded as in Prometheus.

use std::sync::Arc;

use super::ast::{Aggregate, Binary, Cardinality, Grouping, Node, NodeKind, Subquery};
use super::functions::Function;
use super::{ExprError, Span, ValueType};

type Checked = Result<(), ExprError>;

/// Whether the parts of a node, which are right in themselves, fit together.
pub(super) fn kind(text: &Arc<str>, kind: &NodeKind, span: Span) -> Checked {
    match kind {
        NodeKind::Subquery(subquery) => check_subquery(text, subquery),
        NodeKind::Aggregate(aggregate) => check_aggregate(text, aggregate),
        NodeKind::Call { function, args } => check_call(text, function, args, span),
        _ => Ok(()),
    }
}

fn expect(text: &Arc<str>, node: &Node, wanted: ValueType, context: &str) -> Checked {
    let found = node.value_type();
    if found == wanted {
        return Ok(());
    }
    let help = match (found, wanted) {
        (ValueType::Vector, ValueType::Range) => Some(match node.without_parens().kind {
            NodeKind::Selector(_) => "a range vector has a window: `name[5m]`".to_owned(),
            _ => "the values of an expression over time are a subquery: `[5m:]`".to_owned(),
        }),
        (ValueType::Vector, ValueType::Scalar) => {
            Some("scalar(…) makes a scalar of a vector with one element".to_owned())
        }
        (ValueType::Scalar, ValueType::Vector) => {
            Some("vector(…) makes a vector of a scalar".to_owned())
        }
        (ValueType::Range, ValueType::Vector) => {
            Some("a function like `rate` or `avg_over_time` makes one value of a range".to_owned())
        }
        _ => None,
    };
    let message = format!("expected type {wanted} in {context}, got {found}");
    Err(ExprError::new(text, node.span, message).with_help(help))
}

fn check_subquery(text: &Arc<str>, subquery: &Subquery) -> Checked {
    match subquery.expr.value_type() {
        ValueType::Vector => Ok(()),
        found => Err(ExprError::new(
            text,
            subquery.expr.span,
            format!("subquery is only allowed on instant vector, got {found} instead"),
        )),
    }
}

fn check_aggregate(text: &Arc<str>, aggregate: &Aggregate) -> Checked {
    expect(
        text,
        &aggregate.expr,
        ValueType::Vector,
        "aggregation expression",
    )?;
    match (&aggregate.param, aggregate.op.param_type()) {
        (Some(param), Some(wanted)) => expect(text, param, wanted, "aggregation parameter"),
        _ => Ok(()),
    }
}

fn check_call(text: &Arc<str>, function: &Function, args: &[Node], span: Span) -> Checked {
    let (most, least) = (function.args.len(), function.args.len() - function.optional);
    let wrong = if function.optional == 0 && !function.repeats {
        (args.len() != most).then(|| format!("expected {most}"))
    } else if args.len() < least {
        Some(format!("expected at least {least}"))
    } else if args.len() > most && !function.repeats {
        Some(format!("expected at most {most}"))
    } else {
        None
    };
    if let Some(expected) = wrong {
        let message = format!(
            "{expected} argument(s) in call to {:?}, got {}",
            function.name,
            args.len()
        );
        return Err(ExprError::new(text, span, message).with_help(Some(function.usage())));
    }
    for (i, arg) in args.iter().enumerate() {
        let wanted = function.args[i.min(most - 1)];
        if function.scalar_too == Some(i) && arg.value_type() == ValueType::Scalar {
            continue;
        }
        expect(
            text,
            arg,
            wanted,
            &format!("call to function {:?}", function.name),
        )?;
        if let (Some(options), NodeKind::Text(setting)) =
            (function.options, &arg.without_parens().kind)
            && i + 1 >= most
        {
            options
                .check(setting)
                .map_err(|message| ExprError::new(text, arg.span, message))?;
        }
    }
    Ok(())
}

/// What a sign stands in front of.
pub(super) fn sign(text: &Arc<str>, inner: &Node) -> Checked {
    match inner.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        found => Err(ExprError::new(
            text,
            inner.span,
            format!(
                "unary expression only allowed on expressions of type scalar or instant vector, got \"{found}\""
            ),
        )),
    }
}

/// Operands and modifiers of an operator; `modifiers` is where the latter stand.
pub(super) fn binary(text: &Arc<str>, b: &Binary, modifiers: Span) -> Checked {
    let fail = |span, message: String| Err(ExprError::new(text, span, message));
    let types = [b.lhs.value_type(), b.rhs.value_type()];
    for (node, found) in [(&b.lhs, types[0]), (&b.rhs, types[1])] {
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            return fail(
                node.span,
                format!(
                    "binary expression must contain only scalar and instant vector types, got {found}"
                ),
            );
        }
    }
    if b.returns_bool && !b.op.is_comparison() {
        return fail(
            modifiers,
            "bool modifier can only be used on comparison operators".to_owned(),
        );
    }
    let (scalars, vectors) = (
        types == [ValueType::Scalar; 2],
        types == [ValueType::Vector; 2],
    );
    if scalars && b.op.is_comparison() && !b.returns_bool {
        let error = ExprError::new(
            text,
            b.lhs.span.to(b.rhs.span),
            "comparisons between scalars must use BOOL modifier",
        );
        return Err(error.with_help(Some(format!("write `{} bool`", b.op))));
    }
    if b.op.is_set() && !vectors {
        return fail(
            b.lhs.span.to(b.rhs.span),
            format!(
                "set operator {:?} not allowed in binary scalar expression",
                b.op.as_str()
            ),
        );
    }
    let m = &b.matching;
    if !vectors && m.labels.is_some() {
        return fail(
            modifiers,
            "vector matching only allowed between instant vectors".to_owned(),
        );
    }
    if m.fill_left.is_some() || m.fill_right.is_some() {
        if b.op.is_set() {
            return fail(
                modifiers,
                "filling in missing series not allowed for set operators".to_owned(),
            );
        }
        if !vectors {
            return fail(
                modifiers,
                "filling in missing series only allowed between instant vectors".to_owned(),
            );
        }
    }
    if let (
        Some(Grouping::Only(on)),
        Cardinality::ManyToOne(include) | Cardinality::OneToMany(include),
    ) = (&m.labels, &m.cardinality)
        && let Some(both) = include.iter().find(|label| on.contains(label))
    {
        return fail(
            modifiers,
            format!("label {both:?} must not occur in ON and GROUP clause at once"),
        );
    }
    Ok(())
}
