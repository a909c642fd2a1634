//! What is shown of each service: its signals, what its rules compare, and when it collected garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::backtest::{Ended, Outcome, owner};
use crate::expr::EvalOptions;
use crate::record::Identity;
use crate::rule::{Rule, RuleFile};
use crate::series::SeriesReader;
use crate::{Nanos, Result, TimeRange, Timestamp};

use super::axis::{Axis, Envelope};
use super::{rules, signals};

/// Instances of a service that have lines of their own; the others are one line together.
const INSTANCES_MAX: usize = 4;
/// Rules of a service that have a panel.
const RULES_MAX: usize = 8;
/// About how many lines a service has; only from it the width of buckets is estimated.
const LINES: usize = 10;
/// Fewer buckets than this draw nothing that can be read.
const BUCKETS_MIN: usize = 200;
/// More than this no screen has.
const BUCKETS_MAX: usize = 2_400;
/// What is shown in detail around an alert or the edges of an incident.
const AROUND: Nanos = Nanos::MINUTE;
/// … and for at most how long.
const DETAIL_MAX: Nanos = Nanos(10 * Nanos::MINUTE.0);
/// No bucket is narrower.
const FINEST: Nanos = Nanos(100 * Nanos::MILLISECOND.0);

/// In which unit a panel's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Sizes.
    Bytes,
    /// Sizes a second.
    BytesPerSecond,
    /// Durations.
    Seconds,
    /// Anything else.
    Plain,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What was measured.
    Value,
    /// What it is compared with: a goal, a limit, a threshold.
    Reference,
}

/// A signal of an instance.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Which instance, or how many of them; empty for what is of none.
    pub of: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Its values on the page's axis.
    pub envelope: Envelope,
}

/// Lines that are drawn together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Panel {
    /// What it shows; for a rule its name.
    pub title: String,
    /// The comparison, for a rule.
    pub about: String,
    /// Unit of the values.
    pub unit: Unit,
    /// The rule that it is about: index in [`Outcome::rules`].
    pub rule: Option<usize>,
    /// The lines.
    pub lines: Vec<Line>,
}

/// What is shown of one service.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// Which service.
    pub service: Arc<str>,
    /// Its instances, all of them.
    pub instances: Vec<Arc<str>>,
    /// The axis of all panels.
    pub axis: Axis,
    /// First the signals, then the rules.
    pub panels: Vec<Panel>,
    /// Garbage collections in each bucket, all instances together.
    pub collections: Vec<u64>,
    /// Its alerts: indices into [`Outcome::alerts`].
    pub alerts: Vec<usize>,
    /// Its incidents: indices into [`crate::backtest::Scored::incidents`].
    pub incidents: Vec<usize>,
}

/// Makes the pages of an outcome.
#[derive(Debug, Clone)]
pub struct Pages<'a> {
    file: &'a RuleFile,
    outcome: &'a Outcome,
    processes: BTreeSet<Identity>,
    only: Option<BTreeSet<Arc<str>>>,
    rules: usize,
    values: usize,
}

impl<'a> Pages<'a> {
    /// Pages of an outcome of the rules of `file`.
    #[must_use]
    pub fn new(file: &'a RuleFile, outcome: &'a Outcome) -> Self {
        Pages {
            file,
            outcome,
            processes: BTreeSet::new(),
            only: None,
            rules: RULES_MAX,
            values: 1_000_000,
        }
    }

    /// The processes of the recording: their services have a page each.
    #[must_use]
    pub fn recorded(mut self, processes: impl IntoIterator<Item = Identity>) -> Self {
        self.processes.extend(processes);
        self
    }

    /// Only these services have a page.
    #[must_use]
    pub fn only(mut self, services: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.only = Some(services.into_iter().collect());
        self
    }

    /// How many rules of a service have a panel.
    #[must_use]
    pub fn rules(mut self, rules: usize) -> Self {
        self.rules = rules;
        self
    }

