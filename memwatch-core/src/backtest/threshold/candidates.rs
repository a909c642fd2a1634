//! What thresholds are tried on: the metrics that alerting rules read, as numbers that a limit can be set on.

use std::collections::BTreeMap;

use crate::Nanos;
use crate::backtest::plan::could_read;
use crate::expr::{Expr, NodeKind, VectorSelector, is_counter, parse};
use crate::labels::METRIC_NAME;
use crate::rule::{Rule, RuleFile};
use crate::{MatchOp, Matcher};

/// Each metric that an alerting rule reads, directly or through recording rules: a gauge as it is, a counter as its rate over each window in
/// which it is read. Buckets of histograms are none: what they count depends on where their edges are. In the order of their texts.
pub(super) fn candidates(file: &RuleFile) -> Vec<Expr> {
    let rules: Vec<&Rule> = file.groups.iter().flat_map(|g| &g.rules).collect();
    let mut read: Vec<bool> = rules.iter().map(|r| r.alerting().is_some()).collect();
    let mut waiting: Vec<usize> = (0..rules.len()).filter(|i| read[*i]).collect();
    let mut found: BTreeMap<String, Expr> = BTreeMap::new();
    while let Some(index) = waiting.pop() {
        rules[index].expr().root().walk(&mut |node| {
            let (selector, window) = match &node.kind {
                NodeKind::Selector(selector) => (selector, None),
                NodeKind::Range { selector, range } => (selector, Some(*range)),
                _ => return,
            };
            let mut of_rules = false;
            for (other, rule) in rules.iter().enumerate() {
                if could_read(selector, rule) {
                    of_rules = true;
                    if !std::mem::replace(&mut read[other], true) {
                        waiting.push(other);
                    }
                }
            }
            if !of_rules {
                let signals = signals(selector, window);
                found.extend(signals.map(|expr| (expr.to_string(), expr)));
            }
        });
    }
    found.into_values().collect()
}

/// What a threshold can be set on, of what a selector reads.
fn signals(
    selector: &VectorSelector,
    window: Option<Nanos>,
) -> impl Iterator<Item = Expr> + use<'_> {
    selector.alternatives.iter().filter_map(move |matchers| {
        let named = |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal;
        let name = matchers.iter().find(named)?.value();
        if name.ends_with("_bucket") {
            return None;
        }
        let others = matchers.iter().filter(|m| m.name() != METRIC_NAME);
        let others: Vec<String> = others.map(ToString::to_string).collect();
        let plain = match &others[..] {
            [] => name.to_owned(),
            others => format!("{name}{{{}}}", others.join(",")),
        };
        let text = match (is_counter(name), window) {
            (false, _) => plain,
            (true, Some(window)) => format!("rate({plain}[{window}])"),
            (true, None) => return None,
        };
        parse(&text).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_as_they_are_and_counters_as_rates() {
        let rules = |text: &str| -> Vec<String> {
            let file = RuleFile::from_toml("t.toml", text).unwrap();
            candidates(&file).iter().map(ToString::to_string).collect()
        };
        let text = r#"
            [[group]]
            name = "records"
            [[group.rule]]
            record = "used"
            expr = 'heap{kind="a"} / limit'
            [[group.rule]]
            record = "nobody_reads_it"
            expr = "other"
            [[group]]
            name = "alerts"
            [[group.rule]]
            alert = "A"
            expr = "used > 0.9 and rate(x_total[1m] offset 5m) > 3"
            [[group.rule]]
            alert = "B"
            expr = "baseline_deviation(heap[1m]) > 3 or increase(x_total[5m]) > 1 or x_total > 7"
            [[group.rule]]
            alert = "C"
            expr = 'histogram_quantile(0.9, rate(h_bucket[1m])) > 1 or {__name__=~"y.*"} > 1 or ALERTS > 0'
        "#;
        assert_eq!(
            rules(text),
            [
                "heap",
                "heap{kind=\"a\"}",
                "limit",
                "rate(x_total[1m])",
                "rate(x_total[5m])",
            ]
        );
    }
}
