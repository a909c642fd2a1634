//! Rules as promtool reads them: parameters filled in, and what only memwatch can compute replaced by a series that holds its values.

use std::sync::Arc;

use crate::Matcher;
use crate::Nanos;
use crate::expr::{AtModifier, Expr, Node, NodeKind, ValueType, VectorSelector};
use crate::labels::METRIC_NAME;

use super::CutError;
use super::grid::gcd;

/// The functions of Prometheus 2.42, which is Debian's promtool, but for those that ask the clock.
const FUNCTIONS: &[&str] = &[
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "deg",
    "delta",
    "deriv",
    "exp",
    "floor",
    "histogram_quantile",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "max_over_time",
    "min_over_time",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "vector",
];

/// What asks the clock or the calendar: a case begins in 1970, the recording did not.
const CLOCKS: &[&str] = &[
    "time",
    "timestamp",
    "hour",
    "minute",
    "month",
    "year",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
];

/// An expression for promtool.
pub(super) struct Portable {
    pub(super) expr: Expr,
    /// What was replaced: the name of the series, and what it holds the values of.
    pub(super) parts: Vec<(Arc<str>, Expr)>,
}

/// The name of the `n`th replaced part of a case.
fn part_name(n: usize) -> Arc<str> {
    format!("memwatch_part_{n}").into()
}

/// Makes an expression portable. `first_part` numbers its replaced parts; `interval` is the step of subqueries that give none.
pub(super) fn portable(
    rule: &str,
    expr: &Expr,
    interval: Nanos,
    first_part: usize,
) -> Result<Portable, CutError> {
    let mut parts = Vec::new();
    let mut failed = None;
    let mut inside_subquery = Vec::new();
    expr.root().walk(&mut |node| {
        if let NodeKind::Subquery(s) = &node.kind {
            s.expr.walk(&mut |inner| inside_subquery.push(inner.span));
        }
    });
    let mut root = expr.root().clone();
    root.walk_mut(&mut |node| {
        let problem = match &mut node.kind {
            NodeKind::Number(number) => {
                number.param = None;
                None
            }
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } => selector_problem(s),
            NodeKind::Subquery(s) => {
                s.step.get_or_insert(interval);
                // Its steps lie on the edges of its range, where Prometheus 2 takes one step more than Prometheus 3: a millisecond
                // less, and both take those that Prometheus 3 takes.
                if s.range > Nanos::MILLISECOND {
                    s.range = Nanos(s.range.0 - Nanos::MILLISECOND.0);
                }
                fixed(s.when.at)
            }
            NodeKind::Binary(b) if b.matching.fill_left.or(b.matching.fill_right).is_some() => {
                Some("`fill_left` and `fill_right`".to_owned())
            }
            NodeKind::Aggregate(a) if matches!(a.op.as_str(), "limitk" | "limit_ratio") => {
                Some(format!("`{}`", a.op))
            }
            NodeKind::Call { function, .. } if CLOCKS.contains(&function.name) => {
                Some(format!("`{}()`: its clock begins in 1970", function.name))
            }
            NodeKind::Call { function, .. } if !FUNCTIONS.contains(&function.name) => {
                if function.returns != ValueType::Vector {
                    Some(format!("`{}`, which gives no vector", function.name))
                } else if inside_subquery.contains(&node.span) {
                    Some(format!("`{}` inside of a subquery", function.name))
                } else {
                    let name = part_name(first_part + parts.len());
                    parts.push((name.clone(), expr.part(node)));
                    *node = series_of(&name, node);
                    None
                }
            }
            _ => None,
        };
        if let Some(what) = problem {
            failed.get_or_insert(what);
        }
    });
    match failed {
        Some(what) => Err(CutError::Inexpressible {
            rule: rule.to_owned(),
            what,
        }),
        None => Ok(Portable {
            expr: expr.part(&root),
            parts,
        }),
    }
}