    /// About how many values all pages hold together, so that a report of many services over a long time stays small.
    #[must_use]
    pub fn values(mut self, values: usize) -> Self {
        self.values = values;
        self
    }

    /// Reads what the pages show, in the order of services.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn read(&self, reader: &dyn SeriesReader) -> Result<Vec<Page>> {
        let range = self.outcome.range;
        let mut services: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for service in &self.outcome.services {
            services.entry(service.clone()).or_default();
        }
        for process in &self.processes {
            let instances = services.entry(process.service.clone()).or_default();
            instances.insert(process.instance.clone());
        }
        let only = services.len() == 1;
        if let Some(wanted) = &self.only {
            services.retain(|service, _| wanted.contains(service));
        }
        let buckets = (self.values / (2 * LINES * services.len().max(1)))
            .clamp(2 * BUCKETS_MIN, 2 * BUCKETS_MAX)
            / 2;
        let mut pages = Vec::new();
        for (service, instances) in services {
            let mut page = Page {
                alerts: self.alerts_of(&service, only),
                incidents: self.incidents_of(&service),
                service,
                instances: instances.into_iter().collect(),
                axis: Axis::new(range, 1, &[], FINEST, 0),
                panels: Vec::new(),
                collections: Vec::new(),
            };
            page.axis = Axis::new(range, buckets, &self.focus(&page), FINEST, buckets);
            let slots = self.slots(&page);
            let slot = |instance: &str| slots.of(instance);
            let found = signals::read(reader, &page.service, range, &page.axis, &slot)?;
            page.panels = found.panels;
            page.collections = found.collections;
            pages.push(page);
        }
        let slots: Vec<Slots> = pages.iter().map(|p| self.slots(p)).collect();
        let slot_of: Vec<_> = slots
            .iter()
            .map(|s| |instance: &str| s.of(instance))
            .collect();
        let viewers: Vec<rules::Viewer<'_>> = pages
            .iter()
            .zip(&slot_of)
            .map(|(page, slot)| rules::Viewer {
                service: &page.service,
                axis: &page.axis,
                rules: self.rules_of(page),
                slot,
            })
            .collect();
        let settings = &self.outcome.settings;
        let options = EvalOptions {
            lookback: settings.lookback,
            stale_after: settings.stale_after,
            subquery_step: settings.interval,
            ..EvalOptions::default()
        };
        let found = rules::read(self.file, self.outcome, reader, &options, &viewers, only);
        drop(viewers);
        for (page, panels) in pages.iter_mut().zip(found) {
            page.panels.extend(panels);
        }
        Ok(pages)
    }

    fn alerts_of(&self, service: &str, only: bool) -> Vec<usize> {
        let of = |i: &usize| {
            let (whose, _) = owner(&self.outcome.alerts[*i].labels);
            *whose == *service || (whose.is_empty() && only)
        };
        (0..self.outcome.alerts.len()).filter(of).collect()
    }

    fn incidents_of(&self, service: &str) -> Vec<usize> {
        let all = self.outcome.score.as_ref().map(|s| &s.incidents);
        let all = all.map_or(&[][..], Vec::as_slice);
        (0..all.len())
            .filter(|i| *all[*i].incident.service == *service)
            .collect()
    }

    /// Where a reader will look closely.
    fn focus(&self, page: &Page) -> Vec<TimeRange> {
        let around = |start: Timestamp, end: Timestamp| TimeRange {
            start: start.minus(AROUND),
            end: end.min(start.plus(DETAIL_MAX)).plus(AROUND),
        };
        let mut found = Vec::new();
        for alert in page.alerts.iter().map(|i| &self.outcome.alerts[*i]) {
            let end = alert.ended.at().unwrap_or(self.outcome.range.end);
            found.push(around(alert.pending_at, end));
        }
        if let Some(scored) = &self.outcome.score {
            for incident in page
                .incidents
                .iter()
                .map(|i| &scored.incidents[*i].incident)
            {
                found.push(around(incident.range.start, incident.range.end));
            }
        }
        found
    }

    /// The rules that matter to a service: those that fired, then those that are meant for what happened there.
    fn rules_of(&self, page: &Page) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for alert in &page.alerts {
            let rule = self.outcome.alerts[*alert].rule;
            if !found.contains(&rule) {
                found.push(rule);
            }
        }
        let kinds: BTreeSet<&str> = page
            .incidents
            .iter()
            .filter_map(|i| self.outcome.score.as_ref().map(|s| &s.incidents[*i]))
            .map(|i| &*i.incident.kind)
            .collect();
        let flat = self.file.groups.iter().flat_map(|g| &g.rules);
        for (index, rule) in flat.enumerate() {
            if let Rule::Alerting(rule) = rule
                && rule.detects.iter().any(|kind| kinds.contains(&**kind))
                && !found.contains(&index)
            {
                found.push(index);
            }
        }
        found.truncate(self.rules);
        found
    }

    fn slots(&self, page: &Page) -> Slots {
        let alerting: BTreeSet<Arc<str>> = page
            .alerts
            .iter()
            .map(|i| owner(&self.outcome.alerts[*i].labels).1)
            .collect();
        let mut order: Vec<&Arc<str>> = page.instances.iter().collect();
        order.sort_by_key(|i| (!alerting.contains(*i), *i));
        let others = order.len().saturating_sub(INSTANCES_MAX);
        // One left over has a line of its own instead of "1 other".
        let alone = if others == 1 {
            order.len()
        } else {
            INSTANCES_MAX
        };
        Slots {
            alone: order.into_iter().take(alone).cloned().collect(),
            others: format!("{others} others").into(),
            all: others <= 1,
        }
    }
}

