//! Which comparison of a rule its value comes from: what a picture of the rule shows.

use crate::expr::{BinaryOp, Expr, Node, NodeKind};

/// A comparison: what is compared, how, and with what.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deciding {
    /// What is compared: the alert's value.
    pub signal: Expr,
    /// How.
    pub op: BinaryOp,
    /// With what.
    pub threshold: Expr,
}

/// The comparison that gives a rule's alerts their value: the leftmost under `and`, `or`, `unless` and parentheses. `None` when the
/// expression filters with no comparison there.
///
/// ```
/// # use memwatch_core::{expr::parse, report::deciding};
/// let expr = parse("(rate(allocs_total[1m]) > 500k) and go_goroutines > 10").unwrap();
/// let found = deciding(&expr).unwrap();
/// assert_eq!(found.signal.to_string(), "rate(allocs_total[1m])");
/// assert_eq!(found.threshold.to_string(), "500000");
/// ```
#[must_use]
pub fn deciding(expr: &Expr) -> Option<Deciding> {
    let mut node: &Node = expr.root();
    loop {
        match &node.kind {
            NodeKind::Paren(inner) => node = inner,
            NodeKind::Binary(b) if b.op.is_set() => node = &b.lhs,
            NodeKind::Binary(b) if b.op.is_comparison() && !b.returns_bool => {
                return Some(Deciding {
                    signal: expr.part(&b.lhs),
                    op: b.op,
                    threshold: expr.part(&b.rhs),
                });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::parse;

    #[test]
    fn the_leftmost_comparison_decides() {
        let check = |text: &str, expected: Option<&str>| {
            let found = deciding(&parse(text).unwrap());
            let found = found.map(|d| format!("{} {} {}", d.signal, d.op, d.threshold));
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("a > 1", Some("a > 1"));
        check("a < b and c > 1 or d == 2", Some("a < b"));
        check("((a >= 1)) unless b", Some("a >= 1"));
        check("a > 1 > 0", Some("a > 1 > 0"));
        check("absent(a)", None);
        check("a > bool 1", None);
        check("a + 1", None);
    }
}