/// A selector of the series that stands in for a node.
fn series_of(name: &Arc<str>, node: &Node) -> Node {
    Node {
        kind: NodeKind::Selector(VectorSelector {
            name: Some(name.clone()),
            alternatives: vec![vec![Matcher::equal(METRIC_NAME, name)]],
            when: crate::expr::TimeShift::default(),
        }),
        span: node.span,
        depth: 1,
    }
}

fn selector_problem(selector: &VectorSelector) -> Option<String> {
    if selector.alternatives.len() > 1 {
        return Some("a selector with `or`".to_owned());
    }
    fixed(selector.when.at)
}

fn fixed(at: Option<AtModifier>) -> Option<String> {
    match at {
        Some(AtModifier::Time(_)) => {
            Some("a fixed time (`@`): its clock begins in 1970".to_owned())
        }
        _ => None,
    }
}

/// The greatest length of which everything that an expression measures time with is a multiple, and `interval` too.
pub(super) fn common_length(expr: &Expr, interval: Nanos) -> Nanos {
    let mut common = interval.0;
    expr.root().walk(&mut |node| match &node.kind {
        NodeKind::Selector(s) => common = gcd(common, s.when.offset.0),
        NodeKind::Range { selector, range } => {
            common = gcd(gcd(common, selector.when.offset.0), range.0);
        }
        NodeKind::Subquery(s) => {
            common = gcd(gcd(common, s.when.offset.0), s.range.0);
            common = gcd(common, s.step.unwrap_or(interval).0);
        }
        _ => {}
    });
    Nanos(common)
}

/// The steps of an expression's subqueries: they are multiples of these since the epoch, so a case's time zero must be one.
pub(super) fn subquery_steps(expr: &Expr, interval: Nanos) -> Vec<Nanos> {
    let mut found = Vec::new();
    expr.root().walk(&mut |node| {
        if let NodeKind::Subquery(s) = &node.kind {
            found.push(s.step.unwrap_or(interval));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{parse, parse_with};

    #[test]
    fn what_promtool_lacks_is_replaced_or_refused() {
        let check = |text: &str, expected: &str, parts: &[&str]| {
            let expr = parse(text).unwrap();
            let found = portable("R", &expr, Nanos::SECOND, 1).unwrap();
            assert_eq!(found.expr.to_string(), expected, "{text}");
            let shown: Vec<String> = found.parts.iter().map(|(_, e)| e.to_string()).collect();
            assert_eq!(shown, parts, "{text}");
            parse(&found.expr.to_string()).unwrap();
        };
        check("rate(x[1m]) > 500k", "rate(x[1m]) > 500000", &[]);
        check(
            "growth(x[1m]) > 2 and y > 1",
            "memwatch_part_1 > 2 and y > 1",
            &["growth(x[1m])"],
        );
        check(
            "max_over_time(x[1m:])",
            "max_over_time(x[59s999ms:1s])",
            &[],
        );
        let params = [("limit".to_owned(), 3.0)].into_iter().collect();
        let expr = parse_with("x > $limit", &params).unwrap();
        assert_eq!(
            portable("R", &expr, Nanos::SECOND, 1)
                .unwrap()
                .expr
                .to_string(),
            "x > 3"
        );
        for (text, what) in [
            ("time() - x > 5", "`time()`"),
            ("x @ 100 > 1", "fixed time"),
            (
                "max_over_time(growth(x[1m])[5m:1s]) > 1",
                "inside of a subquery",
            ),
            ("hour() > 5", "1970"),
        ] {
            let error = portable("R", &parse(text).unwrap(), Nanos::SECOND, 1)
                .err()
                .unwrap();
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn windows_have_a_common_length() {
        let check = |text: &str, expected: &str| {
            let expr = parse(text).unwrap();
            assert_eq!(
                common_length(&expr, Nanos::SECOND).to_string(),
                expected,
                "{text}"
            );
        };
        check("x", "1s");
        check("rate(x[1m]) > rate(x[1m] offset 2500ms)", "500ms");
        check("max_over_time(x[10s:200ms])", "200ms");
    }
}
