//! Series as OpenMetrics text with times, as `promtool tsdb create-blocks-from openmetrics` reads it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context as _, bail};
use memwatch_core::expr::{NodeKind, parse};
use memwatch_core::series::{Series, SeriesReader as _, is_stale};
use memwatch_core::{Matcher, TimeRange, Timestamp, Window};
use memwatch_store::Snapshot;

use crate::args::ExportArgs;
use crate::commands::{recording, say};
use crate::render::{Output, clean, grouped};

/// Writes every quantity once, or what the selectors of `--match` find: one metric after the other, and of each one series after the other.
/// A process is read at a time.
pub(super) fn write(
    args: &ExportArgs,
    snapshot: &Snapshot,
    out: &mut Output,
) -> anyhow::Result<()> {
    let selectors = selectors(&args.matches)?;
    let Some(range) = range(args, snapshot)? else {
        bail!("expected a recording, found no rows");
    };
    let window = Window {
        after: Timestamp(range.start.0.saturating_sub(1)),
        until: Timestamp(range.end.0.saturating_sub(1)),
    };
    let series = snapshot.series();
    let mut names: BTreeSet<_> = series.quantities()?.into_iter().collect();
    // A short name is none of them, but may be asked for.
    for matcher in selectors
        .iter()
        .flatten()
        .filter(|m| m.name() == "__name__")
    {
        names.insert(matcher.value().into());
    }
    let processes: Vec<_> = snapshot.info().processes().into_keys().collect();
    let mut left_out = BTreeSet::new();
    let mut together = 0;
    for name in names {
        let mut typed = false;
        for process in &processes {
            let wanted = |given: &Option<String>, found: &str| {
                given.as_ref().is_none_or(|given| given == found)
            };
            if !wanted(&args.service, &process.service)
                || !wanted(&args.instance, &process.instance)
            {
                continue;
            }
            let mut found: Vec<Series> = Vec::new();
            for selector in &selectors {
                let named = Matcher::equal("__name__", &name);
                if !selector
                    .iter()
                    .filter(|m| m.name() == "__name__")
                    .all(|m| m.accepts(&name))
                {
                    continue;
                }
                let own = [
                    named,
                    Matcher::equal("service", &process.service),
                    Matcher::equal("instance", &process.instance),
                ];
                let matchers: Vec<Matcher> =
                    own.into_iter().chain(selector.iter().cloned()).collect();
                found.extend(series.select(&matchers, window)?);
            }
            found.sort_by(|a, b| a.labels.cmp(&b.labels));
            found.dedup_by(|a, b| a.labels == b.labels);
            for one in &found {
                let Some(head) = head(one) else {
                    left_out.insert(name.clone());
                    continue;
                };
                if !typed {
                    write!(out, "{}", type_of(&name))?;
                    typed = true;
                }
                together += samples(out, one, &head, window)?;
            }
        }
    }
    writeln!(out, "# EOF")?;
    if let Some(first) = left_out.first() {
        say(&format!(
            "left out, because OpenMetrics has no such names of metrics or labels: {} ({} in all)",
            clean(first, false),
            left_out.len()
        ));
    }
    if together > 0 {
        say(&format!(
            "{} samples are not written: another one of their series lies in the same millisecond",
            grouped(together)
        ));
    }
    Ok(())
}

/// The lists of matchers of `--match`; one that lets everything through when there is none.
fn selectors(texts: &[String]) -> anyhow::Result<Vec<Vec<Matcher>>> {
    if texts.is_empty() {
        return Ok(vec![Vec::new()]);
    }
    let mut all = Vec::new();
    for text in texts {
        let expr = parse(text).with_context(|| format!("--match {text}"))?;
        match &expr.root().kind {
            NodeKind::Selector(selector)
                if selector.when.at.is_none() && selector.when.offset.0 == 0 =>
            {
                all.extend(selector.alternatives.iter().cloned());
            }
            _ => {
                bail!("--match {text}: expected a selector, like go_goroutines{{service=\"api\"}}")
            }
        }
    }
    Ok(all)
}

fn range(args: &ExportArgs, snapshot: &Snapshot) -> anyhow::Result<Option<TimeRange>> {
    let Some(whole) = snapshot.info().series_range() else {
        return Ok(None);
    };
    let given = |text: &Option<String>, option: &'static str| {
        text.as_deref()
            .map(|text| recording::time(text).context(option))
            .transpose()
    };
    Ok(Some(TimeRange {
        start: given(&args.replay.from, "--from")?.unwrap_or(whole.start),
        // The last row is in it.
        end: given(&args.replay.to, "--to")?.unwrap_or(Timestamp(whole.end.0.saturating_add(1))),
    }))
}

/// A counter is one by its name; of everything else the kind is not known.
fn type_of(name: &str) -> String {
    match name.strip_suffix("_total") {
        Some(family) => format!("# TYPE {family} counter\n"),
        None => format!("# TYPE {name} unknown\n"),
    }
}

/// Name and labels; `None` when OpenMetrics has no way to write them.
fn head(series: &Series) -> Option<String> {
    let plain = |name: &str, colon: bool| {
        let first =
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || colon && c == ':');
        let others = |c: char| c.is_ascii_alphanumeric() || c == '_' || colon && c == ':';
        first && name.chars().all(others)
    };
    let mut head = series.labels.name().to_owned();
    if !plain(&head, true) {
        return None;
    }
    let labels = series.labels.iter().filter(|(name, _)| *name != "__name__");
    for (i, (name, value)) in labels.enumerate() {
        if !plain(name, false) {
            return None;
        }
        let value = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        let _ = write!(head, "{}{name}=\"{value}\"", if i == 0 { '{' } else { ',' });
    }
    if head.contains('{') {
        head.push('}');
    }
    Some(head)
}

/// Prometheus' times are milliseconds, and it takes one sample at each: of several the last. Gives how many were not written.
fn samples(out: &mut Output, series: &Series, head: &str, window: Window) -> anyhow::Result<u64> {
    let from = series.at_ns.partition_point(|at| *at <= window.after.0);
    let to = series
        .at_ns
        .partition_point(|at| *at <= window.until.0)
        .max(from);
    let millis = |i: usize| series.at_ns[i].div_euclid(1_000_000);
    let mut together = 0;
    for i in from..to {
        // The marker that a series has ended cannot be written.
        if is_stale(series.values[i]) {
            continue;
        }
        if i + 1 < to && millis(i) == millis(i + 1) {
            together += 1;
            continue;
        }
        let (seconds, rest) = (millis(i).div_euclid(1_000), millis(i).rem_euclid(1_000));
        let value = match series.values[i] {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            value if value.is_nan() => "NaN".to_owned(),
            value => format!("{value:?}"),
        };
        writeln!(out, "{head} {value} {seconds}.{rest:03}")?;
    }
    Ok(together)
}