/// As which line each instance is drawn.
struct Slots {
    alone: BTreeSet<Arc<str>>,
    others: Arc<str>,
    all: bool,
}

impl Slots {
    fn of(&self, instance: &str) -> Arc<str> {
        match self.alone.get(instance) {
            Some(own) => own.clone(),
            None if self.all => Arc::from(instance),
            None => self.others.clone(),
        }
    }
}

impl Page {
    /// When the last alert or incident of this page ends, and when the first begins; `None` without any.
    #[must_use]
    pub fn eventful(&self, outcome: &Outcome) -> Option<TimeRange> {
        let alerts = self.alerts.iter().map(|i| {
            let alert = &outcome.alerts[*i];
            let end = match alert.ended {
                Ended::Open => outcome.range.end,
                Ended::Resolved(at) | Ended::Cleared(at) => at,
            };
            (alert.pending_at, end)
        });
        let incidents = self.incidents.iter().filter_map(|i| {
            let scored = outcome.score.as_ref()?;
            let range = scored.incidents[*i].incident.range;
            Some((range.start, range.end))
        });
        alerts
            .chain(incidents)
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .map(|(start, end)| TimeRange { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::Backtest;
    use crate::series::{MemorySeries, Series};

    const SECOND: i64 = 1_000_000_000;

    fn heap(instance: &str, high: bool) -> Series {
        Series {
            labels: [
                ("__name__", "go_memstats_heap_inuse_bytes"),
                ("service", "api"),
                ("instance", instance),
            ]
            .into_iter()
            .collect(),
            at_ns: (0..600).map(|i| i * SECOND).collect(),
            values: (0..600)
                .map(|i| {
                    if high && (300..310).contains(&i) {
                        9e9
                    } else {
                        1e6
                    }
                })
                .collect(),
        }
    }

    #[test]
    fn a_page_shows_signals_and_what_its_rules_compare() {
        let file = RuleFile::from_toml(
            "t.toml",
            "[[group]]\nname = \"g\"\n[[group.rule]]\nalert = \"Large\"\n\
             expr = \"go_memstats_heap_inuse_bytes > $limit\"\nparams = { limit = 1e9 }\n\
             [[group.rule]]\nalert = \"Never\"\nexpr = \"go_memstats_heap_inuse_bytes < 0\"\n",
        )
        .unwrap();
        let names: Vec<String> = (0..9).map(|i| format!("api-{i}")).collect();
        let recording = MemorySeries {
            series: names.iter().map(|n| heap(n, n == "api-7")).collect(),
        };
        let range = TimeRange {
            start: Timestamp(0),
            end: Timestamp(600 * SECOND),
        };
        let outcome = Backtest::new(&file).range(range).run(&recording).unwrap();
        let identity = |n: &String| Identity {
            service: "api".into(),
            instance: n.as_str().into(),
        };
        let pages = Pages::new(&file, &outcome)
            .recorded(names.iter().map(identity))
            .values(1)
            .read(&recording)
            .unwrap();
        assert_eq!(pages.len(), 1);
        let page = &pages[0];
        assert_eq!(page.alerts, [0]);
        let titles: Vec<&str> = page.panels.iter().map(|p| p.title.as_str()).collect();
        assert_eq!(
            titles,
            ["Heap", "Large"],
            "a rule that did not fire has no panel"
        );
        assert_eq!(
            page.panels[1].about,
            "go_memstats_heap_inuse_bytes > 1000000000"
        );
        let of: Vec<&str> = page.panels[0].lines.iter().map(|l| &*l.of).collect();
        assert_eq!(of, ["5 others", "api-0", "api-1", "api-2", "api-7"]);
        // The peak of ten seconds is there, and the buckets around it are narrow.
        let peak = &page.panels[0].lines[4].envelope;
        assert_eq!(peak.bounds(), Some((1e6, 9e9)));
        let at = page.axis.bucket(305 * SECOND).unwrap();
        assert!(page.axis.edges()[at + 1] - page.axis.edges()[at] < 3 * SECOND);
        let threshold = page.panels[1].lines.last().unwrap();
        assert_eq!(
            (threshold.role, threshold.envelope.bounds()),
            (Role::Reference, Some((1e9, 1e9)))
        );
        assert_eq!(
            page.eventful(&outcome),
            Some(TimeRange {
                start: Timestamp(300 * SECOND),
                end: Timestamp(310 * SECOND)
            })
        );
    }

    #[test]
    fn a_rule_that_reads_a_recording_rule_has_a_panel() {
        let titles = |rules: &str| -> (Vec<String>, Option<(f64, f64)>) {
            let file = RuleFile::from_toml("t.toml", rules).unwrap();
            let recording = MemorySeries {
                series: vec![heap("api-7", true)],
            };
            let range = TimeRange {
                start: Timestamp(0),
                end: Timestamp(600 * SECOND),
            };
            let outcome = Backtest::new(&file).range(range).run(&recording).unwrap();
            assert_eq!(outcome.alerts.len(), 1);
            let pages = Pages::new(&file, &outcome).read(&recording).unwrap();
            let panels = &pages[0].panels;
            let drawn = panels.last().and_then(|p| p.lines[0].envelope.bounds());
            (panels.iter().map(|p| p.title.clone()).collect(), drawn)
        };
        let rule = |kind: &str, name: &str, expr: &str| {
            format!("[[group.rule]]\n{kind} = \"{name}\"\nexpr = \"{expr}\"\n")
        };
        let group = "[[group]]\nname = \"g\"\n";
        let recorded = rule("record", "megabytes", "go_memstats_heap_inuse_bytes / 1e6");
        let again = rule("record", "kilobytes", "megabytes * 1e3");
        let large = rule("alert", "Large", "kilobytes > 1e6");
        // In one group after the other, and of what a recorded series is recorded from.
        let (found, drawn) = titles(&format!("{group}{recorded}{again}{large}"));
        assert_eq!(found, ["Heap", "Large"]);
        assert_eq!(drawn, Some((1e3, 9e6)));
        // What comes later in the file was given one evaluation before: it is not drawn.
        let (found, _) = titles(&format!("{group}{large}{recorded}{again}"));
        assert_eq!(found, ["Heap"]);
    }
}
