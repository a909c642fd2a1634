//! Limits that an outcome must hold, for CI.

use anyhow::bail;
use memwatch_core::Nanos;
use memwatch_core::alert::IntegrationKind;
use memwatch_core::backtest::{Change, Diff, Outcome, poisson};

use crate::args::{BacktestArgs, BudgetArgs, FailOn};

const WEEK: Nanos = Nanos(7 * 24 * Nanos::HOUR.0);

/// A limit and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// As the option is called, without dashes in front.
    pub name: &'static str,
    /// The limit.
    pub limit: f64,
    /// What the old rules have.
    pub old: Option<f64>,
    /// What the new rules have.
    pub new: f64,
    /// Whether the limit holds.
    pub holds: bool,
    /// What was found, in words.
    pub words: String,
}

/// Checks every limit that was given.
pub fn check(
    args: &BudgetArgs,
    old: &Outcome,
    new: &Outcome,
    diff: &Diff,
) -> anyhow::Result<Vec<Budget>> {
    let mut found = Vec::new();
    if let Some(limit) = args.min_recall {
        found.push(least("min-recall", limit, Some(old), new, recall)?);
    }
    if let Some(limit) = args.min_precision {
        found.push(least("min-precision", limit, Some(old), new, precision)?);
    }
    if let Some(limit) = args.max_pages_per_week {
        found.push(pages(limit, &args.page_receiver, old, new)?);
    }
    let counts = [
        ("max-new", args.max_new, Change::New, "new"),
        ("max-lost", args.max_lost, Change::Lost, "lost"),
    ];
    for (name, limit, what, word) in counts {
        let Some(limit) = limit else { continue };
        let count = diff.count(|change| change == what);
        found.push(Budget {
            name,
            limit: limit as f64,
            old: None,
            new: count as f64,
            holds: count <= limit,
            words: format!("{count} alerts are {word}, the limit is {limit}"),
        });
    }
    Ok(found)
}

/// The limits of a backtest. One that nothing can be computed for does not hold; why is told beside them.
pub fn of_backtest(args: &BacktestArgs, outcome: &Outcome) -> (Vec<Budget>, Option<anyhow::Error>) {
    let (mut found, mut cannot) = (Vec::new(), None);
    if args.fail_on == Some(FailOn::Fired) {
        let fired = outcome.alerts.len();
        found.push(Budget {
            name: "fail-on fired",
            limit: 0.0,
            old: None,
            new: fired as f64,
            holds: fired == 0,
            words: format!("{fired} alerts fired"),
        });
    }
    type Share = fn(&Outcome) -> Option<f64>;
    let asked = [
        ("min-recall", args.min_recall, recall as Share),
        ("min-precision", args.min_precision, precision),
    ];
    for (name, limit, share) in asked {
        let Some(limit) = limit else { continue };
        match least(name, limit, None, outcome, share) {
            Ok(budget) => found.push(budget),
            Err(why) => {
                found.push(Budget {
                    name,
                    limit,
                    old: None,
                    new: f64::NAN,
                    holds: false,
                    words: why.to_string(),
                });
                cannot.get_or_insert(why);
            }
        }
    }
    (found, cannot)
}

fn recall(outcome: &Outcome) -> Option<f64> {
    outcome.score.as_ref().and_then(|s| s.all.recall)
}

fn precision(outcome: &Outcome) -> Option<f64> {
    outcome.score.as_ref().and_then(|s| s.all.precision)
}

fn least(
    name: &'static str,
    limit: f64,
    old: Option<&Outcome>,
    new: &Outcome,
    share: fn(&Outcome) -> Option<f64>,
) -> anyhow::Result<Budget> {
    if new.score.is_none() {
        bail!("--{name} needs incidents: give --labels, or ingest the labels too");
    }
    let what = name.trim_start_matches("min-");
    let Some(value) = share(new) else {
        bail!("--{name}: there is nothing to compute {what} from");
    };
    let old = old.and_then(share);
    let before = old.map_or(String::new(), |old| format!(" (it was {old:.3})"));
    Ok(Budget {
        name,
        limit,
        old,
        new: value,
        holds: value >= limit,
        words: format!("{what} is {value:.3}{before}, at least {limit} is asked for"),
    })
}

/// The rate of the recording, put to a week, with its exact 95 % interval: from a short recording it says little, and shows it.
fn pages(limit: f64, receivers: &[String], old: &Outcome, new: &Outcome) -> anyhow::Result<Budget> {
    let weeks = |outcome: &Outcome| outcome.range.duration().as_seconds() / WEEK.as_seconds();
    let count = |outcome: &Outcome| pages_of(outcome, receivers);
    let (before, now) = (count(old)?, count(new)?);
    let rate = now as f64 / weeks(new);
    let (low, high) = poisson(now);
    let (low, high) = (low / weeks(new), high / weeks(new));
    Ok(Budget {
        name: "max-pages-per-week",
        limit,
        old: Some(before as f64 / weeks(old)),
        new: rate,
        holds: rate <= limit,
        words: format!(
            "{now} pages in {} (they were {before}): {rate:.1} a week (95 %: {low:.1} to {high:.1}), the limit is {limit}",
            crate::render::backtest::lasted(new.range.duration()),
        ),
    })
}

/// How many pages an outcome has: firing messages that arrive at a pager, or, without a route, alerts.
fn pages_of(outcome: &Outcome, receivers: &[String]) -> anyhow::Result<u64> {
    let Some(notified) = &outcome.notified else {
        if let Some(name) = receivers.first() {
            bail!("--page-receiver {name}: there is no route, so nobody is told");
        }
        return Ok(outcome.alerts.len() as u64);
    };
    for name in receivers {
        if !notified.config.receivers.iter().any(|r| *r.name == **name) {
            bail!("--page-receiver {name}: the rule file has no such receiver");
        }
    }
    let pages = |integration: IntegrationKind, receiver: &str| match receivers {
        [] => integration == IntegrationKind::PagerDuty,
        named => named.iter().any(|name| name == receiver),
    };
    let messages = notified.timeline.messages.iter().filter(|message| {
        let receiver = &notified.config.receivers[message.receiver];
        let integration = &receiver.integrations[message.integration];
        !message.firing.is_empty()
            && message.refused.is_none()
            && pages(integration.kind, &receiver.name)
    });
    Ok(messages.count() as u64)
}
