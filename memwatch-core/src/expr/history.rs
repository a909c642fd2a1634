//! What an expression reads: which series, and from how far back.

use super::ast::{AtModifier, Expr, Node, NodeKind, TimeShift};
use super::select::instant_reach;
use super::{EvalOptions, Span};
use crate::{Matcher, Nanos, Steps, Timestamp, Window};

/// What an expression reads: one of its selectors.
#[derive(Debug, Clone)]
pub struct Selector {
    /// A series is taken when it satisfies all matchers of one of these lists.
    pub alternatives: Vec<Vec<Matcher>>,
    /// Where it stands.
    pub span: Span,
    /// The samples that it needs for the evaluations asked about, staleness included.
    pub window: Window,
    /// Whether it, or a subquery that it stands in, looks at a fixed time (`@ 1609746000`): then the window is always this one.
    pub fixed: bool,
}

/// The times at which a node is evaluated.
#[derive(Debug, Clone, Copy)]
struct Times {
    first: Timestamp,
    last: Timestamp,
    /// They are the same whenever the expression is evaluated.
    fixed: bool,
}

impl Expr {
    /// Every selector with the window of samples that it reads when the expression is evaluated at `steps`.
    #[must_use]
    pub fn selectors(&self, steps: Steps, options: &EvalOptions) -> Vec<Selector> {
        let count = steps.count();
        if count == 0 {
            return Vec::new();
        }
        let times = Times {
            first: steps.start,
            last: steps.at(count - 1),
            fixed: false,
        };
        let query = options.query_range.unwrap_or((steps.start, steps.end));
        let mut found = Vec::new();
        visit(&self.root, times, query, options, 1, &mut found);
        found
    }

    /// How much data before the first evaluation the expression needs: ranges, offsets, subqueries, lookback and staleness added
    /// up. What a selector with a fixed time (`@`) reads does not count.
    ///
    /// ```
    /// # use memwatch_core::{Nanos, expr::{self, EvalOptions}};
    /// let rule = expr::parse("growth(x_total[1m] offset 30s) > 2").unwrap();
    /// assert_eq!(rule.history(&EvalOptions::default()).to_string(), "2m30s");
    /// ```
    #[must_use]
    pub fn history(&self, options: &EvalOptions) -> Nanos {
        // Seen from an evaluation far from both ends of time.
        let at = Timestamp(0);
        let mut root = (*self.root).clone();
        root.walk_mut(&mut |node| match &mut node.kind {
            NodeKind::Selector(s) | NodeKind::Range { selector: s, .. } if s.when.at.is_some() => {
                // Reads nothing before any evaluation.
                s.when.offset = Nanos(i64::MIN / 2);
            }
            NodeKind::Subquery(s) if s.when.at.is_some() => s.when.offset = Nanos(i64::MIN / 2),
            _ => {}
        });
        let mut found = Vec::new();
        let query = (at, at);
        visit(
            &root,
            Times {
                first: at,
                last: at,
                fixed: false,
            },
            query,
            options,
            1,
            &mut found,
        );
        let needed = found.iter().map(|s| at.since(s.window.after).0).max();
        Nanos(needed.unwrap_or(0).max(0))
    }
}

fn visit(
    node: &Node,
    times: Times,
    query: (Timestamp, Timestamp),
    options: &EvalOptions,
    widths: i64,
    found: &mut Vec<Selector>,
) {
    let mut reads = |selector: &super::VectorSelector, back: Nanos| {
        let seen = shifted(times, selector.when, query);
        found.push(Selector {
            alternatives: selector.alternatives.clone(),
            span: node.span,
            window: Window {
                after: seen.first.minus(back),
                until: seen.last,
            },
            fixed: seen.fixed,
        });
    };
    match &node.kind {
        NodeKind::Selector(selector) => reads(
            selector,
            instant_reach(options.lookback, options.stale_after),
        ),
        NodeKind::Range { selector, range } => {
            reads(selector, Nanos(range.0.saturating_mul(widths)))
        }
        NodeKind::Subquery(subquery) => {
            let seen = shifted(times, subquery.when, query);
            let inner = Times {
                first: seen
                    .first
                    .minus(Nanos(subquery.range.0.saturating_mul(widths))),
                last: seen.last,
                fixed: seen.fixed,
            };
            visit(&subquery.expr, inner, query, options, 1, found);
        }
        NodeKind::Call { function, args } => {
            for arg in args {
                visit(arg, times, query, options, function.widths(), found);
            }
        }
        NodeKind::Paren(inner) => visit(inner, times, query, options, widths, found),
        _ => {
            for child in node.children() {
                visit(child, times, query, options, 1, found);
            }
        }
    }
}

fn shifted(times: Times, when: TimeShift, query: (Timestamp, Timestamp)) -> Times {
    let fixed = when.at.map(|at| match at {
        AtModifier::Start => query.0,
        AtModifier::End => query.1,
        AtModifier::Time(at) => at,
    });
    Times {
        first: fixed.unwrap_or(times.first).minus(when.offset),
        last: fixed.unwrap_or(times.last).minus(when.offset),
        fixed: match when.at {
            None => times.fixed,
            Some(at) => matches!(at, AtModifier::Time(_)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{StaleAfter, parse};

    #[test]
    fn history_adds_up() {
        let check = |text: &str, expected: &str| {
            let found = parse(text).unwrap().history(&EvalOptions::default());
            assert_eq!(found.to_string(), expected, "{text}");
        };
        check("1 + 1", "0s");
        check("x", "5m");
        check("x offset 1h", "1h5m");
        check("x offset -1h", "0s");
        check("rate(x[10m]) + y", "10m");
        check("rate(x[10m] offset -4m)", "6m");
        check("growth(x[10m])", "20m");
        check("growth((x[10m]))", "20m");
        check("max_over_time(rate(x[1m])[1h:10s])", "1h1m");
        check("max_over_time(x[1h:] offset 1h)", "2h5m");
        check("x @ 100", "0s");
        check("max_over_time(x[1h:] @ start()) or y", "5m");
        let auto = EvalOptions {
            stale_after: StaleAfter::Auto,
            ..EvalOptions::default()
        };
        assert_eq!(parse("x").unwrap().history(&auto).to_string(), "10m");
    }

    #[test]
    fn selectors_say_what_they_read() {
        let expr = parse("sum(rate(x{a=\"b\"}[10s])) / on () y @ end()").unwrap();
        let fixed = |text: &str| {
            let steps = Steps::instant(Timestamp(7));
            let found = parse(text)
                .unwrap()
                .selectors(steps, &EvalOptions::default());
            found.iter().map(|f| f.fixed).collect::<Vec<_>>()
        };
        assert_eq!(fixed("x + x @ 5 + x @ end()"), [false, true, false]);
        let nested = "max_over_time(rate(x[5s])[10s:1s] @ 3) + max_over_time(x[10s:])";
        assert_eq!(fixed(nested), [true, false]);
        let s = |s: i64| Timestamp(s * 1_000_000_000);
        let steps = Steps {
            start: s(100),
            end: s(205),
            step: Nanos(10_000_000_000),
        };
        let found = expr.selectors(steps, &EvalOptions::default());
        let windows: Vec<_> = found
            .iter()
            .map(|f| (f.window.after, f.window.until))
            .collect();
        assert_eq!(windows, [(s(90), s(200)), (s(-95), s(205))]);
        assert_eq!(
            &expr.text()[found[0].span.start..found[0].span.end],
            "x{a=\"b\"}[10s]"
        );
    }
}
